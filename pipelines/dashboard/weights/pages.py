"""The weights page: what each weight is and should be, and sliders that replay others at once."""

from __future__ import annotations

import math

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from features.catalog import EVERYBODY
from features.errors import SettingsError
from pipelines.dashboard.access.visitor import WholeBookOf
from pipelines.dashboard.panel.panel import Panel
from pipelines.dashboard.web.background import Done, ready
from pipelines.dashboard.weights.answers import (
    WeightsAnswer,
    WhatIfAnswer,
    WhatIfQuestion,
    weights_found,
    what_if_found,
)
from pipelines.dashboard.weights.bench import STEPS, Bench, recommended_by_segment
from pipelines.dashboard.weights.sections import (
    advice_sections,
    drawn,
    lede,
    replay_table,
    shown_segments,
    verdict_sentence,
)
from pipelines.dashboard.weights.what_if import what_if_now
from pipelines.project.project import Project
from pipelines.reports.segments import segment_called, segment_words
from pipelines.reports.terminal.console import plain

WEIGHT = "weight."
"""What the fields of the form are called, before the measure."""
MOST_FIELDS = 120
PAGE_SECONDS, API_SECONDS = 1.0, 5.0
WORKING = "The dates that judged the model are being prepared; ask again in a few seconds"

router = APIRouter()


@router.get("/weights", include_in_schema=False)
async def weights_page(request: Request, visitor: WholeBookOf) -> HTMLResponse:
    """Tell of every weight, and what the weights in the address would have done."""
    panel: Panel = request.app.state.panel
    project = panel.project_of(request)
    done = await _bench(request, project, PAGE_SECONDS)
    bench = None if done is None else done.value
    context: dict[str, object] = {
        "page_title": "Weights",
        "words": project.settings.outcome.words,
        "failure": done and done.why_not(visitor),
        "bench": bench,
        "step": request.app.state.weights_benches.step(project),
        "steps": STEPS,
        "result": None,
        "problem": None,
    }
    status = 200
    if bench is not None:
        context |= await run_in_threadpool(_bench_context, project, bench)
        context |= await run_in_threadpool(_tried, request, project, bench)
        status = 422 if context["problem"] else 200
    return await run_in_threadpool(panel.render, request, "weights.html.j2", status, **context)


@router.get("/weights/result", include_in_schema=False)
async def weights_result(request: Request, visitor: WholeBookOf) -> HTMLResponse:
    """Tell what the weights in the address would have done, for a page that is open."""
    panel: Panel = request.app.state.panel
    project = panel.project_of(request)
    done = await _bench(request, project, API_SECONDS)
    if done is None or done.value is None:
        raise HTTPException(409, (done and done.why_not(visitor)) or WORKING)
    context = await run_in_threadpool(_tried, request, project, done.value)
    status = 422 if context["problem"] else 200
    return await run_in_threadpool(
        panel.render, request, "weights_result.html.j2", status, **context
    )


@router.get("/api/v1/weights", tags=["weights"], responses={202: {"model": WeightsAnswer}})
async def weights(request: Request, response: Response, visitor: WholeBookOf) -> WeightsAnswer:
    """List today's weights, the recommended and the learnt ones, by segment.

    They are worked out once per champion, which takes a while: a 202 says that it is under way.
    """
    project = request.app.state.panel.project_of(request)
    done = await _bench(request, project, API_SECONDS)
    if done is None:
        response.status_code = 202
        return WeightsAnswer(state="working", sentence=WORKING, weights=None)
    if done.value is None:
        return WeightsAnswer(state="impossible", sentence=done.why_not(visitor), weights=None)
    answer = await run_in_threadpool(weights_found, project.outcome_name, done.value)
    return WeightsAnswer(state="ready", sentence=None, weights=answer)


@router.post("/api/v1/what-if", tags=["weights"], responses={202: {"model": WhatIfAnswer}})
async def what_if(
    request: Request, response: Response, asked: WhatIfQuestion, visitor: WholeBookOf
) -> WhatIfAnswer:
    """Replay weights over the dates that judged the champion; nothing is changed."""
    project = request.app.state.panel.project_of(request)
    done = await _bench(request, project, API_SECONDS)
    if done is None:
        response.status_code = 202
        return WhatIfAnswer(state="working", sentence=WORKING, what_if=None)
    if done.value is None:
        return WhatIfAnswer(state="impossible", sentence=done.why_not(visitor), what_if=None)
    try:
        result = await run_in_threadpool(
            what_if_now, project, done.value, asked.weights, asked.segment
        )
    except SettingsError as error:
        raise HTTPException(422, str(error)) from error
    return WhatIfAnswer(state="ready", sentence=None, what_if=what_if_found(result))


async def _bench(request: Request, project: Project, seconds: float) -> Done[Bench] | None:
    work = await run_in_threadpool(request.app.state.weights_benches.ask, project)
    return work if isinstance(work, Done) else await ready(work, seconds)


def _bench_context(project: Project, bench: Bench) -> dict[str, object]:
    words, good = project.settings.outcome.words, bench.known.model.scale.good
    return {
        "sections": advice_sections(bench, words.noun, words.past),
        "lede": lede(bench, words.noun),
        "segments": [
            (name, "all accounts" if name == EVERYBODY else f"{plain(segment_words(name))} alone")
            for name in shown_segments(bench)
        ],
        "plain": plain,
        "measures": bench.known.names,
        "today": bench.weights_today,
        "recommended": recommended_by_segment(bench),
        "fixed": replay_table(
            bench.replayed, EVERYBODY, good=good, noun=words.noun, drawn=drawn(bench)
        ),
    }


def _tried(request: Request, project: Project, bench: Bench) -> dict[str, object]:
    """Replay the weights of the address; today's are in the form where it names none."""
    said = request.query_params.get("segment") or EVERYBODY
    segment = segment_called(said, [*bench.segments, EVERYBODY])
    weights, problem = _given(request)
    form = dict(bench.weights_today.get(segment, bench.weights_today[EVERYBODY]))
    context: dict[str, object] = {
        "segment": segment,
        "form": {name: weights.get(name, 0.0) for name in form} if weights else form,
        "result": None,
        "verdict": None,
        "warnings": [],
        "problem": problem,
    }
    if problem or not weights:
        return context
    # Of "all", everybody gets the weights; of a segment, its own accounts are told of.
    own = None if segment == EVERYBODY else segment
    try:
        result = what_if_now(project, bench, weights, own)
    except SettingsError as error:
        return context | {"problem": str(error)}
    place = segment if segment in set(result.replayed.table["segment"]) else EVERYBODY
    return context | {
        "result": replay_table(
            result.replayed, place, good=result.good, noun=result.words.noun, drawn=drawn(bench)
        ),
        "verdict": verdict_sentence(result, place),
        "warnings": result.warnings,
    }


def _given(request: Request) -> tuple[dict[str, float], str | None]:
    """Read the weights of an address, or say what is wrong with them."""
    weights: dict[str, float] = {}
    fields = [
        (key.removeprefix(WEIGHT), value)
        for key, value in request.query_params.multi_items()
        if key.startswith(WEIGHT)
    ]
    if len(fields) > MOST_FIELDS:
        return {}, f"There are {len(fields)} weights, and a scorecard has {MOST_FIELDS} at most"
    for name, text in fields:
        try:
            weights[name] = float(text or 0)
        except ValueError:
            weights[name] = math.nan
        if not math.isfinite(weights[name]):
            return {}, f"The weight of '{name[:60]}' is '{text[:60]}', which is no number"
    return weights, None
