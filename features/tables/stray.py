"""Stray rows: a few that lie long after all others and would move the end of the data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from features.tables.cleaning import CleanTable

MOST_STRAYS, GAP, FEWEST_ROWS = 3, timedelta(days=30), 500


def without_strays(
    tables: Mapping[str, CleanTable], now: datetime
) -> tuple[datetime | None, dict[str, str]]:
    """Find the time after which only stray rows come.

    Parameters
    ----------
    tables : mapping of str to CleanTable
        The tables whose own times end the data.
    now : datetime
        What lies after it is no end.

    Returns
    -------
    datetime or None
        The last time that is no stray; None where there is none or too few rows to tell.
    dict of str to str
        Per table that holds strays a sentence about them.
    """
    last: list[tuple[datetime, str]] = []
    ended = {name: table for name, table in tables.items() if table.is_dated}
    for name, table in ended.items():
        times = _times(table, now)
        newest = times.order_by(ibis.desc(times[0])).limit(MOST_STRAYS + 1)
        last += [(time, name) for time in newest[0].to_pyarrow().to_pylist()]
    last.sort(reverse=True)
    for place in range(1, min(MOST_STRAYS, len(last) - 1) + 1):
        after, before = last[place - 1][0], last[place][0]
        if after - before > GAP:
            # Counted once there is such a gap, which is seldom.
            rows = sum(int(_times(table, now).count().execute()) for table in ended.values())
            if rows < FEWEST_ROWS:
                break
            strays = [name for _, name in last[:place]]
            return before, {
                name: f"{strays.count(name)} rows lie {(after - before).days} days after all others"
                f" ({last[0][0]:%Y-%m-%d}) and do not move the data's end, {before:%Y-%m-%d};"
                " correct them or set [source] data_end"
                for name in dict.fromkeys(strays)
            }
    return None, {}


def _times(table: CleanTable, now: datetime) -> ir.Table:
    """Return the times of a table's rows, in a column alone, without those in the future."""
    own = table.cleaned[table.contract.time]
    return table.cleaned.filter(own.notnull() & (own <= ibis.literal(now))).select(own)
