"""How strongly coefficients are shrunk, learnt from the rows themselves."""

from __future__ import annotations

import numpy as np

from models.arrays import Codes, Floats
from models.churn.segment_tree import SegmentTree
from models.churn.shrunken_logistic import NodeRows, ShrunkenTree

# What is believed before anything is seen, each with the weight of two coefficients.
ROOT_GUESS, APART_GUESS, GUESS_COUNT = 100.0, 200.0, 2.0
WEAKEST, STRONGEST = 1.0, 30_000.0
MOST_ROUNDS, SETTLED = 12, 0.1
# Some hundred thousand rows would say nothing new about a handful of precisions.
MOST_ROWS = 60_000
# An intercept is not shrunk toward nothing, and hardly toward its parent's.
FREE_INTERCEPT, LOOSE_INTERCEPT = 1e-6, 1.0


def learn_shrinkage(
    rows: NodeRows,
    tree: SegmentTree,
    group: Codes,
    direction: Floats,
    *,
    shrinkage: float = 1.0,
    segment_shrinkage: float = 1.0,
) -> tuple[Floats, Floats]:
    """Fit coefficients together with the precisions of their priors.

    Signals of one group share two precisions: of the coefficients all segments share, around zero,
    and of a segment's around its parent's. They maximise the evidence (MacKay 1992, "Bayesian
    interpolation"; for logistic models Bishop 2006, "Pattern Recognition and Machine Learning",
    section 4.4), so that a group without effect is shrunk away and a strong one hardly touched.

    Parameters
    ----------
    rows : NodeRows
        Training rows; the last column is the intercept.
    tree : SegmentTree
        Who learns from whom.
    group : ndarray of int, shape (q - 1,)
        Group of each column but the intercept.
    direction : ndarray of shape (q,)
        Sign each coefficient must have, 0 for either.
    shrinkage, segment_shrinkage : float
        Factors on the learnt precisions.

    Returns
    -------
    theta : ndarray of shape (n_nodes, q)
        Coefficients.
    precision : ndarray of shape (n_nodes, q)
        Of their priors, factors included.
    """
    count = np.bincount(group)
    root, apart = np.full(len(count), ROOT_GUESS), np.full(len(count), APART_GUESS)
    theta = np.zeros(rows.shape)
    theta[:, -1] = rows.base_log_odds()
    few = rows.thinned(MOST_ROWS)
    for attempt in range(MOST_ROUNDS):
        problem = ShrunkenTree(tree, _by_column(tree, root, apart, group), direction)
        theta = problem.minimise(few, theta, most_steps=2 if attempt else 4)
        spread = _spread(problem, few, theta)
        moved, before = problem.apart(theta) ** 2, np.log([root, apart])
        root = _precision(root, ROOT_GUESS, group, moved[:1, :-1], spread[:1, :-1])
        apart = _precision(apart, APART_GUESS, group, moved[1:, :-1], spread[1:, :-1])
        if np.abs(np.log([root, apart]) - before).max(initial=0) < SETTLED:
            break
    precision = _by_column(tree, shrinkage * root, segment_shrinkage * apart, group)
    return ShrunkenTree(tree, precision, direction).minimise(rows, theta), precision


def _spread(problem: ShrunkenTree, rows: NodeRows, theta: Floats) -> Floats:
    quadratic = rows.quadratic(theta)
    held = problem.held(theta, quadratic.slope + problem.penalty_slope(theta))
    return problem.inverse(quadratic.curvature, held).variances_apart()


def _precision(
    precision: Floats, guess: float, group: Codes, squares: Floats, variances: Floats
) -> Floats:
    """Re-estimate a precision: coefficients the data determine, over the sum of their squares."""
    # A coefficient at its bound, here and in the parent, says nothing of how far it may go.
    there = ((squares > 0) | (variances > 0)).sum(axis=0)
    count = np.bincount(group, there)
    determined = count - precision * np.bincount(group, variances.sum(axis=0))
    squared = np.bincount(group, squares.sum(axis=0))
    found = (np.maximum(determined, 0) + GUESS_COUNT) / (squared + GUESS_COUNT / guess)
    return np.clip(found, WEAKEST, STRONGEST)


def _by_column(tree: SegmentTree, root: Floats, apart: Floats, group: Codes) -> Floats:
    node = np.append(apart[group], LOOSE_INTERCEPT)
    return np.vstack([np.append(root[group], FREE_INTERCEPT)] + [node] * (tree.size - 1))
