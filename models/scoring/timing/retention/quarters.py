"""What a contract lets an account do within a quarter: renew, run on, or leave at will."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.arrays import Codes, Floats
from models.scoring.timing.decisions import AHEAD, TERM, days_of

QUARTER = 91
"""Days of a quarter of history."""
# Shorter terms end and begin anew within every quarter or nearly: they let an account leave at
# will.
SHORT_TERM = 120
AT_WILL, RUNS, RENEWS = range(3)
KINDS = ("leaves at will", "runs on", "renews")


@dataclass(frozen=True)
class Span:
    """Days from the observation date to the first of a period, and to the first after it."""

    opens: int
    closes: int

    @property
    def days(self) -> int:
        """How many days."""
        return self.closes - self.opens


def contract_kinds(frame: pd.DataFrame, span: Span) -> Codes:
    """Tell what the contract of each row lets the account do in a period, as known at the row.

    A contract that renews is taken to run for a term of the same length again. One without a
    renewal date, or with terms shorter than :data:`SHORT_TERM` days, may be left at will.

    Parameters
    ----------
    frame : DataFrame of n rows
        ``days_to_renewal`` and ``term_days``, where they are known.
    span : Span
        The period.

    Returns
    -------
    ndarray of int, shape (n,)
        Places in :data:`KINDS`.

    Examples
    --------
    >>> rows = pd.DataFrame(
    ...     {"days_to_renewal": [20, 400, 20, None, 40], "term_days": [365, 365, 365, None, 30]}
    ... )
    >>> [KINDS[kind] for kind in contract_kinds(rows, Span(0, 91))]
    ['renews', 'runs on', 'renews', 'leaves at will', 'leaves at will']
    >>> [KINDS[kind] for kind in contract_kinds(rows, Span(364, 455))][:3]
    ['renews', 'renews', 'renews']
    """
    ahead, term = days_of(frame, AHEAD), days_of(frame, TERM)
    at_will = np.isnan(ahead) | ((term >= 1) & (term < SHORT_TERM))
    renews = renewals_within(ahead, term, span) > 0
    return np.where(at_will, AT_WILL, np.where(renews, RENEWS, RUNS))


def renewals_within(ahead: Floats, term: Floats, span: Span) -> NDArray[np.intp]:
    """Count the renewals of each contract in a period: (n,); a term of no known length ends once.

    Examples
    --------
    >>> renewals_within(np.array([10.0, 10.0, -5.0]), np.array([30.0, np.nan, 0.0]), Span(0, 91))
    array([3, 1, 0])
    """
    length = np.where(term >= 1, term, np.inf)
    first = np.ceil(np.maximum(span.opens - ahead, 0) / length)
    begins = np.where(first > 0, ahead + first * np.where(np.isinf(length), 0, length), ahead)
    inside = (begins >= span.opens) & (begins < span.closes)
    more = np.floor((span.closes - 1 - begins) / length)
    return np.asarray(np.where(inside, 1 + np.maximum(more, 0), 0), dtype=np.intp)
