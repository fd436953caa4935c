"""The health model as data: all that turns a feature row into a score, and the files it is in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import pandas as pd
from lightgbm.basic import LightGBMError
from numpy.typing import NDArray

from features.catalog import Signal
from features.errors import DataError, RegistryError, SettingsError, sample
from models.arrays import Floats
from models.churn.classifier import ChurnClassifier
from models.churn.coded import CodedTable, Rows
from models.churn.segments import SegmentAssignment
from models.scoring.calibration import LogisticCalibrator
from models.scoring.file_seal import check_files, seal_files
from models.scoring.scale import ScoreScale
from models.scoring.sense import finite_json, refuse_nonsense
from models.scoring.timing.curve import RiskCurve
from models.scoring.timing.decisions import COLUMNS
from models.scoring.timing.timing import Timing
from models.tree_shap import ShapPlan
from models.weights.account_spread import AccountSpread
from models.weights.certainty import WeightCertainty
from models.weights.prior_share import PriorShare

if TYPE_CHECKING:
    from models.measures.metrics import BandRow

# Where the registry keeps a model among the artifacts of its version.
MODEL_FOLDER = "health_model"
MODEL_FILE, TREES_FILE, PLAN_FOLDER = "health_model.json", "correction.txt", "shap_plan"
# What timing and kinds of terms add must not be left out by a version that knows them not.
FORMAT, TIMED_FORMAT, KINDS_FORMAT = 2, 3, 4
# What comes of files that somebody else wrote.
BROKEN = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError),
    *(SettingsError, LightGBMError),
)
SEGMENT = "segment"


@dataclass(frozen=True)
class HealthModel:
    """A fitted churn model with its calibration, scale, segments and learned weights.

    :func:`models.training.fit.fit_health_model` makes one, :class:`models.scoring.scorer.Scorer`
    scores with it; :mod:`models.registry.models` keeps them.

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
    term_centres : tuple of dict
        The same among rows of each of :data:`~models.scoring.timing.decisions.KINDS`; empty where
        kinds of terms are not told apart.
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
    timing : Timing or None
        What of the risk at a decision falls into the outcome window; None where all of it does, as
        in every model from before it was told apart.
    spread : AccountSpread or None
        How sure single margins are; None in every model from before it was asked.
    prior : PriorShare or None
        How much of a first model is a scorecard; None where outcomes alone taught it.
    curve : RiskCurve or None
        How likely a loss is within a month up to a year; None where no curve was learnt.
    noise : float or None
        Standard deviation of what a score wobbles by from run to run, in points; None where too
        few accounts were seen on dates in a row.
    shap : ShapPlan or None
        The margin arranged for explaining; None until a fitted model is saved.
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
    bands: list[BandRow]
    maturity_days: int
    timing: Timing | None = None
    spread: AccountSpread | None = None
    prior: PriorShare | None = None
    curve: RiskCurve | None = None
    term_centres: tuple[Mapping[str, list[float]], ...] = ()
    noise: float | None = None
    shap: ShapPlan | None = field(default=None, repr=False, compare=False)

    @property
    def weight_intervals(self) -> dict[str, dict[str, tuple[float, float]]]:
        """90 % interval of each group's weight, by segment or "all" and group."""
        return {
            segment: {name: (weight.low, weight.high) for name, weight in parts.items()}
            for segment, parts in self.certainty.groups.items()
        }

    @cached_property
    def margin_plan(self) -> ShapPlan:
        """The margin arranged for explaining: the plan kept with the model, or one made now."""
        if self.shap is not None:
            return self.shap
        # A model read from its files brings its plan, and has no need of what builds one.
        from models.scoring.margin_plan import margin_plan

        return margin_plan(self.classifier, self.term_centres or (self.centres,))

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns a frame needs to be scored, beside ``account_id`` and ``observation_date``."""
        names = [signal.name for signal in self.signals]
        contract = COLUMNS if self.timing is not None else ()
        return tuple(dict.fromkeys([*names, *self.segments.settings.required_columns, *contract]))

    @property
    def _format(self) -> int:
        if self.calibrator.levels_ or (self.curve is not None and self.curve.ageing):
            return KINDS_FORMAT
        return FORMAT if self.timing is None else TIMED_FORMAT

    def save(self, folder: Path) -> None:
        """Write JSON, LightGBM's text where there is a correction, SHAP's plan, and the seal."""
        folder.mkdir(parents=True, exist_ok=True)
        described = {
            "format": self._format,
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
        if self.timing is not None:
            described["timing"] = self.timing.to_dict()
        if self.spread is not None:
            described["spread"] = self.spread.to_dict()
        if self.prior is not None:
            described["prior"] = self.prior.to_dict()
        if self.term_centres:
            described["term_centres"] = list(self.term_centres)
        if self.noise is not None:
            described["noise"] = self.noise
        if self.curve is not None:
            described["curve"] = self.curve.to_dict()
        trees = self.classifier.correction_text()
        if trees is not None:
            (folder / TREES_FILE).write_text(trees, encoding="utf-8")
        self.margin_plan.save(folder / PLAN_FOLDER)
        text = json.dumps(described, indent=1, allow_nan=False)
        (folder / MODEL_FILE).write_text(text, encoding="utf-8")
        seal_files(folder)

    @classmethod
    def load(cls, folder: Path, seal: str | None = None) -> HealthModel:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        folder : Path
            The folder.
        seal : str, optional
            What :func:`~models.scoring.file_seal.seal_of` told of the folder.

        Raises
        ------
        RegistryError
            When the folder holds no model, an incomplete one, one of a later format, one whose
            files were changed, or one with a number that cannot be.
        """
        check_files(folder, seal)
        try:
            text = (folder / MODEL_FILE).read_text(encoding="utf-8")
            described = json.loads(text, parse_float=finite_json, parse_constant=finite_json)
            if described["format"] not in (FORMAT, TIMED_FORMAT, KINDS_FORMAT):
                raise RegistryError(
                    f"The model in {str(folder)!r} has format {described['format']}, but this "
                    f"version reads formats {FORMAT} to {KINDS_FORMAT}; train again or install "
                    "the version it is of."
                )
            is_timed = described["format"] != FORMAT
            trees = folder / TREES_FILE
            correction = None
            if described["classifier"]["settings"]["n_rounds"]:
                correction = trees.read_text(encoding="utf-8")
            classifier = ChurnClassifier.from_dict(described["classifier"], correction)
            model = cls(
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
                timing=Timing.from_dict(described["timing"]) if is_timed else None,
                spread=AccountSpread.from_dict(described["spread"])
                if "spread" in described
                else None,
                prior=PriorShare.from_dict(described["prior"]) if "prior" in described else None,
                noise=described.get("noise"),
                term_centres=tuple(described.get("term_centres", ())),
                curve=RiskCurve.from_dict(described["curve"]) if "curve" in described else None,
                shap=_kept_plan(folder / PLAN_FOLDER, classifier),
            )
            refuse_nonsense(model)
        except BROKEN as error:
            raise RegistryError(
                f"The folder {str(folder)!r} holds no usable model "
                f"({type(error).__name__}: {str(error)[:200]}); train again."
            ) from error
        return model


def _kept_plan(folder: Path, classifier: ChurnClassifier) -> ShapPlan | None:
    """Read the plan kept with a model; models from before there were plans have none."""
    if not folder.exists():
        return None
    return ShapPlan.load(folder, booster=classifier.booster_)


@overload
def model_input(
    frame: pd.DataFrame, signals: tuple[Signal, ...], segments: SegmentAssignment
) -> pd.DataFrame: ...


@overload
def model_input(frame: Rows, signals: tuple[Signal, ...], segments: SegmentAssignment) -> Rows: ...


def model_input(frame: Rows, signals: tuple[Signal, ...], segments: SegmentAssignment) -> Rows:
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
    if isinstance(frame, CodedTable):
        for signal in signals:
            _refuse_unlike(signal, frame.column(signal.name).values)
        code, labels = segments.coded(frame)
        return frame.select(names).with_texts(SEGMENT, code, labels)
    columns = {
        signal.name: _names(frame[signal.name])
        if signal.is_categorical
        else _finite(frame[signal.name])
        for signal in signals
    }
    inputs = pd.DataFrame(columns, index=pd.RangeIndex(len(frame)))
    return inputs.assign(**{SEGMENT: segments.assign(frame).to_numpy(dtype=object)})


def _refuse_unlike(signal: Signal, values: NDArray[np.generic]) -> None:
    if not signal.is_categorical:
        _finite(pd.Series(values, name=signal.name))


def _names(column: pd.Series) -> NDArray[np.object_]:
    return column.astype("object").map(str, na_action="ignore").to_numpy(dtype=object)


def _finite(column: pd.Series) -> Floats:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = column[(np.isnan(numbers) & column.notna().to_numpy()) | np.isinf(numbers)]
    if len(wrong):
        raise DataError(
            f"Signal {str(column.name)!r} must hold finite numbers, or nothing where it is not "
            f"known, but holds {sample(wrong.unique())}; correct the column it is built from."
        )
    return numbers
