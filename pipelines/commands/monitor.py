"""The command that watches a champion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.answer import answering
from pipelines.commands.options import (
    DEFAULT_CONFIG,
    AsJson,
    AsOf,
    Config,
    Outcome,
    day_of,
    project_of,
)

CODES = """\
Exit codes beside those of every command: 0 nothing to do, or a challenger was promoted · 10 watch ·
11 retrain · 12 a feed is broken · 13 retrained, and the champion stayed.
"""


def monitor(
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    outcome: Outcome = None,
    retrain: Annotated[
        bool,
        typer.Option(
            "--retrain", help="Where that is decided, train a challenger and promote the better."
        ),
    ] = False,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features", help="A feature table to check in place of the tables: a .parquet file."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the drift report: an .html or .pdf file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether what the champion reads has moved, a feed is broken, and what to do."""
    from pipelines.monitor.monitor import monitor as check
    from pipelines.reports.page_file import refuse_other_page

    with answering(as_json) as answer:
        refuse_other_page(out)
        project = project_of(config, outcome)
        checked = check(project, day_of(as_of), features=features, retrain=retrain)
        answer.give({**checked.to_dict(), "file": None if out is None else str(out)})
        if out is not None:
            from pipelines.monitor.report import drift_html
            from pipelines.reports.page_file import write_page

            write_page(drift_html(checked, project.settings.outcome.words), out)
        if answer.console is not None:
            from pipelines.monitor.screen import show_monitored

            show_monitored(answer.console, checked)
            if out is not None:
                answer.say(f"Wrote {out}")
    if checked.exit_code:
        raise typer.Exit(checked.exit_code)
