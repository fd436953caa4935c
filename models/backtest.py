"""Rolling origins: a model tested on a date has seen only labels that had matured by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, GroupShuffleSplit

from features.errors import EvidenceError
from models.churn import ChurnClassifier
from models.encoding import Codes, Floats
from models.metrics import row_log_loss

# Roughly geometric: the loss changes by the logarithm of the rounds.
ROUNDS = (0, 10, 20, 40, 70, 110, 160, 240)


@dataclass(frozen=True)
class Fold:
    """Row positions to learn from and to test on.

    Attributes
    ----------
    train, test : ndarray of int
        Positions.
    """

    train: Codes
    test: Codes


@dataclass(frozen=True)
class Candidate:
    """One way to set the model, and how it did out of time.

    Attributes
    ----------
    backbone : bool
        Whether the margin starts from the linear backbone.
    rounds : int
        Boosting rounds of the correction.
    log_loss : float
        Mean over all tested rows, in nats.
    behind_best : float
        Its distance from the lowest mean.
    noise : float
        Standard error of that distance over accounts.
    """

    backbone: bool
    rounds: int
    log_loss: float
    behind_best: float
    noise: float


@dataclass(frozen=True)
class Selection:
    """The chosen candidate and what it said about rows it had not seen.

    Attributes
    ----------
    chosen : Candidate
        What to fit with.
    candidates : tuple of Candidate
        Everything tried.
    rows : ndarray of int
        Positions of the tested rows.
    margins : ndarray of shape (len(rows),)
        Their margins under the chosen candidate.
    in_time : bool
        False when there were too few dates and accounts were held out instead.
    """

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    rows: Codes
    margins: Floats
    in_time: bool


def time_holdout(
    dates: Any, maturity_days: int, *, n_dates: int | None = None, share: float = 0.25
) -> Fold:
    """Hold out the newest observation dates, purging what had not matured before them.

    Parameters
    ----------
    dates : array of datetime64, shape (n,)
        Observation dates.
    maturity_days : int
        Days from an observation date to the end of its outcome window (lead and horizon). A row
        is learnt from when ``date + maturity_days <= first test date`` (purging: López de Prado
        2018, "Advances in Financial Machine Learning", chapter 7).
    n_dates : int or None
        Distinct dates to hold out; by default a share of them. Fewer are held out when too short
        a history would be left.
    share : float
        Share of distinct dates when ``n_dates`` is None.

    Returns
    -------
    Fold

    Raises
    ------
    EvidenceError
        When no two dates are far enough apart.

    Examples
    --------
    >>> dates = pd.to_datetime(["2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01"])
    >>> fold = time_holdout(dates, maturity_days=44)
    >>> fold.train.tolist(), fold.test.tolist()
    ([0, 1], [3])
    """
    days, distinct = _days(dates)
    testable = distinct[distinct >= distinct[0] + maturity_days] if len(distinct) else distinct
    if not len(testable):
        span = int(distinct[-1] - distinct[0]) if len(distinct) else 0
        raise EvidenceError(
            f"The {len(distinct)} matured observation date(s) span {span} days, but testing on a "
            f"later date needs at least {maturity_days} days between the first and the last; "
            "observe more dates or wait until more outcomes have matured."
        )
    wanted = round(share * len(distinct)) if n_dates is None else n_dates
    first = testable[-min(max(wanted, 1), len(testable))]
    return Fold(
        train=np.flatnonzero(days + maturity_days <= first), test=np.flatnonzero(days >= first)
    )


def account_holdout(accounts: Any, seed: int, *, share: float = 0.25) -> Fold:
    """Hold out accounts drawn by chance, for rows that carry no dates.

    Parameters
    ----------
    accounts : array of shape (n,)
        Account of each row; all rows of an account fall on the same side.
    seed : int
        Fixes the draw.
    share : float
        Share of accounts to hold out.

    Examples
    --------
    >>> fold = account_holdout(["a", "b", "a", "c", "d"], seed=0)
    >>> len(fold.test), sorted(set(fold.train) | set(fold.test)) == [0, 1, 2, 3, 4]
    (1, True)
    """
    splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    train, test = next(splitter.split(np.zeros(len(accounts)), groups=np.asarray(accounts)))
    return Fold(train=train, test=test)


def rolling_origins(dates: Any, maturity_days: int, *, n_folds: int = 3) -> list[Fold]:
    """Split the newer half of the testable dates into successive test blocks.

    Parameters
    ----------
    dates, maturity_days
        As for :func:`time_holdout`; each fold is purged in the same way.
    n_folds : int
        Most folds; fewer when there are fewer testable dates.

    Returns
    -------
    list of Fold
        Oldest test block first; empty when no date can be tested.
    """
    days, distinct = _days(dates)
    testable = distinct[distinct >= distinct[0] + maturity_days] if len(distinct) else distinct
    newer = testable[-max(n_folds, len(testable) // 2) :]
    blocks = [block for block in np.array_split(newer, n_folds) if len(block)]
    return [
        Fold(
            train=np.flatnonzero(days + maturity_days <= block[0]),
            test=np.flatnonzero((days >= block[0]) & (days <= block[-1])),
        )
        for block in blocks
    ]


def select_rounds(
    classifier: ChurnClassifier,
    X: pd.DataFrame,
    churned: Any,
    *,
    dates: Any,
    accounts: Any,
    maturity_days: int,
    rounds: Sequence[int] = ROUNDS,
    n_folds: int = 3,
) -> Selection:
    """Choose boosting rounds and the use of the backbone by out-of-time log loss.

    The chosen candidate is the simplest whose loss is within one standard error of the lowest
    (Breiman et al. 1984, "Classification and Regression Trees", section 3.4), the error being that
    of the paired difference over accounts. A backbone is simpler than none, fewer rounds are
    simpler than more.

    Parameters
    ----------
    classifier : ChurnClassifier
        Everything but ``backbone`` and ``n_rounds`` is taken from it.
    X : DataFrame of n rows
        Signals and the segment column.
    churned, dates, accounts : arrays of shape (n,)
        Outcomes, observation dates and accounts.
    maturity_days : int
        Days from an observation date to the end of its outcome window.
    rounds : sequence of int
        Increasing numbers of rounds to compare; 0 is the backbone alone.
    n_folds : int
        Most folds.

    Returns
    -------
    Selection

    Raises
    ------
    EvidenceError
        When no split leaves both outcomes to learn from.
    """
    outcome = np.asarray(churned, dtype=float)
    clusters, _ = pd.factorize(np.asarray(accounts, dtype=object))
    folds = list(_learnable(rolling_origins(dates, maturity_days, n_folds=n_folds), outcome))
    in_time = bool(folds)
    if not in_time:
        folds = list(_learnable(_account_folds(clusters, n_folds), outcome))
    if not folds:
        raise EvidenceError(
            "Neither earlier dates nor other accounts hold both churned and retained rows to learn "
            "from; observe more dates or more accounts."
        )
    grid = [(True, count) for count in rounds] + [(False, count) for count in rounds if count > 0]
    rows = np.concatenate([fold.test for fold in folds])
    margins = np.concatenate([_margins(classifier, X, outcome, fold, rounds) for fold in folds])
    losses = row_log_loss(outcome[rows, None], expit(margins))
    means = losses.mean(axis=0)
    behind = losses - losses[:, [means.argmin()]]
    noise = [_clustered_error(column, clusters[rows]) for column in behind.T]
    candidates = tuple(
        Candidate(backbone, count, float(mean), float(mean - means.min()), error)
        for (backbone, count), mean, error in zip(grid, means, noise, strict=True)
    )
    place = next(i for i, c in enumerate(candidates) if c.behind_best <= c.noise)
    return Selection(candidates[place], candidates, rows, margins[:, place], in_time)


def out_of_time_margins(
    classifier: ChurnClassifier, X: pd.DataFrame, churned: Any, folds: Sequence[Fold]
) -> tuple[Codes, Floats]:
    """Margins of each fold's test rows from a model fitted on its training rows.

    Returns
    -------
    rows : ndarray of int
        Positions of the tested rows.
    margins : ndarray
        Their margins.
    """
    outcome = np.asarray(churned, dtype=float)
    usable = list(_learnable(folds, outcome))
    margins = [
        clone(classifier)
        .fit(X.iloc[fold.train], outcome[fold.train])
        .decision_function(X.iloc[fold.test])
        for fold in usable
    ]
    return (
        np.concatenate([fold.test for fold in usable] or [np.zeros(0, dtype=np.intp)]),
        np.concatenate(margins or [np.zeros(0)]),
    )


def _margins(
    classifier: ChurnClassifier, X: pd.DataFrame, outcome: Floats, fold: Fold, rounds: Sequence[int]
) -> Floats:
    """Margins of the fold's test rows, one column per candidate."""
    known, unknown = X.iloc[fold.train], X.iloc[fold.test]
    stages = []
    for backbone in (True, False):
        model = clone(classifier).set_params(backbone=backbone, n_rounds=max(rounds))
        steps = rounds if backbone else [count for count in rounds if count > 0]
        stages.append(model.fit(known, outcome[fold.train]).staged_margins(unknown, steps))
    return np.hstack(stages)


def _learnable(folds: Sequence[Fold], outcome: Floats) -> Iterator[Fold]:
    for fold in folds:
        if len(fold.test) and 0 < outcome[fold.train].sum() < len(fold.train):
            yield fold


def _account_folds(clusters: Codes, n_folds: int) -> list[Fold]:
    count = min(n_folds, len(np.unique(clusters)))
    if count < 2:
        return []
    return [Fold(*pair) for pair in GroupKFold(count).split(clusters, groups=clusters)]


def _clustered_error(difference: Floats, clusters: Codes) -> float:
    """Estimate the standard error of a mean whose rows come in accounts."""
    sums = np.bincount(clusters, difference - difference.mean())
    count = len(np.unique(clusters))
    inflation = count / (count - 1) if count > 1 else 1.0
    return float(np.sqrt((sums**2).sum() * inflation) / len(difference))


def _days(dates: Any) -> tuple[Codes, Codes]:
    days = np.asarray(pd.to_datetime(dates), dtype="datetime64[D]").astype(np.intp)
    return days, np.unique(days)
