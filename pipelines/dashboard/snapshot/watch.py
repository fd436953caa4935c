"""The snapshots that the panel serves, and the thread that looks for newer runs."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from features.errors import HealthscoreError
from pipelines.dashboard.access.visitor import Visitor
from pipelines.dashboard.snapshot.snapshot import Snapshot
from pipelines.dashboard.snapshot.taking import take
from pipelines.project.score_settings import MAIN
from pipelines.store.issued_run import issued_run
from pipelines.store.opening import Run, now, open_store

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.project.project import Project
    from pipelines.project.serve_settings import ServeSettings

NOT_NOW = "The store is being written, or cannot be reached; an admin is told here why"
NOT_YET = "There are no scores to show yet; an admin is told here why"

EVERYTHING = Visitor("nobody", "viewer")
LAST_SECONDS = 10.0
log = logging.getLogger("healthscore.panel")


class Snapshots:
    """The newest run of each outcome; a context manager that keeps looking while it is entered.

    The store is never kept open: it is read when there is a newer run, and let go. While it cannot
    be read the earlier snapshot serves on, and says so.

    Parameters
    ----------
    project : Project
        The configuration.
    settings : ServeSettings
        How often to look, and how much memory there is.
    """

    def __init__(self, project: Project, settings: ServeSettings) -> None:
        self.project, self.settings = project, settings
        self.outcomes = (MAIN, *project.settings.outcomes)
        self._held: dict[str, Snapshot] = {}
        self._failed: dict[str, tuple[datetime, str]] = {}
        self._refreshing = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="healthscore-panel-"))
        self._stopped.clear()
        self._thread = threading.Thread(target=self._watch, name="healthscore-panel", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        if self._thread is not None:
            # A copy under way is thrown away with the process.
            self._thread.join(LAST_SECONDS)
        self._held.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def current(self, outcome: str) -> Snapshot | None:
        """Return the newest snapshot of an outcome; None where there is none yet."""
        return self._held.get(outcome)

    def stale(self, outcome: str, visitor: Visitor) -> str | None:
        """Say since when newer scores could not be looked for, or nothing where they could."""
        failed = self._failed.get(outcome)
        if failed is None or outcome not in self._held:
            return None
        since, why = failed
        told = why if visitor.role == "admin" else NOT_NOW
        return (
            f"These may not be the newest scores: since {since:%Y-%m-%d %H:%M} UTC none could be"
            f" looked for. {told}."
        )

    def why_none(self, outcome: str, visitor: Visitor | None = None) -> str:
        """Say why there is no snapshot of an outcome."""
        failed = self._failed.get(outcome)
        if failed is None:
            return "The scores are being read; load the page again in a moment"
        return failed[1] if visitor is not None and visitor.role == "admin" else NOT_YET

    def refresh(self, *, anew: bool = False) -> None:
        """Look for newer runs of every outcome now; return when that is done.

        Parameters
        ----------
        anew : bool
            Whether to read runs that are known too: names and owners may have changed since.
        """
        with self._refreshing:
            for outcome in self.outcomes:
                if self._stopped.is_set():
                    return
                self._refresh(outcome, anew=anew)

    def _watch(self) -> None:
        while True:
            try:
                self.refresh()
            except Exception:
                # Whatever it was, what is served stays, and the next look may go well.
                log.exception("looking for newer scores failed")
            if self._stopped.wait(self.settings.refresh_seconds):
                return

    def _refresh(self, outcome: str, *, anew: bool) -> None:
        held = self._held.get(outcome)
        try:
            fresh = self._newer(outcome, None if held is None or anew else held.run)
        except HealthscoreError as error:
            since = self._failed.get(outcome, (now(), ""))[0]
            self._failed[outcome] = since, str(error)
            return
        if fresh is not None:
            # Whoever holds the earlier one reads it to the end; then it is gone.
            self._held[outcome] = fresh
        self._failed.pop(outcome, None)

    def _newer(self, outcome: str, before: Run | None) -> Snapshot | None:
        assert self._folder is not None
        project = self.project.for_outcome(outcome)
        with open_store(project, read_only=True) as store:
            run = issued_run(store, outcome)
            if run == before:
                return None
            settings = self.settings
            fresh = take(project, store, run, settings.memory, settings.owner, self._folder)
        # Summed up before anybody has to wait for it.
        fresh.book(EVERYTHING, project)
        return fresh
