"""Ends of contracts and of what a row sums up: last days, and dates that mean there is no end."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import ibis
import ibis.expr.types as ir

from features.tables.mapping.finding import Finding

NO_END = (datetime(1970, 1, 2), datetime(2090, 1, 1))
"""An end up to the first, or from the second on, is a way to write that there is none."""
FEWEST, TIMES_AS_MANY = 5, 4
LastDay = Literal["included", "excluded"]
Period = Literal["week", "month", "quarter"]


def is_no_end(moment: ir.TimestampValue) -> ir.BooleanValue:
    """Whether a time is written where nothing has ended: 9999-12-31, 1970-01-01 and the like."""
    return (moment < ibis.timestamp(NO_END[0])) | (moment >= ibis.timestamp(NO_END[1]))


def last_day_of(start: ir.TimestampValue, period: Period) -> ir.TimestampValue:
    """Return the last day of the week, the month or the three months that begin at a time."""
    after = {
        "week": ibis.interval(days=7),
        "month": ibis.interval(months=1),
        "quarter": ibis.interval(months=3),
    }[period]
    return start + after - ibis.interval(days=1)


def with_last_day(
    rows: ir.Table, chosen: LastDay | None
) -> tuple[ir.Table, list[str], list[Finding]]:
    """Let contracts whose last day is included run until the midnight after it.

    Parameters
    ----------
    rows : ibis table
        Subscriptions, cleaned.
    chosen : {"included", "excluded"} or None
        What the configuration says; None asks the contracts that follow one another.

    Returns
    -------
    ibis table
        The rows.
    list of str
        What was decided.
    list of Finding
        What is left open.
    """
    if not {"ended_at", "started_at"} <= set(rows.columns) or chosen == "excluded":
        return rows, [], []
    whole = rows.ended_at == rows.ended_at.truncate("D")
    shifted = rows.mutate(
        ended_at=ibis.ifelse(whole, rows.ended_at + ibis.interval(days=1), rows.ended_at)
    )
    if chosen == "included":
        return shifted, ["ends of whole days are the last day of a contract, as configured"], []
    order = ibis.window(group_by="account_id", order_by=["started_at", "ended_at"])
    gaps = rows.mutate(
        whole=whole, gap=rows.started_at.lead().over(order).delta(rows.ended_at, unit="day")
    )
    gaps = gaps.filter(gaps.whole)
    counts = gaps.aggregate(same=(gaps.gap == 0).sum(), after=(gaps.gap == 1).sum())
    row = counts.execute().iloc[0].fillna(0)
    same, after = int(row["same"]), int(row["after"])
    if after < FEWEST:
        return rows, [], []
    words = f"{after:,} contracts go on on the day after an ended_at and {same:,} on the day itself"
    if after > TIMES_AS_MANY * same:
        return shifted, [f"ended_at is the last day of a contract: {words}"], []
    if same > TIMES_AS_MANY * after:
        return rows, [], []
    text = (
        f"{words}: whether the last day is included is not clear, and it is read as excluded;"
        " set [reading] last_day"
    )
    return rows, [], [Finding("last-day-unclear", text)]
