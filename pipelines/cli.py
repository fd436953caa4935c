"""The command line: ``healthscore COMMAND``. Heavy libraries are imported inside the commands."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from importlib import import_module
from typing import Annotated

import typer

from features.errors import HealthscoreError
from pipelines.project.version import installed_version

EXIT_CODES = """\
Exit codes: 0 done · 1 unexpected failure · 2 wrong usage or configuration · 3 the data break the
contract · 4 too few matured outcomes · 5 no usable champion · 6 the score store is held or full ·
7 a run is not as it was issued · 10 watch · 11 retrain · 12 a feed is broken · 13 retrained, and
the champion stayed · 14 something was not delivered · 15 something still holds what was erased ·
130 interrupted.
"""

INTERRUPTED = 130

PLACES = {
    **dict.fromkeys(
        ("simulate", "connect", "init", "links", "layout", "check", "signals", "features"),
        "setup",
    ),
    **dict.fromkeys(("train", "backtest"), "training"),
    "monitor": "monitor",
    **dict.fromkeys(("score", "verify_run", "verify_store", "explain", "curve", "trend"), "scores"),
    "compact": "scores",
    "portfolio": "portfolio",
    "plays": "acting.plays",
    **dict.fromkeys(("digest", "pack", "forecast", "writeback"), "portfolio"),
    "export": "scores",
    **dict.fromkeys(("recommend", "what_if"), "weights"),
    **dict.fromkeys(("history", "rollback"), "champions"),
    "serve": "panel.serve",
    "mcp": "panel.mcp",
    "demo": "setup",
    "user": "panel.user",
    "token": "panel.token",
    "experiment": "acting.experiment",
    "calls": "acting.calls",
    **dict.fromkeys(("erase", "export_account"), "erase"),
}
"""Each command, or group of commands, and the file of ``pipelines/commands`` it is in."""


def command_line(only: str | None = None) -> typer.Typer:
    """Gather the commands, or the one that is asked for, without loading the others' files.

    Parameters
    ----------
    only : str or None
        As people write it, such as "verify-run"; None, or what is no command, for all.
    """
    app = typer.Typer(
        name="healthscore",
        epilog=EXIT_CODES,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback(
        help="Customer health scores learned from past churn, with points that add up exactly."
    )(start)
    wanted = (only or "").replace("-", "_")
    for name in [wanted] if wanted in PLACES else PLACES:
        command = getattr(import_module(f"pipelines.commands.{PLACES[name]}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command)
        else:
            app.command()(command)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"healthscore {installed_version()}")
        raise typer.Exit


def start(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    """Read what comes before the command."""


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
            given = sys.argv[1:] if arguments is None else arguments
            command_line(given[0] if given else None)(given)
        finally:
            # A full disk shows only when the last words are written.
            sys.stdout.flush()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            _fail("Interrupted; nothing half-done was kept", INTERRUPTED)
        raise
    except HealthscoreError as error:
        _fail(str(error), error.exit_code)
    except RuntimeError as error:
        # What DuckDB makes of Ctrl-C while it counts.
        if str(error) != "Query interrupted":
            raise
        _fail("Interrupted; nothing half-done was kept", INTERRUPTED)
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
    from pipelines.reports.terminal.console import plain

    print(f"healthscore: {plain(sentence, 2000)}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
