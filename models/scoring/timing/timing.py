"""Timing: the share of the risk at a decision that falls into the outcome window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.errors import sample
from features.json_values import JsonReady
from models.arrays import Codes, Floats
from models.churn.coded import Rows
from models.scoring.timing.decisions import AHEAD, Decisions, days_of

# Days after the window closes that part rows by how far their next decision is.
BEHIND = (0, 30, 90, 180)
# Expected losses that what holds of all rows counts for in each part, and full risk in that.
PRIOR, PRIOR_OF_ALL = 10.0, 1.0


@dataclass(frozen=True)
class Timing(JsonReady):
    """What turns the risk at a decision into the probability of a loss in the outcome window.

    ``p = share * q``: of a due row the share is 1; of others it is what was seen of accounts whose
    next decision is as far away, that they left before it, or later than it was written down.

    Parameters
    ----------
    decisions : Decisions
        Which rows are due.
    shares : tuple of float
        From 0 to 1, of rows whose next decision falls before the window opens, in it but too late,
        and within each of :data:`BEHIND` days after it closes.

    Examples
    --------
    >>> import pandas as pd
    >>> timing = Timing(Decisions(0, 30), (0.5, 0.2, 0.1, 0.1, 0.04, 0.03))
    >>> timing.share(pd.DataFrame({"days_to_renewal": [10, 45, 300, None]})).tolist()
    [1.0, 0.1, 0.03, 1.0]
    """

    decisions: Decisions
    shares: tuple[float, ...]

    def share(self, frame: Rows) -> Floats:
        """Share of the risk at a decision that falls into the window: (n,)."""
        return np.where(
            self.decisions.due(frame), 1.0, np.array(self.shares)[_part(self.decisions, frame)]
        )

    def faults(self) -> Iterator[str]:
        """Say what cannot be, if anything."""
        if len(self.shares) != 2 + len(BEHIND) or not all(0 < one <= 1 for one in self.shares):
            yield (
                f"the timing must have {2 + len(BEHIND)} shares above 0 and up to 1, and has"
                f" {sample(self.shares, 8)}"
            )
        window = self.decisions
        if not 0 <= window.opens_days < window.closes_days or window.settles_days < 0:
            yield f"the timing must speak of days to come, and speaks of {sample([window])}"


def learn_timing(decisions: Decisions, frame: Rows, risk: Floats) -> Timing:
    """Compare losses of rows that were not due with what a decision would have led to expect.

    Parameters
    ----------
    decisions : Decisions
        Which rows are due.
    frame : DataFrame of n rows
        Contract terms and ``happened``.
    risk : ndarray of shape (n,)
        Risk at a decision, by a model that was taught due rows alone: of the others it has seen
        no outcome.
    """
    rest = ~decisions.due(frame)
    part = _part(decisions, frame)[rest]
    lost, expected = (
        np.bincount(part, values[rest], minlength=2 + len(BEHIND))
        for values in (frame["happened"].to_numpy(dtype=float), risk)
    )
    overall = (lost.sum() + PRIOR_OF_ALL) / (expected.sum() + PRIOR_OF_ALL)
    shares = np.minimum((lost + PRIOR * overall) / (expected + PRIOR), 1.0)
    return Timing(decisions, tuple(shares.tolist()))


def _part(decisions: Decisions, frame: Rows) -> Codes:
    """Part rows by how far their next decision is, from 0; those without one come last."""
    edges = [decisions.opens_days, *(decisions.closes_days + days for days in BEHIND)]
    return np.digitize(days_of(frame, AHEAD), edges)
