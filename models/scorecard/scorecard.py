"""The scorecard that customer-success platforms run: graded measures times whole percentages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalog import EVERYBODY
from features.errors import EvidenceError
from models.arrays import Floats
from models.scorecard.grading import Grading

Colour = Literal["red", "amber", "green"]
COLOURS: tuple[Colour, ...] = ("red", "amber", "green")

Weighting = Mapping[str, Mapping[str, float]]
"""Segment, or "all" for those not named, to measure to percent."""


@dataclass(frozen=True)
class Cuts:
    """Where a scorecard turns red and green.

    Parameters
    ----------
    red_below : float
        Scores below it are red.
    green_from : float
        Scores from it are green; what lies between is amber.
    """

    red_below: float
    green_from: float

    def colours(self, score: Floats) -> NDArray[np.str_]:
        """Colour of each score: array of str, shape (n,).

        Examples
        --------
        >>> Cuts(40, 70).colours(np.array([39.9, 40.0, 70.0])).tolist()
        ['red', 'amber', 'green']
        """
        return np.array(COLOURS)[np.digitize(score, [self.red_below, self.green_from])]

    @classmethod
    def with_shares(cls, score: Floats, red: float, green: float, *, exact: bool = False) -> Cuts:
        """Cut so that as near as possible to a share of rows is red, and another green.

        Parameters
        ----------
        score : ndarray of shape (n,)
            Scores of the book; at least one.
        red, green : float
            Shares of the rows, from 0 to 1.
        exact : bool
            Whether any cut will do; otherwise those of one decimal, which people can enter.

        Examples
        --------
        >>> Cuts.with_shares(np.arange(100.0), red=0.2, green=0.5)
        Cuts(red_below=19.1, green_from=49.1)
        """
        ordered = np.sort(score)
        candidates = np.append(np.unique(ordered), np.inf) if exact else np.arange(1_011) / 10
        below = np.searchsorted(ordered, candidates, "left") / len(ordered)
        low = candidates[np.abs(below - red).argmin()]
        # The green cut is looked for above the red one: the two may not cross.
        above = candidates >= low
        high = candidates[above][np.abs(1 - below[above] - green).argmin()]
        return cls(float(low), float(high))


@dataclass(frozen=True)
class Scorecard:
    """Graded measures with their weights per segment.

    Parameters
    ----------
    grading : Grading
        How measures are graded.
    weights : mapping of str to mapping of str to float
        Segment, or "all" for those not named, to measure to percent; each sums to 100.
    """

    grading: Grading
    weights: Weighting

    def score(self, frame: pd.DataFrame, segment: Any) -> Floats:
        """Score rows from 0 to 100: (n,); unknown measures count as the segment's mean grade."""
        return self.score_of(self.grading.grades(frame, segment), segment)

    def score_of(self, grades: Floats, segment: Any) -> Floats:
        """Score rows whose grades are at hand: (n,).

        Parameters
        ----------
        grades : ndarray of shape (n, n_measures)
            From :meth:`models.scorecard.grading.Grading.grades`.
        segment : array of str, shape (n,)
            Segment of each row.
        """
        labels = np.asarray(segment, dtype=object)
        filled = self.grading.filled(grades, labels)
        score = np.empty(len(filled))
        for name in set(labels):
            inside = labels == name
            weight = self.weights.get(name, self.weights[EVERYBODY])
            score[inside] = filled[inside] @ [weight[m] / 100 for m in self.grading.names]
        return score


def whole_percentages(weights: Mapping[str, float], total: int = 100) -> dict[str, int]:
    """Round weights to whole percentages that sum to a total.

    The largest remainders are rounded up (Hamilton's method of apportionment), the first named
    where remainders are equal; no weight moves by a whole point.

    Parameters
    ----------
    weights : mapping of str to float
        At least 0, and not all 0; scaled to the total first.
    total : int
        What they are to sum to.

    Raises
    ------
    EvidenceError
        When all are 0.

    Examples
    --------
    >>> whole_percentages({"usage": 33.4, "support": 33.4, "surveys": 33.2})
    {'usage': 34, 'support': 33, 'surveys': 33}
    """
    exact = np.array(list(weights.values()), dtype=float)
    if not exact.sum() > 0:
        raise EvidenceError("Weights that are all 0 cannot be shared out; name one above 0.")
    exact = total * exact / exact.sum()
    # Sums that are whole but for the last bit must not lose a point to it.
    floors = np.floor(exact + 1e-9)
    for place in np.argsort(floors - exact, kind="stable")[: round(total - floors.sum())]:
        floors[place] += 1
    return {name: int(floor) for name, floor in zip(weights, floors, strict=True)}
