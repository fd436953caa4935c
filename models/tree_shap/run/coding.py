"""Coding a block of rows: the compiled counterpart of ``Coding.codes``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.tree_shap.run.codes import CATEGORY, NUMBER
from models.tree_shap.run.compiled import compiled

# Values searched side by side: enough to fill vectors, few enough to stay in the fastest memory.
TILE = 128


@compiled
def code_block(
    values: Floats,
    kind: NDArray[np.int64],
    size: NDArray[np.int64],
    start: NDArray[np.int64],
    threshold: Floats,
    codes: NDArray[np.uint8],
) -> None:
    """Code columns of values, (n_features, rows), into ``codes`` of the same shape.

    The binary searches of a tile advance together and without branches, so they run as vectors.
    """
    rows = values.shape[1]
    place = np.empty(TILE, np.int64)
    for f in range(len(kind)):
        if kind[f] == NUMBER:
            limits = threshold[start[f] : start[f + 1]]
            last = np.uint8(size[f] - 1)
            for begin in range(0, rows, TILE):
                n = min(TILE, rows - begin)
                part, found = values[f, begin : begin + n], codes[f, begin : begin + n]
                for r in range(n):
                    place[r] = 0
                length = len(limits)
                while length > 1:
                    half = length >> 1
                    for r in range(n):
                        place[r] += half if limits[place[r] + half - 1] < part[r] else 0
                    length -= half
                for r in range(n):
                    x = part[r]
                    place_r = place[r] + (1 if limits[place[r]] < x else 0)
                    found[r] = last if x != x else np.uint8(place_r)
        elif kind[f] == CATEGORY:
            last = size[f] - 1
            for r in range(rows):
                x = values[f, r]
                codes[f, r] = np.uint8(x) if x > -1.0 and x < last else np.uint8(last)
