"""Changes of revenue: by what factor the ARR of an account moved, of those whose it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.arrays import Floats

# Fewer changes of a segment than this say too little of their size: those of all stand in.
LEAST, MOST = 30, 2000
# Changes of less than this share are rounding or indexation, and no decision of anybody.
NOTICED = 0.005
# A factor beyond is a new contract beside the old one, or a mistake, and is cut to it.
LARGEST = 10.0


@dataclass(frozen=True)
class Factors:
    """Factors that were seen, by segment.

    Parameters
    ----------
    all : ndarray
        Of all accounts; 1 where none was seen.
    segments : mapping of str to ndarray
        Of the segments in which enough were.
    """

    all: Floats
    segments: Mapping[str, Floats] = field(default_factory=dict)

    def draw(self, segment: NDArray[np.object_], generator: np.random.Generator) -> Floats:
        """Draw a factor for each of some accounts: (n,)."""
        drawn = generator.choice(self.all, len(segment))
        for name, factors in self.segments.items():
            own = segment == name
            drawn[own] = generator.choice(factors, int(own.sum()))
        return drawn


def change_of(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Tell which accounts pay noticeably less, and which more: two arrays of 0 and 1.

    Examples
    --------
    >>> change_of(np.array([100.0, 100.0, 100.0, 0.0]), np.array([80.0, 100.1, 130.0, 5.0]))
    (array([1., 0., 0., 0.]), array([0., 0., 1., 1.]))
    """
    less = after < before * (1 - NOTICED)
    more = after > before * (1 + NOTICED)
    return less.astype(float), more.astype(float)


def learn_factors(before: Floats, after: Floats, segment: pd.Series[str]) -> Factors:
    """Collect the factors of accounts whose ARR changed: all arrays of shape (n,)."""
    paid = before > 0
    factor = np.clip(after[paid] / before[paid], 0.0, LARGEST)
    if not len(factor):
        return Factors(np.ones(1))
    parts = pd.Series(factor).groupby(segment.to_numpy()[paid])
    own = {
        str(name): np.array(part, dtype=float)[-MOST:] for name, part in parts if len(part) >= LEAST
    }
    return Factors(factor[-MOST:], own)
