"""Labelled rows of a project: signals and outcomes of matured dates, and how they are split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from features.errors import EvidenceError
from pipelines.project.company import open_company
from pipelines.project.project import Project
from pipelines.terminal.progress import show_progress

if TYPE_CHECKING:
    import pandas as pd

    from features.catalog import Signal
    from features.tables.company import Company
    from models.scoring.scale import ScaleSettings
    from models.segments import SegmentSettings


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
