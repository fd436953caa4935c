"""Which leaves of a tree share one table, so that a row has fewer tables to add up.

Two leaves that ask about the same features can be answered by one look-up: the features' codes fall
into cells within which every condition of both leaves has one outcome, and a table with one row per
combination of cells holds the sum of their Shapley values. WOODELF (Wettenstein 2025) merges the
rows of the data by the patterns of a leaf; here the leaves are merged and the rows left alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.arrays import Codes, Floats
from models.tree_shap.build.paths import Masks, Paths

# A table of this many rows still fits the fast memory of a core beside the sums it is added to.
MOST_ROWS = 1024
# Relative costs of scoring a row: adding a column, comparing a code, starting on a table.
COLUMN, STEP, TABLE = 1.0, 0.1, 1.0


def merge_leaves(paths: Paths) -> list[Codes]:
    """Group the leaves of a tree greedily, the merger that saves most first.

    A table has at most 1024 rows unless a single leaf needs more.

    Returns
    -------
    list of ndarray of int
        Leaves of each table.
    """
    cells = _distinct(paths)
    n = len(paths.value)
    leaves = np.uint64(1) << np.arange(n, dtype=np.uint64)
    asked = paths.asked.copy()
    members = [[leaf] for leaf in range(n)]
    cost = _costs(cells, leaves, asked)[0]
    gain = np.full((n, n), -np.inf)

    def weigh(one: int, others: Codes) -> None:
        merged, rows = _costs(cells, leaves[one] | leaves[others], asked[one] | asked[others])
        saved = np.where(rows <= MOST_ROWS, cost[one] + cost[others] - merged, -np.inf)
        gain[np.minimum(one, others), np.maximum(one, others)] = saved

    for leaf in range(n - 1):
        weigh(leaf, np.arange(leaf + 1, n))
    alive = np.ones(n, dtype=bool)
    while gain.max(initial=-np.inf) > 0:
        kept, gone = divmod(int(gain.argmax()), n)
        leaves[kept] |= leaves[gone]
        asked[kept] |= asked[gone]
        members[kept] += members[gone]
        alive[gone] = False
        gain[gone], gain[:, gone] = -np.inf, -np.inf
        cost[kept] = _costs(cells, leaves[[kept]], asked[[kept]])[0][0]
        others = np.flatnonzero(alive)
        weigh(kept, others[others != kept])
    return [np.array(sorted(members[leaf])) for leaf in np.flatnonzero(alive)]


def _distinct(paths: Paths) -> Masks:
    """Distinct outcomes of each feature's codes, padded with the first one: (k, most)."""
    found = [np.unique(masks) for masks in paths.allowed]
    cells = np.empty((len(found), max(map(len, found))), np.uint64)
    for row, masks in zip(cells, found, strict=True):
        row[:] = masks[0]
        row[: len(masks)] = masks
    return cells


def _costs(cells: Masks, leaves: Masks, asked: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Cost and rows of a table for each of m sets of leaves: two of shape (m,)."""
    seen = np.sort(cells & leaves[:, None, None], axis=2)
    counts = 1 + (np.diff(seen, axis=2) != 0).sum(axis=2)
    cost = COLUMN * asked.sum(axis=1) + STEP * (counts - 1).sum(axis=1) + TABLE
    return cost, counts.prod(axis=1, dtype=float)
