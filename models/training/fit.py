"""From a labelled feature frame to a health model with its out-of-time proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import clone

from features.catalog import AGE, EVERYBODY, Signal
from features.errors import EvidenceError
from features.json_values import Json
from models.arrays import Codes, Floats
from models.churn.classifier import ChurnClassifier
from models.churn.coded import Rows
from models.measures.metrics import BandRow, Metrics
from models.measures.reversal import reversal
from models.scoring.health_model import SEGMENT, HealthModel, model_input
from models.scoring.scale import POINTS_PER_LOG_ODDS, ScaleSettings, ScoreScale, scale_of
from models.scoring.timing.decisions import KINDS
from models.scoring.timing.telltales import left_out
from models.training.checks import MIN_EARLIER_POSITIVES, check_evidence, check_labels
from models.training.holdout import (
    Unseen,
    doubts,
    judge,
    nobody_at_risk,
    prove,
    said_of,
    together,
)
from models.training.learning import Learning, Learnt, learn
from models.training.splits import Fold, account_folds, later_holdout, left_alone
from models.weights.certainty import WeightCertainty
from models.weights.contributions import summed_contributions
from models.weights.intervals import BestWeights, best_weights
from models.weights.weights import group_weights, signal_weights

Centres = dict[str, list[float]]

# Folds of accounts that judge rows without dates.
ACCOUNT_FOLDS = 5
# How far the base of a segment may be from that of all, in log-odds, before its rows are seen.
BASE_SD = 0.3


class TrainingCounts(TypedDict, total=False):
    """What a model was taught with and judged on; versions from before decisions have no ``due``.

    ``due`` rows are those that a decision fell into; dates are ISO.
    """

    rows: int
    accounts: int
    positives: int
    training_rows: int
    training_positives: int
    holdout_rows: int
    holdout_positives: int
    due_rows: int
    due_positives: int
    due_holdout_rows: int
    due_holdout_positives: int
    first_date: str
    last_date: str
    holdout_from: str


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and how it did on dates it had not seen.

    Attributes
    ----------
    model : HealthModel
        Refitted on every matured row with the choices made on the older ones.
    metrics : Metrics
        Hold-out, all rows.
    segment_metrics : dict of str to Metrics
        Hold-out, per segment.
    bands : list of dict
        Hold-out, the rows that were due, per band: ``band``, ``rows``, ``positives``,
        ``expected_rate``, ``observed_rate`` and its 90 % interval over accounts ``low``, ``high``
        (None without rows).
    calibration : DataFrame
        Hold-out, as :func:`models.measures.metrics.calibration_table`.
    holdout : DataFrame
        ``account_id``, ``observation_date``, ``segment``, ``probability`` (of the outcome in its
        window), ``probability_if_due`` (had the account to decide in it), ``due`` (it had),
        ``score``, ``band`` and ``happened`` of every held-out row that judged.
    choice : dict
        As :meth:`models.training.selection.Selection.to_dict`.
    counts : TrainingCounts
        What it was taught with.
    warnings : list of str
        One sentence each.
    acted_on : DataFrame or None
        The same as ``holdout`` of held-out rows that judge nothing, because somebody acted on them.
    """

    model: HealthModel
    metrics: Metrics
    segment_metrics: dict[str, Metrics]
    bands: list[BandRow]
    calibration: pd.DataFrame
    holdout: pd.DataFrame
    choice: Json
    counts: TrainingCounts
    warnings: list[str]
    acted_on: pd.DataFrame | None = None


def fit_health_model(
    frame: Rows,
    signals: Sequence[Signal],
    learning: Learning,
    *,
    scale: ScaleSettings | None = None,
    holdout_dates: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> TrainingResult:
    """Choose, prove and fit a health model.

    The newest dates are held out. On what had matured before them shapes, rounds and shares
    are chosen by rolling origins, the calibration is fitted to out-of-time margins, and
    the hold-out is scored once. Then everything is refitted on all rows with the same choices,
    and the hold-out's margins join the calibration.

    Parameters
    ----------
    frame : DataFrame or CodedTable of n rows
        Matured rows: ``account_id``, ``observation_date``, ``happened`` (0 or 1), one column per
        signal, the columns segments are read from and, where they are known, ``account_age_days``
        and ``acted_on``: rows that were acted on teach, and judge nothing.
    signals : sequence of Signal
        What the model may read.
    learning : Learning
        How. Where rows have no dates five folds of accounts judge each other instead, which says
        nothing about later dates, and the hold-out is every row.
    scale : ScaleSettings or None
        What fixes the score; None leaves it to the matured base rate of the rows that are due.
    holdout_dates : int or None
        Distinct dates to hold out; None for a quarter of them.
    progress : callable or None
        Told what is being done, in words.

    Returns
    -------
    TrainingResult

    Raises
    ------
    EvidenceError
        When one outcome is absent or positives are too few.
    DataError
        When a column is absent or holds what it must not.
    """
    tell = progress or (lambda stage: None)
    signals = tuple(signals)
    check_labels(frame, signals)
    decided = learning.decided(frame)
    final_scale = scale_of(scale, decided, learning.decisions)

    dates, days = frame["observation_date"], learning.maturity_days
    fold = later_holdout(dates, days, holdout_dates) if learning.is_dated else None
    judged_later = fold is not None
    acted_on = None
    if fold is not None:
        tell("choosing how much the trees may add")
        past = frame.take(fold.train)
        where = "matured before the hold-out dates"
        check_evidence(past["happened"], MIN_EARLIER_POSITIVES, where)
        learnt = learn(past, signals, learning)
        alone = left_alone(frame)[fold.test]
        alone = alone if alone.any() else ~alone
        acted, fold = fold.test[~alone], Fold(fold.train, fold.test[alone])
        tell("testing on dates the model has not seen")
        base_rate = float(past["happened"].mean())
        unseen = judge(learnt, frame, fold.test, base_rate)
        if len(acted):
            acted_on = said_of(judge(learnt, frame, acted, base_rate), frame, final_scale)
        tell("fitting on every matured row")
        final = _refitted(learnt, frame, fold, unseen)
    else:
        tell("testing on accounts the model has not seen")
        fold, unseen = _cross_validated(frame, signals, learning)
        tell("fitting on every row")
        final = learn(frame, signals, learning)
    proof = prove(unseen, frame, final_scale, learning.seed)

    tell("asking how sure the weights are")
    model = _with_weights(
        final, decided, final_scale, proof.bands, proof.metrics.enough_evidence, learning
    )
    if learning.is_dated:
        health = final.log_odds(frame) - final_scale.shift(final.kinds(frame))
        points = POINTS_PER_LOG_ODDS * health
        noise = reversal(points, frame["account_id"], frame["observation_date"])
        model = replace(model, noise=noise)
    if learning.window is not None:
        tell("learning how risk unfolds over a year")
        model = replace(model, curve=final.curve(frame, learning.window))
    return TrainingResult(
        model=model,
        metrics=proof.metrics,
        segment_metrics=proof.segment_metrics,
        bands=proof.bands,
        calibration=proof.calibration,
        holdout=proof.holdout,
        choice=final.selection.to_dict(),
        counts=counts_of(frame, fold, final.due(frame)),
        warnings=[
            *final.assignment.merged,
            *(left_out(final.timing.decisions, signals, final.signals) if final.timing else ()),
            *doubts(
                proof.metrics,
                is_dated=learning.is_dated,
                in_time=final.selection.in_time,
                judged_later=judged_later,
            ),
            *nobody_at_risk(proof.bands),
        ],
        acted_on=acted_on,
    )


def _cross_validated(
    frame: Rows, signals: tuple[Signal, ...], learning: Learning
) -> tuple[Fold, Unseen]:
    """Judge every row by a model of other accounts."""
    clusters = pd.factorize(frame["account_id"].to_numpy(dtype=object))[0]
    parts = []
    for fold in account_folds(clusters, ACCOUNT_FOLDS):
        known = frame.take(fold.train)
        check_evidence(known["happened"], MIN_EARLIER_POSITIVES, "among the accounts learnt from")
        base_rate = float(known["happened"].mean())
        parts.append(judge(learn(known, signals, learning), frame, fold.test, base_rate))
    if not parts:
        raise EvidenceError(
            "Rows without a later date are judged on other accounts, but all are of one account; "
            "add more accounts."
        )
    everything = np.arange(len(frame))
    return Fold(train=everything, test=everything), together(parts)


def _refitted(learnt: Learnt, frame: Rows, fold: Fold, unseen: Unseen) -> Learnt:
    """Fit to every row with the choices made on the older ones; the hold-out's margins join in."""
    happened = frame["happened"].to_numpy(dtype=int)
    inputs = learnt.inputs(frame)
    due = learnt.due(frame)
    rows = np.concatenate([fold.train[learnt.selection.rows], fold.test[unseen.due]])
    margins = np.concatenate([learnt.selection.margins, unseen.margins[unseen.due]])
    classifier = clone(learnt.classifier).fit(inputs.take(np.flatnonzero(due)), happened[due])
    calibrated = learnt.calibrated(frame, rows, margins)
    return replace(calibrated, classifier=classifier).timed(frame)


def _with_weights(
    learnt: Learnt,
    frame: Rows,
    scale: ScoreScale,
    bands: list[BandRow],
    enough_evidence: bool,
    learning: Learning,
) -> HealthModel:
    signals, classifier = learnt.signals, learnt.classifier
    inputs = model_input(frame, signals, learnt.assignment)
    segment = inputs[SEGMENT].to_numpy(dtype=object)
    apart = scale.term_anchors or learnt.calibrator.levels_
    kinds = learnt.kinds(frame) if apart else None
    centres, term_centres = _centres(classifier, inputs, segment, kinds)
    best = best_weights(
        classifier,
        inputs,
        frame["happened"].to_numpy(dtype=float),
        frame["account_id"].to_numpy(dtype=object),
        segment,
        signals,
        age_days=frame[AGE].to_numpy(dtype=float, na_value=np.nan) if AGE in frame else None,
        dates=frame["observation_date"] if learning.is_dated else None,
        good=scale.good,
        seed=learning.seed,
    ) or _own_weights(classifier, inputs, segment, centres, signals)
    certainty = best.certainty if enough_evidence else best.certainty.without_evidence()
    return HealthModel(
        signals=signals,
        classifier=classifier,
        calibrator=learnt.calibrator,
        scale=scale,
        segments=learnt.assignment,
        centres=centres,
        weights=best.groups,
        signal_weights=best.signals,
        certainty=certainty,
        bands=bands,
        maturity_days=learning.maturity_days,
        timing=learnt.timing,
        spread=best.spread and best.spread.with_bases(_base_variances(learnt, frame, segment)),
        term_centres=term_centres,
    )


def _own_weights(
    classifier: ChurnClassifier,
    inputs: Rows,
    segment: NDArray[np.object_],
    centres: Centres,
    signals: tuple[Signal, ...],
) -> BestWeights:
    """Take the shares of the model itself, where no refit can be made."""
    contributions = classifier.contributions(inputs)
    contributions -= np.array([centres[name] for name in segment])
    return BestWeights(
        group_weights(contributions, segment, signals),
        signal_weights(contributions, segment, signals),
        WeightCertainty({}, {}),
    )


def _centres(
    classifier: ChurnClassifier, inputs: Rows, segment: NDArray[np.object_], kinds: Codes | None
) -> tuple[Centres, tuple[Centres, ...]]:
    """Mean contributions by segment, and by kind of term and segment where kinds are told apart.

    A segment of which a kind has no rows has the mean of the kind, a kind without rows that of all.
    """
    names = sorted(set(segment))
    place = pd.Index(names).get_indexer(segment)
    count = len(names)
    cell = place if kinds is None else kinds * count + place
    cells = count if kinds is None else len(KINDS) * count
    sums, rows = summed_contributions(classifier, inputs, cell, cells)
    sums, rows = sums.reshape(-1, count, sums.shape[1]), rows.reshape(-1, count)
    everybody = sums.sum(axis=(0, 1)) / rows.sum()

    def means(total: Floats, number: Codes, whole: Floats) -> Centres:
        middle = total.sum(axis=0) / number.sum() if number.any() else whole
        own = {
            name: (total[i] / number[i] if number[i] else middle).tolist()
            for i, name in enumerate(names)
        }
        return {EVERYBODY: middle.tolist()} | own

    centres = means(sums.sum(axis=0), rows.sum(axis=0), everybody)
    if kinds is None:
        return centres, ()
    by_kind = (means(total, number, everybody) for total, number in zip(sums, rows, strict=True))
    return centres, tuple(by_kind)


def _base_variances(learnt: Learnt, frame: Rows, segment: NDArray[np.object_]) -> dict[str, float]:
    """Estimate the variance of the base log-odds of each segment, and of all."""
    risk = expit(learnt.log_odds(frame))
    told = risk * (1 - risk)
    everybody = 1 / float(told.sum())
    own = {
        str(name): everybody + 1 / (BASE_SD**-2 + float(told[segment == name].sum()))
        for name in sorted(set(segment))
    }
    return {EVERYBODY: everybody} | (own if len(own) > 1 else {})


def counts_of(frame: Rows, fold: Fold, due: NDArray[np.bool_]) -> TrainingCounts:
    """Count rows and outcomes: see ``counts`` of :class:`TrainingResult`."""
    dates = pd.to_datetime(frame["observation_date"])
    happened = frame["happened"].to_numpy()

    def positives(rows: Codes) -> int:
        return int(happened[rows].sum())

    return {
        "rows": len(frame),
        "accounts": int(frame["account_id"].nunique()),
        "positives": int(happened.sum()),
        "training_rows": len(fold.train),
        "training_positives": positives(fold.train),
        "holdout_rows": len(fold.test),
        "holdout_positives": positives(fold.test),
        "due_rows": int(due.sum()),
        "due_positives": int(happened[due].sum()),
        "due_holdout_rows": int(due[fold.test].sum()),
        "due_holdout_positives": int(happened[fold.test][due[fold.test]].sum()),
        "first_date": dates.min().date().isoformat(),
        "last_date": dates.max().date().isoformat(),
        "holdout_from": dates.iloc[fold.test].min().date().isoformat(),
    }
