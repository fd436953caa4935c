"""A book, opened: the newest run beside the one before, as the control panel reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from features.errors import DataError, SettingsError, nearest, sample
from pipelines.dashboard.access.visitor import Visitor
from pipelines.project.project import Project

if TYPE_CHECKING:
    from pipelines.dashboard.snapshot.snapshot import Snapshot


@contextmanager
def opened_book(project: Project, as_of: date | None = None) -> Iterator[Snapshot]:
    """Copy an issued run as the control panel does, for as long as it is read.

    Parameters
    ----------
    project : Project
        The configuration, of one outcome.
    as_of : date, optional
        The run's date; the newest by default.

    Raises
    ------
    StoreError
        When there is no such run, or the store cannot be read.
    """
    from pipelines.dashboard.snapshot.taking import take
    from pipelines.store.issued import issued_run
    from pipelines.store.opening import open_store

    settings = project.settings.serve
    with TemporaryDirectory(prefix="healthscore-book-") as folder:
        with open_store(project, read_only=True) as store:
            run = issued_run(store, project.outcome_name, as_of)
            book = take(project, store, run, settings.memory, settings.owner, Path(folder))
        yield book


def owners_of(project: Project, book: Snapshot) -> list[str]:
    """List who looks after accounts of a book.

    Raises
    ------
    SettingsError
        When no column names owners.
    """
    if project.settings.serve.owner is None:
        raise SettingsError(
            "Nobody is known to look after an account: [serve] owner names the column of the"
            " accounts table that says who does, and is missing; add it"
        )
    rows = book.ask("select distinct owner from accounts where owner is not null order by owner")
    return [row["owner"] for row in rows]


def reader_of(project: Project, book: Snapshot, owner: str | None) -> Visitor:
    """Return who may see the accounts of an owner alone; of None, all of them.

    Raises
    ------
    DataError
        When nobody of that name looks after an account.
    """
    if owner is None:
        return Visitor("everybody", "viewer")
    known = owners_of(project, book)
    if owner not in known:
        hint = nearest(owner, known) or f"; there are {sample(known, 8)}"
        raise DataError(f"Nobody named {sample([owner])} looks after an account{hint}")
    return Visitor("owner", "viewer", frozenset({owner}))
