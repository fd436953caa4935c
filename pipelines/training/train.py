"""Train a champion from a company's matured history."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.errors import EvidenceError
from features.outcomes.settings import WORDS, OutcomeWords
from pipelines.project.company import open_company
from pipelines.project.project import Project, freeze_scale
from pipelines.project.score_settings import MAIN
from pipelines.terminal.progress import show_progress
from pipelines.training.leak_gate import refuse_leaks
from pipelines.training.tune import search_parameters, tuning_parameters, tuning_seconds

if TYPE_CHECKING:
    import pandas as pd

    from features.catalog import Signal
    from features.tables.company import Company
    from models.scoring.scale import ScaleSettings
    from models.segments import SegmentSettings
    from models.training.fit import TrainingResult
    from models.training.tuning import Tuned

TRAINING_STEPS = 5


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
    tuning : Tuned or None
        What a search for parameters found; None where there was none.
    outcome : str
        Name of the outcome it foretells.
    words : OutcomeWords
        How people speak of it.
    """

    version: str
    result: TrainingResult
    warnings: list[str]
    tuning: Tuned | None = None
    outcome: str = MAIN
    words: OutcomeWords = WORDS["churn"]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``train --json`` prints."""
        result = self.result
        return {
            "outcome": self.outcome,
            "model_version": self.version,
            "metrics": result.metrics.to_dict(),
            "enough_evidence": result.metrics.enough_evidence,
            "segments": {
                name: metrics.to_dict() for name, metrics in result.segment_metrics.items()
            },
            "weights": {name: dict(shares) for name, shares in result.model.weights.items()},
            "weight_certainty": result.model.certainty.to_dict(),
            "bands": result.bands,
            "scale": result.model.scale.to_dict(),
            "choice": result.choice,
            "counts": result.counts,
            "tuning": None if self.tuning is None else self.tuning.to_dict(),
            "warnings": self.warnings,
        }


def train(project: Project, *, tune_seconds: float | None = None) -> Trained:
    """Build the labelled feature table, fit, judge on later dates, and register the champion.

    The first champion's scale is written into the configuration, where it stays.

    Parameters
    ----------
    project : Project
        The configuration.
    tune_seconds : float, optional
        Budget of a search for parameters, in place of the configured one.

    Raises
    ------
    SettingsError, DataError, EvidenceError
        When a setting is impossible, or the data break the contract, give the outcome away or hold
        too few matured outcomes.
    """
    from features.outcomes.labels import days_to_label
    from models.registry.models import log_champion
    from models.training.fit import fit_health_model

    settings = project.settings
    seconds = tuning_seconds(project, tune_seconds)
    with open_company(project) as company:
        frame, signals = labelled_rows(project, company)
        label_days = days_to_label(company, settings.outcome)
        problems = data_problems(company)
        described = describe_data(company, frame)
        is_dated = company.is_dated
    refuse_leaks(project, frame, signals, maturity_days=label_days, is_dated=is_dated)
    segments = segment_settings(project, signals)
    tuning = search_parameters(
        project,
        frame,
        signals,
        segments=segments,
        maturity_days=label_days,
        is_dated=is_dated,
        seconds=seconds,
    )
    number = itertools.count(1)
    with show_progress("Train") as step:
        result = fit_health_model(
            frame,
            signals,
            maturity_days=label_days,
            segments=segments,
            scale=scale_settings(project, float(frame["happened"].mean())),
            holdout_dates=settings.training.holdout_dates,
            is_dated=is_dated,
            seed=settings.training.seed,
            n_jobs=settings.training.threads,
            tuned=None if tuning is None else tuning.parameters,
            progress=lambda name: step(name, next(number), TRAINING_STEPS),
        )
        step("registering the champion", TRAINING_STEPS, TRAINING_STEPS)
        version = log_champion(
            result,
            folder=project.registry_folder,
            name=settings.registry.model_name,
            reasons=["Trained with 'healthscore train', which makes a champion at once."],
            **kept_with_model(project, result, frame, signals, described, tuning),
        )
    _freeze_missing_scale(project, result)
    return Trained(
        version,
        result,
        problems + result.warnings,
        tuning,
        project.outcome_name,
        settings.outcome.words,
    )


def kept_with_model(
    project: Project,
    result: TrainingResult,
    frame: pd.DataFrame,
    signals: tuple[Signal, ...],
    described: dict[str, Any],
    tuning: Tuned | None,
) -> dict[str, Any]:
    """Gather the parameters, files and figures that are logged with a registered model.

    Parameters
    ----------
    project : Project
        The configuration.
    result : TrainingResult
        The model and its proof.
    frame : DataFrame
        The rows it was fitted to, which later dates are held against.
    signals : tuple of Signal
        What it may read.
    described : dict
        What :func:`describe_data` says of the rows it was taught with.
    tuning : Tuned or None
        What a search for parameters found.
    """
    from models.registry.champion_reference import DATA, REFERENCE, training_reference
    from pipelines.reports.figures.tested_rows import lift_plot, reliability_plot, score_plot

    reference = training_reference(result.model, frame)
    return {
        "params": run_parameters(project) | tuning_parameters(tuning),
        "files": {
            "healthscore.toml": project.shown_text,
            DATA: json.dumps(described, indent=2),
            REFERENCE: json.dumps(reference.to_dict(), allow_nan=False),
            "signals.json": json.dumps([signal.to_dict() for signal in signals], indent=2),
        },
        "figures": {
            "reliability.png": reliability_plot(result.calibration),
            "lift.png": lift_plot(result.holdout),
            "scores.png": score_plot(result.holdout),
        },
    }


def data_problems(company: Company) -> list[str]:
    """List what is impossible or unreadable in the tables, one sentence each."""
    return [
        f"{quality.source_name}: {problem}"
        for quality in company.quality.values()
        for problem in quality.problems
    ]


def describe_data(company: Company, frame: pd.DataFrame) -> dict[str, Any]:
    """Describe the tables and fingerprint the feature table a model was taught with."""
    from models.training.fingerprint import fingerprint

    return {
        "fingerprint": fingerprint(frame),
        "rows": len(frame),
        "columns": list(frame.columns),
        "data_start": company.data_start.isoformat(),
        "data_end": company.data_end.isoformat(),
        "tables": {name: quality.to_dict() for name, quality in company.quality.items()},
    }


def labelled_features(project: Project) -> tuple[pd.DataFrame, tuple[Signal, ...]]:
    """Build the labelled feature table of a configuration, for work outside this command."""
    with open_company(project) as company:
        return labelled_rows(project, company)


def labelled_rows(project: Project, company: Company) -> tuple[pd.DataFrame, tuple[Signal, ...]]:
    """Build the labelled feature table of an opened company.

    Raises
    ------
    EvidenceError
        When no observation date has matured, or no account was active on any.
    """
    from features.build import build_features, signals_of
    from features.outcomes.labels import declared_for, matured_dates, why_no_date, why_no_row

    settings = project.settings
    dates = matured_dates(company, settings.outcome)
    if not dates:
        raise EvidenceError(why_no_date(company, settings.outcome, project.outcome_section))
    with show_progress("Signals") as step:
        frame = build_features(
            company, dates, settings.outcome, settings.signals, labelled=True, progress=step
        )
    if frame.empty:
        raise EvidenceError(why_no_row(company, settings.outcome, dates))
    return frame, declared_for(signals_of(company, settings.signals), settings.outcome)


def segment_settings(project: Project, signals: tuple[Signal, ...]) -> SegmentSettings:
    """Read how accounts are split.

    Raises
    ------
    SettingsError
        When a column is no signal of this company.
    """
    from features.errors import SettingsError, nearest, sample
    from models.segments import SegmentSettings

    given = project.settings.segments
    for column in given.columns:
        if all(signal.name != column for signal in signals):
            texts = [signal.name for signal in signals if signal.is_categorical]
            hint = nearest(column, texts) or f"; signals that could be are {sample(texts, 8)}"
            raise SettingsError(
                f"[segments] columns names '{column}', which is no signal of this company{hint}"
            )
    return SegmentSettings(
        columns=given.columns,
        lifecycle=tuple((stage.name, stage.until_days) for stage in given.lifecycle),
        min_rows=given.min_rows,
        min_positives=given.min_positives,
    )


def run_parameters(project: Project) -> dict[str, object]:
    """List the settings worth comparing between runs."""
    settings = project.settings
    return {
        "outcome": settings.outcome.kind,
        "horizon_days": settings.outcome.horizon_days,
        "lead_days": settings.outcome.lead_days,
        "segments": ", ".join(settings.segments.columns),
        "seed": settings.training.seed,
    }


def scale_settings(project: Project, base_rate: float) -> ScaleSettings:
    """Fill what the configuration leaves open from the base rate, to three digits.

    Rounded before training, so that the champion and the configuration say the same.
    """
    from models.scoring.scale import ScaleSettings

    settings = project.settings
    given = ScaleSettings(**settings.score.scale_of(settings.outcome))
    if not 0 < base_rate < 1:
        return given
    filled = given.scale(_three_digits(base_rate))
    return ScaleSettings(
        anchor_probability=_three_digits(filled.anchor_probability),
        at_risk_from=_three_digits(filled.at_risk_from),
        watch_from=_three_digits(filled.watch_from),
        good=filled.good,
    )


def _three_digits(probability: float) -> float:
    return float(f"{probability:.3g}")


def _freeze_missing_scale(project: Project, result: TrainingResult) -> None:
    given = project.settings.score.model_dump()
    learnt = result.model.scale.to_dict()
    fresh = {key: learnt[key] for key, cut in given.items() if cut is None and key in learnt}
    if fresh and result.metrics.enough_evidence:
        freeze_scale(project, fresh)
