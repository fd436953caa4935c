"""What is measured, and over what: measures and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import ibis.expr.types as ir


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
    """

    rows: ir.Table

    @property
    def may_be_late(self) -> bool:
        """Whether an event may become known after it happened."""
        return "known_at" in self.rows.columns
