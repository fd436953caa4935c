"""Weights of a scorecard learnt from outcomes: never negative, shrunk, and with intervals.

In each segment the log-odds of the outcome are a constant plus ``Σ θ_m x_m``, where ``x_m`` is how
far a measure is from its best grade, as a share, and ``θ_m`` is at least 0; the weight of a measure
is its share of the sum of θ. The θ of a segment are drawn around those all segments share, and
these around the weights in use today: ``θ_s ~ N(μ, τ²)`` and ``μ ~ N(b · today, σ²)``, a
hierarchical model whose spreads are learnt from the rows by EM (Gelman and Hill 2007, "Data
Analysis Using Regression and Multilevel/Hierarchical Models", chapters 12 and 18). Where evidence
is thin a segment keeps the shared weights, and the shared ones today's. Shrunken so, the intervals
need no correction for looking at many of them (Gelman, Hill and Yajima 2012, "Why we (usually)
don't have to worry about multiple comparisons").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cholesky
from scipy.optimize import nnls
from scipy.special import expit
from scipy.stats import chi2

from features.catalog import EVERYBODY
from models.arrays import Codes, Floats
from models.measures.resampling import TAILS

DRAWS = 1_000
# A prior so loose that it matters only where rows alone have no answer: odds may differ e^8-fold.
LOOSE = 1 / 16
MOST_STEPS, SETTLED = 50, 1e-9
EM_STEPS = 400
# What is believed of both spreads before anything is seen, with the weight of two coefficients.
SPREAD_GUESS, GUESS_COUNT = 0.3, 2.0
SMALLEST_SPREAD = 1e-4
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class SegmentLearning:
    """What the outcomes of a segment, or of all rows, say of the weights.

    Attributes
    ----------
    weights : ndarray of shape (n_measures,)
        Learnt weights in percent; they sum to 100.
    low, high : ndarray of shape (n_measures,)
        Their 90 % intervals.
    draws : ndarray of shape (n_draws, n_measures)
        Weights that the outcomes are compatible with.
    p_value : float
        Chance of outcomes that speak so much against today's weights, if those were right; of the
        segment's own rows alone.
    rows, positives : int
        What was learnt from.
    """

    weights: Floats
    low: Floats
    high: Floats
    draws: Floats
    p_value: float
    rows: int
    positives: int


def learn_scorecard(
    grades: Floats,
    happened: Floats,
    accounts: Any,
    segment: Any,
    today: Mapping[str, Floats],
    *,
    good: bool = False,
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, SegmentLearning]:
    """Learn the weights of each segment, and those all share.

    Parameters
    ----------
    grades : ndarray of shape (n, n_measures)
        Grades from 0 to 100, none unknown.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    accounts, segment : array of shape (n,)
        Account and segment of each row.
    today : mapping of str to ndarray of shape (n_measures,)
        Weights in use, in percent: of a segment, or of "all".
    good : bool
        Whether the outcome is good news, so that it is likelier with better grades.
    seed, draws : int
        Of the draws, and how many.

    Returns
    -------
    dict of str to SegmentLearning
        By segment, and "all".
    """
    apart = grades / 100 if good else 1 - grades / 100
    labels = np.asarray(segment, dtype=object)
    names = sorted(set(labels))
    clusters = np.unique(np.asarray(accounts, dtype=object), return_inverse=True)[1]
    parts = {name: np.flatnonzero(labels == name) for name in names}
    told = [_told(apart[rows], happened[rows], clusters[rows]) for rows in parts.values()]
    levels = _Levels(told, today[EVERYBODY] / 100)
    generator = np.random.default_rng(seed)
    found = {}
    for name, rows, own, place in [
        # Rows of no segment of their own have the weights that all share.
        *((name, parts[name], told[i], i) for i, name in enumerate(names) if name != EVERYBODY),
        (EVERYBODY, np.arange(len(labels)), _pooled(told), None),
    ]:
        wanted = today.get(name, today[EVERYBODY]) / 100
        found[name] = _summary(
            *levels.posterior(place),
            _p_value(own, wanted),
            (len(rows), int(happened[rows].sum())),
            wanted,
            (generator, draws),
        )
    return found


@dataclass(frozen=True)
class _Told:
    """What rows say of θ, as a parabola: ``-½ θᵀ information θ + pull·θ`` in log-likelihood.

    The intercept is maximised out; both are divided by how much rows of one account repeat each
    other (Kish 1965, "Survey Sampling", section 8.2).
    """

    information: Floats
    pull: Floats


def _told(apart: Floats, happened: Floats, cluster: Codes) -> _Told:
    """Find the maximum of the log-likelihood by Newton's steps, and its curvature there."""
    size = apart.shape[1]
    if not 0 < happened.sum() < len(happened):
        return _Told(np.zeros((size, size)), np.zeros(size))
    design = np.column_stack([apart - apart.mean(axis=0), np.ones(len(apart))])
    rate = happened.mean()
    theta = np.append(np.zeros(size), np.log(rate / (1 - rate)))
    ridge = np.diag(np.append(np.full(size, LOOSE), 0.0))
    value = -np.inf
    for _ in range(MOST_STEPS):
        margin = design @ theta
        risk = expit(margin)
        fresh = float(happened @ margin - np.logaddexp(0, margin).sum() - theta @ ridge @ theta / 2)
        slope = design.T @ (happened - risk)
        curvature = (design * (risk * (1 - risk))[:, None]).T @ design
        if fresh - value <= SETTLED * abs(fresh):
            break
        value = fresh
        theta = theta + np.linalg.solve(curvature + ridge, slope - ridge @ theta)
    repeated = _repetition(design, happened - risk, curvature + ridge, cluster)
    beside = curvature[:size, size] / curvature[size, size]
    information = curvature[:size, :size] - np.outer(beside, curvature[size, :size])
    pull = information @ theta[:size] + slope[:size] - beside * slope[size]
    return _Told(information / repeated, pull / repeated)


def _repetition(design: Floats, residual: Floats, curvature: Floats, cluster: Codes) -> float:
    """Variance of the coefficients over that of independent rows, their mean, at least one."""
    present, place = np.unique(cluster, return_inverse=True)
    sums = np.column_stack(
        [np.bincount(place, column * residual, minlength=len(present)) for column in design.T]
    )
    inverse = np.linalg.inv(curvature)
    robust = np.diag(inverse @ (sums.T @ sums) @ inverse)
    return max(float(np.mean(robust[:-1] / np.diag(inverse)[:-1])), 1.0)


def _pooled(parts: Sequence[_Told]) -> _Told:
    return _Told(
        np.sum([part.information for part in parts], axis=0),
        np.sum([part.pull for part in parts], axis=0),
    )


class _Levels:
    """The two levels of the model and their spreads, learnt by EM.

    Parameters
    ----------
    told : sequence of _Told
        What each segment's rows say.
    today : ndarray of shape (n_measures,)
        Weights in use, as shares.
    """

    def __init__(self, told: Sequence[_Told], today: Floats) -> None:
        self._told, self._today = told, today
        size, count = len(today), len(told)
        self._eye = np.eye(size)
        self._apart = self._root = SPREAD_GUESS**2
        self._steep = 1.0
        if count == 1:
            # A single segment is all there is: it does not differ from itself.
            self._apart = SMALLEST_SPREAD**2
        for _ in range(EM_STEPS):
            shared, spread = self._shared()
            gone = shared - self._steep * today
            root = self._learnt(float(gone @ gone + np.trace(spread)), size)
            moved = 0.0
            for place in range(count):
                # The distance of a segment's θ from the shared one, mean and covariance.
                distance, around = self._distance(place, shared, spread)
                moved += float(distance @ distance + np.trace(around))
            apart = self._learnt(moved, size * count) if count > 1 else self._apart
            steep = max(float(today @ shared) / float(today @ today), 0.0)
            before = np.log([self._root, self._apart])
            self._root, self._apart, self._steep = root, apart, steep
            if np.abs(np.log([root, apart]) - before).max() < 1e-4:
                break

    def posterior(self, place: int | None) -> tuple[Floats, Floats]:
        """Mean and covariance of a segment's θ, or of the shared one."""
        shared, spread = self._shared()
        if place is None:
            return shared, spread
        around = self._given(place)
        carried = around / self._apart
        mean = around @ self._told[place].pull + carried @ shared
        return mean, around + carried @ spread @ carried.T

    def _learnt(self, squares: float, count: int) -> float:
        guess = GUESS_COUNT * SPREAD_GUESS**2
        return max((squares + guess) / (count + GUESS_COUNT), SMALLEST_SPREAD**2)

    def _given(self, place: int) -> Floats:
        """Covariance of a segment's θ when the shared one is given."""
        precision = self._told[place].information + self._eye / self._apart
        return np.asarray(np.linalg.inv(precision), dtype=float)

    def _shared(self) -> tuple[Floats, Floats]:
        """Mean and covariance of the shared θ."""
        precision = self._eye / self._root
        pull = self._steep * self._today / self._root
        for place, told in enumerate(self._told):
            passed = self._given(place) / self._apart
            precision = precision + told.information @ passed
            pull = pull + passed.T @ told.pull
        spread = np.asarray(np.linalg.inv((precision + precision.T) / 2), dtype=float)
        return spread @ pull, spread

    def _distance(self, place: int, shared: Floats, spread: Floats) -> tuple[Floats, Floats]:
        around = self._given(place)
        told = self._told[place]
        # θ - μ given μ is around·(pull - information·μ): what μ leaves unexplained.
        mean = around @ (told.pull - told.information @ shared)
        carried = around @ told.information
        return mean, around + carried @ spread @ carried.T


def _p_value(told: _Told, today: Floats) -> float:
    """Test today's weights, at whatever steepness, against any that are not negative.

    Twice the gain in log-likelihood is compared with chi-squared of one degree less than there are
    measures that move; the bound at 0 makes that err on the side of today.
    """
    along = float(today @ told.information @ today)
    steep = max(float(today @ told.pull) / along, 0.0) if along > 0 else 0.0
    freely = _not_negative(told.information, told.pull)
    gain = 2 * (_gain(told, freely) - _gain(told, steep * today))
    degrees = int((np.diag(told.information) > 0).sum()) - 1
    return float(chi2.sf(max(gain, 0.0), degrees)) if degrees > 0 else 1.0


def _gain(told: _Told, theta: Floats) -> float:
    return float(told.pull @ theta - theta @ told.information @ theta / 2)


def _not_negative(information: Floats, pull: Floats) -> Floats:
    """Maximise the parabola over θ of at least 0 (Lawson and Hanson 1974)."""
    jitter = 1e-9 * (np.trace(information) / len(pull) + 1e-9)
    root = cholesky(information + jitter * np.eye(len(pull)))
    return np.asarray(nnls(root, np.linalg.solve(root.T, pull))[0])


def _summary(
    mean: Floats,
    covariance: Floats,
    p_value: float,
    counts: tuple[int, int],
    today: Floats,
    chance: tuple[np.random.Generator, int],
) -> SegmentLearning:
    precision = np.linalg.inv(covariance)
    precision = (precision + precision.T) / 2

    def weights(theta: Floats) -> Floats:
        bounded = _not_negative(precision, precision @ theta)
        total = bounded.sum()
        return 100 * (bounded / total if total > 0 else today)

    generator, count = chance
    drawn = generator.multivariate_normal(mean, covariance, size=count, method="cholesky")
    draws = np.array([weights(theta) for theta in drawn])
    learnt = weights(mean)
    low, high = np.quantile(draws, TAILS, axis=0)
    return SegmentLearning(
        learnt, np.minimum(low, learnt), np.maximum(high, learnt), draws, p_value, *counts
    )
