"""The plays page of the panel: what acting was last found to do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from features.errors import RegistryError
from pipelines.dashboard.access.visitor import WholeBookOf
from pipelines.dashboard.panel.panel import Panel
from pipelines.project.project import Project

router = APIRouter()


@router.get("/plays", include_in_schema=False)
async def plays_page(request: Request, visitor: WholeBookOf) -> HTMLResponse:
    """Show the newest reading of what plays do."""
    panel: Panel = request.app.state.panel
    project = panel.project_of(request)
    context = await run_in_threadpool(_context, project)
    return await run_in_threadpool(panel.render, request, "plays.html.j2", **context)


@router.get("/api/v1/plays", tags=["model"])
async def plays(request: Request, visitor: WholeBookOf) -> dict[str, Any]:
    """Tell what plays were last found to do: ``state``, ``sentence`` and ``reading``."""
    from pipelines.plays.effects import kept_report

    project = request.app.state.panel.project_of(request)
    try:
        report = await run_in_threadpool(kept_report, project)
    except RegistryError:
        return {"state": "impossible", "sentence": UNREADABLE, "reading": None}
    if report is None:
        return {"state": "impossible", "sentence": NONE_YET, "reading": None}
    return {"state": "ready", "sentence": None, "reading": report.to_dict()}


NONE_YET = "No reading was made yet; run 'healthscore plays' on the machine that scores"
UNREADABLE = "The last reading cannot be read; run 'healthscore plays' again"


def _context(project: Project) -> dict[str, Any]:
    from pipelines.dashboard.web.svg_attributes import without_styles
    from pipelines.plays.effects import kept_report
    from pipelines.plays.report import answers, basis, sections
    from pipelines.plays.words import headline
    from pipelines.reports.pieces import Figure, Section

    def bare(section: Section) -> Section:
        parts = [
            Figure([(name, without_styles(svg)) for name, svg in part.svg], part.caption)
            if isinstance(part, Figure)
            else part
            for part in section.parts
        ]
        return Section(section.key, section.title, section.sentence, parts, section.sections)

    failure, report = "", None
    try:
        report = kept_report(project)
        failure = NONE_YET if report is None else ""
    except RegistryError:
        failure = UNREADABLE
    return {
        "page_title": "What plays do",
        "failure": failure,
        "headline": "" if report is None else headline(report),
        "basis": "" if report is None else basis(report),
        "made_at": None if report is None else report.made_at,
        "answers": [] if report is None else answers(report),
        "sections": [] if report is None else [bare(one) for one in sections(report)],
        "notes": [] if report is None else report.notes,
    }
