"""What people read of a row's values: their sum, sums over groups, and the largest ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Codes, Floats

# Stands where a row has fewer values than places.
NOTHING = -1


@dataclass(frozen=True)
class Explanation:
    """Margins and what they are made of.

    Attributes
    ----------
    margin : ndarray of shape (n,)
        Sum of all values of a row and its base value.
    group_sums : ndarray of shape (n, n_groups)
        Values summed over each group's features; the groups sum to all but the base value.
    top_signals : ndarray of int32, shape (n, top_k)
        Features with the largest absolute values, the largest first, ties to the lower number; -1
        where no more values differ from zero.
    top_values : ndarray of shape (n, top_k)
        Their values; 0 where there is no feature.
    """

    margin: Floats
    group_sums: Floats
    top_signals: NDArray[np.int32]
    top_values: Floats

    @classmethod
    def empty(cls, rows: int, n_groups: int, top_k: int) -> Explanation:
        """Make room for some rows."""
        return cls(
            margin=np.empty(rows),
            group_sums=np.empty((rows, n_groups)),
            top_signals=np.empty((rows, top_k), np.int32),
            top_values=np.empty((rows, top_k)),
        )

    @classmethod
    def of(
        cls, values: Floats, base: Floats, group: Codes, n_groups: int, top_k: int
    ) -> Explanation:
        """Summarise the values of each row.

        Parameters
        ----------
        values : ndarray of shape (n, n_features)
            Values.
        base : ndarray of shape (n,)
            What they are counted from.
        group : ndarray of int, shape (n_features,)
            Group of each feature; not read where there are none.
        n_groups, top_k : int
            How many groups there are, and how many features to name.

        Examples
        --------
        >>> values = np.array([[0.5, -2.0, 0.0, -0.5]])
        >>> found = Explanation.of(values, np.ones(1), np.array([0, 1, 1, 0]), 2, 4)
        >>> found.margin, found.group_sums, found.top_signals
        (array([-1.]), array([[ 0., -2.]]), array([[ 1,  0,  3, -1]], dtype=int32))
        """
        n, width = values.shape
        order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :top_k]
        chosen = np.take_along_axis(values, order, axis=1)
        found = cls.empty(n, n_groups, top_k)
        found.margin[:] = base + values.sum(axis=1)
        found.group_sums[:] = 0
        for feature in range(width if n_groups else 0):
            found.group_sums[:, group[feature]] += values[:, feature]
        found.top_signals[:], found.top_values[:] = NOTHING, 0
        found.top_signals[:, :width] = np.where(chosen == 0, NOTHING, order)
        found.top_values[:, :width] = chosen
        return found
