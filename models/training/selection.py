"""How many rounds the correction gets, and whether the backbone helps, judged on later dates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import clone

from features.errors import EvidenceError
from models.churn.classifier import ChurnClassifier
from models.churn.encoding import Codes, Floats
from models.measures.metrics import row_log_loss
from models.training.splits import Fold, account_folds, learnable, rolling_origins

# Roughly geometric: the loss changes by the logarithm of the rounds.
ROUNDS = (0, 10, 20, 40, 70, 110, 160, 240)


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


def select_rounds(
    classifier: ChurnClassifier,
    X: pd.DataFrame,
    happened: Any,
    *,
    dates: Any,
    accounts: Any,
    maturity_days: int,
    is_dated: bool = True,
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
    happened, dates, accounts : arrays of shape (n,)
        Outcomes, observation dates and accounts.
    maturity_days : int
        Days from an observation date to the end of its outcome window.
    is_dated : bool
        False where dates say nothing: other accounts judge.
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
    outcome = np.asarray(happened, dtype=float)
    clusters, _ = pd.factorize(np.asarray(accounts, dtype=object))
    origins = rolling_origins(dates, maturity_days, n_folds=n_folds) if is_dated else []
    folds = list(learnable(origins, outcome))
    in_time = bool(folds)
    if not in_time:
        folds = list(learnable(account_folds(clusters, n_folds), outcome))
    if not folds:
        raise EvidenceError(
            "Neither earlier dates nor other accounts hold both outcomes to learn "
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


def _clustered_error(difference: Floats, clusters: Codes) -> float:
    """Estimate the standard error of a mean whose rows come in accounts."""
    sums = np.bincount(clusters, difference - difference.mean())
    count = len(np.unique(clusters))
    inflation = count / (count - 1) if count > 1 else 1.0
    return float(np.sqrt((sums**2).sum() * inflation) / len(difference))
