"""What signals add to the margins of many rows, told some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from models.arrays import Codes, Floats
from models.churn.classifier import ChurnClassifier
from models.churn.coded import Rows
from models.churn.encoding import Encoded

# From so many rows on compiling tables takes less time than it saves.
MANY = 50_000


def contribution_blocks(
    classifier: ChurnClassifier, X: Rows, *, threads: int = 1
) -> Iterator[tuple[slice, Floats]]:
    """Give the rows' contributions as :meth:`ChurnClassifier.contributions` does, block by block.

    Parameters
    ----------
    classifier : ChurnClassifier
        Fitted.
    X : DataFrame or CodedTable of n rows
        What it reads.
    threads : int
        Threads; the result does not depend on it.

    Yields
    ------
    slice
        Which rows.
    ndarray of shape (m, n_signals)
        Their contributions.
    """
    data = classifier.encoder_.transform(X)
    trees = _tree_values(classifier, len(data), threads)
    for rows, values in data.blocks():
        part = Encoded(values, data.segment[rows])
        found = trees(part)
        if classifier.backbone_ is not None:
            found += classifier.backbone_.contributions(part)
        yield rows, found


def summed_contributions(
    classifier: ChurnClassifier, X: Rows, cell: Codes, cells: int, *, threads: int = 1
) -> tuple[Floats, Codes]:
    """Sum contributions over cells of rows.

    Parameters
    ----------
    classifier, X, threads
        As for :func:`contribution_blocks`.
    cell : ndarray of int, shape (n,)
        Cell of each row, counted from zero.
    cells : int
        How many there are.

    Returns
    -------
    ndarray of shape (cells, n_signals)
        Sums.
    ndarray of int, shape (cells,)
        Rows.
    """
    sums = np.zeros((cells, len(classifier.encoder_.names)))
    for rows, found in contribution_blocks(classifier, X, threads=threads):
        own = cell[rows]
        for one in np.unique(own):
            sums[one] += found[own == one].sum(axis=0)
    return sums, np.bincount(cell, minlength=cells)


def _tree_values(
    classifier: ChurnClassifier, rows: int, threads: int
) -> Callable[[Encoded], Floats]:
    """Choose who tells what the trees add: tables of them where there are many rows."""
    if classifier.booster_ is None or rows < MANY:
        return classifier.tree_contributions
    from models.tree_shap import ShapPlan

    plan = ShapPlan.compile(classifier.booster_)
    plan.expect(rows)
    return lambda part: plan.shap_values(part.values, n_threads=threads)
