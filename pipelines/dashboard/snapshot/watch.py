"""The snapshots that the panel serves, and the thread that looks for newer runs."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from features.errors import HealthscoreError
from pipelines.dashboard.access.visitor import Visitor
from pipelines.dashboard.snapshot.earlier import earlier_runs
from pipelines.dashboard.snapshot.portfolio_view import portfolio_of
from pipelines.dashboard.snapshot.snapshot import Snapshot
from pipelines.dashboard.snapshot.taking import take
from pipelines.project.company import ERASURES
from pipelines.project.settings.score import MAIN
from pipelines.store.issued import issued_run
from pipelines.store.opening import open_store
from pipelines.store.runs import now

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.project.project import Project
    from pipelines.project.settings.serve import ServeSettings

NOT_NOW = "The store is being written, or cannot be reached; an admin is told here why"
NOT_YET = "There are no scores to show yet; an admin is told here why"

EVERYTHING = Visitor("nobody", "viewer")
LAST_SECONDS = 10.0
FOLDERS = "healthscore-panel-"
# A younger folder may be that of a panel that has not locked it yet.
LEFTOVER_SECONDS = 60.0
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
        self._sizes: dict[str, int] = {}
        self._erased: dict[str, int] = dict.fromkeys(self.outcomes, self._last_erasure())
        self._refreshing = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix=FOLDERS))
        self._lock = os.open(self._folder, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        _sweep(self._folder.parent, LEFTOVER_SECONDS)
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
            os.close(self._lock)
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
        reason = why if visitor.role == "admin" else NOT_NOW
        return (
            f"These may not be the newest scores: since {since:%Y-%m-%d %H:%M} UTC none could be"
            f" looked for. {reason}."
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
        held, size = self._held.get(outcome), self._store_size()
        # A file that lost a part may still tell of its runs, and no longer hold them.
        erased = self._last_erasure()
        anew = anew or size < self._sizes.get(outcome, 0) or erased != self._erased.get(outcome)
        try:
            fresh = self._newer(outcome, None if anew else held)
        except HealthscoreError as error:
            since = self._failed.get(outcome, (now(), ""))[0]
            self._failed[outcome] = since, str(error)
            return
        if fresh is not None:
            # Whoever holds the earlier one reads it to the end; then it is gone.
            self._held[outcome] = fresh
        self._failed.pop(outcome, None)
        self._sizes[outcome], self._erased[outcome] = size, erased

    def _last_erasure(self) -> int:
        """Tell one erasure from the next: what was erased must not be shown from a copy."""
        try:
            return (self.project.folder / ERASURES).stat().st_mtime_ns
        except OSError:
            return 0

    def _store_size(self) -> int:
        """Return the size of a store that is one file; 0 of any other."""
        try:
            status = (self.project.folder / self.project.settings.store.url).stat()
        except OSError:
            return 0
        return status.st_size if stat.S_ISREG(status.st_mode) else 0

    def _newer(self, outcome: str, before: Snapshot | None) -> Snapshot | None:
        assert self._folder is not None
        project = self.project.for_outcome(outcome)
        with open_store(project, read_only=True) as store:
            run = issued_run(store, outcome)
            known = None if before is None else (before.run, before.contents.earlier)
            # An earlier date that is issued later changes what moved since.
            if (run, earlier_runs(store, run)) == known:
                return None
            settings = self.settings
            fresh = take(project, store, run, settings.memory, settings.owner, self._folder)
        # Summed up before anybody has to wait for it.
        portfolio_of(fresh, EVERYTHING, project)
        return fresh


def _sweep(where: Path, seconds: float) -> None:
    """Remove the folders of panels that were killed: nobody holds their locks any more."""
    for folder in where.glob(f"{FOLDERS}*"):
        try:
            status = folder.lstat()
            is_young = time.time() - status.st_mtime < seconds
            if is_young or status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
                continue
            held = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)
        except OSError:
            # It is gone, or that of a panel that runs.
            continue
