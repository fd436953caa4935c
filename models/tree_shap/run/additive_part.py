"""The linear backbone and the centres of a model as tables of one value per signal and segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Codes, Floats
from models.tree_shap.run.additive_values import CATEGORY, signed_log


@dataclass(frozen=True)
class AdditivePart:
    """What each signal adds by itself, above the mean of the row's segment.

    A number adds a function of its signed logarithm that is linear between knots and level beyond
    them, a category one value per level, and either has a value for "unknown". All differ by
    segment; the last row stands for a segment that was never seen, which is code -1.

    Attributes
    ----------
    kind : ndarray of int64, shape (n_features,)
        Whether a signal is a number or a category.
    start : ndarray of int64, shape (n_features + 1,)
        First cell of each signal. The cells of a number are its knots, those of a category its
        codes and one more for any other code.
    knot : ndarray of shape (n_cells,)
        Signed logarithm at each knot, ascending.
    height, slope : ndarray of shape (n_segments + 1, n_cells)
        Value at the knot, and its rise per unit of logarithm from there on; or of the code.
    unknown : ndarray of shape (n_segments + 1, n_features)
        Value where the signal is NaN.
    base : ndarray of shape (n_segments + 1,)
        Margin the values are counted from.
    """

    kind: NDArray[np.int64]
    start: NDArray[np.int64]
    knot: Floats
    height: Floats
    slope: Floats
    unknown: Floats
    base: Floats

    def values(self, X: Floats, segment: Codes) -> Floats:
        """Value of each signal above its segment's mean: (n, n_features).

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Encoded signals, NaN where unknown.
        segment : ndarray of int, shape (n,)
            Code of each row's segment, -1 for one that was never seen.
        """
        found = np.empty(X.shape)
        for signal in range(len(self.kind)):
            x = X[:, signal]
            first, cells = int(self.start[signal]), int(np.diff(self.start)[signal])
            if cells == 1 or self.kind[signal] == CATEGORY:
                known = (x >= 0) & (x < cells)
                cell = first + np.where(known, x, cells - 1).astype(np.intp)
                value = self.height[segment, cell]
            else:
                knots = self.knot[first : first + cells]
                place = np.clip(signed_log(x), knots[0], knots[-1])
                place = np.where(np.isnan(place), knots[0], place)
                cell = first + np.searchsorted(knots[1:-1], place, side="right")
                rise = self.slope[segment, cell] * (place - self.knot[cell])
                value = self.height[segment, cell] + rise
            found[:, signal] = np.where(np.isnan(x), self.unknown[segment, signal], value)
        return found

    def largest(self) -> float:
        """Give a bound of the sum of the absolute values of a row and of its base."""
        most = np.maximum.reduceat(np.abs(self.height), self.start[:-1], axis=1)
        most = np.maximum(most, np.abs(self.unknown))
        return float((most.sum(axis=1) + np.abs(self.base)).max())

    def fits(self) -> bool:
        """Tell whether the arrays fit each other, whoever wrote them."""
        signals, cells, segments = len(self.kind), len(self.knot), len(self.base)
        return bool(
            self.start.shape == (signals + 1,)
            and self.height.shape == self.slope.shape == (segments, cells)
            and self.unknown.shape == (segments, signals)
            and segments >= 1
            and self.start[0] == 0
            and self.start[-1] == cells
            and (np.diff(self.start) >= 1).all()
        )
