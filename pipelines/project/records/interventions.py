"""Calls that were made, as interventions beside those that the tables tell of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.project.records.calls import OPEN_PLAY, CallEntry

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.tables.company import Company

TABLE = "interventions"
COLUMNS = ("account_id", "occurred_at", "play", "recorded_at")


def with_calls(company: Company, entries: Sequence[CallEntry]) -> Company:
    """Add the calls that were made to a company's interventions.

    They count from when they were made, and were known from when they were written. A call that
    the tables tell of too, the same play on the same day, counts once where plays are read.

    Parameters
    ----------
    company : Company
        The tables.
    entries : sequence of CallEntry
        The record of calls.
    """
    made = [one for one in entries if one.state == "called"]
    if not made or not company.is_dated:
        return company
    from features.tables.cleaning import CleanTable
    from features.tables.mapping.contract import CONTRACT

    rows = _rows(made)
    known = company.tables.get(TABLE)
    if known is None:
        table = CleanTable(CONTRACT[TABLE], "the record of calls", rows, rows)
    else:
        told = known.cleaned
        recorded = told.recorded_at if "recorded_at" in told.columns else told.occurred_at
        same = told.select("account_id", "occurred_at", "play", recorded_at=recorded)
        both = same.union(rows.cast(same.schema()))
        table = replace(known, cleaned=company.keep("interventions_and_calls", both))
    return replace(company, tables={**company.tables, TABLE: table})


def _rows(entries: Sequence[CallEntry]) -> ir.Table:
    import ibis
    import pandas as pd

    frame = pd.DataFrame(
        {
            "account_id": [one.account_id for one in entries],
            "occurred_at": [one.done_at for one in entries],
            "play": [one.play or OPEN_PLAY for one in entries],
            "recorded_at": [one.written_at for one in entries],
        }
    )
    for name in ("occurred_at", "recorded_at"):
        frame[name] = frame[name].astype("datetime64[us]")
    return ibis.memtable(frame[list(COLUMNS)])
