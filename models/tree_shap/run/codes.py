"""Every value of a feature as one of at most 256 codes that all trees treat alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats

UNUSED, NUMBER, CATEGORY = 0, 1, 2
MOST_CODES = 256


@dataclass(frozen=True)
class Coding:
    """Which code a value has.

    Of a number, the code is how many of the thresholds u_1 < … < u_m any node compares it with lie
    below it, 0 to m, and m + 1 when it is NaN. Two numbers with the same code go the same way in
    every node, so the missing rules of LightGBM need to be applied once per code and not once per
    row. Of a category, the code is the category itself, and the first number no node lists stands
    for all others, missing ones too.

    Attributes
    ----------
    kind : ndarray of int64, shape (n_features,)
        Whether a feature is unused, a number or a category.
    size : ndarray of int64, shape (n_features,)
        How many codes it has; none when unused.
    start : ndarray of int64, shape (n_features + 1,)
        Where a feature's thresholds begin.
    threshold : ndarray
        Thresholds of all features, ascending within each.
    """

    kind: NDArray[np.int64]
    size: NDArray[np.int64]
    start: NDArray[np.int64]
    threshold: Floats

    def representatives(self, feature: int) -> Floats:
        """Give one value of each code of a feature, in the order of the codes: (size,)."""
        if self.kind[feature] == CATEGORY:
            return np.append(np.arange(self.size[feature] - 1, dtype=float), np.nan)
        limits = self.threshold[self.start[feature] : self.start[feature + 1]]
        return np.concatenate([limits, [np.nextafter(limits[-1], np.inf), np.nan]])

    def codes(self, X: Floats) -> NDArray[np.uint8]:
        """Code rows: (n, n_features), zero where a feature is unused."""
        found = np.zeros(X.shape, np.uint8)
        for feature in np.flatnonzero(self.kind):
            values, last = X[:, feature], self.size[feature] - 1
            if self.kind[feature] == CATEGORY:
                known = (values > -1) & (values < last)
                found[:, feature] = np.where(known, values, last)
            else:
                limits = self.threshold[self.start[feature] : self.start[feature + 1]]
                place = np.searchsorted(limits, values)
                found[:, feature] = np.where(np.isnan(values), last, place)
        return found

    def fits(self) -> bool:
        """Tell whether the arrays fit each other, whoever wrote them."""
        count = np.diff(self.start)
        numbers, categories = self.kind == NUMBER, self.kind == CATEGORY
        return bool(
            len(self.size) == len(self.kind)
            and len(self.start) == len(self.kind) + 1
            and self.start[0] == 0
            and self.start[-1] == len(self.threshold)
            and (count >= numbers).all()
            and (self.size[numbers] == count[numbers] + 2).all()
            and (self.size[categories] >= 1).all()
            and (self.size <= MOST_CODES).all()
        )
