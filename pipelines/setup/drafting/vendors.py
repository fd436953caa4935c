"""Which vendors' exports lie in a source, what each is asked for, and how a draft names them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import DataError, SettingsError, nearest, sample
from features.packs.opening import Vendors
from features.packs.pack import OWNER, Pack, known_packs
from features.packs.recognition import Recognised, recognise, recognise_all
from features.packs.vendors import IdentitySettings, Vendor
from features.packs.verbs import plain
from features.sources.files.listing import table_files
from features.tables.mapping.contract import CONTRACT
from features.tables.mapping.mapping import TableMapping
from pipelines.setup.drafting.currencies import currencies_in
from pipelines.setup.guessing.columns import Hints, TableGuess
from pipelines.setup.guessing.guess import guess_tables

if TYPE_CHECKING:
    from features.sources.source import Source

ORDER: dict[str, tuple[str, ...]] = {
    "accounts": ("crm", "billing"),
    "subscriptions": ("billing", "crm"),
    "invoices": ("billing", "crm"),
    "churn_events": ("crm",),
    "tickets": ("support", "crm"),
    "surveys": ("survey", "product", "support"),
    "usage_events": ("product",),
}
"""Whom to ask first for a table that several vendors fill."""


@dataclass(frozen=True)
class Answers:
    """What a person may say where several answers are possible; each has a default.

    Parameters
    ----------
    only : tuple of str
        Vendors to read; all that are recognised where empty.
    accounts, contracts : str or None
        Which source says who is an account, and which says when one left.
    currency : str or None
        What amounts are converted to; the most frequent one by default.
    rates : dict of str to float
        What one unit of another currency is worth in it.
    external_id : str or None
        The custom field in which vendors keep your key of an account.
    leave_out : tuple of str
        Ids, names or domains of accounts that are no customers.
    trials : bool or None
        Whether trials count as contracts; they do not by default.
    hundredths : bool or None
        Whether whole numbers of a price are hundredths; concluded from them by default.
    """

    only: tuple[str, ...] = ()
    accounts: str | None = None
    contracts: str | None = None
    currency: str | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    external_id: str | None = None
    leave_out: tuple[str, ...] = ()
    trials: bool | None = None
    hundredths: bool | None = None


NO_ANSWERS = Answers()


def hints_of(answers: Answers) -> Hints:
    """Return what answers say of tables that no vendor writes."""
    rated = {*answers.rates, *([answers.currency] if answers.currency else [])}
    return Hints(bool(answers.trials), answers.hundredths, frozenset(rated))


def rates_of(written: Sequence[str]) -> dict[str, float]:
    """Read rates such as ``eur=1.08``.

    Raises
    ------
    SettingsError
        When one has another form.

    Examples
    --------
    >>> rates_of(["eur=1.08"])
    {'eur': 1.08}
    """
    rates = {}
    for text in written:
        match = re.fullmatch(r"([A-Za-z]{3})=([0-9]+(?:\.[0-9]+)?|\.[0-9]+)", text.strip())
        if match is None or not float(match[2]):
            raise SettingsError(
                f"--rate needs a currency and what one unit of it is worth, such as eur=1.08, found"
                f" {sample([text])}; correct it"
            )
        rates[match[1].lower()] = float(match[2])
    return rates


def currency_of(written: str) -> str:
    """Read the code of a currency.

    Raises
    ------
    SettingsError
        When it is no code of three letters.

    Examples
    --------
    >>> currency_of("USD")
    'usd'
    """
    code = written.strip().lower()
    if not re.fullmatch("[a-z]{3}", code):
        raise SettingsError(
            f"--currency needs the three letters of a currency, such as usd, found"
            f" {sample([written])}; correct it"
        )
    return code


@dataclass(frozen=True)
class Found:
    """A vendor's tables in a source.

    Parameters
    ----------
    section : str
        What it is called in the configuration, under ``[source]``.
    url : str or None
        Its own folder.
    recognised : Recognised
        Which tables its pack reads.
    """

    section: str
    url: str | None
    recognised: Recognised

    @property
    def pack(self) -> Pack:
        """Its layout."""
        return self.recognised.pack

    def makes(self, name: str) -> bool:
        """Whether the tables that a contract table is made from are there."""
        made = set(self.recognised.tables)
        for key, step in self.pack.steps.items():
            if made & {step.source, *step.union}:
                made.add(key)
        step = self.pack.tables[name]
        return bool(made & {step.source, *step.union})


def parts_of(folder: Path) -> dict[str, str]:
    """List the folders in a folder that hold tables, by name."""
    parts = {}
    for part in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not part.is_dir() or part.name.startswith((".", "_")) or not part.name.isidentifier():
            continue
        try:
            table_files(part, beside_packed=True)
        except DataError:
            continue
        parts[part.name] = str(part.resolve())
    return parts


def find_vendors(
    source: Source, parts: Mapping[str, str], packs: Sequence[Pack] = (), only: Sequence[str] = ()
) -> list[Found]:
    """Recognise the vendors of a source.

    Raises
    ------
    SettingsError
        When one that is asked for is not there, or two claim one table.
    """
    known = [*known_packs().values(), *packs]
    asked = [pack for pack in known if not only or {pack.name, pack.vendor} & set(only)]
    vendors = []
    for place, names in _places(source, parts):
        found = recognise_all(asked, names, lambda name: tuple(source.tables[name].columns))
        for each in found:
            section = place if place and len(found) == 1 else each.pack.vendor
            vendors.append(Found(section, parts.get(place), each))
    there = {name for each in vendors for name in (each.pack.name, each.pack.vendor)}
    missing = [name for name in only if name not in there]
    if missing:
        every = {name for pack in known for name in (pack.name, pack.vendor)}
        hint = nearest(missing[0], every - {missing[0]}) if missing[0] not in every else ""
        raise SettingsError(
            f"The source '{source.url}' holds no tables of {sample(missing)}"
            f"{hint or '; healthscore connect lists what is recognised'}"
        )
    return vendors


def without_others(source: Source, parts: Mapping[str, str], vendors: Sequence[Found]) -> Source:
    """Leave out the tables of vendors that were not asked for: they are nobody's own."""
    claimed = {table for each in vendors for table in each.recognised.tables.values()}
    others = []
    for _, names in _places(source, parts):
        rest = [name for name in names if name not in claimed]
        for pack in known_packs().values():
            found = recognise(pack, rest, lambda name: tuple(source.tables[name].columns))
            if found is not None:
                others.append(Found(pack.vendor, None, found))
    kept = claimed | own_tables(source, [*vendors, *others]).keys()
    return source.with_tables({name: source.tables[name] for name in source.tables if name in kept})


def _places(source: Source, parts: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """List the tables in each folder, those in none first."""
    for place in ("", *parts):
        yield place, [name for name in source.tables if name.partition("/")[0] == place or (
            not place and name.partition("/")[0] not in parts)]  # fmt: skip


def own_tables(source: Source, vendors: Sequence[Found]) -> dict[str, str]:
    """List the tables of no vendor, by the name they are read under."""
    claimed = {table for each in vendors for table in each.recognised.tables.values()}
    prefixes = [_prefix(each) for each in vendors]
    strangers = {plain(prefix + name) for each, prefix in zip(vendors, prefixes, strict=True)
                 for name in each.pack.beside}  # fmt: skip
    return {
        name: name
        for name in source.tables
        if name not in claimed
        and plain(name) not in strangers
        and not any(prefix and plain(name).startswith(prefix) for prefix in prefixes)
    }


def _prefix(found: Found) -> str:
    """Return what stands before the names of a vendor's tables."""
    for key, table in found.recognised.tables.items():
        for name in found.pack.inputs[key].names:
            if plain(table).endswith(plain(name)):
                return plain(table)[: -len(plain(name))]
    return ""


@dataclass(frozen=True)
class Arranged:
    """Which source fills each contract table.

    Parameters
    ----------
    guesses : list of TableGuess
        One per contract table.
    source : Source
        The tables, those of vendors among them.
    sections : list of str
        The drafted sections of the vendors.
    notes : list of str
        What was decided, and by which option otherwise.
    left : list of str
        Tables that fit nothing.
    """

    guesses: list[TableGuess]
    source: Source
    sections: list[str]
    notes: list[str]
    left: list[str]


def arrange(source: Source, vendors: Sequence[Found], answers: Answers) -> Arranged:
    """Choose who fills which table, and link the vendors to the accounts."""
    own = {name: source.tables[name] for name in own_tables(source, vendors)}
    # What has no telling name is known by how it points at the accounts.
    hub = _hub(vendors, answers) if "accounts" not in own else None
    seen = own | ({hub: source.tables[hub]} if hub is not None else {})
    guesses, left = guess_tables(source.with_tables(seen), hints_of(answers)) if own else ([], [])
    complete = {guess.name: guess for guess in guesses if not guess.missing and not
                {hub} & {guess.source, guess.made_from}}  # fmt: skip
    left = [name for name in left if name != hub]
    notes: list[str] = []
    currencies = currencies_of(source, vendors)
    currency = answers.currency or next(iter(currencies), "usd")
    if currencies or answers.currency:
        unpriced = [code for code in currencies if code not in {currency, *answers.rates}]
        notes.append(f"Amounts are in {currency} (else --currency)")
        if unpriced:
            notes.append(
                f"Amounts in {', '.join(unpriced)} have no rate and are missing: name one, as in"
                f" --rate {unpriced[0]}=1.1"
            )
    settings = {
        each.section: Vendor(
            pack=each.pack.name,
            url=each.url,
            currency=currency if each.pack.reads_money else None,
            rates=dict(answers.rates) if each.pack.reads_money else {},
            external_id=answers.external_id,
            trials=bool(answers.trials),
        )
        for each in vendors
    }
    chosen: list[TableGuess] = []
    accounts = TableMapping()
    for name in CONTRACT:
        asked = {"accounts": answers.accounts, "subscriptions": answers.contracts}.get(name)
        guess, others = _provider(name, complete.get(name), vendors, asked)
        if guess is None:
            continue
        chosen.append(guess)
        if name == "accounts":
            accounts = TableMapping(
                source=guess.source, columns=guess.columns, leave_out=answers.leave_out
            )
        option = {"accounts": "--accounts", "subscriptions": "--contracts"}.get(name)
        if others:
            hint = f" (else {option} {others[0]})" if option else f", not from {', '.join(others)}"
            notes.append(f"{name} come from {guess.source}{hint}")
    opened = Vendors(source, settings, IdentitySettings(), accounts, Path())
    sections = [_section(each, settings[each.section]) for each in vendors]
    for guess in chosen:
        # What is read of a vendor is declared, and known to be there only once it is compiled.
        if guess.name == "accounts" and "." in guess.source:
            table = opened.tables()[guess.source]
            guess.unused = [name for name in guess.unused if name in table.columns]
            if OWNER in table.columns and table[OWNER].notnull().any().execute():
                guess.unused.append(OWNER)
    arranged = source.with_tables(opened.tables(), opened.about)
    return Arranged(chosen, arranged, sections, notes, left)


def currencies_of(source: Source, vendors: Sequence[Found]) -> list[str]:
    """List the currencies of vendors' amounts, the most frequent first."""
    return currencies_in(source, [table for each in vendors if each.pack.reads_money
                                  for table in each.recognised.tables.values()])  # fmt: skip


def _hub(vendors: Sequence[Found], answers: Answers) -> str | None:
    """Return the table that a vendor's accounts are read from, None where none is read as it is."""
    guess, _ = _provider("accounts", None, vendors, answers.accounts)
    for each in vendors:
        if guess is not None and guess.source == f"{each.section}.accounts":
            return each.recognised.tables.get(each.pack.tables["accounts"].source)
    return None


def _provider(
    name: str, own: TableGuess | None, vendors: Sequence[Found], asked: str | None
) -> tuple[TableGuess | None, list[str]]:
    """Return who fills a contract table, and who else might."""
    able = [each for each in vendors if name in each.pack.tables and each.makes(name)]
    order = ORDER.get(name, ())
    able.sort(key=lambda each: order.index(each.pack.kind) if each.pack.kind in order else 9)
    if asked is not None and asked != "own":
        able.sort(key=lambda each: asked not in (each.section, each.pack.vendor))
        first = able[0] if able else None
        if first is None or asked not in (first.section, first.pack.vendor):
            known = [each.section for each in able] + (["own"] if own else [])
            raise SettingsError(
                f"No source '{asked[:60]}' fills {name}; known are {sample(known, 8) or 'none'}"
            )
        own = None
    if own is not None:
        return own, [each.section for each in able]
    if not able:
        return None, []
    guess = TableGuess(name, f"{able[0].section}.{name}")
    guess.unused = list(able[0].pack.attributes) if name == "accounts" else []
    return guess, [each.section for each in able[1:]]


def _section(found: Found, vendor: Vendor) -> str:
    from pipelines.setup.drafting.toml_text import comment, quoted

    lines = [f"\n[source.{found.section}]", f"# {comment(found.pack.title)}"]
    lines.append(f"pack = {quoted(vendor.pack)}")
    if vendor.url is not None:
        lines.append(f"url = {quoted(vendor.url)}")
    if vendor.currency is not None:
        lines.append(f"currency = {quoted(vendor.currency)}")
        if vendor.rates:
            rates = ", ".join(f"{code} = {rate!r}" for code, rate in vendor.rates.items())
            lines.append(f"rates = {{ {rates} }}")
    if vendor.trials:
        lines.append("trials = true")
    if vendor.external_id is not None:
        lines.append(f"external_id = {quoted(vendor.external_id)}")
    return "\n".join(lines) + "\n"
