"""Refits of a churn model on resampled accounts: what else the weights could have been.

The backbone is refitted to accounts of random weight (Rubin 1981, "The Bayesian bootstrap"), with
the centres of its priors drawn anew each time: without the latter a refit would repeat the
shrinkage toward the parent and call the result certain (Pompe 2021, "Introducing prior information
in weighted likelihood bootstrap"). A refit is one constrained Newton step from the fit that all
accounts gave (Kline and Santos 2012, "A score based approach to wild bootstrap inference"), and
the trees stay as they are. On top of that each group is stressed as much as cross-fitting allows:
see :mod:`models.weights.stress`. A model without a backbone is refitted in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from models.arrays import Codes, Floats
from models.churn.classifier import ChurnClassifier
from models.churn.coded import Rows
from models.weights.backbone_steps import BackboneSteps
from models.weights.contributions import contribution_blocks
from models.weights.stress import Blocks, cross_fitted_stress

DRAWS, REFITS_PER_DRAW = 100, 0.2
# What signals measure badly and what a shape cannot bend to stays wrong however many accounts there
# are: the standard deviation of the logarithm by which a group may count too much or too little.
MISFIT_SD = 0.35
# Rows of each segment on which weights are read off a refit.
ROWS_PER_SEGMENT = 2_000


@dataclass(frozen=True)
class Draw:
    """One refit.

    Attributes
    ----------
    contributions : ndarray of shape (n_sampled, n_signals)
        Of the sampled rows, under the constraints of the model; counted from any point.
    free : ndarray of shape (n_sampled, n_signals)
        The same when no sign is prescribed; the same array where a refit knows no other.
    stress : ndarray of shape (n_sampled, n_signals)
        Factor by which cross-fitting would stress each signal's group in the row's segment.
    counted : ndarray of shape (n_sampled, n_signals)
        The same where a group may count nothing at all.
    weight : ndarray of shape (n_sampled,)
        How much each row's account counts.
    """

    contributions: Floats
    free: Floats
    stress: Floats
    counted: Floats
    weight: Floats


def sampled_rows(segment: Codes, seed: int, most: int = ROWS_PER_SEGMENT) -> Codes:
    """Choose at most some rows of each segment by chance, in ascending order.

    Examples
    --------
    >>> sampled_rows(np.array([0, 1, 0, 0, 1]), seed=0, most=2).shape
    (4,)
    """
    generator = np.random.default_rng(seed)
    chosen = []
    for code in np.unique(segment):
        rows = np.flatnonzero(segment == code)
        if len(rows) > most:
            rows = generator.choice(rows, most, replace=False)
        chosen.append(rows)
    return np.sort(np.concatenate(chosen))


@dataclass(frozen=True)
class Refits:
    """Refits of a classifier.

    Attributes
    ----------
    draws : iterator of Draw
        One refit after the other.
    z : ndarray of shape (n_segments + 1, n_groups), or None
        Standard errors by which a group counts for accounts left out, the last row over all
        segments; None where there is no backbone.
    """

    draws: Iterator[Draw]
    z: Floats | None


def refits(
    classifier: ChurnClassifier,
    X: Rows,
    happened: Floats,
    cluster: Codes,
    group: Codes,
    rows: Codes,
    *,
    alike: Codes,
    seed: int,
    draws: int = DRAWS,
) -> Refits:
    """Refit a fitted classifier to resampled accounts.

    Parameters
    ----------
    classifier : ChurnClassifier
        Fitted to X.
    X : DataFrame or CodedTable of n rows
        Its training rows.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    cluster : ndarray of int, shape (n,)
        Account of each row, counted from zero.
    group : ndarray of int, shape (n_signals,)
        Group of each signal, counted from zero.
    rows : ndarray of int
        Positions of the rows whose contributions are wanted.
    alike : ndarray of int, shape (n, k)
        What rows are alike in, as :func:`models.weights.stress.cross_fitted_stress` takes it.
    seed : int
        Of the resampling.
    draws : int
        Number of refits; a fifth of them where there is no backbone.

    Returns
    -------
    Refits
    """
    generator = np.random.default_rng(seed)
    backbone = classifier.full_backbone_ or classifier.backbone_
    if backbone is None:
        count = round(REFITS_PER_DRAW * draws)
        return Refits(_full_refits(classifier, X, happened, cluster, rows, generator, count), None)
    data = classifier.encoder_.transform(X)
    steps = BackboneSteps(backbone, data, happened, cluster)

    def without(left_out: NDArray[np.bool_], rows: Codes) -> Blocks:
        here = np.flatnonzero(~left_out[cluster])
        # Where all positives are of the accounts left out, nothing is left to learn from.
        model = classifier
        if len(np.unique(happened[here])) == 2:
            model = clone(classifier).fit(X.take(here), happened[here].astype(int))
        unseen = X.take(rows)
        base = model.base_margin(unseen)
        for some, contributions in contribution_blocks(model, unseen):
            yield some, contributions, base[some]

    stress = cross_fitted_stress(without, data.segment, happened, cluster, group, alike, generator)
    sampled = data.take(rows)
    share = 1 - classifier.tree_share
    trees = classifier.tree_contributions(sampled)
    read = steps.reader(sampled)

    def drawn() -> Iterator[Draw]:
        for _ in range(draws):
            weight = generator.exponential(size=int(cluster.max()) + 1)
            weight /= weight.mean()
            constrained, free = steps.draw(weight, generator)
            factor, counted = stress.draw(generator), stress.counting.draw(generator)
            misfit = np.exp(MISFIT_SD * generator.normal(size=factor.shape))
            factor, counted = (
                (each * misfit)[sampled.segment][:, group] for each in (factor, counted)
            )
            held, unheld = (share * read(theta) + trees for theta in (constrained, free))
            yield Draw(held, unheld, factor, counted, weight[cluster[rows]])

    return Refits(drawn(), stress.z)


def _full_refits(
    classifier: ChurnClassifier,
    X: Rows,
    happened: Floats,
    cluster: Codes,
    rows: Codes,
    generator: np.random.Generator,
    draws: int,
) -> Iterator[Draw]:
    order = np.argsort(cluster, kind="stable")
    count = int(cluster.max()) + 1
    limits = np.searchsorted(cluster[order], np.arange(count + 1))
    for _ in range(draws):
        drawn = generator.integers(count, size=count)
        taken = np.concatenate([order[limits[one] : limits[one + 1]] for one in drawn])
        if len(np.unique(happened[taken])) < 2:
            continue
        model = clone(classifier).fit(X.take(taken), happened[taken].astype(int))
        found = model.contributions(X.take(rows))
        ones = np.ones_like(found)
        yield Draw(found, found, ones, ones, np.ones(len(rows)))
