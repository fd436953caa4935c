"""Where a contract's price is: in its own row, in its plan's or in its items', for which period.

What an amount is of is said by its name, by a column of intervals beside it, and by whole numbers
that only hundredths explain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from features.packs.values import WHOLE_UNITS
from features.tables.mapping.contract import Column
from pipelines.setup.guessing.evidence import MOST_COLUMNS, can_be, is_epoch
from pipelines.setup.guessing.keys import Keys, Reference
from pipelines.setup.guessing.sql import literal, named
from pipelines.setup.guessing.words import MONTHS, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source

_PERIODS = (
    (12.0, re.compile("annual|annuel|anual|year|jahr|jaehr|jaar|(^|_)(arr|acv)(_|$)", re.I)),
    (3.0, re.compile("quarter|quartal|trimest", re.I)),
    (1.0, re.compile("month|monat|maand|mens|mtl|(^|_)mrr(_|$)", re.I)),
)
_MONEY = re.compile(
    "amount|(^|_)amt(_|$)|bedrag|prijs|prezzo|importo|price|preis|precio|prix|fee|value|revenue"
    "|charge|cost|betrag|importe|montant|umsatz"
    "|gebuehr|tarif|(^|_)(mrr|arr|acv|mt|rate)(_|$)",
    re.I,
)
_NO_PRICE = re.compile(
    "balance|discount|tax|vat|refund|credit|paid|due|remain|lifetime|setup|percent|share|count|"
    "interval|frequency|attempt|users|days|hours|total_rev|ref(_|$)|(^|_)(id|key|no|ltv|tcv)(_|$)",
    re.I,
)
_TOTAL = re.compile("(^|_)(mrr|arr|acv|total|recurring)(_|$)", re.I)
_UNIT = re.compile("(^|_)(unit|per|each)(_|$)|^(plan|price)_+amount", re.I)
_QUANTITY = re.compile("(^|_)(quantity|qty|seats?|licen[cs]es?|units|menge|cantidad)(_|$)", re.I)
_CENTS = re.compile("(^|_)(cents?|minor|pence|minor_units?)(_|$)", re.I)
_RAW_PRICE = re.compile(r"(^|_)(unit_amount|unit_price_amount|(plan|price)_+amount|amount)$", re.I)
_CYCLE = re.compile("frequency|interval|cycle|p[eé]riod|months|term|cadence|dur[ée]e", re.I)
_CURRENCY = re.compile(
    "(^|_)(currency|ccy|iso_currency|currency_code|devise|divisa|moneda|valuta|währung)(_|$)", re.I
)
_COMMAS = r"-?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?"
_BLANKS = " \u00a0\u202f"
_COUNTED_MONTHS = {1, 3, 6, 12, 24, 36}
_WHOLE_PRICES = (0, 50, 90, 95, 99)
LEAST_HUNDREDTHS = 500
MOST_WORDS = 12


@dataclass(frozen=True)
class Part:
    """A table that takes part in a contract's price.

    Parameters
    ----------
    alias, table : str
        What it is called in the query, and in the source.
    on : Reference or None
        How it is joined to the part before it; the price's first table has none.
    """

    alias: str
    table: str
    on: Reference | None = None


@dataclass(frozen=True)
class Price:
    """How a month of a contract is worked out.

    Parameters
    ----------
    parts : tuple of Part
        The tables, the contract's own first.
    value : str
        The expression over all parts but the contract, or over the two where there are no items.
    divisor : str
        What a contract's sum is divided by, from its own columns; empty where nothing is.
    currency : str or None
        The column of its currency, SQL.
    said : str
        What a person should check.
    codes : tuple of str
        The currencies there are.
    is_guessed : bool
        Whether hundredths were concluded from whole numbers.
    """

    parts: tuple[Part, ...]
    value: str
    divisor: str
    currency: str | None
    said: str
    codes: tuple[str, ...] = ()
    is_guessed: bool = False


def find_price(
    source: Source,
    contracts: str,
    keys: Keys,
    taken: Collection[str],
    *,
    hundredths: bool | None = None,
) -> tuple[Price | None, list[str]]:
    """Find how a month of a contract is worked out, and what could not be used, in sentences.

    Parameters
    ----------
    source : Source
        The tables.
    contracts : str
        The table of contracts.
    keys : Keys
        What points at what.
    taken : collection of str
        Tables that are something else.
    hundredths : bool, optional
        What a person said of whole numbers that may be hundredths.
    """
    doubts: list[str] = []
    for parts in _ways(contracts, keys, taken):
        points = {each.column for each in keys.references if each.table == parts[-1].table}
        listed = _amounts(source.tables[parts[-1].table])
        amounts = [each for each in listed if each not in points]
        for column in amounts:
            price = _price(source, parts, column, hundredths)
            if price is not None:
                return price, []
            doubts.append(
                f"{column} in {parts[-1].table} may be the amount of a month or of a year, and"
                " nothing says which: divide it by its months in a view, [views.NAME] sql, and map"
                " mrr"
            )
    return None, doubts[:1]


def plain_month(table: ir.Table) -> str | None:
    """Return the only column that is called a month's amount and needs no working out."""
    number = Column("", "number")
    called = {name: "_".join(words_of(name)) for name in table.columns}
    listed = [
        name
        for name, words in called.items()
        if _PERIODS[2][1].search(words) and _MONEY.search(words) and not _NO_PRICE.search(words)
        and not _CENTS.search(words) and not _UNIT.search(words) and can_be(table, name, number)
    ]  # fmt: skip
    return listed[0] if len(listed) == 1 else None


def may_be_amounts(table: ir.Table, known: Collection[str]) -> list[str]:
    """List the numbers of contracts that nothing else says what they are."""
    return [
        name
        for name, kind in table.schema().items()
        if kind.is_numeric() and not kind.is_boolean() and name not in known
        and not _NO_PRICE.search("_".join(words_of(name)))
        and not _QUANTITY.search("_".join(words_of(name))) and not is_epoch(table, name)
    ]  # fmt: skip


def _ways(contracts: str, keys: Keys, taken: Collection[str]) -> Iterator[tuple[Part, ...]]:
    """List whence a price may come: the row itself, its plan, its items, the items' plans."""
    own = Part("s", contracts)
    yield (own,)
    up = {contracts, *taken}
    lines = {r.table for r in keys.references if r.owner == contracts}
    # A line of a contract points at it: what the contract's key finds there is chance.
    plans = [r for r in keys.references if r.table == contracts and r.owner not in {*up, *lines}]
    for plan in _first_of_each(plans, "owner"):
        yield (own, Part("p", plan.owner, plan))
    items = _first_of_each([r for r in keys.references
                            if r.owner == contracts and r.table not in up], "table")  # fmt: skip
    for item in items:
        yield (own, Part("i", item.table, item))
    for item in items:
        beside = {*up, item.table}
        below = [r for r in keys.references if r.table not in beside and r.owner == item.table]
        above = [r for r in keys.references if r.table == item.table and r.owner not in beside]
        first = Part("i", item.table, item)
        for plan in _first_of_each(above, "owner"):
            yield (own, first, Part("p", plan.owner, plan))
        for charge in _first_of_each(below, "table"):
            yield (own, first, Part("c", charge.table, charge))


def _first_of_each(references: list[Reference], by: str) -> list[Reference]:
    best: dict[str, Reference] = {}
    for each in sorted(references, key=lambda each: -each.share):
        best.setdefault(getattr(each, by), each)
    return list(best.values())


def _amounts(table: ir.Table) -> list[str]:
    """List columns that are called as a price, the most telling name first."""
    called = {name: "_".join(words_of(name)) for name in table.columns}
    able = [
        name
        for name, words in called.items()
        if _MONEY.search(words) and not _NO_PRICE.search(words) and number_of(table, name, "s")
    ]
    rank = [re.compile("(^|_)mrr(_|$)"), _PERIODS[2][1], _PERIODS[0][1], _UNIT]
    return sorted(able, key=lambda name: next(
        (n for n, form in enumerate(rank) if form.search(called[name])), len(rank)))  # fmt: skip


def _price(
    source: Source, parts: tuple[Part, ...], column: str, said_hundredths: bool | None
) -> Price | None:
    last = parts[-1]
    words = "_".join(words_of(column))
    made = _Made(number_of(source.tables[last.table], column, last.alias) or "")
    made.said.append(f"{column} of {last.table}")
    # Items are summed before they meet their contract: what it says comes after the sum.
    near, far = (parts[1:], parts[:1]) if has_items(parts) else (parts, ())
    months = next((length for length, form in _PERIODS if form.search(words)), None)
    if months is None:
        interval = _interval(source, near)
        is_far = interval is None
        interval = interval or _interval(source, far)
        if interval is None:
            return None
        made.divide(interval[0], f"per {interval[1]}", is_far=is_far)
    elif months != 1.0:
        made.divide(f"{months:.0f}", f"over {months:.0f} months")
    of_plan = last.alias == "p" or bool(_UNIT.search(words))
    quantity = None
    if of_plan and not _TOTAL.search(words):
        quantity = _first(near, lambda part: _quantity(source, part))
    if quantity is not None:
        made.value += f" * COALESCE({quantity}, 1)"
        made.said.append("times its quantity")
    currency = _first(near, lambda part: _currency(source, part))
    is_far = currency is None
    currency = currency or _first(far, lambda part: _currency(source, part))
    guessed = not _CENTS.search(words) and _may_be_hundredths(
        source.tables[last.table], column, words
    )
    if _CENTS.search(words) or (guessed and said_hundredths is not False):
        whole = ", ".join(map(literal, sorted(_codes(source, parts) & set(WHOLE_UNITS))))
        if currency and whole:
            hundred = f"(CASE WHEN LOWER({currency}) IN ({whole}) THEN 1 ELSE 100 END)"
            made.divide(hundred, "in hundredths", is_far=is_far)
        else:
            made.divide("100", "in hundredths")
    codes = tuple(sorted(_codes(source, parts))) if currency else ()
    return Price(parts, made.value, made.divisor, currency, ", ".join(made.said), codes, guessed)


@dataclass
class _Made:
    """An expression that grows, and what is said of it."""

    value: str
    divisor: str = ""
    said: list[str] = field(default_factory=list)

    def divide(self, by: str, said: str, *, is_far: bool = False) -> None:
        """Divide each row, or the sum of a contract's rows."""
        if is_far:
            self.divisor += f" / {by}"
        else:
            self.value += f" / {by}"
        self.said.append(said)


def has_items(parts: tuple[Part, ...]) -> bool:
    """Whether several rows may make up a contract's price."""
    return len(parts) > 1 and parts[1].alias == "i"


def _first(parts: Iterable[Part], find: Callable[[Part], str | None]) -> str | None:
    """Return what is found in the part that is nearest to the amount."""
    found = (find(part) for part in reversed(tuple(parts)))
    return next((each for each in found if each is not None), None)


def number_of(table: ir.Table, column: str, alias: str) -> str | None:
    """Return a column as a number in SQL, None where its values are none or of mixed forms."""
    kind = table[column].type()
    written = f"{alias}.{named(column)}"
    if kind.is_numeric() and not kind.is_boolean():
        return f"CAST({written} AS DOUBLE)"
    if not kind.is_string():
        return None
    texts = table.select(v=table[column].cast("string").strip()).filter(lambda t: t.v != "")
    values = [str(each) for each in texts.limit(1000).execute()["v"]]
    if values and all(re.fullmatch(r"-?\d+(\.\d+)?", each) for each in values):
        return f"CAST({written} AS DOUBLE)"
    if any(blank in each for each in values for blank in _BLANKS):
        # Thousands may be parted by a blank, which mostly is one that does not break a line.
        values = [re.sub(f"[{_BLANKS}]", "", each) for each in values]
        for blank in _BLANKS:
            written = f"REPLACE({written}, {literal(blank)}, '')"
    has_commas = any("," in each for each in values)
    if has_commas and all(re.fullmatch(_COMMAS, each) for each in values):
        return f"CAST(REPLACE(REPLACE({written}, '.', ''), ',', '.') AS DOUBLE)"
    return None


def _interval(source: Source, parts: tuple[Part, ...]) -> tuple[str, str] | None:
    """Find a column that says how long an amount is of, and return its months in SQL."""
    for part in reversed(parts):
        table = source.tables[part.table]
        wide = len(table.columns) > MOST_COLUMNS
        for name in table.columns:
            if not table[name].type().is_string() or (wide and not _CYCLE.search(name)):
                continue
            words = _words(table, name)
            if words and words <= MONTHS.keys():
                cases = " ".join(
                    f"WHEN {literal(word)} THEN {MONTHS[word]!r}" for word in sorted(words)
                )
                months = f"(CASE LOWER(TRIM({part.alias}.{named(name)})) {cases} END)"
                count = _count_of(table, part.alias, name)
                return (f"({months} * {count})" if count else months), name
        for name in table.columns:
            if table[name].type().is_integer() and _CYCLE.search(name):
                values = set(table[name].value_counts().limit(MOST_WORDS).execute()[name].dropna())
                if values and values <= _COUNTED_MONTHS and values & {3, 6, 12}:
                    return f"{part.alias}.{named(name)}", name
    return None


def _words(table: ir.Table, name: str) -> set[str]:
    word = table[name].cast("string").strip().lower()
    words = table.select(v=word).filter(lambda t: t.v.notnull() & (t.v != "")).distinct()
    return set(words.limit(MOST_WORDS).execute()["v"])


def _count_of(table: ir.Table, alias: str, interval: str) -> str | None:
    """Return the column that counts intervals, such as 3 beside "month"."""
    start = "_".join(words_of(interval)[:-1])
    for name in table.columns:
        words = "_".join(words_of(name))
        if not table[name].type().is_integer() or name == interval:
            continue
        if re.search("(interval|period|cycle)_?(count|length|frequency)?$|frequency$", words) and (
            not start or words.startswith(words_of(interval)[0])
        ):
            return f"COALESCE({alias}.{named(name)}, 1)"
    return None


def _quantity(source: Source, part: Part) -> str | None:
    table = source.tables[part.table]
    for name in table.columns:
        if _QUANTITY.search("_".join(words_of(name))):
            found = number_of(table, name, part.alias)
            if found is not None:
                return found
    return None


def _currency_column(source: Source, part: Part) -> str | None:
    columns = source.tables[part.table].columns
    return next((name for name in columns if _CURRENCY.search("_".join(words_of(name)))), None)


def _currency(source: Source, part: Part) -> str | None:
    name = _currency_column(source, part)
    return None if name is None else f"{part.alias}.{named(name)}"


def _codes(source: Source, parts: tuple[Part, ...]) -> set[str]:
    """Return the currencies that are there, in small letters."""
    for part in reversed(parts):
        name = _currency_column(source, part)
        if name is not None:
            return _words(source.tables[part.table], name)
    return set()


def _may_be_hundredths(table: ir.Table, column: str, words: str) -> bool:
    """Whether whole numbers are too large, or end too much like prices, to be whole units."""
    kind = table[column].type()
    if not (kind.is_integer() or kind.is_string()):
        return False
    texts = table.select(v=table[column].cast("string")).filter(lambda t: t.v.notnull())
    values = [each for each in texts.limit(1000).execute()["v"] if each and each != "0"]
    if not values or not all(re.fullmatch(r"\d+", each) for each in values):
        return False
    numbers = sorted(int(each) for each in values)
    if numbers[len(numbers) // 2] < LEAST_HUNDREDTHS:
        return False
    ends = sum(number % 100 in _WHOLE_PRICES for number in numbers) / len(numbers)
    like_prices = ends >= 0.9 and numbers[0] >= 100 and any(number % 100 for number in numbers)
    return bool(_RAW_PRICE.search(words)) or like_prices
