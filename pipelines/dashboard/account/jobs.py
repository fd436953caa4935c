"""Background jobs of account pages: details from the source tables, and issued scores."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from pipelines.dashboard.account.details import AccountDetails, account_details
from pipelines.dashboard.account.tables import SourceTables
from pipelines.dashboard.web.background import Background, Done
from pipelines.store.issued import DatedScore, issued_scores

if TYPE_CHECKING:
    from pipelines.dashboard.panel.registry_reads import RegistryReads
    from pipelines.dashboard.snapshot.snapshot import Snapshot
    from pipelines.project.project import Project

ACCOUNTS_KEPT, HISTORIES_KEPT = 200, 500
HISTORY_SECONDS, HELD_SECONDS = 60.0, 3.0
HISTORY_THREADS = 8
"""Who reads the store while others do shares their opening of it, which is most of the work."""
WAITING = 40


class AccountJobs:
    """Work on accounts under way and what came of it, with bounds on both.

    Parameters
    ----------
    reads : RegistryReads
        What the panel reads of models.
    """

    def __init__(self, reads: RegistryReads) -> None:
        self.reads = reads
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
        self._tables: dict[str, SourceTables] = {}

    def details(
        self, project: Project, snapshot: Snapshot, account_id: str
    ) -> Future[Done[AccountDetails]] | None:
        """Compute what the source tables say of an account, once per run."""
        run = snapshot.run
        tables = self._tables.setdefault(project.outcome_name, SourceTables(project))

        def compute() -> AccountDetails:
            return account_details(project, snapshot, account_id, self.reads, tables)

        key = (run.key, run.revision, run.issued_at, snapshot.contents.earlier, account_id)
        return self._details.ask(key, compute)

    def history(
        self, project: Project, snapshot: Snapshot, account_id: str
    ) -> Future[Done[list[DatedScore]]] | None:
        """Read the issued scores of an account."""
        run = snapshot.run
        key = (run.key, run.revision, snapshot.contents.earlier, account_id)
        return self._histories.ask(key, lambda: issued_scores(project, account_id))

    def close(self) -> None:
        """Begin nothing more."""
        self._details.close()
        self._histories.close()
