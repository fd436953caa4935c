"""What a table is about, by what its rows are like: contracts run long, tickets are closed soon."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from features.tables.mapping.contract import CONTRACT
from pipelines.setup.guessing.evidence import (
    MOST_COLUMNS,
    can_be,
    is_compact_day,
    is_number_for_time,
)
from pipelines.setup.guessing.names import MUTABLE_WORDS
from pipelines.setup.guessing.words import NUMBERS, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

MOST_ROWS = 5000
FEWEST_ROWS = 20
LONG_DAYS = 45.0
MOST_CONTRACTS, FEWEST_EVENTS = 12.0, 5.0
LONGEST_DUE_DAYS = 120.0
MOST_CHURNS = 2.0
_YEAR_FIRST, _MONTH_FIRST = r"^\d{4}", r"^\d{1,2}[-/.](1[3-9]|[23]\d)[-/.]"
_MONTH, _QUARTER = r"^((?:19|20)\d{2})[-/. ]?(0[1-9]|1[0-2])$", r"^(\d{4})[-/ ]?[Qq]([1-4])$"
_LEFT = re.compile("churn|cancel|lost|left|terminat|offboard", re.I)
_TIME = CONTRACT["subscriptions"].column("ended_at")


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
    amounts = [
        name for name in table.columns if table[name].type().is_numeric() and name != account
    ]
    if not full:
        return None
    began = earliest(rows, full)
    if len(full) == 1 and not part:
        if each <= MOST_CHURNS and _LEFT.search(" ".join((named, began))):
            return "churn_events"
        return "usage_events" if each >= FEWEST_EVENTS else None
    later = [name for name in full if name != began]
    if later and amounts and _days(rows, began, later[0]) <= LONGEST_DUE_DAYS and part:
        return "invoices"
    ends = part or later
    if all(_days(rows, began, name) < LONG_DAYS for name in ends):
        return "tickets"
    return "subscriptions" if each <= MOST_CONTRACTS else None


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
        # Months and quarters are near enough as their first day.
        months = texts[name].str.strip().str.replace(_QUARTER, _first_month, regex=True)
        texts[name] = months.str.replace(_MONTH, r"\1-\2-01", regex=True)
        other = (
            texts[name].str.match(_YEAR_FIRST).any() or texts[name].str.match(_MONTH_FIRST).any()
        )
        texts[name] = pd.to_datetime(
            texts[name], errors="coerce", format="mixed", dayfirst=not other, utc=True
        )
    return texts


def _first_month(quarter: re.Match[str]) -> str:
    return f"{quarter[1]}-{3 * int(quarter[2]) - 2:02}-01"


def earliest(rows: pd.DataFrame, times: list[str]) -> str:
    """Return the time that lies before the others in most rows; the first of equals."""
    return min(times, key=lambda name: (rows[name].median(), times.index(name)))


def _days(rows: pd.DataFrame, start: str, end: str) -> float:
    """Return the median days between two times, of rows that have both."""
    days = (rows[end] - rows[start]).dt.days.dropna()
    return float(days.median()) if len(days) else 0.0
