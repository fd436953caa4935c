"""Calls out of a snapshot: the worklist of whoever asks, in the order of a view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from pipelines.dashboard.access.notes import Note, note_of
from pipelines.dashboard.snapshot.engine import fill
from pipelines.dashboard.snapshot.paging import page_of
from pipelines.dashboard.snapshot.query import AccountQuery
from pipelines.portfolio.worklist.calls import Call, call_of
from pipelines.portfolio.worklist.facts import NOTHING, Facts, account_facts
from pipelines.portfolio.worklist.ranking import ranked_by

if TYPE_CHECKING:
    from pipelines.dashboard.access.visitor import Visitor
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.project.project import Project
    from pipelines.store.runs import Run


FIRST, OF_OWNER = 500, 25
"""So many accounts of all, and of each owner, have what their reasons are about by name."""
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("account_id", "tickets", "invoices", "features")]
)


@dataclass(frozen=True)
class OpenedCall:
    """A call, and the row of the list that it was made from."""

    row: Mapping[str, Any]
    call: Call


def calls_of(
    snapshot: Snapshot, visitor: Visitor, project: Project, query: AccountQuery
) -> list[OpenedCall]:
    """Return the first accounts of a view in the order of the worklist, none that was erased.

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
    ranked = replace(
        query,
        sort=ranked_by(has_money=snapshot.has_money),
        descending=True,
        without=snapshot.contents.erased,
    )
    return called(snapshot, project, page_of(snapshot, visitor, ranked).rows)


def called(snapshot: Snapshot, project: Project, rows: list[dict[str, Any]]) -> list[OpenedCall]:
    """Make calls of rows of the list, asking once for all of them."""
    accounts = [row["account_id"] for row in rows]
    facts, let_go = facts_of(snapshot, accounts), snapshot.contents.let_go
    return [
        OpenedCall(
            row,
            call_of(
                project,
                snapshot.model,
                {**row, "let_go": let_go},
                facts.get(row["account_id"], NOTHING),
            ),
        )
        for row in rows
    ]


def name_facts(
    engine: duckdb.DuckDBPyConnection, project: Project, run: Run, *, has_money: bool
) -> list[Note]:
    """Look up tickets, invoices and features of the accounts that are called first.

    Each table is asked once, for as many accounts as anybody's list can begin with.
    """
    order = f"{ranked_by(has_money=has_money)} desc nulls last, account_id"
    rows = engine.execute(
        f"select account_id from accounts qualify row_number() over (order by {order}) <= {FIRST}"
        f" or row_number() over (partition by owner order by {order}) <= {OF_OWNER}"
    ).fetchall()
    facts, failures = account_facts(project, run.key.as_of, [row[0] for row in rows])
    listed = [
        {"account_id": account, **{name: getattr(one, name) for name in _SCHEMA.names[1:]}}
        for account, one in sorted(facts.items())
    ]
    fill(engine, "facts", [pa.RecordBatch.from_pylist(listed, schema=_SCHEMA)], _SCHEMA)
    said = "Tickets, invoices and features are not named beside the reasons"
    return [note_of(failure, said) for failure in failures]


def facts_of(snapshot: Snapshot, accounts: list[str]) -> dict[str, Facts]:
    """Return what is known of some accounts, which the visitor must be allowed to see."""
    rows = snapshot.ask(
        "select * from facts where account_id in (select unnest(?::text[]))", [accounts]
    )
    return {
        row["account_id"]: Facts(row["tickets"], row["invoices"], row["features"]) for row in rows
    }
