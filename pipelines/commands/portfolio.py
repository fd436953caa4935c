"""Commands of the portfolio: its page, the forecast of retention, and digests for owners."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.answer import answering
from pipelines.commands.options import DEFAULT_CONFIG, AsJson, Config, Outcome, day_of, project_of
from pipelines.commands.scores import ModelVersion, RunDate

Page = Annotated[
    Path | None,
    typer.Option(
        "--out", help="An .html or .pdf file; by default portfolio.html beside the configuration."
    ),
]


def portfolio(
    config: Config = DEFAULT_CONFIG,
    as_of: RunDate = None,
    outcome: Outcome = None,
    model_version: ModelVersion = None,
    out: Page = None,
    calls: Annotated[
        int, typer.Option(min=1, max=1000, help="How many accounts to call first.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Write a page on an issued run: what is at stake, how sure that is, and whom to call."""
    from pipelines.portfolio.data import portfolio_report
    from pipelines.portfolio.report import default_file, portfolio_html
    from pipelines.reports.page_file import refuse_other_page, write_page

    with answering(as_json) as answer:
        refuse_other_page(out)
        project = project_of(config, outcome)
        report = portfolio_report(
            project, as_of=day_of(as_of), model_version=model_version, calls=calls
        )
        file = out or default_file(project)
        write_page(portfolio_html(report), file)
        answer.give({**report.to_dict(), "file": str(file)})
        if answer.console is not None:
            from pipelines.portfolio.screen import show_report

            show_report(answer.console, report)
            answer.say(f"Wrote {file}")
            answer.warn([*([report.fresh.note] if report.fresh.note else []), *report.notes])


NOT_DELIVERED = 14
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", help="An .html, .json or .txt file; with --all a folder, a page for each owner."
    ),
]


def digest(
    config: Config = DEFAULT_CONFIG,
    owner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose accounts; by default all of them.")
    ] = None,
    all_owners: Annotated[
        bool, typer.Option("--all", help="A digest for each owner, of their own accounts.")
    ] = False,
    outcome: Outcome = None,
    out: Out = None,
    send: Annotated[
        bool, typer.Option("--send", help="Mail and post what was not sent before.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="With --send: also what may have arrived before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what changed since the run before: new, worse, better, and what renews soon."""
    from pipelines.portfolio.outbox.handing import hand_out

    with answering(as_json) as answer:
        handed = hand_out(
            project_of(config, outcome),
            owner=owner,
            all_owners=all_owners,
            out=out,
            send=send,
            again=again,
        )
        answer.give(handed.to_dict())
        if answer.console is not None:
            for line in handed.said:
                answer.say(line)
            answer.warn(handed.warnings)
    if handed.failed:
        raise typer.Exit(NOT_DELIVERED)


def forecast(
    config: Config = DEFAULT_CONFIG,
    as_of: RunDate = None,
    outcome: Outcome = None,
    model_version: ModelVersion = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="An .html, .pdf or .xlsx file; by default forecast.html beside the configuration.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Foretell gross and net retention by fiscal quarter, and list what comes up for renewal."""
    from pipelines.portfolio.forecast.data import retention_report
    from pipelines.portfolio.forecast.report import default_file, forecast_html
    from pipelines.portfolio.forecast.workbook import SUFFIX, write_workbook
    from pipelines.reports.page_file import refuse_other_page, write_page

    with answering(as_json) as answer:
        refuse_other_page(out, SUFFIX)
        project = project_of(config, outcome)
        report = retention_report(project, as_of=day_of(as_of), model_version=model_version)
        file = out or default_file(project)
        if file.suffix.lower() == SUFFIX:
            write_workbook(report, file)
        else:
            write_page(forecast_html(report), file)
        answer.give({**report.to_dict(), "file": str(file)})
        if answer.console is not None:
            from pipelines.portfolio.forecast.screen import show_forecast

            show_forecast(answer.console, report)
            answer.say(f"Wrote {file}")
            answer.warn(report.notes)
