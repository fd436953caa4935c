"""The command about plays: what acting does to churn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.answer import answering
from pipelines.commands.options import DEFAULT_CONFIG, AsJson, Config, Outcome, project_of

Page = Annotated[
    Path | None,
    typer.Option(
        "--out", help="An .html or .pdf file; by default plays.html beside the configuration."
    ),
]


def plays(
    config: Config = DEFAULT_CONFIG,
    outcome: Outcome = None,
    out: Page = None,
    calls: Annotated[
        int, typer.Option(min=0, max=1000, help="How many accounts to call first.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Say what each play does to churn, among like accounts and per segment, and how sure it is."""
    from pipelines.plays.effects import plays_report
    from pipelines.plays.report import default_file, plays_html
    from pipelines.plays.savable import savable_first
    from pipelines.reports.page_file import refuse_other_page, write_page

    with answering(as_json) as answer:
        refuse_other_page(out)
        project = project_of(config, outcome)
        report = plays_report(project)
        file = out or default_file(project)
        first = savable_first(project, report, calls) if calls else None
        write_page(plays_html(report, first), file)
        savable = None if first is None else first.to_dict()
        answer.give({**report.to_dict(), "savable": savable, "file": str(file)})
        if answer.console is not None:
            from pipelines.plays.screen import show_calls, show_report

            show_report(answer.console, report)
            if first is not None:
                show_calls(answer.console, first)
            answer.say(f"Wrote {file}")
            answer.warn(report.notes)
