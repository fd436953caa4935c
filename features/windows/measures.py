"""What is measured, and over what: measures and events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import ibis
import ibis.expr.types as ir

from features.tables.cleaning import from_source


@dataclass(frozen=True)
class Measure:
    """What to compute over each window.

    Parameters
    ----------
    kind : {"count", "sum", "mean", "max", "days", "last", "distinct", "rank"}
        Rows; sum, mean or maximum of a column; distinct days with a row; latest time; distinct
        values of a column; the greatest rank of any of them, where the value of the most accounts
        in the longest window is the first. Missing values of the column are left out.
    column : str
        The column of ``sum``, ``mean``, ``max``, ``distinct`` and ``rank``.
    few : bool
        Whether a ``distinct`` column is likely to hold few values over all accounts. That is
        cheaper then; the result is the same.
    """

    kind: Literal["count", "sum", "mean", "max", "days", "last", "distinct", "rank"]
    column: str = ""
    few: bool = False


@dataclass(frozen=True)
class Events:
    """Things that happened to accounts.

    Parameters
    ----------
    rows : ibis table
        ``account_id``, ``moment`` (when it happened), ``known_at`` where that may be later, and
        the columns to measure.
    as_written : ibis value, optional
        The source's own column that ``moment`` is, where it is that as it is.
    """

    rows: ir.Table
    as_written: ir.Value | None = None

    @property
    def may_be_late(self) -> bool:
        """Whether an event may become known after it happened."""
        return "known_at" in self.rows.columns

    def between(self, first: datetime, end: datetime) -> ir.Table:
        """Return the events from one time on and before another.

        The source is asked for them too: see :func:`features.tables.cleaning.from_source`.
        """
        rows = self.rows
        if self.as_written is not None:
            rows = from_source(rows, self.as_written, lambda own: _lies_between(own, first, end))
        return rows.filter(_lies_between(rows.moment, first, end))


def _lies_between(moment: ir.Value, first: datetime, end: datetime) -> ir.BooleanValue:
    low, high = (ibis.literal(each, "timestamp") for each in (first, end))
    return (moment >= low) & (moment < high)
