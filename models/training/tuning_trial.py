"""What the search for parameters tries, and the later dates every trial is tested on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from optuna import Trial
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.trial import TrialState
from scipy.special import expit
from sklearn.base import clone

from features.errors import EvidenceError
from models.arrays import Codes, Floats
from models.churn.classifier import ChurnClassifier
from models.churn.coded import Rows
from models.measures.metrics import row_log_loss
from models.training.fingerprint import fingerprint, rows_fingerprint
from models.training.selection import ROUNDS
from models.training.splits import Fold, account_folds, learnable, rolling_origins

MAX_DEPTH = 6
N_FOLDS = 3
# Accounts are dealt into so many groups, whose summed losses are kept with each trial: so any two
# trials can be compared over accounts, whichever process ran them.
ACCOUNT_GROUPS = 50
LOSSES = "losses of account groups"

Space = Mapping[str, FloatDistribution | IntDistribution | CategoricalDistribution]
Parameters = dict[str, float]


def search_space(max_depth: int = MAX_DEPTH) -> Space:
    """Return the parameters that are searched, and where.

    The number of rounds is not among them: a trial reads the best one off its staged margins.
    Training chooses anew whether the backbone is used; without it, other trees are best.

    Parameters
    ----------
    max_depth : int
        Deepest tree. Deeper ones foretell no better and take longer to explain.
    """
    return {
        "backbone": CategoricalDistribution((True, False)),
        "learning_rate": FloatDistribution(0.02, 0.2, log=True),
        "num_leaves": IntDistribution(4, 48, log=True),
        "max_depth": IntDistribution(min(2, max_depth), max_depth),
        "min_child_samples": IntDistribution(10, 500, log=True),
        "feature_fraction": FloatDistribution(0.3, 1.0),
        "reg_lambda": FloatDistribution(0.1, 100.0, log=True),
        "shrinkage": FloatDistribution(0.2, 5.0, log=True),
        "segment_shrinkage": FloatDistribution(0.2, 5.0, log=True),
    }


def within(space: Space, parameters: Mapping[str, float]) -> Parameters:
    """Take the parameters of a space, each brought into its range."""
    found = {}
    for name, one in space.items():
        found[name] = parameters[name]
        if not isinstance(one, CategoricalDistribution):
            found[name] = type(one.low)(min(max(parameters[name], one.low), one.high))
    return found


class Course:
    """The folds every trial is tested on."""

    def __init__(
        self,
        classifier: ChurnClassifier,
        X: Rows,
        happened: Any,
        dates: Any,
        accounts: Any,
        maturity_days: int,
        seed: int,
    ) -> None:
        self._classifier = clone(classifier).set_params(n_rounds=max(ROUNDS))
        self._X = X
        self._outcome = np.asarray(happened, dtype=float)
        account = np.asarray(accounts, dtype=object)
        self._rows = pd.DataFrame(
            {"happened": self._outcome, "date": np.asarray(dates), "account": account}
        )
        self._settings = [maturity_days, seed]
        clusters, names = pd.factorize(account)
        self._folds = self._split(dates, clusters, maturity_days)
        dealt = np.random.default_rng(seed).permutation(len(names)) % ACCOUNT_GROUPS
        self._group = dealt[clusters]
        tested = np.concatenate([fold.test for fold in self._folds])
        self.group_rows = np.bincount(self._group[tested], minlength=ACCOUNT_GROUPS)

    def _split(self, dates: Any, clusters: Codes, maturity_days: int) -> list[Fold]:
        in_time = rolling_origins(dates, maturity_days, n_folds=N_FOLDS)
        folds = list(learnable(in_time, self._outcome))
        folds = folds or list(learnable(account_folds(clusters, N_FOLDS), self._outcome))
        if not folds:
            raise EvidenceError(
                "A search for parameters needs earlier dates or other accounts that hold both "
                "outcomes to learn from; observe more dates or more accounts."
            )
        return folds

    def identity(self, space: Space) -> str:
        """Digest of all that the loss of a trial depends on."""
        fixed = {k: v for k, v in self._classifier.get_params().items() if k != "n_jobs"}
        searched = {parameter: distribution_to_json(one) for parameter, one in space.items()}
        settings = [fixed, searched, self._settings, ROUNDS, N_FOLDS, ACCOUNT_GROUPS]
        described = [
            rows_fingerprint(self._X),
            fingerprint(self._rows),
            [*map(str, self._X.columns)],
        ]
        text = json.dumps([settings, described, version("lightgbm")], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def run(
        self, trial: Trial, may_prune: bool, out_of_time: Callable[[], bool]
    ) -> tuple[TrialState, float | None]:
        """Test a trial fold by fold; one whose time is up counts as never begun."""
        model = clone(self._classifier).set_params(**trial.params)
        sums = np.zeros((ACCOUNT_GROUPS, len(ROUNDS)))
        rows = 0
        for step, fold in enumerate(self._folds):
            if out_of_time():
                return TrialState.FAIL, None
            model.fit(self._X.take(fold.train), self._outcome[fold.train].astype(int))
            margins = model.staged_margins(self._X.take(fold.test), ROUNDS)
            losses = row_log_loss(self._outcome[fold.test, None], expit(margins))
            np.add.at(sums, self._group[fold.test], losses)
            rows += len(fold.test)
            trial.report(float(sums.sum(axis=0).min() / rows), step)
            if may_prune and fold is not self._folds[-1] and trial.should_prune():
                return TrialState.PRUNED, None
        best = int(sums.sum(axis=0).argmin())
        trial.set_user_attr("rounds", ROUNDS[best])
        trial.set_user_attr(LOSSES, sums[:, best].tolist())
        return TrialState.COMPLETE, float(sums[:, best].sum() / rows)


def paired_gain(before: Sequence[float], after: Sequence[float], rows: Any) -> tuple[float, float]:
    """Compare two models on the same rows, which come in groups of accounts.

    Parameters
    ----------
    before, after : sequences of float, shape (n_groups,)
        Summed loss of each group.
    rows : array of shape (n_groups,)
        Rows of each group.

    Returns
    -------
    gain, noise : float
        Mean loss before less that after, and its standard error over groups.

    Examples
    --------
    >>> paired_gain([2.0, 4.0], [1.0, 1.0], [10, 10])
    (0.2, 0.1)
    """
    counts = np.asarray(rows, dtype=float)
    difference: Floats = np.subtract(before, after)
    gain = difference.sum() / counts.sum()
    groups = np.count_nonzero(counts)
    if groups < 2:
        return float(gain), math.inf
    squares = ((difference - gain * counts) ** 2).sum()
    return float(gain), float(np.sqrt(squares * groups / (groups - 1)) / counts.sum())
