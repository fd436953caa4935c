"""Last rows: strays that lie long after all others, and tables whose rows stop before others'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from types import MappingProxyType

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.tables.cleaning import CleanTable
from features.tables.mapping.finding import Finding

LEAST_DAYS = 5
"""A table with rows on fewer days has no usual gap: it was loaded at once, or has just begun."""
NOTHING_KNOWN: Mapping[str, ir.Table] = MappingProxyType({})
MOST_STRAYS, GAP, FEWEST_ROWS = 3, timedelta(days=30), 500


@dataclass(frozen=True)
class Freshness:
    """How new a table's rows are.

    Parameters
    ----------
    table : str
        Its name.
    newest : date or None
        Day of its newest row before the current date; None where it has none.
    usual_gap_days : float
        Longest time between days with rows so far.
    as_of : date
        The current date.
    days : int
        On how many days it has rows: a few show no habit.
    """

    table: str
    newest: date | None
    usual_gap_days: float
    as_of: date
    days: int = LEAST_DAYS

    @property
    def has_stopped(self) -> bool:
        """Whether rows are overdue by more than the longest gap there ever was, and a day."""
        if self.newest is None:
            return True
        late = (self.as_of - self.newest).days > 2 * self.usual_gap_days + 1
        return late and self.days >= LEAST_DAYS


def freshness(name: str, rows: ir.Table, moment: str, as_of: date) -> Freshness:
    """Find the newest row known on a date, and the longest gap there was between rows.

    Parameters
    ----------
    name : str
        Table, as people call it.
    rows : ibis Table
        Its rows.
    moment : str
        Column of the row's own time.
    as_of : date
        The current date; rows from it on are not known yet.
    """
    known = rows.filter(rows[moment] < ibis.literal(datetime.combine(as_of, time())))
    days = known.select(day=known[moment].truncate("D")).distinct().execute()["day"]
    stamps = pd.to_datetime(days).sort_values()
    if not len(stamps):
        return Freshness(name, None, 0.0, as_of, 0)
    gap = stamps.diff().dt.days.max() if len(stamps) > 1 else 1
    return Freshness(name, stamps.iloc[-1].date(), float(gap), as_of, len(stamps))


def without_strays(
    tables: Mapping[str, CleanTable],
    now: datetime,
    by_accounts: Mapping[str, ir.Table] = NOTHING_KNOWN,
) -> tuple[datetime | None, dict[str, Finding]]:
    """Find the time after which only stray rows come.

    Parameters
    ----------
    tables : mapping of str to CleanTable
        The tables whose own times end the data.
    now : datetime
        What lies after it is no end.
    by_accounts : mapping of str to ibis table
        Rows that were put together by account, of tables of which they were:
        :func:`features.tables.counted_parts.by_account`.

    Returns
    -------
    datetime or None
        The last time that is no stray; None where there is none or too few rows to tell.
    dict of str to Finding
        Per table that holds strays, what is said of them.
    """
    ended = {name: table for name, table in tables.items() if table.is_dated}
    if not _may_have_strays(ended, now, by_accounts):
        return None, {}
    newest = {name: _newest(_times(table, now)) for name, table in ended.items()}
    last = sorted(((time, name) for name, times in newest.items() for time in times), reverse=True)
    for place in range(1, min(MOST_STRAYS, len(last) - 1) + 1):
        after, before = last[place - 1][0], last[place][0]
        if after - before > GAP:
            # Counted once there is such a gap, which is seldom, and where these are not all.
            rows = sum(
                len(newest[name])
                if len(newest[name]) <= MOST_STRAYS
                else int(_times(table, now).count().execute())
                for name, table in ended.items()
            )
            if rows < FEWEST_ROWS:
                break
            strays = [name for _, name in last[:place]]
            return before, {
                name: Finding(
                    "stray-rows",
                    f"{strays.count(name)} rows lie {(after - before).days} days after all others"
                    f" ({last[0][0]:%Y-%m-%d}) and do not move the data's end, {before:%Y-%m-%d};"
                    " correct them or set [source] data_end",
                )
                for name in dict.fromkeys(strays)
            }
    return None, {}


def _may_have_strays(
    tables: Mapping[str, CleanTable], now: datetime, by_accounts: Mapping[str, ir.Table]
) -> bool:
    """Whether a gap can lie before the last rows, by the last row of each account.

    Rows that were not looked at lie between those that were, and make no gap wider.
    """
    last: list[datetime] = []
    for name, table in tables.items():
        grouped = by_accounts.get(name)
        if grouped is None:
            last += _newest(_times(table, now))
        else:
            last += _newest(grouped.filter(grouped["last"].notnull()).select("last"))
    last.sort(reverse=True)
    if len(last) <= MOST_STRAYS or last[0] > now:
        return True
    return any(after - before > GAP for after, before in pairwise(last[: MOST_STRAYS + 1]))


def _newest(times: ir.Table) -> list[datetime]:
    """Return the newest times of a column that stands alone."""
    (name,) = times.columns
    newest: list[datetime] = (
        times.order_by(ibis.desc(name)).limit(MOST_STRAYS + 1)[name].to_pyarrow().to_pylist()
    )
    return newest


def _times(table: CleanTable, now: datetime) -> ir.Table:
    """Return the times of a table's rows, in a column alone, without those in the future."""
    own = table.cleaned[table.contract.time]
    return table.cleaned.filter(own.notnull() & (own <= ibis.literal(now))).select(own)
