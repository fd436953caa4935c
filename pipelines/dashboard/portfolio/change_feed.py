"""The change feed: what is to be written elsewhere since a run that was told before.

A page tells how accounts of one issued run differ from another. Both never change, so pages stay
as they are while newer runs are issued, and asking again gives the same.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal, cast

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel

from features.errors import SettingsError, sample
from pipelines.dashboard.access.visitor import VisitorOf
from pipelines.reports.wording import day
from pipelines.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.dashboard.panel.panel import Panel
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.store.runs import Run

router = APIRouter()
MOST_AT_ONCE, USUAL = 500, 200
LONGEST = 4000
# The date, model version and revision of a run.
RunMark = tuple[str, str, int]


class ChangedAccount(BaseModel):
    """An account that is new, changed or gone; of one that is gone, what it was is told."""

    account_id: str
    kind: Literal["new", "changed", "gone"]
    name: str | None
    owner: str | None
    segment: str | None
    band: str | None
    score: float | None
    probability: float | None
    mrr: float | None
    band_before: str | None
    score_before: float | None
    probability_before: float | None


class ToldRun(BaseModel):
    """Which issued run."""

    as_of: str
    model_version: str
    revision: int


class FeedAnswer(BaseModel):
    """Changes, by account; ask again with ``cursor`` at once while there are ``more``."""

    outcome: str
    since: ToldRun | None
    until: ToldRun
    note: str | None
    changes: list[ChangedAccount]
    cursor: str
    more: bool


@dataclass(frozen=True)
class Cursor:
    """How far somebody was told.

    Parameters
    ----------
    since : RunMark or None
        The run that they have whole; None where they have none.
    until : RunMark or None
        The run whose difference from it they are being told; None between two tellings.
    after : str or None
        The last account of it that they were told.
    """

    since: RunMark | None = None
    until: RunMark | None = None
    after: str | None = None

    def written(self) -> str:
        """Write it as a text for an address."""
        parts = json.dumps([self.since, self.until, self.after]).encode()
        return base64.urlsafe_b64encode(parts).decode().rstrip("=")


@router.get("/api/v1/changes", tags=["accounts"])
def changes(
    request: Request,
    visitor: VisitorOf,
    since: Annotated[
        str,
        Query(max_length=LONGEST, description="The last cursor, a date, or nothing for all."),
    ] = "",
    size: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = USUAL,
    outcome: Annotated[str, Query(max_length=60)] = "main",
) -> FeedAnswer:
    """Tell what changed since a run that was told before, for writing it elsewhere."""
    panel: Panel = request.app.state.panel
    snapshot = panel.snapshot_of(request)
    with open_store(panel.project, read_only=True) as store:
        runs = store.runs(snapshot.outcome)
        cursor, note = _begun(since, runs)
        # Nothing newer than the pages show, and what was begun is told to its end.
        until = snapshot.run if cursor.until is None else _run(runs, cursor.until)
        before = None if cursor.since is None else _run(runs, cursor.since)
        mine = None if visitor.sees_all else _accounts(snapshot, visitor)
        rows = store.changes(
            before, until, after=cursor.after, size=size + 1, accounts=mine
        ).to_pylist()
    more = len(rows) > size
    rows = rows[:size]
    following = Cursor(_mark(until))
    if more:
        following = replace(cursor, until=_mark(until), after=rows[-1]["account_id"])
    named = _names(snapshot, [row["account_id"] for row in rows])
    return FeedAnswer(
        outcome=snapshot.outcome,
        since=None if before is None else _told(before),
        until=_told(until),
        note=note,
        changes=[
            ChangedAccount.model_validate(row | named.get(row["account_id"], _NAMELESS))
            for row in rows
        ],
        cursor=following.written(),
        more=more,
    )


_NAMELESS: Mapping[str, str | None] = {"name": None, "owner": None}


def _begun(since: str, runs: Sequence[Run]) -> tuple[Cursor, str | None]:
    """Read what was asked: the cursor, and what is to be said of it."""
    if not since:
        return Cursor(), None
    try:
        asked = date.fromisoformat(since)
    except ValueError:
        return _read(since), None
    last: dict[date, Run] = {run.key.as_of: run for run in runs}
    until_then = [one for one in sorted(last) if one <= asked]
    if until_then:
        return Cursor(_mark(last[until_then[-1]])), None
    return Cursor(), (
        f"The first scores were issued for {day(min(last))}, after {day(asked)}: every account of"
        " the newest run is told as new"
    )


def _read(text: str) -> Cursor:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        since, until, after = json.loads(raw.decode())
        cursor = Cursor(_mark_in(since), _mark_in(until), after)
        # Half of a character can be written in JSON, and means nothing to an engine.
        str(after).encode()
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise _no_cursor(text) from error
    if not isinstance(after, str | None) or (after is not None and cursor.until is None):
        raise _no_cursor(text)
    return cursor


def _mark_in(raw: object) -> RunMark | None:
    if raw is None:
        return None
    as_of, version, revision = cast("list[object]", raw)
    if not isinstance(as_of, str) or not isinstance(version, str):
        raise TypeError
    if not isinstance(revision, int):
        raise TypeError
    return as_of, version, revision


def _no_cursor(text: str) -> SettingsError:
    return SettingsError(
        f"since is the cursor of the last answer, a date such as 2025-01-31 or nothing, and"
        f" {sample([text])} is none of them; ask without it for everything"
    )


def _mark(run: Run) -> RunMark:
    return run.key.as_of.isoformat(), run.key.model_version, run.revision


def _run(runs: Sequence[Run], mark: RunMark) -> Run:
    named = [run for run in runs if _mark(run) == mark]
    if not named:
        raise HTTPException(
            409,
            f"The store has no run of {mark[0][:10]} by that model version and revision, so what"
            " changed since cannot be told; ask without since for everything",
        )
    return named[0]


def _told(run: Run) -> ToldRun:
    as_of, version, revision = _mark(run)
    return ToldRun(as_of=as_of, model_version=version, revision=revision)


def _accounts(snapshot: Snapshot, visitor: Visitor) -> list[str]:
    """List the accounts of a visitor, those that are no longer scored too."""
    allowed, values = snapshot.allowed(visitor)
    rows = snapshot.ask(
        f"select account_id from accounts where {allowed}"
        f" union all select account_id from others where {allowed}",
        [*values, *values],
    )
    return [row["account_id"] for row in rows]


def _names(snapshot: Snapshot, accounts: Sequence[str]) -> dict[str, dict[str, str | None]]:
    """Name some accounts, which the visitor must be allowed to see."""
    marks = ", ".join("?" * len(accounts)) or "null"
    rows = snapshot.ask(
        f"select account_id, name, owner from accounts where account_id in ({marks})"
        f" union all select account_id, name, owner from others where account_id in ({marks})",
        [*accounts, *accounts],
    )
    return {row["account_id"]: {"name": row["name"], "owner": row["owner"]} for row in rows}
