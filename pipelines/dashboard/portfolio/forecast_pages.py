"""The forecast page: what of the whole book is kept by quarter, and what comes up for renewal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from pipelines.dashboard.access.visitor import Visitor, WholeBookOf
from pipelines.dashboard.panel.answers import State
from pipelines.dashboard.panel.panel import Panel
from pipelines.dashboard.panel.registry_reads import BUSY
from pipelines.dashboard.portfolio.forecast_jobs import ForecastJobs
from pipelines.dashboard.web.background import Done, ready
from pipelines.dashboard.web.svg_attributes import without_styles
from pipelines.portfolio.forecast.data import RetentionReport
from pipelines.portfolio.forecast.report import sections_of
from pipelines.portfolio.forecast.sections import quarters_table
from pipelines.portfolio.forecast.words import figures, headline
from pipelines.reports.pieces import Figure, Section

SECONDS = 5.0
WORKING = "The forecast is being worked out; look again in a minute"

router = APIRouter()


class RetentionAnswer(BaseModel):
    """The forecast as ``healthscore forecast --json`` gives it, once it is worked out."""

    state: State
    sentence: str | None
    forecast: dict[str, Any] | None


@router.get("/forecast", include_in_schema=False)
async def forecast_page(request: Request, visitor: WholeBookOf) -> HTMLResponse:
    """Tell what is kept."""
    panel: Panel = request.app.state.panel
    done = await _forecast(request)
    context = await run_in_threadpool(_context, done, visitor)
    return await run_in_threadpool(panel.render, request, "forecast.html.j2", **context)


@router.get("/api/v1/forecast", tags=["portfolio"], responses={202: {"model": RetentionAnswer}})
async def forecast(request: Request, response: Response, visitor: WholeBookOf) -> RetentionAnswer:
    """Predict gross and net retention by fiscal quarter, by segment and owner."""
    done = await _forecast(request)
    if done is None:
        response.status_code = 202
        return RetentionAnswer(state="working", sentence=WORKING, forecast=None)
    if done.value is None:
        return RetentionAnswer(state="impossible", sentence=done.why_not(visitor), forecast=None)
    return RetentionAnswer(state="ready", sentence=None, forecast=done.value.to_dict())


async def _forecast(request: Request) -> Done[RetentionReport] | None:
    panel: Panel = request.app.state.panel
    jobs: ForecastJobs = request.app.state.forecast_jobs
    snapshot = panel.snapshot_of(request)
    work = jobs.forecast(panel.project_of(request), snapshot.run)
    return Done(failure=BUSY) if work is None else await ready(work, SECONDS)


def _context(done: Done[RetentionReport] | None, visitor: Visitor) -> dict[str, Any]:
    report = None if done is None else done.value
    return {
        "page_title": "Retention forecast",
        "failure": WORKING if done is None else done.why_not(visitor),
        "report": report,
        "headline": headline(report) if report else "Retention forecast",
        "figures": figures(report) if report else [],
        "quarters": quarters_table(report) if report else None,
        "sections": [_styled_by_sheet(one) for one in sections_of(report)] if report else [],
        "notes": report.notes if report else [],
    }


def _styled_by_sheet(section: Section) -> Section:
    """Let the style sheet alone style figures, as the panel's pages do."""
    parts: Sequence[Any] = [
        replace(part, svg=[(name, without_styles(svg)) for name, svg in part.svg])
        if isinstance(part, Figure)
        else part
        for part in section.parts
    ]
    return replace(section, parts=parts)
