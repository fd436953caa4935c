"""Train a champion from a company's matured history."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.errors import EvidenceError
from pipelines.company_data import open_company
from pipelines.config import Project, freeze_scale
from pipelines.progress import show_progress

if TYPE_CHECKING:
    import pandas as pd

    from features.catalog import Signal
    from features.company import Company
    from models.score import ScaleSettings
    from models.training import TrainingResult

TRAINING_STEPS = 4


@dataclass(frozen=True)
class Trained:
    """A registered champion.

    Parameters
    ----------
    version : str
        Its version in the registry.
    result : TrainingResult
        The model and its out-of-time proof.
    warnings : list of str
        Data problems and doubts, one sentence each.
    """

    version: str
    result: TrainingResult
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``train --json`` prints."""
        result = self.result
        return {
            "model_version": self.version,
            "metrics": result.metrics.to_dict(),
            "enough_evidence": result.metrics.enough_evidence,
            "segments": {
                name: metrics.to_dict() for name, metrics in result.segment_metrics.items()
            },
            "weights": {name: dict(shares) for name, shares in result.model.weights.items()},
            "bands": result.bands,
            "scale": result.model.scale.to_dict(),
            "choice": result.choice,
            "counts": result.counts,
            "warnings": self.warnings,
        }


def train(project: Project) -> Trained:
    """Build the labelled feature table, fit, judge on later dates, and register the champion.

    The first champion's scale is written into the configuration, where it stays.

    Raises
    ------
    DataError, EvidenceError
        When the data break the contract or hold too few matured outcomes.
    """
    from features.outcomes import days_to_label
    from models.plots import lift_plot, reliability_plot, score_plot
    from models.registry import log_champion
    from models.segments import SegmentSettings
    from models.training import fit_health_model

    settings = project.settings
    with open_company(project) as company:
        frame, signals = _labelled_features(project, company)
        label_days = days_to_label(company, settings.outcome)
        problems = [
            f"{quality.source_name}: {problem}"
            for quality in company.quality.values()
            for problem in quality.problems
        ]
        described = describe_data(company, frame)
        is_dated = company.is_dated
    _refuse_unknown_segments(project, signals)
    number = itertools.count(1)
    with show_progress("Train") as step:
        result = fit_health_model(
            frame,
            signals,
            maturity_days=label_days,
            segments=SegmentSettings(
                columns=settings.segments.columns,
                lifecycle=tuple(
                    (stage.name, stage.until_days) for stage in settings.segments.lifecycle
                ),
                min_rows=settings.segments.min_rows,
                min_churns=settings.segments.min_churns,
            ),
            scale=_scale(project, float(frame["churned"].mean())),
            holdout_dates=settings.training.holdout_dates,
            is_dated=is_dated,
            seed=settings.training.seed,
            n_jobs=settings.training.threads,
            progress=lambda name: step(name, next(number), TRAINING_STEPS),
        )
        step("registering the champion", TRAINING_STEPS, TRAINING_STEPS)
        version = log_champion(
            result,
            folder=project.registry_folder,
            name=settings.registry.model_name,
            params=_parameters(project),
            files={
                "healthscore.toml": project.shown_text,
                "data.json": json.dumps(described, indent=2),
                "signals.json": json.dumps([signal.to_dict() for signal in signals], indent=2),
            },
            figures={
                "reliability.png": reliability_plot(result.calibration),
                "lift.png": lift_plot(result.holdout),
                "scores.png": score_plot(result.holdout),
            },
        )
    _freeze_missing_scale(project, result)
    return Trained(version, result, problems + result.warnings)


def describe_data(company: Company, frame: pd.DataFrame) -> dict[str, Any]:
    """Describe the tables and fingerprint the feature table a model was taught with.

    The fingerprint is the SHA-256 of every value in order, so equal data give equal fingerprints.
    Numbers count to nine decimals and in single precision: engines add in any order, which shows
    in the last digits, and where a sum should be nothing.
    """
    import pandas as pd

    numbers = frame.select_dtypes("float64")
    # Adding zero turns the minus zero that rounding leaves into zero.
    rounded = (numbers.round(9) + 0.0).astype("float32")
    hashes = pd.util.hash_pandas_object(frame.assign(**rounded), index=False).to_numpy()
    return {
        "fingerprint": hashlib.sha256(hashes.tobytes()).hexdigest(),
        "rows": len(frame),
        "columns": list(frame.columns),
        "data_start": company.data_start.isoformat(),
        "data_end": company.data_end.isoformat(),
        "tables": {name: quality.to_dict() for name, quality in company.quality.items()},
    }


def labelled_features(project: Project) -> tuple[pd.DataFrame, tuple[Signal, ...]]:
    """Build the labelled feature table of a configuration, for work outside this command."""
    with open_company(project) as company:
        return _labelled_features(project, company)


def _labelled_features(
    project: Project, company: Company
) -> tuple[pd.DataFrame, tuple[Signal, ...]]:
    from features.build import build_features, signals_of
    from features.outcomes import days_to_label, matured_dates

    settings = project.settings
    dates = matured_dates(company, settings.outcome)
    if not dates:
        raise EvidenceError(
            f"No observation date has matured: the data run from {company.data_start} to"
            f" {company.data_end}, and a date needs {days_to_label(company, settings.outcome)} days"
            " after it; load a longer history or shorten [outcome] horizon_days"
        )
    with show_progress("Signals") as step:
        frame = build_features(
            company, dates, settings.outcome, settings.signals, labelled=True, progress=step
        )
    if frame.empty:
        raise EvidenceError(
            f"No account was active on any of the {len(dates)} observation dates from {dates[0]} to"
            f" {dates[-1]}; check started_at and ended_at under [tables.subscriptions]"
        )
    return frame, signals_of(company, settings.signals)


def _refuse_unknown_segments(project: Project, signals: tuple[Signal, ...]) -> None:
    from features.errors import SettingsError, nearest, sample

    for column in project.settings.segments.columns:
        if all(signal.name != column for signal in signals):
            texts = [signal.name for signal in signals if signal.is_categorical]
            hint = nearest(column, texts) or f"; signals that could be are {sample(texts, 8)}"
            raise SettingsError(
                f"[segments] columns names '{column}', which is no signal of this company{hint}"
            )


def _parameters(project: Project) -> dict[str, object]:
    settings = project.settings
    return {
        "horizon_days": settings.outcome.horizon_days,
        "lead_days": settings.outcome.lead_days,
        "segments": ", ".join(settings.segments.columns),
        "seed": settings.training.seed,
    }


def _scale(project: Project, base_rate: float) -> ScaleSettings:
    """Fill what the configuration leaves open from the base rate, to three digits.

    Rounded before training, so that the champion and the configuration say the same.
    """
    from models.score import ScaleSettings

    given = ScaleSettings(**project.settings.score.model_dump())
    if not 0 < base_rate < 1:
        return given
    filled = given.scale(float(f"{base_rate:.3g}"))
    return ScaleSettings(**{key: float(f"{cut:.3g}") for key, cut in filled.to_dict().items()})


def _freeze_missing_scale(project: Project, result: TrainingResult) -> None:
    given = project.settings.score.model_dump()
    learnt = result.model.scale.to_dict()
    fresh = {key: learnt[key] for key, cut in given.items() if cut is None}
    if fresh and result.metrics.enough_evidence:
        freeze_scale(project, fresh)
