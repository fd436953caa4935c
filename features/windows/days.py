"""Events of a day as one row: what is kept of a part of a table, whatever the dates and windows.

Panes begin and end at midnight, so that every measure of every window can be made from days.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis.expr.types as ir

from features.sources.engines.engine import Remembered
from features.windows.measures import Events, Measure

ROWS = "{name} rows"
"""The count beside a sum whose mean is wanted."""
OF_VALUES = ("distinct", "rank")
"""Kinds of measures that ask which values there are."""
Group = tuple[Events, dict[str, Measure]]


def daily(events: Events, measures: Mapping[str, Measure], remembered: Remembered) -> list[Group]:
    """Put the events of each account and day together, and say how they are measured then.

    Parameters
    ----------
    events : Events
        What happened, from rows that are covered.
    measures : mapping of str to Measure
        Measures by name.
    remembered : Remembered
        What was computed of each part before.

    Returns
    -------
    list of (Events, dict of str to Measure)
        Measures of single values each with rows of their own. A mean becomes two sums, its own
        and :data:`ROWS`.
    """
    alone = {name: each for name, each in measures.items() if each.kind in OF_VALUES}
    together = {name: each for name, each in measures.items() if name not in alone}
    keys = ["account_id", "moment", *(["known_at"] if events.may_be_late else [])]
    groups = []
    if together:

        def summed(rows: ir.Table) -> ir.Table:
            days = _by_day(rows)
            parts = {
                part: value
                for name, measure in together.items()
                for part, value in _per_day(days, name, measure).items()
            }
            return days.group_by(*keys).aggregate(**parts)

        now = {
            part: again
            for name, measure in together.items()
            for part, again in _again(name, measure).items()
        }
        groups.append((Events(remembered.each(events.rows, summed)), now))
    for name, measure in alone.items():
        column = measure.column

        def single(rows: ir.Table, column: str = column) -> ir.Table:
            days = _by_day(rows)
            return days.filter(days[column].notnull()).select(*keys, column).distinct()

        groups.append((Events(remembered.each(events.rows, single)), {name: measure}))
    return groups


def with_means(result: ir.Table, measures: Mapping[str, Measure], windows: list[str]) -> ir.Table:
    """Divide the sums that stand for means."""
    means = {
        f"{name}_{window}": f"{ROWS.format(name=name)}_{window}"
        for name, measure in measures.items()
        if measure.kind == "mean"
        for window in windows
    }
    if not set(means.values()) <= set(result.columns):
        return result
    divided = result.mutate(
        **{mean: result[mean] / result[rows].nullif(0.0) for mean, rows in means.items()}
    )
    return divided.drop(*means.values())


def _by_day(rows: ir.Table) -> ir.Table:
    own = {"at": rows.moment, "moment": rows.moment.truncate("D")}
    if "known_at" in rows.columns:
        own["known_at"] = rows.known_at.truncate("D")
    return rows.mutate(**own)


def _per_day(days: ir.Table, name: str, measure: Measure) -> dict[str, ir.Value]:
    match measure.kind:
        case "count":
            return {name: days.count().cast("float64")}
        case "last":
            return {name: days["at"].max()}
        case "max":
            return {name: days[measure.column].max()}
        case "days":
            return {}
    column = days[measure.column].cast("float64")
    total = {name: column.sum()}
    if measure.kind == "mean":
        total[ROWS.format(name=name)] = column.count().cast("float64")
    return total


def _again(name: str, measure: Measure) -> dict[str, Measure]:
    """Return how a measure is read from days."""
    match measure.kind:
        case "days":
            return {name: measure}
        case "last" | "max":
            return {name: Measure("max", name)}
        case "mean":
            rows = ROWS.format(name=name)
            return {name: Measure("sum", name), rows: Measure("sum", rows)}
    return {name: Measure("sum", name)}
