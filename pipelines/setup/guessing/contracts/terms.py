"""Terms of contracts that have a row each: a term renews a fixed time after it began.

An end may be moved on while a contract runs, or overwritten when an account leaves, and then says
of past dates what nobody knew. Terms of one kind that follow one another are as long as most of
them are, so that their start alone tells when each was to renew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.setup.guessing.shapes import first_times
from pipelines.setup.guessing.sql import in_language_of, literal, named, table_named

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

RENEWS, MADE = "term_renews", "contracts_with_terms"
NEXT_DAYS = (-1, 7)
"""Days from the end of a contract to the start of the one that follows it."""
QUARTER, DAYS_OF_MONTH, NEAR_DAYS = 3, 30.4375, 3
"""Terms are whole quarters, up to three days."""
FEWEST_FOLLOWED, MOSTLY, NEARLY_ALL = 5, 0.8, 0.95
_WHO, _BETWEEN = "account_and_word", "\x1f"
_FORMATS = {
    r"\d{4}-\d{2}-\d{2}": "%Y-%m-%d",
    r"\d{4}/\d{2}/\d{2}": "%Y/%m/%d",
    r"\d{1,2}\.\d{1,2}\.\d{4}": "%d.%m.%Y",
}


def terms_of(
    table: ir.Table, account: str, start: str, end: str, word: str | None = None
) -> pd.DataFrame:
    """Return the first contracts as ``account``, ``start``, ``end`` and ``word``, in lower case."""
    said = table[account].cast("string").concat(_BETWEEN)
    if word is not None:
        said = said.concat(table[word].cast("string").strip().lower().fill_null(""))
    rows = first_times(table.mutate(**{_WHO: said}), [start, end], _WHO)
    rows = rows.rename(columns={start: "start", end: "end"}).dropna(subset=["account"])
    parts = rows["account"].str.rpartition(_BETWEEN)
    return rows.assign(account=parts[0], word=parts[2]).reset_index(drop=True)


def are_followed(terms: pd.DataFrame) -> pd.Series[bool]:
    """Whether the account's next contract begins where each ends."""
    rows = terms.reset_index()
    pairs = rows.merge(rows[["index", "account", "start"]], on="account")
    days = (pairs["start_y"] - pairs["end"]).dt.days
    at_once = days.between(*NEXT_DAYS) & (pairs["index_x"] != pairs["index_y"])
    return rows["index"].isin(pairs.loc[at_once, "index_x"])


def tell_renewals(guess: TableGuess, source: Source, end: str) -> None:
    """Work out when terms were to renew, where none says so and terms of a kind are alike.

    Parameters
    ----------
    guess : TableGuess
        Of contracts.
    source : Source
        Where they are.
    end : str
        The source column in which terms end.
    """
    table = source.tables[guess.made_from or guess.source]
    account, start = guess.columns.get("account_id"), guess.columns.get("started_at")
    kind = guess.columns.get("billing_period") or None
    read = {account, start, end} | ({kind} if kind else set())
    if guess.columns.get("renewal_at") or not read <= set(table.columns):
        return
    day = None if start is None else _day(table, start, source)
    if day is None or account is None or start is None:
        return
    terms = terms_of(table, account, start, end, kind)
    months = _months(terms, all_must_end=kind is None)
    if not months:
        return
    written = "" if kind is None else f"LOWER(TRIM(CAST(s.{named(kind)} AS TEXT)))"
    cases = " ".join(
        f"WHEN {written} = {literal(word)} THEN {day} + INTERVAL {length} MONTH"
        for word, length in months.items()
    )
    value = f"CASE {cases} END" if kind else f"{day} + INTERVAL {months['']} MONTH"
    base = f"({guess.view})" if guess.view is not None else table_named(guess.source)
    guess.view = in_language_of(source, f"SELECT s.*, {value} AS {RENEWS} FROM {base} AS s")
    if guess.made_from is None:
        guess.made_from, guess.source = guess.source, MADE
        while guess.source in source.tables:
            guess.source += "_"
    guess.columns["renewal_at"] = RENEWS
    of = {word: f"{kind} is {word}" if kind else "every term" for word in months}
    each = ", ".join(f"{length} months where {of[word]}" for word, length in months.items())
    guess.notes.append(
        f"terms of one account follow one another, so each renews as long after {start} as such"
        f" terms last: {each}"
    )


def _months(terms: pd.DataFrame, *, all_must_end: bool) -> dict[str, int]:
    """Return how many months the terms of each kind last; only of kinds that follow on."""
    import pandas as pd

    if all_must_end and (not len(terms) or terms["end"].notna().mean() < NEARLY_ALL):
        return {}
    followed = are_followed(terms)
    found = {}
    for word, part in terms.assign(followed=followed).groupby("word"):
        ended = part[part["end"].notna()]
        if ended["followed"].sum() < FEWEST_FOLLOWED:
            continue
        length = ((ended["end"] - ended["start"]).dt.days / DAYS_OF_MONTH).round()
        usual = int(length.mode().iloc[0])
        whole = ended["start"] + pd.DateOffset(months=usual)
        near = (ended["end"] - whole).dt.days.abs() <= NEAR_DAYS
        if usual and usual % QUARTER == 0 and near.mean() >= MOSTLY:
            found[str(word)] = usual
    return found


def _day(table: ir.Table, start: str, source: Source) -> str | None:
    """Return a start as a day, SQL; None where it is written in a way that may be two."""
    kind = table[start].type()
    if kind.is_timestamp() or kind.is_date():
        return f"CAST(s.{named(start)} AS DATE)"
    if not kind.is_string() or source.engine.connection.dialect != "duckdb":
        return None
    text = table[start].strip()
    rows = table.select(v=text).filter(lambda t: t.v.notnull() & (t.v != ""))
    for pattern, form in _FORMATS.items():
        facts = rows.aggregate(all=rows.count(), so=rows.v.re_search(f"^{pattern}").sum()).execute()
        if 0 < int(facts["all"].iloc[0]) == int(facts["so"].iloc[0] or 0):
            day = f"REGEXP_EXTRACT(TRIM(s.{named(start)}), {literal(f'^{pattern}')})"
            return f"CAST(TRY_STRPTIME({day}, {literal(form)}) AS DATE)"
    return None
