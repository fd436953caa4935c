"""Commands about the weights of a scorecard: what to change, and what a change would do."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import SettingsError
from pipelines.commands.answer import answering
from pipelines.commands.options import DEFAULT_CONFIG, AsJson, Config, Outcome, project_of

if TYPE_CHECKING:
    from pipelines.project.project import Project
    from pipelines.weights.recommend import Recommended


class Format(StrEnum):
    """What a recommendation is written as."""

    html = "html"
    pdf = "pdf"
    json = "json"
    csv = "csv"
    xlsx = "xlsx"


REPORT = "weights-report"
PAGES = (".html", ".pdf")


def recommend(
    config: Config = DEFAULT_CONFIG,
    outcome: Outcome = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="The .html, .pdf, .json, .csv or .xlsx file to write; by default"
            f" {REPORT}.html beside the configuration.",
        ),
    ] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="What to write, where --out does not say.")
    ] = None,
    history: Annotated[
        bool,
        typer.Option(
            "--history", help="Show what was recommended before and what came of it, and stop."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say which weights of the scorecard to change, how sure that is, and what it would do."""
    with answering(as_json) as answer:
        if history:
            if out is not None or format_ is not None:
                raise SettingsError(
                    "--history shows what is on record and writes no file; leave out --out and"
                    " --format, or take --json for a program"
                )
            from pipelines.weights.history import history as past_recommendations

            past = past_recommendations(project_of(config, outcome))
            answer.give(past.to_dict())
            if answer.console is not None:
                from pipelines.weights.report.history_screen import show_history

                show_history(answer.console, past)
            return
        from pipelines.weights.history import record_recommendation
        from pipelines.weights.recommend import recommend as learn
        from pipelines.weights.report.files import recommendation_dict

        project = project_of(config, outcome)
        file = report_file(project, out, format_)
        recommended = learn(project)
        files = write_report(recommended, file)
        recorded = record_recommendation(project, recommended)
        answer.give(
            recommendation_dict(recommended)
            | {"files": [str(each) for each in files], "recorded": recorded}
        )
        if answer.console is not None:
            from pipelines.weights.report.screen import show_recommended

            show_recommended(answer.console, recommended, files)


def report_file(project: Project, out: Path | None, format_: Format | None) -> Path:
    """Say where a report goes; its suffix then says what it is.

    Raises
    ------
    SettingsError
        When the suffix is none there is, contradicts the format, or the folder does not exist.
    """
    if out is None:
        stem = REPORT if project.outcome_name == "main" else f"{REPORT}-{project.outcome_name}"
        return project.folder / f"{stem}.{format_ or Format.html}"
    known = [f".{each}" for each in Format]
    suffix = out.suffix.lower()
    if suffix not in known:
        raise SettingsError(
            f"A recommendation is written as {', '.join(known)}, and '{out}' ends in"
            f" '{out.suffix}'; name another file with --out"
        )
    if format_ is not None and suffix != f".{format_}":
        raise SettingsError(
            f"--format says {format_} and the file of --out, '{out}', ends in '{out.suffix}'; leave"
            " one of them out"
        )
    if not out.absolute().parent.is_dir():
        raise SettingsError(
            f"The folder '{out.absolute().parent}' of --out does not exist; make it or name another"
            " file"
        )
    return out


def write_report(recommended: Recommended, file: Path) -> list[Path]:
    """Write a recommendation as its file's suffix says, and list what was written."""
    try:
        if file.suffix.lower() not in PAGES:
            from pipelines.weights.report.files import write_recommendation

            return write_recommendation(recommended, file)
        from pipelines.reports.page_file import write_page
        from pipelines.weights.report.report import weights_html

        write_page(weights_html(recommended), file)
    except OSError as error:
        # The error names a draft of the file, or none.
        raise OSError(error.errno, error.strerror or str(error), str(file)) from error
    return [file]


def what_if(
    weights: Annotated[
        str,
        typer.Option(
            "--weights", help="In percent, summing to 100, as in usage=40,support=30,surveys=30."
        ),
    ],
    config: Config = DEFAULT_CONFIG,
    outcome: Outcome = None,
    segment: Annotated[
        str | None,
        typer.Option("--segment", help="Weigh only this segment so; by default all of them."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay weights over past dates beside today's, before anybody is scored by them."""
    from pipelines.weights.what_if import what_if as replay_weights

    with answering(as_json) as answer:
        replayed = replay_weights(project_of(config, outcome), weights, segment=segment)
        answer.give(replayed.to_dict())
        if answer.console is not None:
            from pipelines.weights.report.screen import show_what_if

            show_what_if(answer.console, replayed)
