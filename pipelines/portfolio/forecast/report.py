"""The forecast page: what of the book is kept, for people who plan with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.portfolio.forecast.sections import (
    held_section,
    method_section,
    parts_section,
    quarters_table,
    renewals_section,
    waterfall_section,
)
from pipelines.portfolio.forecast.words import figures, headline, until
from pipelines.project.settings.score import MAIN
from pipelines.reports.pieces import Section
from pipelines.reports.rendering import render
from pipelines.reports.wording import day

if TYPE_CHECKING:
    from pipelines.portfolio.forecast.data import RetentionReport
    from pipelines.project.project import Project


def default_file(project: Project) -> Path:
    """Return where the page goes when nobody says: beside the configuration."""
    further = "" if project.outcome_name == MAIN else f"-{project.outcome_name}"
    return project.folder / f"forecast{further}.html"


def forecast_html(report: RetentionReport) -> str:
    """Write the forecast as one self-contained page without script.

    Parameters
    ----------
    report : RetentionReport
        From :func:`pipelines.portfolio.forecast.data.retention_report`.

    Returns
    -------
    str
        HTML; :func:`pipelines.reports.page_file.write_page` puts it into a file.
    """
    return render("forecast.html.j2", **forecast_context(report))


def forecast_context(report: RetentionReport) -> dict[str, Any]:
    """Arrange what the templates ask for."""
    return {
        "page_title": f"Retention forecast, {day(report.as_of)}",
        "headline": headline(report),
        "as_of": day(report.as_of),
        "span": f"{day(report.as_of)} to {day(until(report))}",
        "outcome": report.outcome_name,
        "foretells": report.foretells,
        "model_version": report.model_version,
        "revision": report.revision,
        "figures": figures(report),
        "quarters": quarters_table(report),
        "notes": report.notes,
        "sections": sections_of(report),
    }


def sections_of(report: RetentionReport) -> list[Section]:
    """List the sections that there is something to say in."""
    sections = [waterfall_section(report)] if report.has_money else []
    for parts, what in ((report.segments, "Segment"), (report.owners, "Owner")):
        if len(parts) > 1:
            sections.append(parts_section(report, parts, what))
    return [*sections, renewals_section(report), held_section(report), method_section(report)]
