"""The command line: ``healthscore COMMAND``. Heavy libraries are imported inside the commands."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from features.errors import HealthscoreError
from pipelines.commands.answer import answering
from pipelines.commands.champions import history, rollback
from pipelines.commands.monitor import monitor
from pipelines.commands.options import (
    DEFAULT_CONFIG,
    AsJson,
    AsOf,
    Config,
    Outcome,
    day_of,
    project_of,
)
from pipelines.commands.panel import serve, user
from pipelines.commands.portfolio import portfolio
from pipelines.commands.scores import explain, export, score, trend, verify_run
from pipelines.commands.weights import recommend, what_if

EXIT_CODES = """\
Exit codes: 0 done · 1 unexpected failure · 2 wrong usage or configuration · 3 the data break the
contract · 4 too few matured outcomes · 5 no usable champion · 6 the score store is held or full ·
7 a run is not as it was issued · 10 watch · 11 retrain · 12 a feed is broken · 13 retrained, and
the champion stayed · 130 interrupted.
"""

app = typer.Typer(
    name="healthscore",
    help="Customer health scores learned from past churn, with points that add up exactly.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

INTERRUPTED = 130


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Folder for the tables; made if need be.")],
    accounts: Annotated[int, typer.Option(help="Number of accounts.")] = 2000,
    months: Annotated[int, typer.Option(help="Months of history.")] = 24,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal companies.")] = 7,
    drift: Annotated[str, typer.Option(help="none, payment-crisis or usage-collapse.")] = "none",
    drift_from: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="When the drift starts.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a simulated company with known true weights."""
    from pipelines.simulation.simulate import Simulation
    from pipelines.simulation.simulate import simulate as write_company
    from pipelines.terminal.progress import show_progress

    with answering(as_json) as answer:
        simulation = Simulation(
            accounts=accounts,
            months=months,
            seed=seed,
            drift=drift,  # type: ignore[arg-type]
            drift_from=day_of(drift_from),
        )
        with show_progress("Simulate") as step:
            rows = write_company(
                folder, simulation, progress=lambda done, total: step("accounts", done, total)
            )
        answer.give({"folder": str(folder), "rows": rows})
        for table, count in rows.items():
            answer.say(f"{table:<16}{count:>14,} rows")
        answer.say(f"Next: healthscore init {folder}")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of Parquet/CSV files, or a DuckDB file.")],
    config: Config = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at a folder of tables and draft a commented configuration."""
    from pipelines.setup.draft import write_draft

    with answering(as_json) as answer:
        text, doubts = write_draft(folder, config, force=force)
        answer.give({"config": str(config), "doubts": doubts, "text": text})
        answer.say(f"Wrote {config}; read it, then run: healthscore check -c {config}")
        answer.warn(doubts)


@app.command()
def check(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Report what the tables hold, what is missing or impossible, and which groups are on."""
    from pipelines.setup.check import check_data

    with answering(as_json) as answer:
        report = check_data(project_of(config))
        answer.give(report.to_dict())
        if answer.console is not None:
            from pipelines.terminal.console import show_report

            show_report(answer.console, report)


@app.command()
def signals(
    config: Config = DEFAULT_CONFIG,
    every: Annotated[
        bool, typer.Option("--all", help="All there are, not those your tables give.")
    ] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a page of tables.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the signals, what each says, and which way is healthy."""
    from pipelines.setup.signals import company_signals, markdown

    with answering(as_json) as answer:
        if every:
            from features.full_contract import every_signal

            listed = every_signal()
        else:
            listed = company_signals(project_of(config))
        answer.give({"signals": [signal.to_dict() for signal in listed]})
        if answer.console is not None and as_markdown:
            print(markdown(listed), end="")
        elif answer.console is not None:
            from pipelines.terminal.console import show_signals

            show_signals(answer.console, listed)


@app.command()
def features(
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    labelled: Annotated[
        bool, typer.Option(help="Every matured date with its label, as train reads them.")
    ] = False,
    outcome: Outcome = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A .parquet or .csv file to write.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the feature table: every signal of every active account, as known on a date."""
    from pipelines.project.feature_table import write_features

    with answering(as_json) as answer:
        project = project_of(config, outcome)
        written = write_features(project, day_of(as_of), out, labelled=labelled)
        answer.give(written.to_dict())
        span = written.dates[0]
        if len(written.dates) > 1:
            span = f"{len(written.dates)} dates from {written.dates[0]} to {written.dates[-1]}"
        answer.say(f"{written.rows:,} rows of {written.signals} signals on {span}")
        answer.say(f"Wrote {written.file}")
        answer.warn(written.warnings)


@app.command()
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
            from pipelines.terminal.console import show_trained

            show_trained(answer.console, trained)
            if trained.tuning is not None:
                answer.say(f"Tuning: {trained.tuning.sentence}")


@app.command()
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


for command in (
    monitor,
    score,
    verify_run,
    explain,
    trend,
    portfolio,
    export,
    recommend,
    what_if,
    history,
    rollback,
    serve,
):
    app.command()(command)
app.add_typer(user)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
    registry: Annotated[
        Path | None, typer.Option(help="Where models go; by default mlruns in the folder.")
    ] = None,
    accounts: Annotated[int, typer.Option(help="Number of accounts.")] = 2000,
    months: Annotated[int, typer.Option(help="Months of history.")] = 24,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal companies.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Simulate a company, draft its configuration, train, score, and say whom to call."""
    from pipelines.setup.demo import run_demo, where_it_lies

    with answering(as_json) as answer:
        made = run_demo(folder, registry=registry, accounts=accounts, months=months, seed=seed)
        answer.give(
            {
                "folder": str(folder),
                "simulated": made.rows,
                "train": made.trained.to_dict(),
                "scores": made.issued.rows,
                "as_of": made.issued.as_of.isoformat(),
            }
        )
        if answer.console is not None:
            from pipelines.terminal.console import show_portfolio, show_trained

            show_trained(answer.console, made.trained)
            show_portfolio(answer.console, made.summed)
            answer.say("")
            for line in where_it_lies(made):
                answer.say(line)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every foreseeable failure ends in one sentence and an exit code."""
    # Planning queries makes millions of short-lived objects beside the many that libraries keep:
    # looking for cycles among them as often as by default takes a fifth of the time.
    gc.set_threshold(50_000, 20, 100)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A log whose encoding lacks a bar or somebody's name must not end the run.
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            app(arguments)
        finally:
            # A full disk shows only when the last words are written.
            sys.stdout.flush()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            _fail("Interrupted; nothing half-done was kept", INTERRUPTED)
        raise
    except HealthscoreError as error:
        _fail(str(error), error.exit_code)
    except MemoryError:
        _fail("Memory ran out; score fewer accounts or use a larger machine", 1)
    except BrokenPipeError:
        # The reader has had enough; the interpreter must not complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "free some space and run again" if full else "check the path and its permissions"
        _fail(f"{error.strerror or error}: '{error.filename or 'standard output'}'; {advice}", 1)


def _fail(sentence: str, code: int) -> None:
    from pipelines.terminal.console import plain

    print(f"healthscore: {plain(sentence, 2000)}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
