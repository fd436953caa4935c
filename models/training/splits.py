"""Rolling origins: a model tested on a date has seen only labels that had matured by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, GroupShuffleSplit

from features.errors import EvidenceError
from features.outcomes.interventions import ACTED_ON
from models.arrays import Codes, Floats
from models.churn.coded import Rows

# Seed of the deal of accounts to folds, so that the same rows are always dealt alike.
DEAL = 0


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


def later_holdout(dates: Any, maturity_days: int, n_dates: int | None = None) -> Fold | None:
    """As :func:`time_holdout`; None where no date is late enough, and other accounts must judge."""
    try:
        return time_holdout(dates, maturity_days, n_dates=n_dates)
    except EvidenceError:
        return None


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


def account_folds(clusters: Codes, n_folds: int) -> list[Fold]:
    """Split accounts into folds of like size; none where there is only one account.

    They are dealt by chance: ids issued in a pattern (branches, batches, check digits) would
    otherwise make each fold another kind of account than those learnt from.
    """
    count = min(n_folds, len(np.unique(clusters)))
    if count < 2:
        return []
    folds = GroupKFold(count, shuffle=True, random_state=DEAL)
    return [Fold(*pair) for pair in folds.split(clusters, groups=clusters)]


def left_alone(rows: Rows) -> NDArray[np.bool_]:
    """Tell which rows nobody acted on soon after their date: (n,); all, without the column."""
    if ACTED_ON not in rows:
        return np.ones(len(rows), dtype=bool)
    return ~rows[ACTED_ON].to_numpy(dtype=bool)


def learnable(folds: Sequence[Fold], outcome: Floats) -> Iterator[Fold]:
    """Keep the folds that have rows to test on and both outcomes to learn from."""
    for fold in folds:
        if len(fold.test) and 0 < outcome[fold.train].sum() < len(fold.train):
            yield fold


def _days(dates: Any) -> tuple[Codes, Codes]:
    days = np.asarray(pd.to_datetime(dates), dtype="datetime64[D]").astype(np.intp)
    return days, np.unique(days)
