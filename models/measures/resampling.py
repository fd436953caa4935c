"""Uncertainty of measures whose rows come in accounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from models.arrays import Floats

CONFIDENCE = 0.9
TAILS = np.array([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
# Standard errors either side of a normal estimate.
REACH = float(norm.ppf(TAILS[1]))


class AccountBootstrap:
    """Accounts drawn with replacement, each with all its rows.

    The cluster bootstrap of Davison and Hinkley 1997, "Bootstrap Methods and their Application",
    section 3.8. A draw is a count per account, so what is a ratio of sums is resampled from one
    sum per account, however many rows there are.

    Parameters
    ----------
    accounts : array of shape (n,)
        Account of each row.
    seed, resamples : int
        Seed and number of draws; the same seed gives the same draws each time they are read.

    Attributes
    ----------
    cluster : ndarray of int, shape (n,)
        Account of each row as a code.
    count : int
        Number of accounts.

    Examples
    --------
    >>> bootstrap = AccountBootstrap(["a", "a", "b"], seed=0, resamples=5)
    >>> bootstrap.totals(np.array([[1.0], [1.0], [5.0]]))[:, 0].tolist()
    [2.0, 5.0]
    >>> bootstrap.sums(np.ones((3, 1))).shape
    (5, 1)
    """

    def __init__(self, accounts: Any, *, seed: int = 0, resamples: int = 300) -> None:
        self.cluster, names = pd.factorize(np.asarray(accounts, dtype=object))
        self.count = len(names)
        self.resamples = resamples
        self._seed = seed

    def draws(self) -> Iterator[Floats]:
        """Yield how often each account was drawn: (count,) per draw."""
        generator = np.random.default_rng(self._seed)
        for _ in range(self.resamples):
            drawn = generator.integers(self.count, size=self.count)
            yield np.bincount(drawn, minlength=self.count).astype(float)

    def totals(self, columns: Floats) -> Floats:
        """Sum columns of shape (n, k) over each account: (count, k)."""
        return np.column_stack(
            [np.bincount(self.cluster, column, minlength=self.count) for column in columns.T]
        )

    def sums(self, columns: Floats) -> Floats:
        """Sum columns of shape (n, k) over each draw: (resamples, k)."""
        totals = self.totals(columns)
        return np.array([weight @ totals for weight in self.draws()])

    def mean_interval(self, values: Floats) -> tuple[float, float]:
        """Interval of the mean of values of shape (n,): low, high."""
        sums = self.sums(np.column_stack([values, np.ones(len(values))]))
        low, high = np.quantile(sums[:, 0] / sums[:, 1], TAILS)
        return float(low), float(high)


def clustered_rate_interval(outcome: Floats, cluster: Any) -> tuple[float, float]:
    """Wilson interval of a rate, for as many rows as the accounts are worth.

    The number of rows is divided by the design effect (Kish 1965, "Survey Sampling", section 8.2):
    the variance of the rate over accounts divided by that of independent rows, where it is above
    one. Unlike a bootstrap it does not shrink to a point at no or few positives (Dean and Pagano
    2015, "Evaluating confidence interval methods for binomial proportions in clustered surveys").

    Parameters
    ----------
    outcome : ndarray of 0 and 1, shape (n,)
        At least one row.
    cluster : array of shape (n,)
        Account of each row.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> outcome = np.array([0.0, 1.0, 0.0, 0.0])
    >>> [round(bound, 3) for bound in clustered_rate_interval(outcome, np.arange(4))]
    [0.058, 0.644]
    >>> [round(bound, 3) for bound in clustered_rate_interval(np.zeros(8), np.arange(8) // 2)]
    [0.0, 0.403]
    """
    codes, names = pd.factorize(np.asarray(cluster))
    rows, rate = len(outcome), float(outcome.mean())
    variance = rate * (1 - rate) / rows
    # Where all rows agree nothing tells how alike an account's rows are: each account counts once.
    effect = rows / len(names)
    if variance > 0:
        residual = np.bincount(codes, outcome - rate)
        effect = max(float((residual**2).sum()) / rows**2 / variance, 1.0)
    worth = rows / effect
    shrink = 1 + REACH**2 / worth
    middle = (rate + REACH**2 / (2 * worth)) / shrink
    half = REACH / shrink * np.sqrt(rate * (1 - rate) / worth + REACH**2 / (4 * worth**2))
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))
