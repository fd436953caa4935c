"""From few labelled rows, or none that are positive, to a health model that says how little it is.

What judges a first model is what judges any other: later dates, or accounts it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from features.catalog import CONTEXT, EVERYBODY, Signal
from features.errors import EvidenceError
from models.arrays import Floats
from models.churn.coded import Rows
from models.measures.metrics import BandRow
from models.measures.resampling import TAILS
from models.scorecard.prior.first_model import (
    FirstModel,
    Scorecard,
    learn_first,
    mean_rate,
    prior_share,
)
from models.scoring.health_model import SEGMENT, HealthModel
from models.scoring.scale import ScaleSettings, ScoreScale
from models.training.checks import check_labels
from models.training.fit import ACCOUNT_FOLDS, TrainingResult, counts_of
from models.training.holdout import Unseen, doubts, judge, nobody_at_risk, prove, together
from models.training.learning import Learning
from models.training.splits import Fold, account_folds, later_holdout
from models.weights.account_spread import AccountSpread, SpreadReader, spread_of
from models.weights.certainty import GroupCertainty, SignalCertainty, WeightCertainty
from models.weights.draws import DRAWS, sampled_rows

# What sets an account apart beside all that a line of grades can say of it, in log-odds: measured
# on companies drawn at random, see docs/decisions/0032.
ACCOUNT_SD = 0.8


def fit_first_model(
    frame: pd.DataFrame,
    signals: Sequence[Signal],
    scorecard: Scorecard,
    learning: Learning,
    *,
    window_days: int,
    scale: ScaleSettings | None = None,
    holdout_dates: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> TrainingResult:
    """Start from a scorecard, let outcomes move it, and judge it on what it has not seen.

    Parameters
    ----------
    frame, signals, learning, scale, holdout_dates, progress
        As for :func:`models.training.fit.fit_health_model`; the rows may hold no positive one, and
        every row is due.
    scorecard : Scorecard
        What is believed before any outcome is seen.
    window_days : int
        Length of the outcome window; 0 where there is none.

    Returns
    -------
    TrainingResult
        Its model has a ``prior``; what was chosen are no shapes, but how much is prior.

    Raises
    ------
    EvidenceError
        When every row is positive, or all are of one account.
    DataError
        When a column is absent or holds what it must not.
    """
    tell = progress or (lambda stage: None)
    signals = tuple(signals)
    check_labels(frame, signals, few=True)
    settings = scale or ScaleSettings()

    def learn(rows: pd.DataFrame) -> FirstModel:
        return learn_first(
            rows,
            signals,
            scorecard,
            window_days=window_days,
            segments=learning.segments,
            good=settings.good,
            seed=learning.seed,
        )

    tell("testing what outcomes have taught so far")
    dates, days = frame["observation_date"], learning.maturity_days
    later = later_holdout(dates, days, holdout_dates) if learning.is_dated else None
    fold, parts = _judged(frame, learn, later)
    unseen = together(parts)
    tell("letting every outcome move the scorecard")
    final = learn(frame)
    final_scale = settings.scale(mean_rate(final, frame))
    proof = prove(unseen, frame, final_scale, learning.seed)
    tell("asking how sure the weights are")
    share = prior_share(final, frame, scorecard.source)
    model = _health_model(final, frame, final_scale, proof.bands, days, learning.seed)
    model = replace(model, prior=share)
    return TrainingResult(
        model=model,
        metrics=proof.metrics,
        segment_metrics=proof.segment_metrics,
        bands=proof.bands,
        calibration=proof.calibration,
        holdout=proof.holdout,
        choice={"n_rounds": 0, "tree_share": 0.0, "prior": share.to_dict()},
        counts=counts_of(frame, fold, np.ones(len(frame), dtype=bool)),
        warnings=[
            *doubts(
                proof.metrics,
                is_dated=learning.is_dated,
                in_time=True,
                judged_later=later is not None,
            ),
            *nobody_at_risk(proof.bands),
        ],
    )


def _judged(
    frame: pd.DataFrame, learn: Callable[[pd.DataFrame], FirstModel], later: Fold | None
) -> tuple[Fold, list[Unseen]]:
    """Judge on later dates; on other accounts where no date is late enough."""
    if later is not None:
        return later, [_said(frame, learn, later)]
    folds = account_folds(
        pd.factorize(frame["account_id"].to_numpy(dtype=object))[0], ACCOUNT_FOLDS
    )
    if not folds:
        raise EvidenceError(
            "A first model is judged on other accounts, but all rows are of one account; add more "
            "accounts."
        )
    everything = np.arange(len(frame))
    parts = [_said(frame, learn, fold) for fold in folds]
    return Fold(train=everything, test=everything), parts


def _said(frame: pd.DataFrame, learn: Callable[[pd.DataFrame], FirstModel], fold: Fold) -> Unseen:
    past = frame.iloc[fold.train]
    # Half an outcome more: a base rate of none would be infinitely surprised by the first.
    base_rate = (float(past["happened"].sum()) + 0.5) / (len(past) + 1)
    return judge(learn(past), frame, fold.test, base_rate)


def _health_model(
    first: FirstModel,
    frame: pd.DataFrame,
    scale: ScoreScale,
    bands: list[BandRow],
    maturity_days: int,
    seed: int,
) -> HealthModel:
    """Draw what the model could be as well, and take the middle of what the draws weigh."""
    inputs = first.inputs(frame)
    segment = inputs[SEGMENT].to_numpy(dtype=object)
    names = sorted(set(segment))
    code = np.searchsorted(np.array(names, dtype=object), segment)
    contributions = first.classifier.contributions(inputs)
    centres = {EVERYBODY: contributions.mean(axis=0).tolist()}
    centres |= {name: contributions[segment == name].mean(axis=0).tolist() for name in names}
    rows = sampled_rows(code, seed)
    drawn = _Drawn(first, inputs.take(rows), segment[rows], names)
    generator = np.random.default_rng(seed)
    told = first.told
    for values in generator.multivariate_normal(
        told.mean, told.covariance, size=DRAWS, method="cholesky"
    ):
        drawn.read(values)
    groups, signals, certainty = drawn.weights(np.bincount(code) / len(code))
    return HealthModel(
        signals=first.signals,
        classifier=first.classifier,
        calibrator=first.calibrator,
        scale=scale,
        segments=first.assignment,
        centres=centres,
        weights=groups,
        signal_weights=signals,
        certainty=certainty,
        bands=bands,
        maturity_days=maturity_days,
        spread=drawn.spread(),
    )


class _Drawn:
    """Reads weights and the spread of margins off draws of what is believed."""

    def __init__(self, first: FirstModel, inputs: Rows, segment: Any, names: Sequence[str]) -> None:
        classifier = first.classifier
        assert classifier.backbone_ is not None
        self._first, self._backbone, self._names = first, classifier.backbone_, names
        self._data = classifier.encoder_.transform(inputs)
        self._parts = [np.asarray(segment == name) for name in names]
        self._signals = [signal.name for signal in first.signals]
        self._groups = sorted({signal.group for signal in first.signals})
        self._member = np.eye(len(self._groups))[
            [self._groups.index(signal.group) for signal in first.signals]
        ]
        self._weighed = np.array([name != CONTEXT for name in self._groups])
        self._readers = [
            SpreadReader(added) for added in self._added(self._contributions(first.told.mean))
        ]
        self._of_groups: list[Floats] = []
        self._of_signals: list[Floats] = []

    def read(self, values: Floats) -> None:
        """Read one draw."""
        contributions = self._contributions(values)
        groups, signals = [], []
        base = float(values[-1] - self._first.told.mean[-1])
        for inside, added, reader in zip(
            self._parts, self._added(contributions), self._readers, strict=True
        ):
            reader.add(added, base)
            groups.append(np.abs(added).mean(axis=0))
            own = contributions[inside] - contributions[inside].mean(axis=0)
            signals.append(np.abs(own).mean(axis=0))
        self._of_groups.append(np.array(groups))
        self._of_signals.append(np.array(signals))

    def weights(self, size: Floats) -> tuple[Any, Any, WeightCertainty]:
        """Weights of groups and of signals, and their intervals; no evidence is claimed."""
        places = [*self._names, EVERYBODY]

        def shares(sizes: list[Floats], kept: Any) -> Floats:
            table = np.array(sizes)
            table = np.concatenate([table, np.tensordot(table, size, (1, 0))[:, None]], axis=1)
            table = table * kept
            total = table.sum(axis=-1, keepdims=True)
            share = np.divide(table, total, out=np.zeros_like(table), where=total > 0)
            return np.asarray(100 * share)

        groups = shares(self._of_groups, self._weighed)
        signals = shares(self._of_signals, 1.0)
        low, high = np.quantile(groups, TAILS, axis=0)
        signal_low, signal_high = np.quantile(signals, TAILS, axis=0)
        kept = [(i, str(name)) for i, name in enumerate(self._groups) if self._weighed[i]]
        every = list(enumerate(places))
        certainty = WeightCertainty(
            {
                place: {
                    name: GroupCertainty(float(low[s, i]), float(high[s, i]), False)
                    for i, name in kept
                }
                for s, place in every
            },
            {
                place: {
                    name: SignalCertainty(
                        float(signal_low[s, i]), float(signal_high[s, i]), "not enough evidence"
                    )
                    for i, name in enumerate(self._signals)
                }
                for s, place in every
            },
        )
        best, best_signals = groups.mean(axis=0), signals.mean(axis=0)
        return (
            {place: {name: float(best[s, i]) for i, name in kept} for s, place in every},
            {
                place: {name: float(best_signals[s, i]) for i, name in enumerate(self._signals)}
                for s, place in every
            },
            certainty,
        )

    def spread(self) -> AccountSpread:
        """Tell how sure single margins are."""
        sizes = [int(own.sum()) for own in self._parts]
        drawn = spread_of(self._groups, self._names, self._readers, sizes)
        return drawn.with_bases({EVERYBODY: ACCOUNT_SD**2})

    def _contributions(self, values: Floats) -> Floats:
        return self._backbone.with_theta(self._first.thetas(values)).contributions(self._data)

    def _added(self, contributions: Floats) -> list[Floats]:
        return [
            (contributions[inside] - contributions[inside].mean(axis=0)) @ self._member
            for inside in self._parts
        ]
