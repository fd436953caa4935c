"""What each play does to churn here, as it is shown and kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from features.errors import RegistryError
from features.json_values import JsonReady
from models.plays.result import PlayResult
from models.plays.savable import Trial
from pipelines.plays.experiment.read import settled
from pipelines.plays.rows import acted_rows
from pipelines.project.project import Project
from pipelines.project.settings.score import MAIN
from pipelines.reports.terminal.progress import show_progress
from pipelines.reports.terminal.whole_file import replaced_whole

STEPS = 20


@dataclass(frozen=True)
class PlaysReport(JsonReady):
    """What plays do to churn.

    Parameters
    ----------
    outcome : str
        Name of the outcome.
    made_at : datetime
        When it was found, in UTC.
    rows, accounts, dates : int
        What it was learnt from.
    within_days : int
        Days after a date in which a play counts as made in time.
    landmark : int
        Day from which outcomes count.
    horizon_days : int
        Length of the outcome window.
    gone_before, later : int
        See :class:`pipelines.plays.rows.ActedRows`.
    plays : tuple of PlayResult
        The play made most often first.
    notes : list of str
        What counts for nothing, one sentence each.
    trials : tuple of Trial
        What experiments have settled.
    """

    outcome: str
    made_at: datetime
    rows: int
    accounts: int
    dates: int
    within_days: int
    landmark: int
    horizon_days: int
    gone_before: int
    later: int
    plays: tuple[PlayResult, ...]
    notes: list[str]
    trials: tuple[Trial, ...] = ()


def plays_report(project: Project) -> PlaysReport:
    """Learn what each play does, and keep it beside the registry for the panel and the portfolio.

    Raises
    ------
    SettingsError
        When nobody records interventions, or the outcome is not churn.
    DataError, EvidenceError
        When the tables break the contract, or nothing has matured.
    """
    from models.plays.effects import play_effects

    acted = acted_rows(project)
    number = iter(range(1, STEPS))
    with show_progress("Plays") as step:
        found = play_effects(acted.rows, lambda stage: step(stage, next(number, STEPS), STEPS))
    settings = project.settings
    trials, unread = settled(project)
    report = PlaysReport(
        outcome=project.outcome_name,
        made_at=datetime.now(UTC),
        rows=len(acted.rows.happened),
        accounts=acted.accounts,
        dates=acted.dates,
        within_days=settings.plays.within_days,
        landmark=acted.landmark,
        horizon_days=settings.outcome.horizon_days,
        gone_before=acted.gone_before,
        later=acted.later,
        plays=found,
        notes=[*acted.notes, *unread],
        trials=trials,
    )
    kept = kept_file(project)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with replaced_whole(kept) as fresh:
        fresh.write_text(json.dumps(report.to_dict(), allow_nan=False), encoding="utf-8")
    return report


def kept_file(project: Project) -> Path:
    """Return where the newest reading is kept."""
    further = "" if project.outcome_name == MAIN else f"-{project.outcome_name}"
    return project.registry_folder / f"plays{further}.json"


def kept_report(project: Project) -> PlaysReport | None:
    """Read the newest reading; None where there is none.

    Raises
    ------
    RegistryError
        When it cannot be read.
    """
    file = kept_file(project)
    try:
        return PlaysReport.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(
            f"What plays do cannot be read from '{file}'; run 'healthscore plays' again"
        ) from error
