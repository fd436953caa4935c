"""What the reasons of those to call first are about, kept beside a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from pipelines.dashboard.access.notes import Note, note_of
from pipelines.dashboard.snapshot.engine import fill
from pipelines.portfolio.worklist.facts import Facts, account_facts
from pipelines.portfolio.worklist.ranking import ranked_by

if TYPE_CHECKING:
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.project.project import Project
    from pipelines.store.runs import Run

FIRST, OF_OWNER = 500, 25
"""So many accounts of all, and of each owner, have what their reasons are about by name."""
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("account_id", "tickets", "invoices", "features")]
)


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
    marks = ", ".join("?" * len(accounts)) or "null"
    rows = snapshot.ask(f"select * from facts where account_id in ({marks})", accounts)
    return {
        row["account_id"]: Facts(row["tickets"], row["invoices"], row["features"]) for row in rows
    }
