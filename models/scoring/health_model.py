"""The health model: everything needed to turn a feature row into a score people can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from features.catalog import Signal
from features.errors import DataError, RegistryError, sample
from models.churn.classifier import ChurnClassifier
from models.churn.encoding import Floats
from models.scoring.calibration import LogisticCalibrator
from models.scoring.reasons import Reason, group_points, reasons
from models.scoring.scale import ScoreScale, points
from models.scoring.scorer import ScorePlan
from models.segments import SegmentAssignment
from models.tree_shap import ShapPlan
from models.weights.intervals import WeightCertainty

MODEL_FILE, TREES_FILE, PLAN_FOLDER = "health_model.json", "correction.txt", "shap_plan"
FORMAT = 2
SEGMENT = "segment"


@dataclass(frozen=True)
class ScoredAccounts:
    """Scores of (account, observation date) rows, with what each is made of.

    Attributes
    ----------
    table : DataFrame of n rows
        In the order of the input: ``account_id``, ``observation_date``, ``segment`` (as the model
        used it), ``score`` (0 to 100), ``band``, ``grade``, ``probability``, ``coverage``
        (0 to 1) and ``baseline_score`` (the score of the segment's mean margin).
    points : ndarray of shape (n, n_signals)
        ``table.baseline_score + points.sum(axis=1)`` is ``table.score``, to 1e-9.
    values : DataFrame of n rows
        The signals as they were observed.
    signals : tuple of Signal
        What the columns of ``points`` and ``values`` are.
    """

    table: pd.DataFrame
    points: Floats
    values: pd.DataFrame
    signals: tuple[Signal, ...]

    def group_points(self) -> pd.DataFrame:
        """Sum points over signal groups: n rows, one column per group that occurs."""
        return group_points(self.points, self.signals)

    def reasons(self, limit: int = 5) -> list[list[Reason]]:
        """Give the signals with the largest points of each row, in words."""
        return reasons(self.points, self.values, self.signals, limit)


@dataclass(frozen=True)
class HealthModel:
    """A fitted churn model with its calibration, scale, segments and learned weights.

    :func:`models.training.fit.fit_health_model` makes one; :mod:`models.registry.models` keeps
    them.

    Attributes
    ----------
    signals : tuple of Signal
        What the model reads.
    classifier : ChurnClassifier
        Margin and contributions.
    calibrator : LogisticCalibrator
        Margin to log-odds.
    scale : ScoreScale
        Log-odds to score, bands and grades.
    segments : SegmentAssignment
        Which segment a row belongs to.
    centres : dict of str to list of float
        Mean contribution of each signal per segment, and over all rows as "all".
    weights : dict of str to dict of str to float
        Segment, or "all", to group to weight; sums to 100, profile left out.
    signal_weights : dict of str to dict of str to float
        The same per signal, profile included.
    certainty : WeightCertainty
        How sure those weights are, and which way signals were healthy.
    bands : list of dict
        What each band's accounts did in the hold-out; see
        :class:`models.training.fit.TrainingResult`.
    maturity_days : int
        Days from an observation date until its label is certain.
    shap : ShapPlan or None
        The margin arranged for explaining, where it was kept with the model.
    """

    signals: tuple[Signal, ...]
    classifier: ChurnClassifier
    calibrator: LogisticCalibrator
    scale: ScoreScale
    segments: SegmentAssignment
    centres: Mapping[str, list[float]]
    weights: Mapping[str, Mapping[str, float]]
    signal_weights: Mapping[str, Mapping[str, float]]
    certainty: WeightCertainty
    bands: list[dict[str, Any]]
    maturity_days: int
    shap: ShapPlan | None = field(default=None, repr=False, compare=False)

    @cached_property
    def plan(self) -> ScorePlan:
        """The model arranged for scoring many rows."""
        return ScorePlan(self, self.shap)

    @property
    def weight_intervals(self) -> dict[str, dict[str, tuple[float, float]]]:
        """90 % interval of each group's weight, by segment or "all" and group."""
        return {
            segment: {name: (found.low, found.high) for name, found in parts.items()}
            for segment, parts in self.certainty.groups.items()
        }

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns a frame needs to be scored, beside ``account_id`` and ``observation_date``."""
        names = [signal.name for signal in self.signals]
        return tuple(dict.fromkeys([*names, *self.segments.settings.required_columns]))

    def score(self, frame: pd.DataFrame) -> ScoredAccounts:
        """Score rows.

        Parameters
        ----------
        frame : DataFrame of n rows
            ``account_id``, ``observation_date`` and :attr:`required_columns`; NaN or None where a
            signal is not known. Unseen categories count as unknown, an unseen segment is read as
            its nearest parent.

        Returns
        -------
        ScoredAccounts

        Raises
        ------
        DataError
            When a column is absent or a signal holds something that is not a finite number.
        """
        inputs = model_input(frame, self.signals, self.segments)
        data = self.classifier.encoder_.transform(inputs)
        segment = inputs[SEGMENT].to_numpy(dtype=object)
        shap = self.plan.shap
        table = points(
            shap.shap_values(data.values, segment=data.segment),
            self.calibrator.log_odds(shap.base_values(data.segment, len(frame)), segment),
            self.calibrator.slope(segment),
            self.scale,
        )
        probability = expit(table.log_odds)
        scored = pd.DataFrame(
            {
                "account_id": frame["account_id"].to_numpy(),
                "observation_date": frame["observation_date"].to_numpy(),
                SEGMENT: segment,
                "score": table.score,
                "band": self.scale.band(probability),
                "grade": self.scale.grade(table.score),
                "probability": probability,
                "coverage": self.plan.coverage(data.values, segment),
                "baseline_score": table.baseline,
            }
        )
        values = frame[[signal.name for signal in self.signals]].reset_index(drop=True)
        return ScoredAccounts(scored, table.points, values, self.signals)

    def save(self, folder: Path) -> None:
        """Write JSON, LightGBM's model text where there is a correction, and the plan of SHAP."""
        folder.mkdir(parents=True, exist_ok=True)
        described = {
            "format": FORMAT,
            "signals": [signal.to_dict() for signal in self.signals],
            "classifier": self.classifier.to_dict(),
            "calibrator": self.calibrator.to_dict(),
            "scale": self.scale.to_dict(),
            "segments": self.segments.to_dict(),
            "centres": self.centres,
            "weights": self.weights,
            "signal_weights": self.signal_weights,
            "certainty": self.certainty.to_dict(),
            "bands": self.bands,
            "maturity_days": self.maturity_days,
        }
        trees = self.classifier.correction_text()
        if trees is not None:
            (folder / TREES_FILE).write_text(trees, encoding="utf-8")
        self.plan.shap.save(folder / PLAN_FOLDER)
        text = json.dumps(described, indent=1, allow_nan=False)
        (folder / MODEL_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> HealthModel:
        """Read what :meth:`save` wrote.

        Raises
        ------
        RegistryError
            When the folder holds no model, an incomplete one, or one of a later format.
        """
        try:
            described = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
            if described["format"] != FORMAT:
                raise RegistryError(
                    f"The model in {str(folder)!r} has format {described['format']}, but this "
                    f"version reads format {FORMAT}; train again or install the version it is of."
                )
            trees = folder / TREES_FILE
            correction = None
            if described["classifier"]["settings"]["n_rounds"]:
                correction = trees.read_text(encoding="utf-8")
            classifier = ChurnClassifier.from_dict(described["classifier"], correction)
            return cls(
                signals=tuple(Signal.from_dict(signal) for signal in described["signals"]),
                classifier=classifier,
                calibrator=LogisticCalibrator.from_dict(described["calibrator"]),
                scale=ScoreScale.from_dict(described["scale"]),
                segments=SegmentAssignment.from_dict(described["segments"]),
                centres=described["centres"],
                weights=described["weights"],
                signal_weights=described["signal_weights"],
                certainty=WeightCertainty.from_dict(described["certainty"]),
                bands=described["bands"],
                maturity_days=described["maturity_days"],
                shap=_kept_plan(folder / PLAN_FOLDER, classifier),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RegistryError(
                f"The folder {str(folder)!r} holds no usable model "
                f"({type(error).__name__}: {str(error)[:200]}); train again."
            ) from error


def _kept_plan(folder: Path, classifier: ChurnClassifier) -> ShapPlan | None:
    """Read the plan kept with a model; models from before there were plans have none."""
    if not folder.exists():
        return None
    return ShapPlan.load(folder, booster=classifier.booster_)


def model_input(
    frame: pd.DataFrame, signals: tuple[Signal, ...], segments: SegmentAssignment
) -> pd.DataFrame:
    """Select the signals, in order, and add the assigned segment.

    Raises
    ------
    DataError
        When a column is absent or a numeric signal holds something else.
    """
    names = [signal.name for signal in signals]
    absent = [name for name in ["account_id", "observation_date", *names] if name not in frame]
    if absent:
        raise DataError(
            f"The feature rows must have every column the model reads, but {sample(absent)} "
            "is absent; build them with the settings the model was trained with."
        )
    columns = {
        signal.name: _names(frame[signal.name])
        if signal.is_categorical
        else _finite(frame[signal.name])
        for signal in signals
    }
    inputs = pd.DataFrame(columns, index=pd.RangeIndex(len(frame)))
    return inputs.assign(**{SEGMENT: segments.assign(frame).to_numpy(dtype=object)})


def _names(column: pd.Series[Any]) -> Any:
    return column.astype("object").map(str, na_action="ignore").to_numpy(dtype=object)


def _finite(column: pd.Series[Any]) -> Floats:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = column[(np.isnan(numbers) & column.notna().to_numpy()) | np.isinf(numbers)]
    if len(wrong):
        raise DataError(
            f"Signal {str(column.name)!r} must hold finite numbers, or nothing where it is not "
            f"known, but holds {sample(wrong.unique())}; correct the column it is built from."
        )
    return numbers
