"""Commands about champions: the way back, and what became of each version."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.commands.answer import answering
from pipelines.commands.options import DEFAULT_CONFIG, AsJson, Config, Outcome, project_of


def rollback(
    config: Config = DEFAULT_CONFIG,
    outcome: Outcome = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="VERSION",
            help="A version that has been champion; by default the one before.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put the previous champion back; scores that were issued stay."""
    from pipelines.monitor.champions import rollback as put_back

    with answering(as_json) as answer:
        done = put_back(project_of(config, outcome), reason=reason, to=to)
        answer.give(done.to_dict())
        if answer.console is not None:
            from pipelines.monitor.champions_screen import show_rolled_back

            show_rolled_back(answer.console, done)


def history(
    config: Config = DEFAULT_CONFIG, outcome: Outcome = None, as_json: AsJson = False
) -> None:
    """List every version of the model, which one serves, and who decided what and why."""
    from pipelines.monitor.champions import history as read_history

    with answering(as_json) as answer:
        champions = read_history(project_of(config, outcome))
        answer.give(champions.to_dict())
        if answer.console is not None:
            from pipelines.monitor.champions_screen import show_champions

            show_champions(answer.console, champions)
