"""Commands that teach and judge a model."""

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
    project_of,
)


def train(
    config: Config = DEFAULT_CONFIG,
    outcome: Outcome = None,
    tune: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="First search so long for better parameters; by default as configured.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Teach a champion from matured history, judge it on later dates and register it."""
    from pipelines.training.train import train as train_champion

    with answering(as_json) as answer:
        trained = train_champion(project_of(config, outcome), tune_seconds=tune)
        answer.give(trained.to_dict())
        if answer.console is not None:
            from pipelines.training.screen import show_trained

            show_trained(answer.console, trained)
            if trained.tuning is not None:
                answer.say(f"Tuning: {trained.tuning.sentence}")


def backtest(
    config: Config = DEFAULT_CONFIG,
    outcome: Outcome = None,
    origins: Annotated[
        int | None,
        typer.Option(min=1, max=50, help="Spans of later dates to test; by default as configured."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A .parquet or .csv file for the tested rows' predictions."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge the model and its contenders on later dates; the champion stays as it is."""
    from pipelines.training.backtest import backtest as run_backtest

    with answering(as_json) as answer:
        tested = run_backtest(project_of(config, outcome), origins=origins, out=out)
        answer.give(tested.to_dict())
        if answer.console is not None:
            from pipelines.training.backtest_screen import show_backtest

            show_backtest(answer.console, tested)
            answer.say(f"Logged as run {tested.run_id}")
            if tested.file is not None:
                answer.say(f"Wrote {tested.file}")
