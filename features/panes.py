"""The windowed-aggregation engine: each event is read once, whatever the number of windows.

Time is cut into *panes* at every edge of every (observation date, window). Events are aggregated
once per account and pane; a window is then a run of whole panes, so its value is a combination of
a few pane values. Cost is one scan plus small work.

References
----------
J. Li, D. Maier, K. Tufte, V. Papadimos, P. A. Tucker, "No pane, no gain: efficient evaluation of
sliding-window aggregates over data streams", SIGMOD Record 34(1), 2005.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.cleaning import CleanTable


@dataclass(frozen=True)
class Window:
    """A run of whole days before an observation date.

    Parameters
    ----------
    name : str
        Suffix of the result's columns.
    days : int
        Length in days.
    ends_days_before : int
        Days between the window's end (exclusive) and the observation date.

    Examples
    --------
    >>> Window("before", 28, ends_days_before=28).bounds(date(2024, 3, 1))
    (datetime.date(2024, 1, 5), datetime.date(2024, 2, 2))
    """

    name: str
    days: int
    ends_days_before: int = 0

    def bounds(self, observation: date) -> tuple[date, date]:
        """Return the first day of the window and the day after its last."""
        end = observation - timedelta(days=self.ends_days_before)
        return end - timedelta(days=self.days), end


@dataclass(frozen=True)
class Measure:
    """What to compute over each window.

    Parameters
    ----------
    kind : {"count", "sum", "days", "last", "distinct"}
        Rows, sum of a column, distinct days with a row, latest time, distinct values of a column.
    column : str or None
        The column of ``sum`` and ``distinct``.
    """

    kind: Literal["count", "sum", "days", "last", "distinct"]
    column: str | None = None


def aggregate_windows(
    table: CleanTable,
    dates: Sequence[date],
    windows: Sequence[Window],
    measures: Mapping[str, Measure],
) -> ir.Table:
    """Compute measures over windows before every observation date.

    Parameters
    ----------
    table : CleanTable
        Events; a row that was recorded only after the observation date does not count on it.
    dates : sequence of date
        Observation dates.
    windows : sequence of Window
        Lookback windows.
    measures : mapping of str to Measure
        Measures by name.

    Returns
    -------
    ibis table
        ``account_id``, ``observation_date`` and a column ``MEASURE_WINDOW`` for each pair. Accounts
        without an event in any window have no row.
    """
    days, members = _panes(dates, windows)
    # A day whose events were recorded on different days lies in several panes; it must count once.
    alone = {"distinct", "days"} if table.has("recorded_at") else {"distinct"}
    additive = {name: measure for name, measure in measures.items() if measure.kind not in alone}
    results = [_combine(table, days, members, windows, additive)] if additive else []
    results += [
        _combine(table, days, members, windows, {name: measure}, distinct=True)
        for name, measure in measures.items()
        if measure.kind in alone
    ]
    combined = results[0]
    for result in results[1:]:
        combined = combined.outer_join(result, ["account_id", "observation_date"])
        combined = combined.mutate(
            account_id=ibis.coalesce(combined.account_id, combined.account_id_right),
            observation_date=ibis.coalesce(
                combined.observation_date, combined.observation_date_right
            ),
        ).drop("account_id_right", "observation_date_right")
    return combined


def _panes(dates: Sequence[date], windows: Sequence[Window]) -> tuple[ir.Table, ir.Table]:
    """Build day → pane, and pane → (observation date, window) with the last pane known then."""
    spans = [(day, window, *window.bounds(day)) for day in dates for window in windows]
    edges = sorted({edge for _, _, first, end in spans for edge in (first, end)} | set(dates))
    pane_of_edge = {edge: pane for pane, edge in enumerate(edges)}
    starts = pd.to_datetime(pd.Series(edges))
    calendar = pd.date_range(edges[0], edges[-1], inclusive="left")
    panes = starts.searchsorted(calendar, side="right") - 1
    members = [
        (pane, day, window.name, pane_of_edge[day])
        for day, window, first, end in spans
        for pane in range(pane_of_edge[first], pane_of_edge[end])
    ]
    frame = pd.DataFrame(members, columns=["pane", "observation_date", "window", "unknown_from"])
    frame["observation_date"] = pd.to_datetime(frame["observation_date"]).astype("datetime64[us]")
    return (
        ibis.memtable(pd.DataFrame({"day": calendar.astype("datetime64[us]"), "pane": panes})),
        ibis.memtable(frame),
    )


def _combine(
    table: CleanTable,
    days: ir.Table,
    members: ir.Table,
    windows: Sequence[Window],
    measures: Mapping[str, Measure],
    distinct: bool = False,
) -> ir.Table:
    events = table.cleaned
    occurred = events[table.contract.time]
    keys = {"account_id": events.account_id, "day": occurred.truncate("D")}
    recorded = "recorded_at" in events.columns
    if recorded:
        known = ibis.greatest(occurred, events.recorded_at.fill_null(occurred))
        keys["known_day"] = known.truncate("D")
    if distinct:
        (measure,) = measures.values()
        keys["value"] = events[measure.column] if measure.column else keys["day"]
    daily = events.group_by(**keys).aggregate(
        **{name: _per_day(events, occurred, measure) for name, measure in measures.items()}
    )
    if distinct:
        daily = daily.filter(daily.value.notnull())
    daily = daily.inner_join(days, "day")
    if recorded:
        known_days = days.select(known_day="day", known_pane="pane")
        daily = daily.inner_join(known_days, "known_day")
    per_pane = [
        name for name in ("account_id", "pane", "known_pane", "value") if name in daily.columns
    ]
    panes = daily.group_by(per_pane).aggregate(
        **{name: _merged(daily, name, measure) for name, measure in measures.items()}
    )
    joined = panes.inner_join(members, "pane")
    if recorded:
        joined = joined.filter(joined.known_pane < joined.unknown_from)
    return joined.group_by("account_id", "observation_date").aggregate(
        **{
            f"{name}_{window.name}": (
                joined.value.nunique(where=joined.window == window.name)
                if distinct
                else _merged(joined, name, measure, joined.window == window.name)
            )
            for name, measure in measures.items()
            for window in windows
        }
    )


def _per_day(events: ir.Table, occurred: ir.Value, measure: Measure) -> ir.Value:
    if measure.kind == "sum":
        return events[measure.column or ""].sum()
    if measure.kind == "last":
        return occurred.max()
    return events.count()


def _merged(rows: ir.Table, name: str, measure: Measure, where: ir.Value | None = None) -> ir.Value:
    if measure.kind == "last":
        return rows[name].max(where=where)
    if measure.kind == "days" and where is None:
        return rows.day.nunique()
    return rows[name].sum(where=where)
