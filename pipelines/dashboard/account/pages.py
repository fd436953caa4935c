"""The page of an account: what was issued at once, what has to be computed after it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from models.scoring.scale import BANDS, GOOD_BANDS
from pipelines.dashboard.access.notes import Note, as_seen_by, led_by
from pipelines.dashboard.access.visitor import Visitor, VisitorOf
from pipelines.dashboard.account.address import AccountRoute
from pipelines.dashboard.account.answers import (
    AccountAnswer,
    ExplanationAnswer,
    HistoryAnswer,
    account_answer,
    enough_evidence,
    explanation_of,
    history_answer,
)
from pipelines.dashboard.account.charts import trend_chart
from pipelines.dashboard.account.jobs import AccountJobs
from pipelines.dashboard.account.sections import (
    curve_section,
    move_totals,
    move_waterfall,
    points_waterfall,
    ratings_table,
    signal_sections,
)
from pipelines.dashboard.account.view import AccountView, account_view, key_figures, named_reasons
from pipelines.dashboard.panel.panel import Panel, account_path, link_to
from pipelines.dashboard.panel.registry_reads import BUSY
from pipelines.dashboard.snapshot.calls import facts_of
from pipelines.dashboard.snapshot.snapshot import Snapshot
from pipelines.dashboard.web.background import Done, ready
from pipelines.portfolio.worklist.facts import NOTHING
from pipelines.project.project import Project
from pipelines.project.records.calls import LONGEST_SNOOZE_DAYS, RESULTS, page_key, standing_of
from pipelines.project.records.overrides import LONGEST_DAYS
from pipelines.reports.terminal.console import plain
from pipelines.reports.wording import prior_words, signed_points
from pipelines.scoring.moves.trend import AccountTrend
from pipelines.store.runs import now

if TYPE_CHECKING:
    from models.scoring.health_model import HealthModel

ACCOUNT = "/accounts/{account_id:account}"
API = f"/api/v1{ACCOUNT}"
AccountId = Annotated[str, Path(description="The id, percent-encoded, slashes too.")]
HISTORY_SECONDS, DETAILS_SECONDS, WHOLE_SECONDS = 10.0, 5.0, 120.0
"""So long a page waits for its trend, for a look at its details, and for all of them."""

SHOWN_ENTRIES = 10
"""So many entries on what was done are shown, the newest first."""

router = APIRouter(route_class=AccountRoute)


@dataclass(frozen=True)
class AskedAccount:
    """What a request is about."""

    panel: Panel
    jobs: AccountJobs
    project: Project
    snapshot: Snapshot
    row: dict[str, Any]

    @property
    def account_id(self) -> str:
        """Its id."""
        return str(self.row["account_id"])


@router.get(f"{ACCOUNT}/trend", include_in_schema=False)
async def trend_part(request: Request, account_id: AccountId, visitor: VisitorOf) -> HTMLResponse:
    """Draw an account's issued scores."""
    asked = await find_account(request, account_id, visitor)
    trend = await _trend(asked)
    context = _trend_context(trend, visitor, asked.snapshot.model)
    return await run_in_threadpool(_render, asked, request, "account_trend.html.j2", 200, **context)


@router.get(f"{ACCOUNT}/details", include_in_schema=False)
async def details_part(request: Request, account_id: AccountId, visitor: VisitorOf) -> HTMLResponse:
    """Tell what was computed of an account; 202 as long as that is under way."""
    asked = await find_account(request, account_id, visitor)
    done = await _details(asked, DETAILS_SECONDS)
    context = _details_context(done, visitor)
    status = 202 if done is None else 200
    return await run_in_threadpool(
        _render, asked, request, "account_details.html.j2", status, **context
    )


@router.get(ACCOUNT, include_in_schema=False)
async def account_page(
    request: Request, account_id: AccountId, visitor: VisitorOf, whole: bool = False
) -> HTMLResponse:
    """Tell of an account; ``whole`` waits for all that scripts would fetch after."""
    asked = await find_account(request, account_id, visitor)
    late: dict[str, object] = {"trend": None, "details": None}
    if whole:
        late["trend"] = _trend_context(await _trend(asked), visitor, asked.snapshot.model)
        late["details"] = _details_context(await _details(asked, WHOLE_SECONDS), visitor)
    # In one go: each change of threads waits for whoever else is being answered.
    return await run_in_threadpool(_page, asked, request, visitor, whole=whole, **late)


def _page(asked: AskedAccount, request: Request, visitor: Visitor, **late: object) -> HTMLResponse:
    view, outcome = _view(asked), asked.project.settings.outcome
    named = facts_of(asked.snapshot, [asked.account_id]).get(asked.account_id, NOTHING)
    context: dict[str, object] = {
        "page_title": plain(view.called),
        "parts": {
            part: link_to(f"{account_path(asked.account_id)}/{part}", asked.project.outcome_name)
            for part in ("trend", "details")
        },
        "view": view,
        "reasons": [asked.snapshot.contents.let_go]
        if asked.snapshot.contents.let_go
        else named_reasons(view, asked.snapshot.model, named),
        "prior": prior_words(asked.snapshot.model, outcome.words),
        "enough_evidence": enough_evidence(asked.snapshot),
        "words": outcome.words,
        "figures": key_figures(view, outcome.words.noun),
        "steps": points_waterfall(view),
        **late,
        **_done_context(asked, visitor),
    }
    return _render(asked, request, "account.html.j2", 200, **context)


@router.get(f"{API}/explanation", tags=["accounts"], responses={202: {"model": ExplanationAnswer}})
async def explanation(
    request: Request, response: Response, account_id: AccountId, visitor: VisitorOf
) -> ExplanationAnswer:
    """Tell of every signal, among like accounts and in its past; of ratings; and of the move.

    It is computed from the source tables, which takes some seconds the first time: a 202 says
    that it is under way, and to ask again.
    """
    asked = await find_account(request, account_id, visitor)
    done = await _details(asked, DETAILS_SECONDS)
    if done is None:
        response.status_code = 202
        return ExplanationAnswer(state="working", sentence=WORKING, explanation=None)
    if done.value is None:
        sentence = done.why_not(visitor)
        return ExplanationAnswer(state="impossible", sentence=sentence, explanation=None)
    details = await run_in_threadpool(explanation_of, done.value, visitor)
    return ExplanationAnswer(state="ready", sentence=None, explanation=details)


@router.get(f"{API}/history", tags=["accounts"])
async def history(request: Request, account_id: AccountId, visitor: VisitorOf) -> HistoryAnswer:
    """List every score of an account as it was issued."""
    asked = await find_account(request, account_id, visitor)
    trend = await _trend(asked)
    if trend.value is None:
        raise HTTPException(503, trend.why_not(visitor))
    return history_answer(trend.value)


@router.get(API, tags=["accounts"])
async def account(request: Request, account_id: AccountId, visitor: VisitorOf) -> AccountAnswer:
    """Tell of an account in the newest run: its score, its meaning and what it is made of."""
    asked = await find_account(request, account_id, visitor)
    return account_answer(await run_in_threadpool(_view, asked), asked.snapshot)


SLOW = Note("The score store takes long to answer; look again in a minute")
WORKING = "This is being worked out from the source tables; ask again in a few seconds"


async def find_account(request: Request, account_id: str, visitor: Visitor) -> AskedAccount:
    """Find the account among those that the visitor may see.

    Raises
    ------
    HTTPException
        404 when it is not there, or is somebody else's: nobody learns which.
    """
    panel: Panel = request.app.state.panel

    def find() -> AskedAccount:
        snapshot = panel.snapshot_of(request)
        row = snapshot.account(visitor, account_id)
        if row is None:
            raise HTTPException(
                404, "There is no such account among these scores; check its id in the list"
            )
        return AskedAccount(
            panel, request.app.state.account_jobs, panel.project_of(request), snapshot, row
        )

    return await run_in_threadpool(find)


def _view(asked: AskedAccount) -> AccountView:
    snapshot = asked.snapshot
    return account_view(asked.project, asked.row, snapshot.model, snapshot.run.key.as_of)


async def _trend(asked: AskedAccount) -> Done[AccountTrend]:
    """Read the account's history; a sentence where the store cannot be read just then."""
    done = await _outcome_of(
        asked.jobs.history(asked.project, asked.snapshot, asked.account_id), HISTORY_SECONDS
    )
    if done is None:
        return Done(failure=SLOW)
    if done.failure is not None:
        return Done(failure=led_by("Earlier scores cannot be read just now", done.failure))
    assert done.value is not None
    words = asked.project.settings.outcome.words
    name = asked.project.outcome_name
    return Done(AccountTrend(asked.account_id, name, done.value, words))


async def _details(asked: AskedAccount, seconds: float) -> Done[Any] | None:
    return await _outcome_of(
        asked.jobs.details(asked.project, asked.snapshot, asked.account_id), seconds
    )


async def _outcome_of(work: Future[Done[Any]] | None, seconds: float) -> Done[Any] | None:
    return Done(failure=BUSY) if work is None else await ready(work, seconds)


def _done_context(asked: AskedAccount, visitor: Visitor) -> dict[str, object]:
    """Tell what was done, and what somebody says instead of the score."""
    today, calls = now().date(), asked.panel.calls
    entries = calls.of(asked.account_id)
    override = asked.panel.overrides.standing(asked.snapshot.outcome, today)
    outcome = asked.project.settings.outcome
    bands = [one for one in (GOOD_BANDS if outcome.is_good else BANDS) if one != asked.row["band"]]
    return {
        "standing": standing_of(entries, today) if entries else None,
        "entries": entries[: -SHOWN_ENTRIES - 1 : -1],
        "override": override.get(asked.account_id),
        "bands": bands,
        "results": RESULTS,
        "key": page_key(),
        "tomorrow": today + timedelta(days=1),
        "usual_end": today + timedelta(days=90),
        "last_snooze": today + timedelta(days=LONGEST_SNOOZE_DAYS),
        "last_override": today + timedelta(days=LONGEST_DAYS),
    }


def _trend_context(
    trend: Done[AccountTrend], visitor: Visitor, model: HealthModel | None
) -> dict[str, object]:
    if trend.value is None:
        return {"chart": None, "scores": [], "failure": trend.why_not(visitor)}
    history = trend.value.to_dict()
    scale = None if model is None else model.scale
    return {"chart": trend_chart(history, scale), "scores": trend.value.scores, "failure": None}


def _details_context(done: Done[Any] | None, visitor: Visitor) -> dict[str, object]:
    if done is None or done.value is None:
        return {"found": None, "notes": [], "failure": done and done.why_not(visitor)}
    details = done.value
    return {
        "found": details,
        "failure": None,
        "notes": as_seen_by(visitor, details.notes),
        "sections": signal_sections(details),
        "ratings": ratings_table(details),
        "move_steps": move_waterfall(details.move) if details.move else [],
        "move_totals": move_totals(details.move) if details.move else [],
        "curve": curve_section(details) if details.curve else None,
    }


def _render(
    asked: AskedAccount, request: Request, name: str, status: int = 200, **context: object
) -> HTMLResponse:
    values = {"account_id": asked.account_id, "signed": signed_points, **context}
    return asked.panel.render(request, name, status, **values)
