"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipelines.project.project import Project

Config = Annotated[Path, typer.Option("-c", "--config", help="The configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        formats=["%Y-%m-%d"],
        help="What was known before this date; by default the day after the last row.",
    ),
]
Outcome = Annotated[
    str | None,
    typer.Option(
        "--outcome", help="A further outcome, as named under [outcomes]; by default [outcome]."
    ),
]
Full = Annotated[
    bool,
    typer.Option("--full", help="Read and compute everything, not only files that are new."),
]
DEFAULT_CONFIG = Path("healthscore.toml")


def project_of(config: Path, outcome: str | None = None) -> Project:
    """Read the configuration file, and turn to one of its outcomes."""
    from pipelines.project.project import load_project

    project = load_project(config)
    return project if outcome is None else project.for_outcome(outcome)


def day_of(moment: datetime | None) -> date | None:
    """Return the day of an option's date."""
    return None if moment is None else moment.date()
