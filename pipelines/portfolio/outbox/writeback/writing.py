"""Writing what changed since the last success, account by account, whatever happens meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from features.errors import SettingsError, StoreError, nearest, sample
from features.json_values import JsonReady
from pipelines.portfolio.outbox.ledger import Ledger, Record, delivery_of, opened_ledger
from pipelines.portfolio.outbox.writeback.rows import Cursor, Written, mark_of, read_rows
from pipelines.portfolio.outbox.writeback.targets import Failed, Target, target_of
from pipelines.project.delivery.http import TryError
from pipelines.reports.wording import plural
from pipelines.store.issued import issued_run
from pipelines.store.opening import open_store

if TYPE_CHECKING:
    from pipelines.project.project import Project
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run

FILE_NAME = "writeback.jsonl"
PAGE = 2000
SHOWN, MOST_FAILED = 20, 200
REFUSED = (400, 409, 413, 422)
"""Statuses by which a whole batch may be refused for one account in it."""
ENOUGH = 5
"""So many accounts refused one after the other, and none taken: it is not the accounts."""
FAILED = "failed"


@dataclass
class WrittenBack(JsonReady):
    """What was written to one server.

    Parameters
    ----------
    name : str
        Of its section.
    as_of : str or None
        Date of the newest scores that it has whole.
    written : int
        Accounts that were written.
    waiting : int
        In a rehearsal, accounts that would be; at most the first page of them.
    failed : list of Failed
        Some of the accounts that were not taken, and are tried again the next time.
    failures : int
        How many those are.
    stopped : str or None
        Why it ended before its end.
    sample : list of Written
        In a rehearsal, the first of them.
    notes : list of str
        What people should know, a sentence each.
    """

    name: str
    as_of: str | None = None
    written: int = 0
    waiting: int = 0
    failed: list[Failed] = field(default_factory=list)
    failures: int = 0
    stopped: str | None = None
    sample: list[Written] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether the server has everything."""
        return self.stopped is None and not self.failures

    @property
    def said(self) -> list[str]:
        """The same in sentences."""
        lines = [f"{self.name}: wrote {plural(self.written, 'account')}"]
        if self.sample or self.waiting:
            lines = [f"{self.name}: would write {plural(self.waiting, 'account')} or more, such as"]
            lines += [f"  {one.account_id}: {one.kind}, {one.band}" for one in self.sample]
        if self.failures:
            lines.append(f"{self.name}: {plural(self.failures, 'account')} not taken, such as")
            lines += [f"  {one.account_id}: {one.why}" for one in self.failed]
        if self.stopped is not None:
            lines.append(f"{self.name}: stopped, and goes on from there next time: {self.stopped}")
        return [*lines, *self.notes]


def write_back(
    project: Project, name: str | None = None, *, dry_run: bool = False
) -> list[WrittenBack]:
    """Write changed scores to one server of the configuration, or to all.

    What was written is on record after each request, so that whatever ends the process, at most
    one request is repeated, and says the same.

    Parameters
    ----------
    project : Project
        The configuration.
    name : str, optional
        Of a section ``[writeback.NAME]``.
    dry_run : bool
        Whether to say what would be written and do nothing.

    Raises
    ------
    SettingsError
        When there is no such section, or a secret is not there.
    StoreError
        When nothing was issued, or the store or the ledger cannot be used.
    """
    sections = project.settings.writeback
    if name is not None and name not in sections:
        hint = nearest(name, sections) or f"; there are {sample(sections, 8)}" * bool(sections)
        raise SettingsError(f"There is no section [writeback.{name[:60]}]{hint}; describe it there")
    if not sections:
        raise SettingsError(
            "Nothing says where scores are written to: describe a server under [writeback.NAME]"
        )
    chosen = {one: sections[one] for one in sections if name in (None, one)}
    targets = [target_of(one, settings) for one, settings in chosen.items()]
    if dry_run:
        return [_Writing(project, target, None).rehearsed() for target in targets]
    for target in targets:
        target.check()
    with opened_ledger(project.folder / FILE_NAME, "what was written back") as ledger:
        return [_Writing(project, target, ledger).done() for target in targets]


class _Writing:
    """One server, and how far it was written to."""

    def __init__(self, project: Project, target: Target, ledger: Ledger | None) -> None:
        self.project = project.for_outcome(target.settings.outcome)
        self.target, self.ledger = target, ledger
        settings = target.settings
        told = [settings.kind, settings.address, settings.object or "", settings.match]
        # Other fields are another book: everybody is written again.
        fields = json.dumps(dict(sorted(settings.fields.items())))
        self.book = delivery_of(settings.outcome, target.name, *told, fields)
        self.report = WrittenBack(target.name)
        self.cursor, self.left = Cursor(), list[str]()

    def done(self) -> WrittenBack:
        """Write everything that is left, and say what came of it."""
        self._take_up()
        try:
            self._again()
            for rows, after in self._pages():
                self._write(rows)
                self._note(after)
        except TryError as failed:
            often = "once" if failed.tries == 1 else f"{failed.tries} times"
            self.report.stopped = f"the server was tried {often} and {failed}"
        self.report.failures = len(self.left)
        self.report.as_of = None if self.cursor.since is None else self.cursor.since[0]
        return self.report

    def rehearsed(self) -> WrittenBack:
        """Say what would be written first."""
        path = self.project.folder / FILE_NAME
        if path.exists():
            with opened_ledger(path, "what was written back") as self.ledger:
                self._take_up()
        rows, _ = next(self._pages(), ([], self.cursor))
        self.report.waiting, self.report.sample = len(rows), rows[:SHOWN]
        return self.report

    def _take_up(self) -> None:
        """Read how far it was written to."""
        records = [] if self.ledger is None else self.ledger.records
        for record in reversed([one for one in records if one.book == self.book]):
            try:
                self.cursor = Cursor.of(record.delivery)
            except ValueError as error:
                raise StoreError(
                    f"The ledger '{FILE_NAME}' says of [writeback.{self.target.name}] what is no"
                    " place in a run; move it away, and everything is written again"
                ) from error
            self.left = [key.split(":", 1)[1].rsplit(":", 1)[0] for key in record.told]
            return

    def _note(self, cursor: Cursor) -> None:
        """Put on record how far it is written to."""
        self.cursor = cursor
        at = datetime.now(UTC).isoformat(timespec="seconds")
        day = (cursor.until or cursor.since or ("",))[0]
        told = tuple(f"{FAILED}:{account}:{day}" for account in self.left)
        if self.ledger is not None:
            self.ledger.add(Record(cursor.text(), "sent", at, self.book, told))

    def _pages(self) -> Iterator[tuple[list[Written], Cursor]]:
        """Read what is to be written, a request's worth at a time; the store is let go between."""
        cursor = self.cursor
        while True:
            with open_store(self.project, read_only=True) as store:
                cursor, before, run = self._begun(store, cursor)
                if run is None:
                    return
                rows, last = read_rows(
                    self.project,
                    store,
                    (before, run),
                    after=cursor.after,
                    size=PAGE,
                    but={one.tombstone for one in store.erasures()},
                )
            size = self.target.settings.batch
            batches = [rows[first : first + size] for first in range(0, len(rows), size)] or [[]]
            for batch in batches[:-1]:
                yield batch, Cursor(cursor.since, mark_of(run), batch[-1].account_id)
            ahead = Cursor(cursor.since, mark_of(run), last)
            cursor = Cursor(mark_of(run)) if last is None else ahead
            yield batches[-1], cursor

    def _begun(self, store: ScoreStore, cursor: Cursor) -> tuple[Cursor, Run | None, Run | None]:
        """Find the runs of a cursor; those that are no longer there begin anew."""
        runs = {mark_of(run): run for run in store.runs(self.project.outcome_name)}
        newest = issued_run(store, self.project.outcome_name)
        if any(mark is not None and mark not in runs for mark in (cursor.since, cursor.until)):
            self.report.notes.append(
                f"{self.target.name}: the store has no longer the run that was written last, so"
                " everybody is written again"
            )
            cursor = Cursor()
        before = None if cursor.since is None else runs[cursor.since]
        if cursor.until is not None:
            return cursor, before, runs[cursor.until]
        return cursor, before, None if before == newest else newest

    def _again(self) -> None:
        """Write the accounts that were not taken the last time, as they are now."""
        mark = self.cursor.until or self.cursor.since
        if not self.left or mark is None:
            return
        waiting, self.left = self.left, []
        try:
            with open_store(self.project, read_only=True) as store:
                _, _, run = self._begun(store, Cursor(self.cursor.since, mark))
                assert run is not None
                but = {one.tombstone for one in store.erasures()}
                asked = [one for one in waiting if one not in but]
                rows, _ = read_rows(
                    self.project, store, (None, run), after=None, size=PAGE, accounts=asked
                )
            held = {row.account_id for row in rows}
            rows += [
                Written(one, "gone", run.key.as_of.isoformat()) for one in asked if one not in held
            ]
            size = self.target.settings.batch
            for first in range(0, len(rows), size):
                self._write(rows[first : first + size])
        except TryError:
            self.left = waiting
            raise
        self._note(self.cursor)

    def _write(self, rows: Sequence[Written]) -> None:
        """Write a request's worth; accounts that are not taken are remembered."""
        if not rows:
            return
        failed = self._parts(rows)
        if len(failed) == len(rows) > ENOUGH or len(self.left) + len(failed) > MOST_FAILED:
            raise TryError(f"took none of {len(rows)} accounts: {failed[0].why}", again=False)
        self.report.written += len(rows) - len(failed)
        self.report.failed = [*self.report.failed, *failed][:SHOWN]
        gone = {row.account_id for row in rows}
        self.left = [one for one in self.left if one not in gone]
        self.left += [one.account_id for one in failed]

    def _parts(self, rows: Sequence[Written]) -> list[Failed]:
        """Write rows; where all are refused for some, halve them until those are known."""
        failed: list[Failed] = []
        waiting, taken = [list(rows)], 0
        while waiting:
            part = waiting.pop()
            try:
                refused = self.target.send(part, self._delivery(part))
                failed += refused
                taken += len(part) - len(refused)
            except TryError as error:
                if error.status not in REFUSED:
                    raise
                if len(part) > 1:
                    waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                failed.append(Failed(part[0].account_id, str(error)))
                if len(failed) >= ENOUGH and not taken:
                    raise
        return failed

    def _delivery(self, rows: Sequence[Written]) -> str:
        """Name a request by what it says: repeated, it is the same."""
        return delivery_of(self.book, self.target.body(rows).decode())
