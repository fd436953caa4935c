"""The choice of shapes, their rounds and their shares in the margin, judged on later dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.base import clone

from features.errors import EvidenceError
from features.json_values import Json
from models.arrays import Codes, Floats
from models.churn.classifier import ChurnClassifier
from models.churn.coded import Rows
from models.measures.metrics import row_log_loss
from models.training.splits import Fold, account_folds, learnable, rolling_origins

# Roughly geometric: the loss changes by the logarithm of the rounds.
ROUNDS = (0, 10, 20, 40, 70, 110, 160, 240)
TREE_ROUNDS = (20, 40, 80, 130, 200)
BACKBONE, DIRECTED, FREE = "backbone", "directed trees", "free trees"
# Two shapes of one margin err in different ways: halves are what is believed of their shares
# before anything is seen, with this standard deviation.
EVEN, SHARE_SD = 0.5, 0.12


@dataclass(frozen=True)
class Candidate:
    """One shape with its rounds, and how it did out of time.

    Attributes
    ----------
    shape : str
        A backbone with its correction, or trees alone that hold declared directions or are free.
    rounds : int
        Boosting rounds.
    log_loss : float
        Mean over all tested rows, in nats.
    behind_best : float
        Its distance from the lowest mean.
    noise : float
        Standard error of that distance over accounts.
    """

    shape: str
    rounds: int
    log_loss: float
    behind_best: float
    noise: float


@dataclass(frozen=True)
class Selection:
    """The chosen combination of shapes and what it said about rows it had not seen.

    Attributes
    ----------
    parameters : dict of str to object
        What to set the classifier to.
    log_loss : float
        Of the combination on the tested rows, in nats.
    gain : float
        By how much that is below the best shape alone.
    candidates : tuple of Candidate
        Every shape tried, at every number of rounds.
    rows : ndarray of int
        Positions of the tested rows.
    margins : ndarray of shape (len(rows),)
        Their margins under the combination.
    in_time : bool
        False when there were too few dates and accounts were held out instead.
    """

    parameters: Mapping[str, float]
    log_loss: float
    gain: float
    candidates: tuple[Candidate, ...]
    rows: Codes
    margins: Floats
    in_time: bool

    def to_dict(self) -> Json:
        """Return what ``train --json`` prints of the choice."""
        return {
            **self.parameters,
            "in_time": self.in_time,
            "log_loss": self.log_loss,
            "gain": self.gain,
            "candidates": [asdict(candidate) for candidate in self.candidates],
        }


def select_shapes(
    classifier: ChurnClassifier,
    X: Rows,
    happened: Any,
    *,
    dates: Any,
    accounts: Any,
    maturity_days: int,
    is_dated: bool = True,
    rounds: Sequence[int] = ROUNDS,
    tree_rounds: Sequence[int] = TREE_ROUNDS,
    n_folds: int = 3,
) -> Selection:
    """Choose rounds, directions and shares by out-of-time log loss.

    A backbone with its correction and trees alone are each given the rounds with the lowest loss.
    Declared directions are held by the trees unless free ones are better by more than one standard
    error of the paired difference over accounts: a claim that evidence can overrule. The shares of
    the two in the margin are the most likely ones (Breiman 1996, "Stacked regressions"), with
    halves as the prior; there is no slope and no shift, so neither can be stretched.

    Parameters
    ----------
    classifier : ChurnClassifier
        Everything but rounds, shares and directions is taken from it.
    X : DataFrame or CodedTable of n rows
        Signals and the segment column.
    happened, dates, accounts : arrays of shape (n,)
        Outcomes, observation dates and accounts.
    maturity_days : int
        Days from an observation date to the end of its outcome window.
    is_dated : bool
        False where dates say nothing: other accounts judge.
    rounds, tree_rounds : sequences of int
        Increasing numbers of rounds to compare, of the correction and of trees alone.
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
    shapes = [(BACKBONE, count) for count in rounds]
    shapes += [(shape, count) for shape in _tree_shapes(classifier) for count in tree_rounds]
    rows = np.concatenate([fold.test for fold in folds])
    margins = np.concatenate([_margins(classifier, X, outcome, fold, shapes) for fold in folds])

    def losses(shape: int) -> Floats:
        # One shape after the other: of all at once they would be the largest thing there is.
        return row_log_loss(outcome[rows], expit(margins[:, shape]))

    means = np.array([losses(shape).mean() for shape in range(len(shapes))])
    least = losses(int(means.argmin()))
    noise = [_clustered_error(losses(one) - least, clusters[rows]) for one in range(len(shapes))]
    candidates = tuple(
        Candidate(shape, count, float(mean), float(mean - means.min()), error)
        for (shape, count), mean, error in zip(shapes, means, noise, strict=True)
    )
    best = {
        shape: min((i for i, s in enumerate(shapes) if s[0] == shape), key=means.__getitem__)
        for shape in dict(shapes)
    }
    alone = best[FREE]
    if DIRECTED in best:
        difference = losses(best[DIRECTED]) - losses(best[FREE])
        if difference.mean() <= _clustered_error(difference, clusters[rows]):
            alone = best[DIRECTED]
    pair = margins[:, [best[BACKBONE], alone]]
    share = _tree_share(pair, outcome[rows])
    mixed = pair @ [1 - share, share]
    loss = float(row_log_loss(outcome[rows], expit(mixed)).mean())
    parameters = {
        "n_rounds": shapes[best[BACKBONE]][1],
        "tree_share": share,
        "tree_rounds": shapes[alone][1],
        "hold_directions": shapes[alone][0] == DIRECTED,
    }
    gain = float(means[[best[BACKBONE], alone]].min()) - loss
    return Selection(parameters, loss, gain, candidates, rows, mixed, in_time)


def _tree_shapes(classifier: ChurnClassifier) -> tuple[str, ...]:
    return (DIRECTED, FREE) if classifier.healthy else (FREE,)


def _margins(
    classifier: ChurnClassifier,
    X: Rows,
    outcome: Floats,
    fold: Fold,
    shapes: Sequence[tuple[str, int]],
) -> Floats:
    """Margins of the fold's test rows, one column per shape and number of rounds."""
    known, unknown = X.take(fold.train), X.take(fold.test)
    stages = []
    for shape in dict(shapes):
        steps = [count for name, count in shapes if name == shape]
        setting: dict[str, float] = {"tree_share": 0.0, "n_rounds": max(steps)}
        if shape != BACKBONE:
            setting = {"tree_share": 1.0, "tree_rounds": max(steps)}
            setting["hold_directions"] = shape == DIRECTED
        model = clone(classifier).set_params(**setting)
        stages.append(model.fit(known, outcome[fold.train]).staged_margins(unknown, steps))
    return np.hstack(stages)


def _tree_share(pair: Floats, outcome: Floats) -> float:
    """Find the most likely share of the second margin, to a hundredth."""

    def surprise(share: float) -> float:
        margin = pair @ [1 - share, share]
        loss = np.logaddexp(0, margin).sum() - outcome @ margin
        return float(loss + (share - EVEN) ** 2 / (2 * SHARE_SD**2))

    return round(float(minimize_scalar(surprise, bounds=(0, 1), method="bounded").x), 2)


def _clustered_error(difference: Floats, clusters: Codes) -> float:
    """Estimate the standard error of a mean whose rows come in accounts."""
    sums = np.bincount(clusters, difference - difference.mean())
    count = len(np.unique(clusters))
    inflation = count / (count - 1) if count > 1 else 1.0
    return float(np.sqrt((sums**2).sum() * inflation) / len(difference))
