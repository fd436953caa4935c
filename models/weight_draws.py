"""Refits of a churn model on resampled accounts: what else the weights could have been.

The backbone is refitted to accounts of random weight (Rubin 1981, "The Bayesian bootstrap"), with
the centres of its priors drawn anew each time: without the latter a refit would repeat the
shrinkage toward the parent and call the result certain (Pompe 2021, "Introducing prior information
in weighted likelihood bootstrap"). A refit is one constrained Newton step from the fit that all
accounts gave (Kline and Santos 2012, "A score based approach to wild bootstrap inference"), and
the trees stay as they are. A model without a backbone is refitted in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from models.backbone import LinearBackbone
from models.churn import ChurnClassifier
from models.encoding import Codes, Encoded, Floats
from models.shrunken_logistic import NodeRows, Quadratic, ShrunkenTree

DRAWS, FULL_REFITS = 200, 20
# Rows of each segment on which weights are read off a refit.
ROWS_PER_SEGMENT = 4_000
MOST_STEPS = 8


@dataclass(frozen=True)
class Draw:
    """One refit.

    Attributes
    ----------
    contributions : ndarray of shape (n_sampled, n_signals)
        Of the sampled rows, under the constraints of the model.
    free : ndarray of shape (n_sampled, n_signals)
        The same when no sign is prescribed; the same array where a refit knows no other.
    weight : ndarray of shape (n_sampled,)
        How much each row's account counts.
    """

    contributions: Floats
    free: Floats
    weight: Floats


def sampled_rows(segment: Codes, seed: int, most: int = ROWS_PER_SEGMENT) -> Codes:
    """Choose at most some rows of each segment by chance, in ascending order."""
    generator = np.random.default_rng(seed)
    chosen = []
    for code in np.unique(segment):
        rows = np.flatnonzero(segment == code)
        if len(rows) > most:
            rows = generator.choice(rows, most, replace=False)
        chosen.append(rows)
    return np.sort(np.concatenate(chosen))


def refits(
    classifier: ChurnClassifier,
    X: pd.DataFrame,
    happened: Floats,
    cluster: Codes,
    rows: Codes,
    *,
    seed: int,
    draws: int = DRAWS,
) -> Iterator[Draw]:
    """Refit a fitted classifier to resampled accounts.

    Parameters
    ----------
    classifier : ChurnClassifier
        Fitted to X.
    X : DataFrame of n rows
        Its training rows.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    cluster : ndarray of int, shape (n,)
        Account of each row, counted from zero.
    rows : ndarray of int
        Positions of the rows whose contributions are wanted.
    seed : int
        Of the resampling.
    draws : int
        Number of refits; a tenth of them where there is no backbone.

    Yields
    ------
    Draw
    """
    generator = np.random.default_rng(seed)
    count = int(cluster.max()) + 1
    if classifier.backbone_ is None:
        yield from _full_refits(classifier, X, happened, cluster, rows, generator, draws // 10)
        return
    sampled = classifier.encoder_.transform(X.iloc[rows])
    trees = classifier.tree_contributions(sampled)
    steps = _BackboneSteps(
        classifier.backbone_, classifier.encoder_.transform(X), happened, cluster, count
    )
    read = _Reader(classifier.backbone_, sampled)
    for _ in range(draws):
        weight = generator.exponential(size=count)
        weight /= weight.mean()
        constrained, free = steps.draw(weight, generator)
        yield Draw(read(constrained) + trees, read(free) + trees, weight[cluster[rows]])


def _full_refits(
    classifier: ChurnClassifier,
    X: pd.DataFrame,
    happened: Floats,
    cluster: Codes,
    rows: Codes,
    generator: np.random.Generator,
    draws: int,
) -> Iterator[Draw]:
    order = np.argsort(cluster, kind="stable")
    limits = np.searchsorted(cluster[order], np.arange(cluster.max() + 2))
    for _ in range(draws):
        drawn = generator.integers(cluster.max() + 1, size=cluster.max() + 1)
        taken = np.concatenate([order[limits[one] : limits[one + 1]] for one in drawn])
        if len(np.unique(happened[taken])) < 2:
            continue
        model = clone(classifier).fit(X.iloc[taken], happened[taken].astype(int))
        found = model.contributions(X.iloc[rows])
        yield Draw(found, found, np.ones(len(rows)))


class _Reader:
    """Contributions of some rows under other coefficients than the fitted ones."""

    def __init__(self, backbone: LinearBackbone, data: Encoded) -> None:
        self._design = backbone.design_.transform(data.values)
        self._owners = backbone.owners(data.values.shape[1])
        self._node = backbone.tree_.node[data.segment]

    def __call__(self, theta: Floats) -> Floats:
        found = np.empty((len(self._design), self._owners.shape[1]))
        for node in np.unique(self._node):
            inside = self._node == node
            found[inside] = self._design[inside] @ (theta[node][:, None] * self._owners)
        return found


class _BackboneSteps:
    """The backbone's problem around its solution, ready to be solved for other weights."""

    def __init__(
        self,
        backbone: LinearBackbone,
        data: Encoded,
        happened: Floats,
        cluster: Codes,
        count: int,
    ) -> None:
        if backbone.precision_ is None:
            raise ValueError("A backbone read from a file cannot be refitted; train again.")
        self._tree, self._precision = backbone.tree_, backbone.precision_
        self._theta, self._direction = backbone.theta_, backbone.direction_
        rows = NodeRows(
            backbone.design_.transform(data.values, np.float32),
            happened,
            self._tree.node[data.segment],
            self._tree.size,
        )
        self._curvature = rows.quadratic(self._theta).curvature
        self._slopes = rows.cluster_slopes(self._theta, cluster, count)

    def draw(self, weight: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """Solve for accounts of these weights, with and without the prescribed signs."""
        slope = np.array([weight @ slopes for slopes in self._slopes])
        # Moving the centre of a prior by c takes precision times c from the slope of the penalty;
        # c of the prior's own covariance makes that a draw with the covariance of the precision.
        noise = np.sqrt(self._precision) * generator.normal(size=self._theta.shape)
        slope -= noise
        np.add.at(slope, self._tree.parent[1:], noise[1:])
        constrained = self._solve(slope, self._direction)
        return constrained, self._solve(slope, np.zeros_like(self._direction))

    def _solve(self, slope: Floats, direction: Floats) -> Floats:
        """Minimise the quadratic picture of the loss plus the penalty."""
        problem = ShrunkenTree(self._tree, self._precision, direction)
        theta = self._theta
        held: NDArray[np.bool_] | None = None
        for _ in range(MOST_STEPS):
            moved = theta - self._theta
            bent = slope + np.einsum("kij,kj->ki", self._curvature, moved)
            step, now = problem.step(Quadratic(bent, self._curvature), theta)
            resting = problem.held(theta, now)
            if held is not None and (resting == held).all():
                break
            held, theta = resting, problem.project(theta + step)
            if not direction.any():
                break
        return theta
