"""Summarising a block of rows: the compiled counterpart of ``Explanation.of``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.arrays import Codes, Floats
from models.tree_shap.run.compiled import compiled

TILE = 64


@compiled
def summarise_block(
    totals: Floats,
    group: Codes,
    margin: Floats,
    group_sums: Floats,
    top_signals: NDArray[np.int32],
    top_values: Floats,
) -> None:
    """Summarise columns of values, (n_features, rows), of which the first ``len(margin)`` count.

    ``margin`` holds the base values before. The largest values of a tile are found by an insertion
    network: every feature is compared with every place, whatever its value, so that all rows of the
    tile go through the same steps as vectors.
    """
    n_groups, places = group_sums.shape[1], top_signals.shape[1]
    largest, which = np.empty((places, TILE)), np.empty((places, TILE), np.int64)
    size, feature = np.empty(TILE), np.empty(TILE, np.int64)
    sums = np.empty((n_groups, TILE))
    for begin in range(0, len(margin), TILE):
        n = min(TILE, len(margin) - begin)
        largest[:], which[:], sums[:] = 0.0, -1, 0.0
        for f in range(len(totals)):
            part = totals[f, begin : begin + n]
            for r in range(n):
                margin[begin + r] += part[r]
                size[r] = abs(part[r])
                feature[r] = f
            if n_groups:
                row = sums[group[f]]
                for r in range(n):
                    row[r] += part[r]
            for k in range(places):
                for r in range(n):
                    held, name = largest[k, r], which[k, r]
                    # One that was moved down may meet its equal, and is the lower of the two.
                    larger = size[r] > held or (size[r] == held and feature[r] < name)
                    largest[k, r] = size[r] if larger else held
                    which[k, r] = feature[r] if larger else name
                    size[r] = held if larger else size[r]
                    feature[r] = name if larger else feature[r]
        for r in range(n):
            for g in range(n_groups):
                group_sums[begin + r, g] = sums[g, r]
            for k in range(places):
                f = which[k, r]
                top_signals[begin + r, k] = f
                top_values[begin + r, k] = totals[f, begin + r] if f >= 0 else 0.0
