"""Erasing an account or a person from everything that the project keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import DataError, StoreError, sample
from features.json_values import Json, JsonReady
from pipelines.project.erase.files import (
    erase_beside_models,
    forget_caches,
    left_in,
    remove_pages,
    with_words,
)
from pipelines.project.erase.models import Learnt, models_that_learnt
from pipelines.project.erase.records import erase_records, notes_naming
from pipelines.project.erase.runs import changes_of, runs_naming
from pipelines.project.erase.subject import Subject
from pipelines.project.erase.tables import source_rows
from pipelines.project.records.erased import Erased, Kind, erased_book
from pipelines.reports.terminal.console import plain
from pipelines.reports.wording import plural
from pipelines.store.opening import open_store
from pipelines.store.runs import NoStore, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.project.project import Project

PREVIEW = "erased-preview"
SHOWN = 20


@dataclass(frozen=True)
class ErasedReport(JsonReady):
    """What was erased, or would be.

    Parameters
    ----------
    kind : {"account", "person"}
        What of.
    tombstone : str or None
        What stands in its place now; None where nothing was done.
    is_done : bool
        Whether it was done; False for a rehearsal.
    source : dict of str to int
        Rows of the tables that name it, by table, which are not the program's to change.
    is_blocked : bool
        Whether the account is left out of the tables from now on.
    places : dict of str to int
        Runs, entries and files that named it.
    texts : list of str
        Notes about others that named it and are changed: whose, when, and what they said.
    doubtful : list of str
        Notes about others that hold a word which it is called by and everybody uses; left alone.
    pages : list of str
        Pages that were removed.
    models : list of Learnt
        Models that learnt from it, or may have.
    left, closed : list of str
        Files that still name it, and those that cannot be looked into.
    notes : list of str
        What people should know, a sentence each.
    """

    kind: Kind
    tombstone: str | None
    is_done: bool
    source: dict[str, int]
    is_blocked: bool
    places: dict[str, int]
    pages: list[str]
    models: list[Learnt]
    left: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is known to hold it any more."""
        in_tables = bool(self.source) and not self.is_blocked
        return self.is_done and not self.left and not in_tables

    def to_dict(self) -> Json:
        """Return what ``erase --json`` prints."""
        return super().to_dict() | {"whole": self.is_whole, "said": [*self.said]}

    @property
    def said(self) -> list[str]:
        """The same in sentences."""
        done = "Changed" if self.is_done else "Would change"
        counted = [f"{plural(count, what)}" for what, count in _named(self.places)]
        lines = [f"{done} {', '.join(counted)}" if counted else "No run or record named it"]
        lines += _listed(f"{done} these notes about others", self.texts)
        lines += _listed(
            "These notes hold a word that everybody uses and are left; say it with --also to take"
            " it out",
            self.doubtful,
        )
        if self.pages:
            lines.append(f"{'Removed' if self.is_done else 'Would remove'} {', '.join(self.pages)}")
        if self.source:
            named = ", ".join(f"{table} ({count:,})" for table, count in self.source.items())
            after = "left out from now on" if self.is_blocked else "not the program's to change"
            lines.append(f"Rows of the tables name it: {named}; they are {after}")
        lines += [one.sentence for one in self.models]
        if self.left:
            lines.append(f"These files still name it: {_few(self.left)}; delete or mend them")
        if self.closed:
            lines.append(f"These cannot be looked into: {_few(self.closed)}; look yourself")
        if self.is_done:
            lines.append(f"It is {self.tombstone} from now on")
        return [*lines, *self.notes]


MOST_SHOWN = 10


def _few(files: Sequence[str]) -> str:
    """Name the first files, as many as can be read."""
    more = len(files) - MOST_SHOWN
    shown = ", ".join(files[:MOST_SHOWN])
    return f"{shown} and {more:,} more, which --json lists" if more > 0 else shown


_NAMES = {
    "runs": "issued run",
    "calls": "call",
    "overrides": "override",
    "experiments": "draw",
    "digests": "digest record",
    "writeback": "write-back record",
    "users": "user",
    "tokens": "token",
    "models": "model file",
    "caches": "kept file",
}


def _listed(what: str, texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    more = len(texts) - SHOWN
    beyond = [f"  and {more:,} more"] if more > 0 else []
    return [f"{what}:", *(f"  {text}" for text in texts[:SHOWN]), *beyond]


def _named(places: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(_NAMES[name], count) for name, count in places.items() if count]


def erase(
    project: Project,
    name: str,
    *,
    kind: Kind = "account",
    others: Sequence[str] = (),
    block: bool = False,
    do: bool = False,
) -> ErasedReport:
    """Erase an account or a person; called again after it was stopped, it does what is left.

    Parameters
    ----------
    project : Project
        The configuration.
    name : str
        The account's id, or the person's name.
    kind : {"account", "person"}
        Which of them.
    others : sequence of str
        Further words it is known by.
    block : bool
        Whether to erase an account that the tables still hold, and leave it out of them from now
        on.
    do : bool
        Whether to do it; otherwise it is rehearsed.

    Raises
    ------
    DataError
        When nothing is known of it, or the tables hold the account and it is not left out.
    StoreError
        When the store or a record cannot be written, or was changed.
    """
    book = erased_book(project.folder)
    before = book.last_of(kind, name)
    tombstone = PREVIEW if before is None or before.state == "done" else before.tombstone
    subject = Subject(kind, name, tuple(others), tombstone, tuple(others))
    source, words, notes = source_rows(project, subject)
    subject = with_words(subject, *words)
    is_blocked = block or (before is not None and before.is_blocked)
    places = _places(project, subject, do=False)
    _refuse(subject, source, is_known=any(places.values()) or before is not None, block=is_blocked)
    pages = remove_pages(project, subject, do=False)
    if subject.short:
        notes.append(f"Too short to be looked for in notes: {sample(subject.short)}; read them")
    is_over = (
        before is not None
        and before.state == "done"
        and not any(places.values())
        and not pages
        and is_blocked <= before.is_blocked
    )
    noted = notes_naming(project, subject)
    report = ErasedReport(
        kind=kind,
        tombstone=None,
        is_done=False,
        source=source,
        is_blocked=is_blocked,
        places=places | {"caches": forget_caches(project, do=False)},
        pages=pages,
        models=models_that_learnt(project, subject),
        left=[],
        closed=[],
        notes=notes,
        texts=noted.changed,
        doubtful=noted.doubtful,
    )
    if before is not None and is_over:
        notes.append(f"It was erased on {before.at:%Y-%m-%d}, and is {before.tombstone} since")
        return _looked_through(project, subject, report)
    if not do:
        return report
    entry = book.begun(kind, name, now(), is_blocked=is_blocked)
    return _erased(project, replace(subject, tombstone=entry.tombstone), entry, report)


def _refuse(subject: Subject, source: Mapping[str, int], *, is_known: bool, block: bool) -> None:
    """Refuse who is nowhere, and an account that the next run would score again."""
    if not is_known and not source:
        raise DataError(
            f"Nothing is known of the {subject.kind} {sample([subject.name])}; correct the name"
        )
    if source and subject.kind == "account" and not block:
        held = ", ".join(f"{table} ({count:,})" for table, count in source.items())
        raise DataError(
            f"The tables still hold account {sample([subject.name])}, in {held} rows, and the next"
            " run would score it again: delete it there first, or leave it out from now on with"
            " --block"
        )


def _erased(
    project: Project, subject: Subject, entry: Erased, rehearsed: ErasedReport
) -> ErasedReport:
    # First what is most: whoever looks meanwhile sees the name in records, never in scores alone.
    places = _places(project, subject, do=True, entry=entry)
    places |= {"caches": forget_caches(project, do=True)}
    pages = remove_pages(project, subject, do=True)
    report = replace(
        rehearsed, tombstone=subject.tombstone, is_done=True, places=places, pages=pages
    )
    report = _looked_through(project, subject, report)
    book = erased_book(project.folder)
    with book.adding():
        book.add(replace(entry, state="done", at=now()))
    return report


def _looked_through(project: Project, subject: Subject, report: ErasedReport) -> ErasedReport:
    """Add the files that still name a subject, or cannot be looked into."""
    left, closed = left_in(project, subject, _source_place(project))
    return replace(
        report,
        left=[plain(file, 200) for file in left],
        closed=[plain(file, 200) for file in closed],
    )


def _places(
    project: Project, subject: Subject, *, do: bool, entry: Erased | None = None
) -> dict[str, int]:
    """Count what names a subject, and change it where asked for."""
    counted = {"runs": _in_store(project, subject, entry)}
    counted |= erase_records(project, subject, do=do)
    return counted | {"models": erase_beside_models(project, subject, do=do)}


def _in_store(project: Project, subject: Subject, entry: Erased | None) -> int:
    account = subject.name if subject.kind == "account" else None
    try:
        with open_store(project, read_only=True) as store:
            count = len(runs_naming(store, account, subject.facts_without))
        if entry is not None:
            with open_store(project, read_only=False) as store:
                changes = changes_of(
                    store, account, subject.tombstone, entry.at, subject.facts_without
                )
                # Also where no run changes any more: a file may hold what it was stopped over.
                store.write_erased(changes, account)
    except NoStore:
        return 0
    except StoreError as error:
        begun = "Nothing was erased" if entry is None else "The erasure was begun and is not done"
        raise StoreError(f"{begun}: {error}; then say the same again, and it goes on") from error
    return count


def _source_place(project: Project) -> Path | None:
    url = project.settings.source.url
    return None if url is None or "://" in url else (project.folder / url).resolve()
