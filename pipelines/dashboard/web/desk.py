"""What the pages of accounts, weights and the model work out beside the requests, and keep."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request

from pipelines.dashboard.account.details import AccountDetails, account_details
from pipelines.dashboard.account.tables import SourceTables
from pipelines.dashboard.model.health import ModelHealth, model_health
from pipelines.dashboard.model.registry_reads import RegistryReads
from pipelines.dashboard.web.background import Background, Done
from pipelines.dashboard.weights.bench import WeightsBenches
from pipelines.store.issued_scores import DatedScore, issued_scores

if TYPE_CHECKING:
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.dashboard.web.panel import Panel
    from pipelines.project.project import Project

ACCOUNTS_KEPT, HISTORIES_KEPT = 200, 500
HISTORY_SECONDS, HELD_SECONDS, HEALTH_SECONDS = 60.0, 3.0, 20.0
HISTORY_THREADS = 8
"""Who reads the store while others do shares their opening of it, which is most of the work."""
WAITING = 40
_MAKING = threading.Lock()


class Desk:
    """Work under way and what came of it, with bounds on both.

    Parameters
    ----------
    panel : Panel
        Whose pages ask.
    """

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.reads = RegistryReads()
        self.weights = WeightsBenches(self.reads)
        # One at a time: each reads all tables, and two would only take each other's time.
        self._details = Background[AccountDetails](
            "account-details", threads=1, keep=ACCOUNTS_KEPT, waiting=WAITING
        )
        self._histories = Background[list[DatedScore]](
            "account-histories",
            threads=HISTORY_THREADS,
            keep=HISTORIES_KEPT,
            waiting=WAITING,
            seconds=HISTORY_SECONDS,
            # A store that is being written just then is free again soon.
            failed_seconds=HELD_SECONDS,
        )
        self._health = Background[ModelHealth](
            "model-health", threads=1, keep=len(panel.outcomes), waiting=8, seconds=HEALTH_SECONDS
        )
        self._tables: dict[str, SourceTables] = {}

    def details(
        self, project: Project, snapshot: Snapshot, account_id: str
    ) -> Future[Done[AccountDetails]] | None:
        """Compute what the source tables say of an account, once per run."""
        run = snapshot.run
        tables = self._tables.setdefault(project.outcome_name, SourceTables(project))

        def compute() -> AccountDetails:
            return account_details(project, snapshot, account_id, self.reads, tables)

        key = (run.key, run.revision, run.issued_at, account_id)
        return self._details.ask(key, compute)

    def history(
        self, project: Project, snapshot: Snapshot, account_id: str
    ) -> Future[Done[list[DatedScore]]] | None:
        """Read the issued scores of an account."""
        key = (snapshot.run.key, snapshot.run.revision, account_id)
        return self._histories.ask(key, lambda: issued_scores(project, account_id))

    def health(self, project: Project) -> Future[Done[ModelHealth]] | None:
        """Read what the registry tells of a champion; good for a burst of requests."""
        return self._health.ask(project.outcome_name, lambda: model_health(project))

    def close(self) -> None:
        """Begin nothing more."""
        for work in (self.reads, self.weights, self._details, self._histories, self._health):
            work.close()


def desk_of(request: Request) -> Desk:
    """Return the desk of an application, made when it is first asked for."""
    state = request.app.state
    with _MAKING:
        if not hasattr(state, "desk"):
            state.desk = Desk(state.panel)
        found: Desk = state.desk
        return found


@asynccontextmanager
async def desk_open(app: FastAPI) -> AsyncIterator[None]:
    """Clear the desk when the application stops."""
    app.state.desk = desk = Desk(app.state.panel)
    try:
        yield
    finally:
        desk.close()
