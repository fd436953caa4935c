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


def writeback(
    name: Annotated[
        str | None, typer.Argument(help="A section [writeback.NAME]; by default all of them.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, and do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write scores that changed to a CRM or another server: each account once, whatever happens."""
    from pipelines.portfolio.outbox.writeback.writing import write_back
    from pipelines.reports.terminal.console import plain

    with answering(as_json) as answer:
        written = write_back(project_of(config), name, dry_run=dry_run)
        answer.give({"writeback": [one.to_dict() for one in written], "dry_run": dry_run})
        for one in written:
            for line in one.said:
                answer.say(plain(line, 400))
    if not all(one.is_done for one in written):
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
    """Predict gross and net retention by fiscal quarter, and list what comes up for renewal."""
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


def pack(
    accounts: Annotated[
        list[str] | None,
        typer.Argument(help="Whose pages; by default the first of the worklist."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    owner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the accounts of one owner.")
    ] = None,
    first: Annotated[int, typer.Option(min=1, max=200, help="So many of the worklist.")] = 10,
    slides: Annotated[
        bool, typer.Option("--slides", help="As slides of 16:9; by default A4.")
    ] = False,
    as_of: RunDate = None,
    outcome: Outcome = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="A .pdf or .html file; by default pack.pdf beside the configuration."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a page for each account, for a meeting: a one-pager, or a pack for the quarter."""
    from pipelines.portfolio.outbox.pack import pack_of
    from pipelines.reports.page_file import refuse_other_page, write_page

    with answering(as_json) as answer:
        refuse_other_page(out)
        project = project_of(config, outcome)
        made = pack_of(project, accounts or [], owner=owner, first=first, as_of=day_of(as_of))
        file = out or project.folder / "pack.pdf"
        write_page(made.html(is_wide=slides), file)
        answer.give(
            {
                "file": str(file),
                "accounts": [sheet.call.account_id for sheet in made.sheets],
                "as_of": made.as_of.isoformat(),
                "outdated": made.outdated,
            }
        )
        answer.say(f"Wrote {len(made.sheets):,} accounts to {file}")
        answer.warn([made.outdated] if made.outdated else [])
