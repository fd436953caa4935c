"""Commands about experiments: what one would find, drawing it, and reading it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.answer import answering
from pipelines.commands.options import (
    DEFAULT_CONFIG,
    AsJson,
    Config,
    Outcome,
    day_of,
    project_of,
)
from pipelines.commands.scores import RunDate

experiment = typer.Typer(
    name="experiment",
    help="Prove a play: leave some accounts alone by chance, and compare.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(help="The experiment, as under [experiments.NAME].")]


@experiment.command("plan")
def plan_experiment(
    name: Name, config: Config = DEFAULT_CONFIG, outcome: Outcome = None, as_json: AsJson = False
) -> None:
    """Say how many accounts take part, and what so many would find by when."""
    from pipelines.plays.experiment.plan import plan
    from pipelines.plays.experiment.screen import show_plan

    with answering(as_json) as answer:
        planned = plan(project_of(config, outcome), name)
        answer.give(planned.to_dict())
        if answer.console is not None:
            show_plan(answer.console, planned)


@experiment.command("assign")
def assign_accounts(
    name: Name,
    config: Config = DEFAULT_CONFIG,
    outcome: Outcome = None,
    as_of: RunDate = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A .csv file for the team's own tools.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw who is left alone among the accounts of an issued run, and keep it for good."""
    from pipelines.plays.experiment.assign import assign, refuse_other_file, write_assignments
    from pipelines.plays.experiment.screen import show_assigned

    with answering(as_json) as answer:
        refuse_other_file(out)
        assigned = assign(project_of(config, outcome), name, day_of(as_of))
        if out is not None:
            write_assignments(out, assigned)
        answer.give({**assigned.to_dict(), "file": None if out is None else str(out)})
        if answer.console is not None:
            show_assigned(answer.console, assigned)
            if out is not None:
                answer.say(f"Wrote {out}")


@experiment.command("read")
def read_accounts(
    name: Name, config: Config = DEFAULT_CONFIG, outcome: Outcome = None, as_json: AsJson = False
) -> None:
    """Compare the accounts as they were drawn; valid however often one looks."""
    from pipelines.plays.experiment.read import read
    from pipelines.plays.experiment.screen import show_reading

    with answering(as_json) as answer:
        said = read(project_of(config, outcome), name)
        answer.give(said.to_dict())
        if answer.console is not None:
            show_reading(answer.console, said)
