"""The words of a name, and what is left of it without those that say nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

NUMBERS = frozenset(
    {"id", "ids", "key", "no", "nr", "number", "num", "ref", "code", "uuid", "guid"}
)
"""What columns are called that name something."""
_TIMES = frozenset({
    "at", "on", "date", "time", "timestamp", "datetime", "ts", "dt", "day", "utc", "gmt", "key",
    "the", "of",
})  # fmt: skip
_AMOUNTS = frozenset({
    "usd", "eur", "gbp", "chf", "in", "the", "of", "cents", "cent", "pence", "minor",
})  # fmt: skip
_AROUND = frozenset({
    "report", "reports", "export", "exports", "list", "table", "data", "daily", "raw", "all",
    "view", "current", "latest", "v1", "v2", "fct", "fact", "facts",
})  # fmt: skip
"""Words around the name of a table."""
MONTHS = {
    "day": 12 / 365, "days": 12 / 365, "daily": 12 / 365, "week": 12 / 52, "weeks": 12 / 52,
    "weekly": 12 / 52, "month": 1.0, "months": 1.0, "monthly": 1.0, "monat": 1.0,
    "monatlich": 1.0, "mensuel": 1.0, "mensual": 1.0, "quarter": 3.0, "quarterly": 3.0,
    "quarters": 3.0, "quartal": 3.0, "trimestral": 3.0, "trimestriel": 3.0, "semiannual": 6.0,
    "semi_annual": 6.0, "half-yearly": 6.0, "year": 12.0, "years": 12.0, "yearly": 12.0,
    "every_30_days": 1.0, "every 30 days": 1.0, "30 days": 1.0, "1 month": 1.0, "3 months": 3.0,
    "12 months": 12.0, "1 year": 12.0, "p1d": 12 / 365, "p1w": 12 / 52, "p1m": 1.0, "p3m": 3.0,
    "p6m": 6.0, "p12m": 12.0, "p1y": 12.0, "maand": 1.0, "maandelijks": 1.0, "jaar": 12.0,
    "jaarlijks": 12.0, "mensile": 1.0, "annuale": 12.0,
    "mensuelle": 1.0, "trimestrielle": 3.0, "semestriel": 6.0, "semestrielle": 6.0,
    "semestral": 6.0, "annuelle": 12.0,
    "annual": 12.0, "annually": 12.0, "jahr": 12.0, "jährlich": 12.0, "annuel": 12.0, "anual": 12.0,
}  # fmt: skip
"""Words for an interval, in months."""
ABROAD = {
    "mrr": "cuota_mensual importe_mensual maandbedrag opłata_miesięczna oplata_miesieczna"
    " canone_mensile mensalidade monatsbetrag monatspreis montant_mensuel",
    "csat": "satisfacción satisfaccion valoración valoracion tevredenheid satysfakcja ocena"
    " zufriedenheit bewertung soddisfazione satisfação",
    "priority": "prioridad prioriteit priorytet priorität priorité priorità prioridade",
    "category": "categoría categoria categorie kategoria kategorie catégorie",
    "ticket_id": "num_incidencia ticketnummer nr_zgłoszenia",
    "seats": "licencias licenties licencje lizenzen licenze licenças",
    "plan": "tarifa pakket pakiet tarif piano plano abonnement",
    "billing_period": "betaaltermijn okres_rozliczeniowy periodicità periodicidade",
    "auto_renew": "renovación_automática renovacion_automatica automatische_verlenging"
    " automatyczne_odnowienie automatische_verlängerung renouvellement_automatique"
    " rinnovo_automatico renovação_automática",
    "amount": "bedrag kwota importo valor",
    "name": "razón_social razon_social bedrijfsnaam klantnaam nazwa_klienta nazwa_firmy"
    " ragione_sociale raison_sociale nombre",
}
"""What columns whose values tell too little are called in other languages."""
OWN = {
    "accounts": "account customer company client organization organisation tenant workspace",
    "subscriptions": "subscription contract license membership plan customer account",
    "usage_events": "event usage activity",
    "tickets": "ticket case issue conversation request support",
    "invoices": "invoice bill",
    "surveys": "survey response",
    "churn_events": "customer account",
}
"""Words that a column may carry of what its table is about."""


def words_of(name: str) -> list[str]:
    """Part a name into words, in lower case.

    Examples
    --------
    >>> words_of("Senior_CitizenId (UTC)")
    ['senior', 'citizen', 'id', 'utc']
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[\W_]+", parted.lower()) if word]


def plain(name: str) -> str:
    """Return a name without case, blanks and signs."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def core(name: str, kind: str, own: Collection[str] = ()) -> tuple[str, ...]:
    """Return the words of a column's name that say what it is of its table.

    Parameters
    ----------
    name : str
        Of the column.
    kind : str
        Of the contract's column: of times "at" and "(UTC)" say nothing, of numbers a currency.
    own : collection of str
        Words of what the table is about.

    Examples
    --------
    >>> core("Subscription Start (UTC)", "time", {"subscription"}) == core("start_date", "time")
    True
    """
    words = words_of(name)
    empty = _TIMES if kind == "time" else _AMOUNTS if kind == "number" else frozenset()
    left = [word for word in words if word not in empty and word.removesuffix("s") not in own]
    return tuple(left or words)


def own_words(contract: str, table: str) -> frozenset[str]:
    """Return the words that columns of a table may carry of it."""
    named = {word.removesuffix("s") for word in words_of(table)} - {"start", "end", "created"}
    return frozenset({*OWN.get(contract, "").split(), *named})


def table_words(name: str) -> list[str]:
    """Part a table's name into its words, without numbers and what exports write around it."""
    words = [word for word in words_of(name) if not word.isdigit()]
    while len(words) > 1 and words[-1] in _AROUND:
        words.pop()
    return words


def by_name(candidates: Iterable[str], wanted: Iterable[str]) -> str | None:
    """Return the candidate that is called as one of some names, the first of them first."""
    known = {plain(candidate): candidate for candidate in reversed(list(candidates))}
    for name in wanted:
        found = known.get(plain(name)) or known.get(plain(name).removesuffix("s"))
        if found is not None:
            return found
    return None


def by_core(
    candidates: Iterable[str], wanted: Iterable[str], kind: str, own: Collection[str]
) -> str | None:
    """Return the only candidate whose words say what one of some names says."""
    listed = list(candidates)
    for name in wanted:
        asked = core(name, kind)
        found = [each for each in listed if core(each, kind, own) == asked]
        if len(found) == 1:
            return found[0]
    return None
