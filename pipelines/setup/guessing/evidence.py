"""What values show where names say nothing: what a column can be, and what a table is about.

A key is unique in one table and its values are found in others; a row's own time is complete; an
end is a time that some rows lack and that never lies before the start. Contracts run long, tickets
are closed soon.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from features.errors import sample
from features.sources.files.plain_forms import without_none
from features.tables.mapping.contract import CONTRACT, Column
from features.tables.mapping.month_names import IS_WEEK, is_month, is_named
from features.tables.mapping.written import (
    COMPACT,
    COMPACT_TIME,
    NO_DAY,
    OTHER_TIME,
    PARTS,
    REST,
    bare_number,
    written_number,
)
from pipelines.setup.guessing.names import MUTABLE_WORDS
from pipelines.setup.guessing.words import NUMBERS, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

MOST_LOOKED_AT = 1000
MOST_COLUMNS = 300
"""Of a wider table, whole numbers are times only where their column is called so."""
READABLE = 0.9
INCLUDED = 0.5
_NUMBER_AS_TIME = r"^[0-9]{5}([.][0-9]+)?$|^1[0-9]{9}$|^1[0-9]{12}$|^1[0-9]{15}$"
_ANY_NUMBER = r"^[-+]?[0-9][0-9.,]*$"
MOST_ROWS = 5000
FEWEST_ROWS = 20
LONG_DAYS = 45.0
AT_ONCE_SECONDS, SURELY = 600.0, 0.95
MOST_CONTRACTS, FEWEST_EVENTS = 12.0, 5.0
SHORTEST_DUE_DAYS, LONGEST_DUE_DAYS = 7, 120.0
MOST_CHURNS = 2.0
_YEAR_FIRST, _MONTH_FIRST = r"^\d{4}", r"^\d{1,2}[-/.](1[3-9]|[23]\d)[-/.]"
_MONTH, _QUARTER = r"^((?:19|20)\d{2})[-/. ]?(0[1-9]|1[0-2])$", r"^(\d{4})[-/ ]?[Qq]([1-4])$"
_WEEK = re.compile(IS_WEEK)
_LEFT = re.compile("churn|cancel|lost|left|terminat|offboard", re.I)
_SENT = {"email", "emails", "mail", "mails", "mailing", "campaign", "campaigns", "newsletter"}
_NO_CONTRACTS = {
    "key", "keys", "token", "tokens", "credentials", "device", "devices", "user", "users",
    "contact", "contacts", "webhook", "webhooks", "integration", "integrations",
}  # fmt: skip
"""Words of tables of what an account has while it stays: who gives one up has not left."""
_TIME = CONTRACT["subscriptions"].column("ended_at")
_AMOUNT = CONTRACT["invoices"].column("amount")
FEW_TERMS, DAY_SECONDS = 3, 86_400


def can_be(table: ir.Table, origin: str, column: Column) -> bool:
    """Whether a source column's type, or its first texts, can be what the contract wants."""
    kind = table[origin].type()
    if column.kind == "time":
        if kind.is_timestamp() or kind.is_date():
            return True
        return bool(kind.is_string()) and _mostly(
            table, origin, _reads_as_time, column.may_never_come
        )
    if column.kind == "number":
        if kind.is_numeric() and not kind.is_boolean():
            return True
        return bool(kind.is_string()) and _mostly(table, origin, _reads_as_number)
    if column.kind == "flag":
        return bool(kind.is_boolean() or kind.is_integer() or kind.is_string())
    return not kind.is_timestamp() and not (kind.is_date() and column.kind != "id")


def why_not(table: ir.Table, origin: str, column: Column) -> str:
    """Say why a column of a known name was not taken."""
    wanted = {"time": "times", "number": "numbers", "flag": "yes or no"}.get(column.kind, "texts")
    values = table[origin].cast("string")
    some = table.select(v=values).filter(lambda t: t.v.notnull()).order_by("v").limit(1)
    example = some.execute()["v"].tolist()
    return (
        f"column {sample([origin])} is there for {column.name}, and its values, such as"
        f" {sample(example)}, cannot be read as {wanted}"
    )


def is_number_for_time(table: ir.Table, origin: str) -> str | None:
    """Return what numbers under the name of a time are: ``unix``, ``excel`` or ``compact``."""
    if not table[origin].type().is_numeric() or table[origin].type().is_boolean():
        return None
    text = table[origin].cast("int64").cast("string")
    facts = table.aggregate(
        all=table[origin].count(),
        read=text.re_search(_NUMBER_AS_TIME).sum(),
        compact=(text.re_search(f"{COMPACT}|{COMPACT_TIME}") | is_month(text)).sum(),
        none=text.re_search(NO_DAY).sum(),
        top=table[origin].max(),
    ).execute()
    row = facts.iloc[0]
    if row["compact"] and row["compact"] + row["none"] == row["all"]:
        return "compact"
    if not row["all"] or row["read"] < READABLE * row["all"]:
        return None
    return "excel" if float(row["top"]) < 1e6 else "unix"


def is_compact_day(table: ir.Table, origin: str) -> bool:
    """Whether whole numbers are days written as 20241231, or months as 202412.

    Those that stand for no day, as -1, say nothing.
    """
    if not table[origin].type().is_integer() or len(table.columns) > MOST_COLUMNS:
        return False
    some = table.select(v=table[origin].cast("string"))
    some = some.filter(lambda t: t.v.notnull() & ~t.v.re_search(NO_DAY))
    facts = some.limit(MOST_LOOKED_AT)
    facts = facts.aggregate(
        all=facts.count(), read=(facts.v.re_search(COMPACT) | is_month(facts.v)).sum()
    ).execute()
    row = facts.iloc[0]
    return bool(row["all"]) and int(row["read"]) == int(row["all"])


def is_key(table: ir.Table, origin: str) -> bool:
    """Whether a column names each row: never missing, never twice."""
    value = table[origin]
    row = table.aggregate(rows=table.count(), n=value.nunique(), present=value.count()).execute()
    rows = int(row["rows"].iloc[0])
    return rows > 0 and rows == int(row["n"].iloc[0]) == int(row["present"].iloc[0])


def _mostly(table: ir.Table, origin: str, reads: object, may_be_open: bool = False) -> bool:
    text = without_none(table[origin], may_be_open=may_be_open)
    texts = table.select(v=text).filter(lambda t: t.v.notnull()).limit(MOST_LOOKED_AT)
    facts = texts.aggregate(all=texts.count(), read=reads(texts.v.strip()).sum())  # type: ignore[operator]
    row = facts.execute().iloc[0]
    # A column without any value contradicts nothing: nobody may have left yet.
    return int(row["read"] or 0) >= READABLE * int(row["all"])


def _reads_as_time(text: ir.StringValue) -> ir.BooleanValue:
    plain = text.try_cast("timestamp('UTC')").notnull() & text.re_search("^[0-9]{4}-")
    other = text.re_search(OTHER_TIME) | text.re_search(PARTS + REST)
    return plain | other | is_named(text) | is_month(text)


def _reads_as_number(text: ir.StringValue) -> ir.BooleanValue:
    return written_number(text).notnull() | bare_number(text).re_search(_ANY_NUMBER)


def time_columns(table: ir.Table, names: list[str] | None = None) -> list[str]:
    """List the columns whose values can be times, but for the stamps of loaders and changes."""
    listed = table.columns if names is None else names
    if len(table.columns) > MOST_COLUMNS:
        kinds = table.schema()
        return [name for name in listed if kinds[name].is_timestamp() or kinds[name].is_date()]
    plain = [name for name in listed if not MUTABLE_WORDS.search("_".join(words_of(name)))]
    return [
        name
        for name in plain
        if can_be(table, name, _TIME) or is_compact_day(table, name) or is_epoch(table, name)
    ]


def is_epoch(table: ir.Table, name: str) -> bool:
    """Whether whole numbers are seconds since 1970, or finer, and no keys by their name."""
    if not table[name].type().is_integer() or len(table.columns) > MOST_COLUMNS:
        return False
    if NUMBERS & set(words_of(name)):
        return False
    return is_number_for_time(table, name) == "unix"


def role_of(table: ir.Table, account: str, named: str = "") -> str | None:
    """Say which table of the contract one is like, by its times; None where it is like none.

    Parameters
    ----------
    table : ibis table
        Whose rows point at accounts.
    account : str
        The column that does.
    named : str
        What the table is called.
    """
    times = time_columns(table)
    if not times:
        return None
    rows = first_times(table, times, account)
    if len(rows) < FEWEST_ROWS:
        return None
    full = [name for name in times if rows[name].notna().all()]
    part = [name for name in times if name not in full and rows[name].notna().any()]
    each = len(rows) / max(rows["account"].nunique(), 1)
    if len(rows) == MOST_ROWS:
        # The first of many rows are of many accounts, each of which has few of them.
        whole = table.aggregate(rows=table.count(), those=table[account].nunique()).execute()
        each = float(whole["rows"].iloc[0]) / max(int(whole["those"].iloc[0]), 1)
    amounts = [
        name
        for name in table.columns
        if name not in (account, *times) and can_be(table, name, _AMOUNT)
    ]
    if not full:
        return None
    began = earliest(rows, full)
    # When it was sent, received and stored is one moment.
    full = [name for name in full if name == began or not _at_once(rows, began, name)]
    if len(full) == 1 and not part:
        if each <= MOST_CHURNS and _LEFT.search(" ".join((named, began))):
            return "churn_events"
        return "usage_events" if each >= FEWEST_EVENTS and not is_no_use(named) else None
    later = [name for name in full if name != began]
    soon = bool(later) and _days(rows, began, later[0]) <= LONGEST_DUE_DAYS
    # Of what is due after so many days nothing may say when it was paid.
    if soon and amounts and (part or _is_agreed(rows, began, later[0])):
        return "invoices"
    ends = part or later
    if all(_days(rows, began, name) < LONG_DAYS for name in ends):
        return "tickets"
    is_contract = each <= MOST_CONTRACTS and not _NO_CONTRACTS & set(words_of(named))
    return "subscriptions" if is_contract else None


def is_no_use(table: str) -> bool:
    """Whether events are of what was sent to people: to be written to is no use."""
    return bool(_SENT & set(words_of(table)))


def first_times(table: ir.Table, times: list[str], account: str | None = None) -> pd.DataFrame:
    """Return the times of the first rows, near enough: how texts are read is settled later."""
    import pandas as pd

    wanted = [*times, *([account] if account else [])]
    chosen = [table[name].cast("string").name(f"c{n}") for n, name in enumerate(wanted)]
    texts = table.select(chosen).limit(MOST_ROWS).execute() if chosen else pd.DataFrame()
    texts.columns = [*times, *(["account"] if account else [])]
    for name in times:
        kind = is_number_for_time(table, name)
        number = pd.to_numeric(texts[name], errors="coerce")
        if kind == "excel":
            texts[name] = pd.to_datetime(
                number, unit="D", origin="1899-12-30", errors="coerce", utc=True
            )
            continue
        if kind == "unix":
            digits = number.abs().max() if number.notna().any() else 0.0
            number /= 10.0 ** (3 * sum(digits > limit for limit in (1e11, 1e14)))
            texts[name] = pd.to_datetime(number, unit="s", errors="coerce", utc=True)
            continue
        if kind == "compact":
            texts[name] = texts[name].mask(texts[name].str.match(NO_DAY))
        # Months and quarters are near enough as their first day.
        months = texts[name].str.strip().str.replace(_QUARTER, _first_month, regex=True)
        months = months.str.replace(_MONTH, r"\1-\2-01", regex=True)
        texts[name] = months.str.lower().str.replace(_WEEK, _monday, regex=True)
        other = (
            texts[name].str.match(_YEAR_FIRST).any() or texts[name].str.match(_MONTH_FIRST).any()
        )
        texts[name] = pd.to_datetime(
            texts[name], errors="coerce", format="mixed", dayfirst=not other, utc=True
        )
    return texts


def _monday(week: re.Match[str]) -> str:
    year, number = (int(part) for part in re.findall("[0-9]{4}|[0-9]{1,2}", week[0].upper()))
    year, number = (year, number) if year > number else (number, year)
    return date.fromisocalendar(year, max(1, min(number, 52)), 1).isoformat()


def _first_month(quarter: re.Match[str]) -> str:
    return f"{quarter[1]}-{3 * int(quarter[2]) - 2:02}-01"


def earliest(rows: pd.DataFrame, times: list[str]) -> str:
    """Return the time that lies before the others in most rows; the first of equals."""
    return min(times, key=lambda name: (rows[name].median(), times.index(name)))


def _is_agreed(rows: pd.DataFrame, start: str, end: str) -> bool:
    """Whether days between two times are one of few numbers, of days and not of moments."""
    days = (rows[end] - rows[start]).dropna().dt.total_seconds() / DAY_SECONDS
    if not len(days) or days.mode().iloc[0] < SHORTEST_DUE_DAYS:
        return False
    usual = days.value_counts().index[:FEW_TERMS]
    return bool((days.isin(usual) & (days % 1 == 0)).mean() >= READABLE)


def _at_once(rows: pd.DataFrame, one: str, other: str) -> bool:
    apart = (rows[other] - rows[one]).abs().dt.total_seconds()
    return bool(apart.quantile(SURELY) <= AT_ONCE_SECONDS and apart.max() > 0)


def _days(rows: pd.DataFrame, start: str, end: str) -> float:
    """Return the median days between two times, of rows that have both."""
    days = (rows[end] - rows[start]).dt.days.dropna()
    return float(days.median()) if len(days) else 0.0
