"""From a labelled feature frame to a health model with its out-of-time proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from features.build import AGE
from features.catalog import Signal
from features.errors import DataError, EvidenceError
from models.calibration import LogisticCalibrator
from models.churn import ChurnClassifier
from models.encoding import Codes, Floats
from models.evidence import behaviour_rank
from models.health_model import SEGMENT, HealthModel, model_input
from models.metrics import Metrics, calibration_table, evaluate, rate_row
from models.score import BANDS, ScaleSettings, ScoreScale
from models.segments import SegmentAssignment, SegmentSettings, assign_segments
from models.selection import Selection, select_rounds
from models.splits import Fold, account_holdout, time_holdout
from models.weights import OVERALL, group_weights, signal_weights

# Of all matured rows, and of those that had matured before the hold-out.
MIN_POSITIVES, MIN_EARLIER_POSITIVES = 30, 15
FEW_HOLDOUT_POSITIVES = 5


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
        Hold-out, per band: ``band``, ``rows``, ``positives``, ``expected_rate``, ``observed_rate``
        and its 90 % Wilson interval ``low``, ``high`` (None without rows).
    calibration : DataFrame
        Hold-out, as :func:`models.metrics.calibration_table`.
    holdout : DataFrame
        ``account_id``, ``observation_date``, ``segment``, ``probability``, ``score`` and
        ``happened`` of every held-out row.
    choice : dict
        ``backbone``, ``rounds``, ``in_time`` and ``candidates`` with their out-of-time log losses.
    counts : dict
        ``rows``, ``accounts``, ``positives``; ``training_rows``, ``training_positives``,
        ``holdout_rows``, ``holdout_positives``; ``first_date``, ``last_date``, ``holdout_from`` (ISO).
    warnings : list of str
        One sentence each.
    """

    model: HealthModel
    metrics: Metrics
    segment_metrics: dict[str, Metrics]
    bands: list[dict[str, Any]]
    calibration: pd.DataFrame
    holdout: pd.DataFrame
    choice: dict[str, Any]
    counts: dict[str, Any]
    warnings: list[str]


def fit_health_model(
    frame: pd.DataFrame,
    signals: Sequence[Signal],
    *,
    maturity_days: int,
    segments: SegmentSettings | None = None,
    scale: ScaleSettings | None = None,
    holdout_dates: int | None = None,
    is_dated: bool = True,
    seed: int = 0,
    n_jobs: int = 1,
    progress: Callable[[str], None] | None = None,
) -> TrainingResult:
    """Choose, prove and fit a health model.

    The newest dates are held out. On what had matured before them the rounds and the use of the
    backbone are chosen by rolling origins, the calibration is fitted to out-of-time margins, and
    the hold-out is scored once. Then everything is refitted on all rows with the same choices,
    and the hold-out's margins join the calibration.

    Parameters
    ----------
    frame : DataFrame of n rows
        Matured rows: ``account_id``, ``observation_date``, ``happened`` (0 or 1), one column per
        signal, the columns segments are read from and, where it is known, ``account_age_days``.
    signals : sequence of Signal
        What the model may read.
    maturity_days : int
        Days from an observation date to the end of its outcome window.
    segments : SegmentSettings or None
        How rows are split; None takes the frame's ``segment`` column.
    scale : ScaleSettings or None
        What fixes the score; None leaves it to the matured base rate.
    holdout_dates : int or None
        Distinct dates to hold out; None for a quarter of them.
    is_dated : bool
        False where the rows are one snapshot without dates: a quarter of the accounts is held out
        instead, which says nothing about later dates.
    seed : int
        Of the model and of the bootstrap.
    n_jobs : int
        Threads; the result does not depend on it.
    progress : callable or None
        Told what is being done, in words.

    Returns
    -------
    TrainingResult

    Raises
    ------
    EvidenceError
        When one outcome is absent, positives are too few or the history is too short.
    DataError
        When a column is absent or holds what it must not.
    """
    tell = progress or (lambda stage: None)
    signals = tuple(signals)
    _check_labels(frame, signals)
    if is_dated:
        holdout = time_holdout(frame["observation_date"], maturity_days, n_dates=holdout_dates)
    else:
        holdout = account_holdout(frame["account_id"], seed)
    past = frame.iloc[holdout.train]
    _check_evidence(past["happened"], MIN_EARLIER_POSITIVES, "matured before the hold-out dates")
    assignment = assign_segments(past, segments or SegmentSettings())
    inputs = model_input(frame, signals, assignment)
    outcome = frame["happened"].to_numpy(dtype=float)
    accounts = frame["account_id"].to_numpy(dtype=object)
    segment = inputs[SEGMENT].to_numpy(dtype=object)
    scale_settings = scale or ScaleSettings()
    final_scale = scale_settings.scale(float(outcome.mean()))

    tell("choosing how much the trees may add")
    classifier = ChurnClassifier(
        segment_column=SEGMENT,
        healthy={
            s.name: s.healthy for s in signals if s.healthy != "none" and not s.is_categorical
        },
        groups={signal.name: signal.group for signal in signals},
        random_state=seed,
        n_jobs=n_jobs,
    )
    selection = select_rounds(
        classifier,
        inputs.iloc[holdout.train],
        outcome[holdout.train],
        dates=past["observation_date"],
        accounts=accounts[holdout.train],
        maturity_days=maturity_days,
    )
    classifier.set_params(backbone=selection.chosen.backbone, n_rounds=selection.chosen.rounds)

    tell("testing on dates the model has not seen")
    earlier = holdout.train[selection.rows]
    calibrator = LogisticCalibrator().fit(selection.margins, outcome[earlier], segment[earlier])
    tested = holdout.test
    judged = clone(classifier).fit(inputs.iloc[holdout.train], outcome[holdout.train].astype(int))
    margins = judged.decision_function(inputs.iloc[tested])
    log_odds = calibrator.log_odds(margins, segment[tested])
    held_out = _held_out(frame, segment, tested, log_odds, final_scale)
    behaviour = _behaviour(judged, inputs.iloc[tested], frame.iloc[tested], signals)
    base_rate = float(outcome[holdout.train].mean())
    metrics, by_segment = _measure(held_out.assign(behaviour=behaviour), base_rate, seed)
    bands = band_table(held_out, final_scale)

    tell("fitting on every matured row")
    final = LogisticCalibrator().fit(
        np.concatenate([selection.margins, margins]),
        outcome[np.concatenate([earlier, tested])],
        segment[np.concatenate([earlier, tested])],
    )
    model = _refit(
        classifier, inputs, outcome, signals, final, final_scale, assignment, bands, maturity_days
    )
    return TrainingResult(
        model=model,
        metrics=metrics,
        segment_metrics=by_segment,
        bands=bands,
        calibration=calibration_table(held_out["happened"], held_out["probability"]),
        holdout=held_out,
        choice=_choice(selection),
        counts=_counts(frame, holdout, outcome),
        warnings=[*assignment.merged, *_warnings(metrics, selection, is_dated)],
    )


def band_table(rows: pd.DataFrame, scale: ScoreScale) -> list[dict[str, Any]]:
    """Compare expected with observed churn in each band.

    Parameters
    ----------
    rows : DataFrame
        ``probability`` and ``happened``.
    scale : ScoreScale
        What cuts the bands.
    """
    risk = rows["probability"].to_numpy(dtype=float)
    outcome, band = rows["happened"].to_numpy(dtype=float), scale.band(risk)
    return [{"band": name, **rate_row(outcome[band == name], risk[band == name])} for name in BANDS]


def _refit(
    classifier: ChurnClassifier,
    inputs: pd.DataFrame,
    outcome: Floats,
    signals: tuple[Signal, ...],
    calibrator: LogisticCalibrator,
    scale: ScoreScale,
    assignment: SegmentAssignment,
    bands: list[dict[str, Any]],
    maturity_days: int,
) -> HealthModel:
    classifier.fit(inputs, outcome.astype(int))
    segment = inputs[SEGMENT].to_numpy(dtype=object)
    contributions = classifier.contributions(inputs)
    centres = {OVERALL: contributions.mean(axis=0).tolist()}
    for name in sorted(set(segment)):
        inside = segment == name
        centres[name] = contributions[inside].mean(axis=0).tolist()
        contributions[inside] -= centres[name]
    return HealthModel(
        signals=signals,
        classifier=classifier,
        calibrator=calibrator,
        scale=scale,
        segments=assignment,
        centres=centres,
        weights=group_weights(contributions, segment, signals),
        signal_weights=signal_weights(contributions, segment, signals),
        bands=bands,
        maturity_days=maturity_days,
    )


def _held_out(
    frame: pd.DataFrame, segment: Any, tested: Codes, log_odds: Floats, scale: ScoreScale
) -> pd.DataFrame:
    rows = frame.iloc[tested][["account_id", "observation_date", "happened"]].reset_index(drop=True)
    return rows.assign(
        segment=segment[tested],
        probability=1 / (1 + np.exp(-log_odds)),
        score=scale.score(log_odds),
    )


def _behaviour(
    classifier: ChurnClassifier,
    inputs: pd.DataFrame,
    tested: pd.DataFrame,
    signals: tuple[Signal, ...],
) -> Floats:
    """Rank what behaviour adds to the margins of held-out rows among like accounts."""
    profile = np.array([signal.group == "profile" for signal in signals])
    added = classifier.contributions(inputs)
    unknown = np.full(len(tested), np.nan)
    age = tested[AGE].to_numpy(dtype=float) if AGE in tested else unknown
    return behaviour_rank(
        tested["observation_date"].to_numpy(),
        inputs[SEGMENT].to_numpy(dtype=object),
        age,
        added[:, profile].sum(axis=1),
        added[:, ~profile].sum(axis=1),
    )


def _measure(rows: pd.DataFrame, base_rate: float, seed: int) -> tuple[Metrics, dict[str, Metrics]]:
    def measured(part: pd.DataFrame) -> Metrics:
        return evaluate(
            part["happened"],
            part["probability"],
            part["account_id"],
            base_rate=base_rate,
            behaviour=part["behaviour"],
            seed=seed,
        )

    parts = {str(name): measured(part) for name, part in rows.groupby(SEGMENT, sort=True)}
    return measured(rows), parts


def _check_labels(frame: pd.DataFrame, signals: tuple[Signal, ...]) -> None:
    if not signals:
        raise DataError(
            "A model needs at least one signal, but none was given; map a source table such as "
            "usage_events."
        )
    if any(signal.name == SEGMENT for signal in signals):
        raise DataError(
            f"No signal may be called {SEGMENT!r}, the column that splits the model; "
            "give the signal another name."
        )
    if "happened" not in frame:
        raise DataError("Training rows must have a column 'happened'; label them first.")
    if not frame["happened"].isin([0, 1]).all():
        wrong = frame["happened"][~frame["happened"].isin([0, 1])]
        raise DataError(
            f"The label 'happened' must be 0 or 1 in every training row, but {len(wrong)} row(s) "
            f"hold something else, such as {wrong.iloc[0]!r}; leave out rows not matured yet."
        )
    _check_evidence(frame["happened"], MIN_POSITIVES, "in the matured rows")


def _check_evidence(happened: pd.Series[Any], least: int, where: str) -> None:
    positives, rows = int(happened.sum()), len(happened)
    if not least <= positives < rows:
        needed = "a row that stayed" if positives >= least else f"at least {least} positives"
        raise EvidenceError(
            f"Learning needs {needed} {where}, but {positives} of {rows} rows are positive; "
            "use a longer history or a longer outcome window."
        )


def _choice(selection: Selection) -> dict[str, Any]:
    return {
        "backbone": selection.chosen.backbone,
        "rounds": selection.chosen.rounds,
        "in_time": selection.in_time,
        "candidates": [asdict(candidate) for candidate in selection.candidates],
    }


def _counts(frame: pd.DataFrame, holdout: Fold, outcome: Floats) -> dict[str, Any]:
    dates = pd.to_datetime(frame["observation_date"])
    return {
        "rows": len(frame),
        "accounts": int(frame["account_id"].nunique()),
        "positives": int(outcome.sum()),
        "training_rows": len(holdout.train),
        "training_positives": int(outcome[holdout.train].sum()),
        "holdout_rows": len(holdout.test),
        "holdout_positives": int(outcome[holdout.test].sum()),
        "first_date": dates.min().date().isoformat(),
        "last_date": dates.max().date().isoformat(),
        "holdout_from": dates.iloc[holdout.test].min().date().isoformat(),
    }


def _warnings(metrics: Metrics, selection: Selection, is_dated: bool) -> list[str]:
    found = []
    behaviour_low = float("nan") if metrics.auc_behaviour_low is None else metrics.auc_behaviour_low
    if metrics.positives < FEW_HOLDOUT_POSITIVES:
        found.append(
            f"Only {metrics.positives} churn(s) in the {metrics.rows} hold-out rows: the measures "
            "say little until more outcomes have matured."
        )
    elif not metrics.enough_evidence:
        found.append(
            "Not enough evidence that behaviour foretells churn: its hold-out AUC among accounts "
            f"of like age and plan may be as low as {behaviour_low:.3f}, where 0.5 is chance."
            if metrics.auc is not None and metrics.auc_low is not None
            else f"The hold-out has no ranking to measure: {metrics.reason}."
        )
    if not is_dated:
        found.append(
            "The rows carry no dates: the model was judged on accounts it had not seen, not on "
            "later dates, and what was written down after the outcome may flatter it."
        )
    elif not selection.in_time:
        found.append(
            "Too few dates had matured to choose and calibrate on later ones, so held-out accounts "
            "of the same dates were used; expect the probabilities to be less certain."
        )
    return found
