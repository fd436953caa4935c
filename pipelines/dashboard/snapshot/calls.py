"""Calls out of a snapshot: the worklist of whoever asks, in the order of a view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.dashboard.snapshot.named import facts_of
from pipelines.dashboard.snapshot.paging import page_of
from pipelines.dashboard.snapshot.query import AccountQuery
from pipelines.portfolio.worklist.calls import Call, call_of
from pipelines.portfolio.worklist.facts import NOTHING
from pipelines.portfolio.worklist.ranking import ranked_by

if TYPE_CHECKING:
    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.project.project import Project


@dataclass(frozen=True)
class OpenedCall:
    """A call, and the row of the list that it was made from."""

    row: Mapping[str, Any]
    call: Call


def calls_of(
    snapshot: Snapshot, visitor: Visitor, project: Project, query: AccountQuery
) -> list[OpenedCall]:
    """Return the first accounts of a view in the order of the worklist.

    Parameters
    ----------
    snapshot : Snapshot
        Where they are.
    visitor : Visitor
        Who asks.
    project : Project
        The project of the snapshot's outcome, for its plays.
    query : AccountQuery
        The view; its own order does not matter.
    """
    ranked = replace(query, sort=ranked_by(has_money=snapshot.has_money), descending=True)
    return called(snapshot, project, page_of(snapshot, visitor, ranked).rows)


def called(snapshot: Snapshot, project: Project, rows: list[dict[str, Any]]) -> list[OpenedCall]:
    """Make calls of rows of the list, asking once for all of them."""
    accounts = [row["account_id"] for row in rows]
    facts = facts_of(snapshot, accounts)
    return [
        OpenedCall(
            row, call_of(project, snapshot.model, row, facts.get(row["account_id"], NOTHING))
        )
        for row in rows
    ]
