"""What was done about an account, and overrides of its score: said on its page, and by programs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Header, Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from features.errors import SettingsError, sample
from pipelines.dashboard.access.visitor import Visitor, VisitorOf, WriterOf
from pipelines.dashboard.account.address import AccountRoute
from pipelines.dashboard.account.pages import ACCOUNT, API, AccountId, AskedAccount, find_account
from pipelines.dashboard.panel.answers import Moment
from pipelines.dashboard.panel.notices import Notice
from pipelines.dashboard.panel.panel import account_path, link_to
from pipelines.dashboard.snapshot.query import OPEN
from pipelines.project.records.calls import (
    LONGEST_NAME,
    LONGEST_NOTE,
    PAGE_KEY,
    CallEntry,
    Result,
    State,
    call_entry,
    page_key,
    standing_of,
)
from pipelines.project.records.overrides import Override, Scored, made_override
from pipelines.store.runs import now

if TYPE_CHECKING:
    from pipelines.dashboard.snapshot.snapshot import Snapshot

router = APIRouter(route_class=AccountRoute)


class AskedCall(BaseModel):
    """What is said of a call: its state, and as far as it fits, the rest."""

    state: str = Field("", max_length=20, description="open, called or snoozed")
    play: str | None = Field(None, max_length=100)
    result: str | None = Field(
        None, max_length=20, description="reached, not reached, will stay or will leave"
    )
    until: date | None = Field(None, description="Until when it is snoozed.")
    note: str = Field("", max_length=LONGEST_NOTE)


class ToldCall(BaseModel):
    """One entry of the record of calls."""

    state: State
    by: str
    written_at: Moment
    done_at: Moment
    play: str | None
    result: Result | None
    until: date | None
    note: str


class CallsAnswer(BaseModel):
    """The state of an account's call today, and how it came about, oldest first."""

    account_id: str
    state: State
    entries: list[ToldCall]


class AskedOverride(BaseModel):
    """What somebody says instead of the score; an empty band takes it back."""

    band: str = Field("", max_length=20)
    reason: str = Field("", max_length=LONGEST_NOTE)
    until: date | None = Field(None, description="The day from which it counts no more.")


class ToldOverride(BaseModel):
    """One override, or the end of one."""

    band: str | None
    reason: str
    by: str
    written_at: Moment
    until: date
    as_of: date
    band_issued: str
    probability: float


class OverridesAnswer(BaseModel):
    """The override that counts today, if any, and all that there were, oldest first."""

    account_id: str
    standing: ToldOverride | None
    overrides: list[ToldOverride]


@router.post(f"{ACCOUNT}/calls", include_in_schema=False)
async def call_form(
    request: Request,
    account_id: AccountId,
    visitor: WriterOf,
    state: Annotated[str, Form()] = "",
    play: Annotated[str, Form()] = "",
    result: Annotated[str, Form()] = "",
    until: Annotated[str, Form()] = "",
    note: Annotated[str, Form()] = "",
    key: Annotated[str, Form()] = "",
) -> RedirectResponse:
    """Keep what a visitor says was done, and go back to the account."""
    asked = await find_account(request, account_id, visitor)
    said = AskedCall.model_construct(
        state=state, play=play, result=result, until=_day(until), note=note
    )
    key = key if PAGE_KEY.fullmatch(key) else page_key()
    for entry in _record(asked, visitor, said, key):
        words = standing_of([entry], now().date()).words
        undo = link_to(f"{account_path(asked.account_id)}/calls/undo", asked.project.outcome_name)
        notice = Notice(f"Kept: {_called(asked)} is {words}", undo, {"key": key})
        asked.panel.tell(request, notice)
    return _back(asked)


@router.post(f"{ACCOUNT}/calls/undo", include_in_schema=False)
async def undo_call(
    request: Request, account_id: AccountId, visitor: WriterOf, key: Annotated[str, Form()] = ""
) -> RedirectResponse:
    """Take back what the visitor wrote last of the account, and go back to it."""
    asked = await find_account(request, account_id, visitor)
    asked.panel.calls.take_back(asked.account_id, key, by=visitor.name, moment=now())
    entries = asked.panel.calls.of(asked.account_id)
    words = standing_of(entries, now().date()).words if entries else OPEN
    asked.panel.tell(request, Notice(f"Taken back: {_called(asked)} is {words} again"))
    return _back(asked)


@router.post(f"{API}/calls", tags=["what was done"])
async def call_answer(
    request: Request,
    account_id: AccountId,
    visitor: WriterOf,
    said: AskedCall,
    idempotency_key: Annotated[str, Header(max_length=100)] = "",
) -> CallsAnswer:
    """Say what was done about an account; with the same `Idempotency-Key` it is kept once."""
    asked = await find_account(request, account_id, visitor)
    # What one visitor sends again is not what another sends.
    key = f"{visitor.name} {idempotency_key}"[:LONGEST_NAME] if idempotency_key else ""
    _record(asked, visitor, said, key)
    return _calls(asked)


@router.get(f"{API}/calls", tags=["what was done"])
async def calls(request: Request, account_id: AccountId, visitor: VisitorOf) -> CallsAnswer:
    """Tell what was done about an account."""
    return _calls(await find_account(request, account_id, visitor))


@router.post(f"{ACCOUNT}/override", include_in_schema=False)
async def override_form(
    request: Request,
    account_id: AccountId,
    visitor: WriterOf,
    band: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    until: Annotated[str, Form()] = "",
) -> RedirectResponse:
    """Keep what a visitor says instead of the score, and go back to the account."""
    asked = await find_account(request, account_id, visitor)
    said = AskedOverride.model_construct(band=band, reason=reason, until=_day(until))
    earlier = asked.panel.overrides.standing(asked.snapshot.outcome, now().date())
    _override(asked, visitor, said)
    if band:
        path = link_to(f"{account_path(asked.account_id)}/override", asked.project.outcome_name)
        # Taking back would not put back what somebody said before.
        undo = None if asked.account_id in earlier else path
        notice = Notice(f"Kept: you say that {_called(asked)} is {band}", undo)
    else:
        notice = Notice(f"Taken back: the score of {_called(asked)} stands alone again")
    asked.panel.tell(request, notice)
    return _back(asked)


@router.post(f"{API}/overrides", tags=["what was done"])
async def override_answer(
    request: Request, account_id: AccountId, visitor: WriterOf, said: AskedOverride
) -> OverridesAnswer:
    """Say in which band an account belongs instead, why and until when; issued scores stay."""
    asked = await find_account(request, account_id, visitor)
    _override(asked, visitor, said)
    return _overrides(asked)


@router.get(f"{API}/overrides", tags=["what was done"])
async def overrides(request: Request, account_id: AccountId, visitor: VisitorOf) -> OverridesAnswer:
    """Tell who disputed an account's score, and why."""
    return _overrides(await find_account(request, account_id, visitor))


def _called(asked: AskedAccount) -> str:
    return str(asked.row["name"] or asked.account_id)


def _record(asked: AskedAccount, visitor: Visitor, said: AskedCall, key: str) -> list[CallEntry]:
    entry = call_entry(
        asked.account_id,
        said.state,
        by=visitor.name,
        moment=now(),
        play=said.play,
        result=said.result,
        until=said.until,
        note=said.note,
        key=key,
    )
    return asked.panel.calls.record([entry])


def _override(asked: AskedAccount, visitor: Visitor, said: AskedOverride) -> None:
    made = made_override(
        asked.account_id,
        _scored(asked),
        said.band,
        reason=said.reason,
        until=said.until,
        by=visitor.name,
        moment=now(),
    )
    asked.panel.overrides.record(made)


def _scored(asked: AskedAccount) -> Scored:
    key = asked.snapshot.run.key
    return Scored(
        outcome=key.outcome,
        as_of=key.as_of,
        model_version=key.model_version,
        band=str(asked.row["band"]),
        probability=float(asked.row["probability"]),
        means=band_means(asked.snapshot),
    )


def band_means(snapshot: Snapshot) -> dict[str, float]:
    """Return the mean probability of the accounts of each band."""
    rows = snapshot.ask("select band, avg(probability) as mean from accounts group by band")
    return {str(row["band"]): float(row["mean"]) for row in rows}


def _calls(asked: AskedAccount) -> CallsAnswer:
    entries = asked.panel.calls.of(asked.account_id)
    state: State = "open"
    if entries:
        state = standing_of(entries, now().date()).state
    told = [ToldCall.model_validate(_told(one)) for one in entries]
    return CallsAnswer(account_id=asked.account_id, state=state, entries=told)


def _told(entry: CallEntry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in ToldCall.model_fields}


def _overrides(asked: AskedAccount) -> OverridesAnswer:
    outcome, books = asked.snapshot.outcome, asked.panel.overrides
    every = [
        one
        for one in books.entries()
        if one.account_id == asked.account_id and one.outcome == outcome
    ]
    standing = books.standing(outcome, now().date()).get(asked.account_id)
    return OverridesAnswer(
        account_id=asked.account_id,
        standing=None if standing is None else _told_override(standing),
        overrides=[_told_override(one) for one in every],
    )


def _told_override(one: Override) -> ToldOverride:
    return ToldOverride.model_validate(
        {name: getattr(one, name) for name in ToldOverride.model_fields}
    )


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"A day is written like {datetime.now(tz=UTC):%Y-%m-%d}, and {sample([text])} is not"
        ) from error


def _back(asked: AskedAccount) -> RedirectResponse:
    path = link_to(account_path(asked.account_id), asked.project.outcome_name)
    return RedirectResponse(f"{path}#done", 303)
