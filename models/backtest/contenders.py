"""Models that a health model has to beat, each on exactly the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from features.catalog import EVERYBODY
from features.errors import EvidenceError, sample
from models.arrays import Codes, Floats
from models.churn.encoding import MAX_LEVELS, SignalEncoder
from models.scoring.health_model import SEGMENT
from models.training.splits import Fold, account_holdout, time_holdout

MOST_ROUNDS, PATIENCE = 500, 30
# What the measurements of a pooled model were made with: moderate trees, a moderate rate.
LIGHTGBM = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "max_depth": 5,
    "feature_fraction": 0.8,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Task:
    """One fold as every contender gets it.

    Attributes
    ----------
    X : DataFrame of n rows
        Signals and the column ``segment``, as the health model read them on this fold.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    dates, accounts : ndarray of shape (n,)
        Observation date and account of each row.
    new : DataFrame of m rows
        The tested rows, like ``X``.
    maturity_days : int
        Days from an observation date to the end of its outcome window.
    is_dated : bool
        False where rows carry no dates.
    seed, n_jobs : int
        Of whatever is fitted.
    """

    X: pd.DataFrame
    happened: Floats
    dates: Codes
    accounts: Codes
    new: pd.DataFrame
    maturity_days: int
    is_dated: bool = True
    seed: int = 0
    n_jobs: int = 1

    def of(self, segment: str) -> Task:
        """Keep the rows of one segment."""
        known = (self.X[SEGMENT] == segment).to_numpy()
        return replace(
            self,
            X=self.X[known],
            happened=self.happened[known],
            dates=self.dates[known],
            accounts=self.accounts[known],
            new=self.new[(self.new[SEGMENT] == segment).to_numpy()],
        )

    def newest(self) -> Fold:
        """Hold out the newest date that had matured rows before it, or accounts without dates.

        Raises
        ------
        EvidenceError
            When no two dates are far enough apart.
        """
        if self.is_dated:
            return time_holdout(self.dates, self.maturity_days, n_dates=1)
        return account_holdout(self.accounts, self.seed)


@dataclass(frozen=True)
class Forecast:
    """What a contender says about the tested rows.

    Attributes
    ----------
    probability : ndarray of shape (m,)
        Of the outcome.
    notes : tuple of str
        What it could not do as its name says, one sentence each.
    """

    probability: Floats
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contender:
    """A named way to turn a fold into probabilities.

    Parameters
    ----------
    name : str
        What reports call it.
    forecast : callable
        From a :class:`Task` whose rows hold both outcomes to a :class:`Forecast`.
    """

    name: str
    forecast: Callable[[Task], Forecast]


def pooled_lightgbm(task: Task) -> Forecast:
    """One LightGBM that may split on the segment, stopped early on the newest matured date."""
    return Forecast(_boosted(task))


def lightgbm_per_segment(task: Task) -> Forecast:
    """Fit a LightGBM for each segment; where one has a single class, the pooled one speaks."""
    return _per_segment(task, _boosted, "LightGBM")


def logistic_per_segment(task: Task) -> Forecast:
    """Fit a logistic regression for each segment on standardised logarithms of the signals."""
    return _per_segment(task, _logistic, "logistic regression")


def base_rate(task: Task) -> Forecast:
    """Give each row the rate of the rows learnt from."""
    return Forecast(np.full(len(task.new), task.happened.mean()))


DEFAULT = (
    Contender("pooled LightGBM", pooled_lightgbm),
    Contender("LightGBM per segment", lightgbm_per_segment),
    Contender("logistic regression per segment", logistic_per_segment),
    Contender("base rate", base_rate),
)


def _per_segment(task: Task, fit: Callable[[Task], Floats], name: str) -> Forecast:
    probability = np.full(len(task.new), np.nan)
    left, notes = task.new[SEGMENT].to_numpy(dtype=object), []
    for segment in sorted(set(left) - {EVERYBODY}):
        own = task.of(segment)
        if 0 < own.happened.sum() < len(own.happened):
            probability[left == segment] = fit(own)
        else:
            notes.append(
                f"Segment {sample([segment])} has no {name} of its own, for its "
                f"{len(own.happened)} earlier rows do not hold both outcomes: the pooled one "
                "speaks for it."
            )
    unheard = np.isnan(probability)
    if unheard.any():
        probability[unheard] = fit(replace(task, new=task.new[unheard]))
    return Forecast(probability, tuple(notes))


def _boosted(task: Task) -> Floats:
    encoder = SignalEncoder.fit(task.X, None)
    values = encoder.transform(task.X).values
    settings = LIGHTGBM | {"seed": task.seed, "num_threads": task.n_jobs}
    booster = lgb.train(
        settings,
        _dataset(values, task.happened, encoder),
        num_boost_round=_rounds(task, values, encoder, settings),
    )
    return np.asarray(booster.predict(encoder.transform(task.new).values))


def _rounds(task: Task, values: Floats, encoder: SignalEncoder, settings: dict[str, object]) -> int:
    """Boosting rounds that did best on the newest date, or few where it cannot tell."""
    few = PATIENCE
    try:
        fold = task.newest()
    except EvidenceError:
        return few
    if any(len(np.unique(task.happened[rows])) < 2 for rows in (fold.train, fold.test)):
        return few
    known = _dataset(values[fold.train], task.happened[fold.train], encoder)
    judge = lgb.Dataset(values[fold.test], task.happened[fold.test], reference=known)
    stopped = lgb.train(
        settings,
        known,
        num_boost_round=MOST_ROUNDS,
        valid_sets=[judge],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    return max(stopped.best_iteration, 1)


def _dataset(values: Floats, happened: Floats, encoder: SignalEncoder) -> lgb.Dataset:
    return lgb.Dataset(
        values,
        happened,
        categorical_feature=encoder.categorical,
        params={"verbosity": -1},
    )


def _logistic(task: Task) -> Floats:
    X, new = task.X.drop(columns=SEGMENT), task.new.drop(columns=SEGMENT)
    names = SignalEncoder.fit(X, None)
    numbers = [name for name in names.names if name not in names.levels]
    model = make_pipeline(
        ColumnTransformer(
            [("numbers", _numbers(), numbers), ("names", _names(), list(names.levels))]
        ),
        LogisticRegression(C=0.1, max_iter=1000),
    )
    model.fit(X, task.happened)
    return np.asarray(model.predict_proba(new)[:, 1])


def _numbers() -> Pipeline:
    # A column nobody knows stays, as a constant, so that every fold has the same columns.
    return make_pipeline(
        FunctionTransformer(_signed_log),
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )


def _names() -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="constant", fill_value="unknown"),
        OneHotEncoder(max_categories=MAX_LEVELS, handle_unknown="infrequent_if_exist"),
    )


def _signed_log(raw: pd.DataFrame) -> pd.DataFrame:
    return raw.transform(lambda column: np.sign(column) * np.log1p(column.abs()))
