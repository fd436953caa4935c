"""Counts over a table that are put together from counts over its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import ibis.expr.types as ir

from features.sources.engines.engine import Remembered
from features.tables.cleaning import CleanTable
from features.tables.reading.forms import Counts

LATEST_TIME = "latest:"
"""Begins the key of a column's latest time."""
Measures = Mapping[str, ir.Value]
_LEAST = ("example:", "first")
_MOST = ("open_example:", "most_example:", LATEST_TIME)


def is_counted_by_parts(table: CleanTable, remembered: Remembered) -> bool:
    """Whether the parts of a table are remembered, and its counts are sums of theirs."""
    return (
        table.is_dated
        and not table.attributes
        and remembered.covers(table.raw)
        and remembered.covers(table.cleaned)
    )


def counted_by_parts(
    table: CleanTable,
    now: datetime,
    remembered: Remembered,
    raw_measures: Callable[[ir.Table], Measures],
    fact_measures: Callable[[CleanTable, ir.Table], Measures],
) -> tuple[Counts, Counts] | None:
    """Count over each part of a table that was not counted before, and put all together.

    Parameters
    ----------
    table : CleanTable
        The table.
    now : datetime
        What lies after it is in the future.
    remembered : Remembered
        What was counted before.
    raw_measures, fact_measures : callable
        Return what is counted of raw and of cleaned rows.

    Returns
    -------
    tuple of two mappings, or None
        Counts of raw and of cleaned rows; None where a time is in the future, whose count is
        another on each night.
    """
    own = table.contract.time
    raw = remembered.each(table.raw, lambda rows: rows.aggregate(**raw_measures(rows)))
    facts = remembered.each(
        table.cleaned,
        lambda rows: rows.aggregate(**fact_measures(table, rows), **{LATEST_TIME: rows[own].max()}),
    )
    counts, kept = _together(raw), _together(facts)
    latest = [value for key, value in {**counts, **kept}.items() if key.startswith(LATEST_TIME)]
    if any(_is_after(moment, now) for moment in latest):
        return None
    accounts = by_account(table, remembered).account_id.nunique().execute()
    return counts, {**kept, "last": kept[LATEST_TIME], "accounts": int(accounts)}


def by_account(table: CleanTable, remembered: Remembered) -> ir.Table:
    """Return ``account_id``, ``rows`` and ``first`` (its own time), a row per account and part."""
    own = table.contract.time

    def grouped(rows: ir.Table) -> ir.Table:
        return rows.group_by("account_id").aggregate(rows=rows.count(), first=rows[own].min())

    return remembered.each(table.cleaned, grouped)


def _together(parts: ir.Table) -> dict[str, float | str | None]:
    """Add counts up, and keep the least and the latest of examples and times."""

    def combined(name: str) -> ir.Value:
        if name.startswith(_LEAST):
            return parts[name].min()
        return parts[name].max() if name.startswith(_MOST) else parts[name].sum()

    totals = parts.aggregate(**{name: combined(name) for name in parts.columns})
    return dict(totals.execute().iloc[0].to_dict())


def _is_after(moment: object, now: datetime) -> bool:
    return moment is not None and moment == moment and moment > now  # type: ignore[operator]
