"""Decisions: whether a contract lets an account leave within the outcome window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalog import Signal
from features.errors import DataError, sample
from features.json_values import JsonReady
from models.arrays import Codes, Floats
from models.churn.coded import Rows

AHEAD, TERM = "days_to_renewal", "term_days"
TERMS = (TERM, "billing_period", "auto_renew")
"""Signals that say what kind of contract an account has, whenever it ends."""
KINDS = ("at_will", "quarter", "half_year", "year", "years")
"""Kinds of terms: as short as the window or without a renewal date, then by their length."""
LONGEST = (135, 270, 550)
"""Days up to which a term counts as a quarter, half a year and a year."""
COLUMNS = (AHEAD, TERM)
"""What is read of a contract; columns that are not there are not known of any."""
CALENDAR = ("renewal_due", AHEAD, "lifecycle_stage")
"""Signals that say when a decision falls, and so nothing of the risk at it."""
# Months differ by so many days: the next end of a monthly term may lie just behind a window of one.
MONTHS_DIFFER = 3
PARTS = 4
# Of the rate of decisions with more time: below it most losses at late ones are not seen yet.
SEEN = 0.5


@dataclass(frozen=True)
class Decisions(JsonReady):
    """Which rows are due: a decision falls into the outcome window, early enough to be seen in it.

    An account decides when its contract renews, as known on the observation date; one whose terms
    end and begin anew within the window always does, and so does one without a known renewal date,
    as it may leave at will.

    Parameters
    ----------
    opens_days, closes_days : int
        Days from the observation date to the first of the outcome window, and to the first after.
    settles_days : int
        Days before the window closes from which on most losses at a decision would be written down
        after it.

    Examples
    --------
    >>> rows = pd.DataFrame({"days_to_renewal": [3, 40, None, 20], "term_days": [365, 365, 0, 30]})
    >>> Decisions(14, 44).due(rows).tolist()
    [False, True, True, True]
    """

    opens_days: int
    closes_days: int
    settles_days: int = 0

    def due(self, frame: Rows) -> NDArray[np.bool_]:
        """Tell which rows are due: (n,)."""
        ahead = days_of(frame, AHEAD)
        inside = (ahead >= self.opens_days) & (ahead < self.closes_days - self.settles_days)
        return inside | self.at_will(frame)

    def at_will(self, frame: Rows) -> NDArray[np.bool_]:
        """Tell which rows decide in every window: without a renewal date, or on short terms."""
        return np.isnan(days_of(frame, AHEAD)) | self._is_short(frame)

    def kinds(self, frame: Rows) -> Codes:
        """Position in :data:`KINDS` of each row's term: (n,); one that is not known is a year."""
        term = days_of(frame, TERM)
        kinds = 1 + np.digitize(np.where(term > 0, term, LONGEST[-1]), LONGEST, right=True)
        return np.where(self.at_will(frame), 0, kinds)

    def _is_short(self, frame: Rows) -> NDArray[np.bool_]:
        """Whether terms end and begin anew within the window, whenever that is: (n,)."""
        term = days_of(frame, TERM)
        return (term > 0) & (term <= self.closes_days - self.opens_days + MONTHS_DIFFER)

    def settled(self, frame: Rows) -> Decisions:
        """Find from when on losses would be written down after the window, in quarters of it.

        A quarter is left out when decisions in it were followed by fewer than half of the losses of
        those before it; two that are missing by chance are not enough.

        Parameters
        ----------
        frame : DataFrame of n rows
            Contract terms and ``happened``.
        """
        ahead = days_of(frame, AHEAD)
        happened = frame["happened"].to_numpy(dtype=float)
        part = (self.closes_days - self.opens_days) / PARTS
        quarter = np.floor((ahead - self.opens_days) / part)
        quarter[np.isnan(ahead) | self._is_short(frame)] = -1
        lost, rows = (
            np.array([values[quarter == number].sum() for number in range(PARTS)])
            for values in (happened, np.ones(len(frame)))
        )
        for late in range(1, PARTS):
            early = rows[:late].sum()
            rate = lost[:late].sum() / early if early else 0.0
            if lost[late] + 2 < SEEN * rate * rows[late]:
                return replace(self, settles_days=int(np.ceil(part * (PARTS - late))))
        return self

    def signals(self, signals: Sequence[Signal]) -> tuple[Signal, ...]:
        """Leave out what only says when a decision falls."""
        return tuple(signal for signal in signals if signal.name not in CALENDAR)


def days_of(frame: Rows, name: str) -> Floats:
    """Read days from a column: (n,), NaN where they are not known.

    Raises
    ------
    DataError
        When it holds something that is not a finite number.
    """
    if name not in frame:
        return np.full(len(frame), np.nan)
    column = frame[name]
    days = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = column[(np.isnan(days) & column.notna().to_numpy()) | np.isinf(days)]
    if len(wrong):
        raise DataError(
            f"Column {name!r} must hold finite numbers, or nothing where a contract has no renewal "
            f"date, but holds {sample(wrong.unique())}; correct the column it is built from."
        )
    return np.asarray(days)


def usable(
    decisions: Decisions, frame: Rows, earlier: Codes, least: int, least_earlier: int
) -> tuple[Decisions | None, int]:
    """Settle which rows are due, or find that it makes no difference or leaves too little to learn.

    Parameters
    ----------
    decisions : Decisions
        The outcome window.
    frame : DataFrame of n rows
        Contract terms and ``happened``.
    earlier : ndarray of int
        Positions of the rows that matured before those that judge.
    least, least_earlier : int
        Losses that must be due, in all rows and in the earlier ones.

    Returns
    -------
    Decisions or None
        None where every row is due, or too few losses are.
    int
        Losses of due rows, in all rows or in the earlier ones, whichever are too few; -1 where they
        are enough.
    """
    if decisions.due(frame).all():
        return None, -1
    settled = decisions.settled(frame.take(earlier))
    lost = settled.due(frame) & (frame["happened"].to_numpy(dtype=float) > 0)
    for count, needed in ((lost.sum(), least), (lost[earlier].sum(), least_earlier)):
        if count < needed:
            return None, int(count)
    return settled, -1
