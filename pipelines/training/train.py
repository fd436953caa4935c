"""Train a champion from a company's matured history."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from features.json_values import Json, json_value
from features.outcomes.settings import WORDS, OutcomeWords
from pipelines.project.project import Project, freeze_scale
from pipelines.project.rows import (
    LabelledRows,
    labelled_rows,
    learning_of,
)
from pipelines.project.settings.score import DECISION, MAIN
from pipelines.reports.terminal.progress import show_progress
from pipelines.training.leak_gate import refuse_leaks
from pipelines.training.scale import run_parameters, scale_settings
from pipelines.training.teaching import teach
from pipelines.training.tune import search_parameters, tuning_parameters, tuning_seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from models.training.fit import TrainingResult
    from models.training.tuning import Tuned

TRAINING_STEPS = 7


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

    def to_dict(self) -> Json:
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
            "bands": json_value(result.bands),
            "scale": result.model.scale.to_dict(),
            "choice": result.choice,
            "prior": None if result.model.prior is None else result.model.prior.to_dict(),
            "counts": json_value(result.counts),
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
    from models.registry.files import log_champion

    settings = project.settings
    seconds = tuning_seconds(project, tune_seconds)
    rows = labelled_rows(project)
    refuse_leaks(project, rows)
    learning = learning_of(project, rows)
    tuning = search_parameters(project, rows.due, segments=learning.segments, seconds=seconds)
    number = itertools.count(1)
    with show_progress("Train") as step:
        result = teach(
            project,
            rows,
            replace(learning, tuned=None if tuning is None else tuning.parameters),
            scale=scale_settings(project, rows.base_rate, rows.term_anchors),
            holdout_dates=settings.training.holdout_dates,
            progress=lambda name: step(name, next(number), TRAINING_STEPS),
        )
        step("registering the champion", TRAINING_STEPS, TRAINING_STEPS)
        version = log_champion(
            result,
            folder=project.registry_folder,
            name=settings.registry.model_name,
            reasons=["Trained with 'healthscore train', which makes a champion at once."],
            **kept_with_model(project, result, rows, tuning),
        )
    _freeze_missing_scale(project, result)
    return Trained(
        version,
        result,
        [*rows.problems, *rows.notes, *result.warnings],
        tuning,
        project.outcome_name,
        settings.outcome.words,
    )


class KeptWithModel(TypedDict):
    """What is logged with a registered model."""

    params: dict[str, object]
    files: dict[str, str]
    figures: dict[str, Figure]


def kept_with_model(
    project: Project,
    result: TrainingResult,
    rows: LabelledRows,
    tuning: Tuned | None,
) -> KeptWithModel:
    """Gather the parameters, files and figures that are logged with a registered model.

    Parameters
    ----------
    project : Project
        The configuration.
    result : TrainingResult
        The model and its proof.
    rows : LabelledRows
        What it was fitted to, which later dates are held against.
    tuning : Tuned or None
        What a search for parameters found.
    """
    from models.registry.versions import DATA, REFERENCE, training_reference
    from pipelines.reports.figures.tested_rows import lift_plot, reliability_plot, score_plot

    reference = training_reference(result.model, rows.table)
    return {
        "params": run_parameters(project) | tuning_parameters(tuning),
        "files": {
            "healthscore.toml": project.shown_text,
            DATA: json.dumps(rows.description(), indent=2),
            REFERENCE: json.dumps(reference.to_dict(), allow_nan=False),
            "signals.json": json.dumps([signal.to_dict() for signal in rows.signals], indent=2),
        },
        "figures": {
            "reliability.png": reliability_plot(result.calibration),
            "lift.png": lift_plot(result.holdout),
            "scores.png": score_plot(result.holdout),
        },
    }


def _freeze_missing_scale(project: Project, result: TrainingResult) -> None:
    given = project.settings.score.model_dump()
    scale = result.model.scale
    learnt: dict[str, float | str | dict[str, float]] = {**scale.to_dict()}
    if scale.term_anchors:
        learnt["term_anchors"] = scale.anchors_by_name
    if result.model.timing is not None:
        learnt["reading"] = DECISION
    fresh = {key: learnt[key] for key, cut in given.items() if cut is None and key in learnt}
    metrics = result.metrics
    # What a first model is anchored at is believed rather than seen.
    if result.model.prior is not None:
        return
    if fresh and metrics.enough_evidence and not metrics.is_worse_than_base_rate:
        freeze_scale(project, fresh)
