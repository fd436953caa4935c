"""What was done about accounts: the state of each call, who set it, and what came of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from features.errors import SettingsError, nearest, sample
from features.json_values import JsonReady
from pipelines.project.records.chain import Chain

State = Literal["open", "called", "snoozed"]
Result = Literal["reached", "not reached", "will stay", "will leave"]
STATES: tuple[State, ...] = get_args(State)
RESULTS: tuple[Result, ...] = get_args(Result)
FILE_NAME = "calls.jsonl"
LONGEST_NOTE, LONGEST_NAME = 1000, 100
LONGEST_SNOOZE_DAYS = 366
CALLED_DAYS = 30
"""So long an account counts as called; then it is open again."""
PAGE_KEY = re.compile(r"page-[0-9a-f]{32}")
"""A key that a page made at random: it tells of nobody."""
OPEN_PLAY = "call"
"""What was done where no play is named."""


@dataclass(frozen=True)
class CallEntry(JsonReady):
    """One change of the state of a call.

    Parameters
    ----------
    account_id : str
        Which account.
    state : {"open", "called", "snoozed"}
        What it is from now on.
    by : str
        Who says so.
    written_at, done_at : datetime
        When this was written, and when it was done, in UTC.
    play : str or None
        What was done, as plays are called.
    result : str or None
        What came of it.
    until : date or None
        Until when it is snoozed.
    note : str
        In words.
    key : str
        What makes the entry the same when it is sent again; empty for none.
    takes_back : str
        Key of an entry that counts no more, as if neither of both had been written; empty for none.
    """

    account_id: str
    state: State
    by: str
    written_at: datetime
    done_at: datetime
    play: str | None = None
    result: Result | None = None
    until: date | None = None
    note: str = ""
    key: str = ""
    takes_back: str = ""


@dataclass(frozen=True)
class Standing:
    """What the newest entry of an account means on a day.

    Parameters
    ----------
    state : {"open", "called", "snoozed"}
        What it is that day: a snooze ends, and a call counts for some time.
    entry : CallEntry
        The entry.
    """

    state: State
    entry: CallEntry

    @property
    def words(self) -> str:
        """Say it as a list shows it, such as "snoozed until 2 March by ben"."""
        entry = self.entry
        if self.state == "snoozed" and entry.until is not None:
            return f"snoozed until {entry.until:%Y-%m-%d} by {entry.by}"
        if self.state == "called":
            came = f": {entry.result}" if entry.result else ""
            return f"called {entry.done_at:%Y-%m-%d} by {entry.by}{came}"
        return "open"


class CallBook(Chain[CallEntry]):
    """The file of calls."""

    KIND = CallEntry
    WHAT = "record of calls"
    WHY = "what was done cannot be told from what was written over it"

    def record(self, entries: Iterable[CallEntry]) -> list[CallEntry]:
        """Write entries, but those whose key was written before.

        Returns
        -------
        list of CallEntry
            Those that were written now.

        Raises
        ------
        StoreError
            When the file was changed, or cannot be written.
        """
        fresh: list[CallEntry] = []
        with self.adding():
            known = {one.key for one in self.entries() if one.key}
            for entry in entries:
                if entry.key and entry.key in known:
                    continue
                known.add(entry.key)
                fresh.append(entry)
            if fresh:
                self.add(*fresh)
        return fresh

    def take_back(self, account_id: str, key: str, *, by: str, moment: datetime) -> CallEntry:
        """Write that an entry counts no more; return the entry.

        Raises
        ------
        SettingsError
            When there is none of that key of theirs that counts, or somebody wrote another since.
        StoreError
            When the file was changed, or cannot be written.
        """
        with self.adding():
            counted = self.of(account_id)
            if not counted or not key or (counted[-1].key, counted[-1].by) != (key, by):
                raise SettingsError(
                    "Only the newest entry of an account can be taken back, by whoever wrote it,"
                    " and this is none that counts; write another instead"
                )
            entry = CallEntry(account_id, counted[-1].state, by, moment, moment, takes_back=key)
            self.add(entry)
        return counted[-1]

    def counted(self) -> list[CallEntry]:
        """List the entries that count, oldest first: all but those that were taken back."""
        entries = self.entries()
        back = {one.takes_back for one in entries if one.takes_back}
        return [one for one in entries if not one.takes_back and one.key not in back]

    def of(self, account_id: str) -> list[CallEntry]:
        """List the entries of an account that count, oldest first."""
        return [one for one in self.counted() if one.account_id == account_id]

    def standings(self, day: date) -> dict[str, Standing]:
        """Say what every account that has an entry is on a day."""
        by_account: dict[str, list[CallEntry]] = {}
        for one in self.counted():
            by_account.setdefault(one.account_id, []).append(one)
        return {account: standing_of(told, day) for account, told in by_account.items()}


def standing_of(entries: Sequence[CallEntry], day: date) -> Standing:
    """Say what the entries of an account, at least one and oldest first, mean on a day.

    The newest counts; but what is written down afterwards, such as an import of old calls, does
    not undo what was done later.

    Examples
    --------
    >>> moment, later = datetime(2025, 1, 2), datetime(2025, 3, 2)
    >>> called = CallEntry("A", "called", "ben", moment, moment)
    >>> [standing_of([called], date(2025, month, 20)).state for month in (1, 2)]
    ['called', 'open']
    >>> now, late = (CallEntry("A", "called", "ben", later, at) for at in (later, moment))
    >>> standing_of([now, late], date(2025, 3, 3)).words
    'called 2025-03-02 by ben'
    """
    entry = entries[0]
    for one in entries[1:]:
        if one.done_at >= one.written_at or one.done_at >= entry.done_at:
            entry = one
    state = entry.state
    if state == "snoozed" and (entry.until is None or day >= entry.until):
        state = "open"
    if state == "called" and day - entry.done_at.date() > timedelta(days=CALLED_DAYS):
        state = "open"
    return Standing(state, entry)


def call_book(folder: Path) -> CallBook:
    """Return the record of calls beside a configuration."""
    return CallBook(folder / FILE_NAME)


def page_key() -> str:
    """Make a key for what a page sends: sent twice, by a double click, it is kept once."""
    return f"page-{secrets.token_hex(16)}"


def call_entry(
    account_id: str,
    state: str,
    *,
    by: str,
    moment: datetime,
    done_at: datetime | None = None,
    play: str | None = None,
    result: str | None = None,
    until: date | None = None,
    note: str = "",
    key: str = "",
) -> CallEntry:
    """Make an entry of what somebody said.

    Raises
    ------
    SettingsError
        When it cannot be one.
    """
    refuse_other(state, STATES, "A call is")
    if result:
        refuse_other(result, RESULTS, "What came of a call is")
    said = "\n".join(" ".join(line.split()) for line in note.splitlines()).strip()
    _refuse_long(said, LONGEST_NOTE, "A note")
    _refuse_long(play or "", LONGEST_NAME, "A play")
    _refuse_long(key, LONGEST_NAME, "A key")
    last = moment.date() + timedelta(days=LONGEST_SNOOZE_DAYS)
    if state == "snoozed" and (until is None or not moment.date() < until <= last):
        raise SettingsError(
            f"A call is snoozed until a day after today and within a year, and {until or 'no day'}"
            " is none; name one"
        )
    if done_at is not None and done_at > moment:
        raise SettingsError(
            f"What was done lies in the past, and {done_at:%Y-%m-%d} does not; correct the date"
        )
    return CallEntry(
        account_id=account_id,
        state=state,  # type: ignore[arg-type]
        by=by,
        written_at=moment,
        done_at=done_at or moment,
        play=" ".join((play or "").split()) or None,
        result=result or None,  # type: ignore[arg-type]
        until=until if state == "snoozed" else None,
        note=said,
        key=key,
    )


def refuse_other(value: str, known: Iterable[str], what: str) -> None:
    """Refuse a word that is none of some.

    Raises
    ------
    SettingsError
        Saying which there are.
    """
    listed = list(known)
    if value not in listed:
        hint = nearest(value, listed) or "; choose one of them"
        raise SettingsError(f"{what} {', '.join(listed)}, and {sample([value])} is none{hint}")


def _refuse_long(text: str, most: int, what: str) -> None:
    if len(text) > most or any(not one.isprintable() and one != "\n" for one in text):
        raise SettingsError(
            f"{what} has up to {most:,} printable characters, and {sample([text])} has"
            f" {len(text):,}, or others; shorten it"
        )


def told(standings: Mapping[str, Standing], account_id: str) -> tuple[str, str]:
    """Return the state in words and the note of an account, empty where nothing was done."""
    standing = standings.get(account_id)
    return ("", "") if standing is None else (standing.words, standing.entry.note)
