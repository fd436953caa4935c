"""Judge the churn model, and what it competes with, on dates that none of them had seen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.json_values import Json
from pipelines.project.company import dated_events, open_company
from pipelines.project.project import Project
from pipelines.project.rows import labelled_rows, learning_of
from pipelines.reports.terminal.progress import show_progress
from pipelines.reports.terminal.whole_file import refuse_other_suffix, write_table
from pipelines.training.scale import run_parameters, scale_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from features.outcomes.settings import OutcomeWords
    from models.backtest.backtest import Backtest

# What is chosen anew on the rows of each origin, or says how and not what is learnt.
NOT_TUNED = {"segment_column", "backbone", "n_rounds", "healthy", "random_state", "n_jobs"}


@dataclass(frozen=True)
class Backtested:
    """A backtest that was logged.

    Parameters
    ----------
    run_id : str
        Its run in the registry.
    result : Backtest
        What was found.
    champion : str or None
        Version of the champion whose parameters were used; None for the defaults.
    file : str or None
        Where the tested rows' predictions were written.
    outcome : str
        Name of the outcome it foretells.
    words : OutcomeWords
        How people speak of it.
    warnings : list of str
        Data problems and doubts, one sentence each.
    """

    run_id: str
    result: Backtest
    champion: str | None
    file: str | None
    outcome: str
    words: OutcomeWords
    warnings: list[str]

    def to_dict(self) -> Json:
        """Return what ``backtest --json`` prints."""
        return self.result.to_dict() | {
            "outcome": self.outcome,
            "run_id": self.run_id,
            "champion": self.champion,
            "file": self.file,
            "warnings": self.warnings,
        }


def backtest(
    project: Project, *, origins: int | None = None, out: Path | None = None
) -> Backtested:
    """Build the labelled feature table, test on rolling origins, and log what was found.

    The registry's champion lends its tuned parameters and is not touched.

    Parameters
    ----------
    project : Project
        The configuration.
    origins : int or None
        How many spans of later dates to test; ``[backtest] origins`` when None.
    out : Path or None
        A Parquet or CSV file for the tested rows' predictions.

    Raises
    ------
    SettingsError
        When the file's suffix is neither, or segments are named that do not exist.
    DataError, EvidenceError
        When the data break the contract or hold too few matured outcomes.
    RegistryError
        When the registry cannot be read or written.
    """
    from features.builders.sensitive import sensitive_attributes
    from features.outcomes.interventions import treated_rows
    from models.backtest.backtest import backtest as judge
    from models.registry.files import log_backtest

    refuse_other_suffix(out, "The table of predictions")
    settings = project.settings
    origins = origins or settings.backtest.origins
    tuned, champion, doubts = _champion_parameters(project)
    with open_company(project) as company:
        rows = labelled_rows(project, company)
        learning = learning_of(project, rows, tuned)
        treated = treated_rows(company, settings.outcome, rows.frame)
        sensitive = sensitive_attributes(company, settings.signals, rows.frame)
        events = dated_events(company, settings.outcome)
    with show_progress("Backtest") as step:
        result = judge(
            rows.frame,
            rows.signals,
            learning,
            scale=scale_settings(project, rows.base_rate, rows.term_anchors),
            n_origins=origins,
            sensitive=sensitive,
            treated=treated,
            events=events,
            progress=step,
        )
    if out is not None:
        write_table(result.predictions, out)
    run_id = log_backtest(
        result,
        folder=project.registry_folder,
        name=settings.registry.model_name,
        params=run_parameters(project) | {"origins": origins, "champion": champion},
        files={
            "healthscore.toml": project.shown_text,
            "data.json": json.dumps(rows.description(), indent=2),
        },
        figures=_figures(result),
    )
    return Backtested(
        run_id=run_id,
        result=result,
        champion=champion,
        file=None if out is None else str(out),
        outcome=project.outcome_name,
        words=settings.outcome.words,
        warnings=[*rows.problems, *rows.notes, *doubts, *result.warnings],
    )


def _figures(result: Backtest) -> dict[str, Figure]:
    from pipelines.reports.figures.backtest import gain_plot, lead_plot, origin_plot
    from pipelines.reports.figures.tested_rows import reliability_plot

    figures = {
        "reliability.png": reliability_plot(result.calibration),
        "log_loss.png": origin_plot(result.measures),
        "gain.png": gain_plot(result.predictions),
    }
    return figures | ({"lead.png": lead_plot(result.lead)} if len(result.lead) else {})


def _champion_parameters(project: Project) -> tuple[dict[str, float] | None, str | None, list[str]]:
    """Read what the champion was tuned to; a registry that cannot be read ends the run early."""
    if not project.registry.has_champion():
        return None, None, []
    champion = project.registry.champion()
    parameters = champion.model.classifier.get_params()
    tuned = {key: value for key, value in parameters.items() if key not in NOT_TUNED}
    searched = any(key.startswith("tuned_") for key in champion.params)
    caveats = [
        f"The parameters of champion {champion.version} were searched on rows of which some are"
        " tested here; that flatters it a little"
    ]
    return tuned, champion.version, caveats if searched else []
