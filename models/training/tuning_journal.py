"""The file a search for parameters is written to, trial by trial, so that it can be taken up."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from features.errors import RegistryError

# Writing a line takes milliseconds: a lock this old was left by a process that was killed.
LOCK_SECONDS = 10


def open_journal(path: Path) -> JournalStorage:
    """Open, or begin, the journal of searches.

    A last line that was never finished, which a process that is killed while it writes leaves
    behind, is cut off; it told of nothing that had ended.

    Parameters
    ----------
    path : Path
        The file; its folder is made where it does not exist.

    Returns
    -------
    JournalStorage
        For :func:`optuna.create_study`.

    Raises
    ------
    RegistryError
        When the file is not such a journal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalFileOpenLock(str(path), grace_period=LOCK_SECONDS)
    if path.exists():
        lock.acquire()
        try:
            _check_lines(path)
        finally:
            lock.release()
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except (ValueError, TypeError, LookupError, AssertionError) as error:
        raise _damaged(path, f"{type(error).__name__} when it is read") from error


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna from writing to the log for the length of a block."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def _check_lines(path: Path) -> None:
    """Cut off what was not finished; the rest must be JSON, which Optuna checks too late."""
    whole = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                json.loads(line)
            except ValueError as error:
                raise _damaged(path, f"line {number} is not JSON") from error
            whole += len(line)
    if whole < path.stat().st_size:
        os.truncate(path, whole)


def _damaged(path: Path, found: str) -> RegistryError:
    return RegistryError(
        f"The journal of the search for parameters '{path}' is damaged ({found}); move it away "
        "to begin a new search, or train without one."
    )
