"""The model page: who serves, whether it is right, whether it still fits, and who came before."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from pipelines.dashboard.access.notes import as_seen_by
from pipelines.dashboard.access.visitor import Visitor, WholeBookOf
from pipelines.dashboard.model.answers import ModelAnswer, model_found
from pipelines.dashboard.model.health import ModelHealth
from pipelines.dashboard.model.jobs import ModelJobs
from pipelines.dashboard.model.sections import figures, health_sections
from pipelines.dashboard.panel.panel import Panel
from pipelines.dashboard.panel.registry_reads import BUSY
from pipelines.dashboard.web.background import Done, ready
from pipelines.project.project import Project

SECONDS = 15.0
WORKING = "The registry takes long to answer; ask again in a minute"

router = APIRouter()


@router.get("/model", include_in_schema=False)
async def model_page(request: Request, visitor: WholeBookOf) -> HTMLResponse:
    """Tell of the champion."""
    panel: Panel = request.app.state.panel
    project = panel.project_of(request)
    done = await _health(request, project)
    context = await run_in_threadpool(_context, project, done, visitor)
    return await run_in_threadpool(panel.render, request, "model.html.j2", 200, **context)


@router.get("/api/v1/model", tags=["model"], responses={202: {"model": ModelAnswer}})
async def model(request: Request, response: Response, visitor: WholeBookOf) -> ModelAnswer:
    """Tell of the champion: how it was judged, the latest checks, and what was decided before."""
    project = request.app.state.panel.project_of(request)
    done = await _health(request, project)
    if done is None:
        response.status_code = 202
        return ModelAnswer(state="working", sentence=WORKING, model=None)
    if done.value is None:
        return ModelAnswer(state="impossible", sentence=done.why_not(visitor), model=None)
    answer = await run_in_threadpool(model_found, project.outcome_name, done.value, visitor)
    return ModelAnswer(state="ready", sentence=None, model=answer)


async def _health(request: Request, project: Project) -> Done[ModelHealth] | None:
    jobs: ModelJobs = request.app.state.model_jobs
    work = jobs.health(project)
    return Done(failure=BUSY) if work is None else await ready(work, SECONDS)


def _context(
    project: Project, done: Done[ModelHealth] | None, visitor: Visitor
) -> dict[str, object]:
    words = project.settings.outcome.words
    health = None if done is None else done.value
    return {
        "page_title": "Model health",
        "words": words,
        "failure": WORKING if done is None else done.why_not(visitor),
        "health": health,
        "notes": [] if health is None else as_seen_by(visitor, health.notes),
        "figures": [] if health is None else figures(health),
        "sections": [] if health is None else health_sections(health, words),
        "options": "" if project.outcome_name == "main" else f" --outcome {project.outcome_name}",
    }
