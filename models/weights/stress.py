"""How much more, or less, each group should count in a segment, judged on accounts left out.

Shrinkage keeps a group's contributions small, and signals that go together share the credit as the
priors like it. Contributions of accounts that a fit has not seen show both: regressing the outcome
on them, group by group, gives the factor by which a group ought to be stressed, and how uncertain
that is (Breiman 1996, "Stacked regressions"; van Houwelingen 2001, "Shrinkage and penalized
likelihood as methods to improve predictive accuracy").

Rows are compared with their like: each age and each date has a level of its own. Windows that reach
back before an account was there, or before anything was recorded, tell the age and the date, so a
group would be credited with what accounts of an age, or all of them at a time, do anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit

from models.arrays import Codes, Floats
from models.weights.counting import Counting

Blocks = Iterator[tuple[slice, Floats, Floats]]
Without = Callable[[NDArray[np.bool_], Codes], Blocks]

FOLDS = 3
# Standard deviation of the prior of a factor around one.
STRESS_SD = 0.6
# The same of a level around zero, in log-odds: hardly held.
LEVEL_SD = 3.0


@dataclass(frozen=True)
class Stress:
    """Factors per segment and group, as normal distributions.

    Attributes
    ----------
    mean : ndarray of shape (n_segments, n_groups)
        Most likely factors.
    root : ndarray of shape (n_segments, n_groups, n_groups)
        Lower Cholesky roots of their covariances.
    alone : ndarray of shape (n_segments, n_groups, 2)
        Each factor and its standard error when the rows alone are asked, without the prior.
    counting : Counting
        Which groups count at all, and by what factors those that do.
    """

    mean: Floats
    root: Floats
    alone: Floats
    counting: Counting

    @property
    def z(self) -> Floats:
        """Standard errors by which each factor is above zero: (n_segments + 1, n_groups).

        The last row is over all segments, weighed by their precision.
        """
        error = np.maximum(self.alone[..., 1], 1e-12)
        precision = error**-2
        pooled = (self.alone[..., 0] * precision).sum(axis=0) / np.sqrt(precision.sum(axis=0))
        return np.vstack([self.alone[..., 0] / error, pooled])

    def draw(self, generator: np.random.Generator) -> Floats:
        """Draw factors, possibly below zero: (n_segments, n_groups)."""
        noise = generator.normal(size=self.mean.shape)
        return np.asarray(self.mean + np.einsum("sij,sj->si", self.root, noise))


def cross_fitted_stress(
    without: Without,
    segment: Codes,
    happened: Floats,
    cluster: Codes,
    group: Codes,
    alike: Codes,
    generator: np.random.Generator,
) -> Stress:
    """Regress outcomes on contributions from fits without the account.

    Parameters
    ----------
    without : callable
        Fits to all accounts but those of a mask (n_accounts,), and yields, for some of the rows
        given by their positions at a time, which of them, contributions (m, n_signals) and base
        margins (m,).
    segment : ndarray of int, shape (n,)
        Segment of each row; -1 for none.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    cluster : ndarray of int, shape (n,)
        Account of each row, counted from zero.
    group : ndarray of int, shape (n_signals,)
        Group of each signal, counted from zero.
    alike : ndarray of int, shape (n, k)
        Codes of which each has a level of its own in each segment: what rows are alike in.
    generator : Generator
        Deals accounts to folds.

    Returns
    -------
    Stress
    """
    fold = generator.integers(FOLDS, size=int(cluster.max()) + 1)
    membership = np.eye(int(group.max()) + 1)[group]
    seen = np.empty((len(happened), membership.shape[1]))
    base = np.empty(len(happened))
    for number in range(FOLDS):
        left_out = fold == number
        rows = np.flatnonzero(left_out[cluster])
        if not len(rows):
            continue
        for some, contributions, margins in without(left_out, rows):
            base[rows[some]] = margins
            seen[rows[some]] = contributions @ membership
    found = [
        _regressed(seen[own], happened[own], base[own], alike[own])
        for own in (segment == place for place in range(int(segment.max()) + 1))
    ]
    mean, root, alone, pull, information = (np.array(part) for part in zip(*found, strict=True))
    return Stress(mean, root, alone, Counting.weighed(pull, information, STRESS_SD))


def _regressed(seen: Floats, happened: Floats, base: Floats, alike: Codes) -> tuple[Floats, ...]:
    """Bayesian logistic regression around factors of one.

    Mean and root, what rows alone say, and the pull and information of their likelihood.
    """
    groups = seen.shape[1]
    levels = sparse.hstack([_levels(codes) for codes in alike.T]).tocsr()
    is_factor = np.arange(groups + levels.shape[1]) < groups
    precision = np.where(is_factor, STRESS_SD**-2, LEVEL_SD**-2)
    centre = is_factor.astype(float)

    def margin_of(factors: Floats) -> Floats:
        return np.asarray(base + seen @ factors[:groups] + levels @ factors[groups:])

    def curvature(factors: Floats) -> Floats:
        risk = expit(margin_of(factors))
        told = (risk * (1 - risk))[:, None]
        weighed = seen * told
        across = levels.T @ weighed
        own = (levels.T @ levels.multiply(told)).toarray()
        return np.block([[seen.T @ weighed, across.T], [across, own]])

    def objective(factors: Floats) -> tuple[float, Floats]:
        margin, apart = margin_of(factors), factors - centre
        value = np.logaddexp(0, margin).sum() - happened @ margin + precision @ apart**2 / 2
        missed = expit(margin) - happened
        return float(value), np.concatenate([missed @ seen, levels.T @ missed]) + precision * apart

    factors = minimize(
        objective,
        centre,
        jac=True,
        hess=lambda at: curvature(at) + np.diag(precision),
        method="trust-exact",
    ).x
    information = curvature(factors)
    covariance = np.linalg.inv(information + np.diag(precision))[:groups, :groups]
    # What the rows alone say: the posterior with the prior of the factors taken out again.
    held = np.where(is_factor, 1e-9, precision)
    alone = np.linalg.pinv(information + np.diag(held), hermitian=True)
    estimate = factors + alone @ (precision * is_factor * (factors - centre))
    evidence = np.column_stack([estimate, np.sqrt(np.maximum(np.diag(alone), 0))])[:groups]
    # What levels explain as well is no evidence of a group.
    across = information[:groups, groups:]
    of_levels = information[groups:, groups:] + np.diag(precision[groups:])
    apart = information[:groups, :groups] - across @ np.linalg.solve(of_levels, across.T)
    pull = apart @ factors[:groups] + (precision * (factors - centre))[:groups]
    return factors[:groups], np.linalg.cholesky(covariance), evidence, pull, apart


def _levels(codes: Codes) -> sparse.csr_array:
    """Make indicators of the codes that occur: (n, m)."""
    place = np.unique(codes, return_inverse=True)[1]
    rows = np.arange(len(codes))
    return sparse.csr_array((np.ones(len(codes)), (rows, place)))
