"""The ledger: what was sent to whom, in a file whose lines are only ever added."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TextIO

from features.errors import StoreError
from pipelines.reports.terminal.whole_file import replaced_whole

State = Literal["sending", "sent", "failed"]
UNREADABLE = "is no record of this file; put the file back from a copy, or move it away"


@dataclass(frozen=True)
class Record:
    """One line.

    Parameters
    ----------
    delivery : str
        What was sent to whom: the same for the same scores, book, way and address.
    state : {"sending", "sent", "failed"}
        "failed" where it is certain that nothing arrived; a line "sending" without a later one may
        have arrived or not.
    at : str
        When, ISO in UTC.
    book : str
        Of what and whose book, and by which way to whom, without the scores.
    told : tuple of str
        What was told, by key.
    """

    delivery: str
    state: State
    at: str
    book: str
    told: tuple[str, ...] = ()


class Ledger:
    """What was sent so far; a process holds it alone while it sends.

    Parameters
    ----------
    file : TextIO
        The file, opened for reading and adding.
    records : list of Record
        What is in it.
    """

    def __init__(self, file: TextIO, records: list[Record]) -> None:
        self._file, self.records = file, records

    def state_of(self, delivery: str) -> State | None:
        """Return what became of a delivery; None where it was never begun."""
        states = [one.state for one in self.records if one.delivery == delivery]
        return states[-1] if states else None

    def told(self, book: str, but: str = "") -> frozenset[str]:
        """Return what a book's reader was told by other deliveries than one.

        What certainly failed was not told.
        """
        last = {
            one.delivery: one for one in self.records if one.book == book and one.delivery != but
        }
        return frozenset(key for one in last.values() if one.state != "failed" for key in one.told)

    def add(self, record: Record) -> None:
        """Add a line, which is on the disk before this returns."""
        self._file.write(json.dumps(asdict(record)) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.records.append(record)

    def rewrite(self, path: Path, records: Sequence[Record]) -> None:
        """Put other lines in the place of all, whole, while the file is held."""
        with replaced_whole(path) as fresh, fresh.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(one)) + "\n" for one in records)
            file.flush()
            os.fsync(file.fileno())
        self.records[:] = records


def delivery_of(*parts: str) -> str:
    """Name a delivery by what it is.

    Examples
    --------
    >>> delivery_of("main", "2025-01-01") == delivery_of("main", "2025-01-01")
    True
    >>> delivery_of("a", "b") == delivery_of("ab", "")
    False
    """
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@contextmanager
def opened_ledger(path: Path, what: str = "digests") -> Iterator[Ledger]:
    """Open a ledger and hold it until it is left: two senders at once would both send.

    Raises
    ------
    StoreError
        When another process holds it, it cannot be written, or a line is none of its own.
    """
    try:
        # It says who was written to: nobody else's business.
        opened = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(
            f"The ledger of {what} '{path}' cannot be written: {error.strerror}; correct its rights"
            " or name a file that can be, as [digest] ledger does"
        ) from error
    with os.fdopen(opened, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(
                f"The ledger of {what} '{path}' is held by another run that is sending; wait for"
                " it to end"
            ) from error
        file.seek(0)
        yield Ledger(file, list(_read(file, path)))


def _read(file: TextIO, path: Path) -> Iterator[Record]:
    text = file.read()
    if text and not text.endswith("\n"):
        # Whoever wrote it was stopped: what it began was not sent, as lines come first.
        file.write("\n")
        text = text[: text.rfind("\n") + 1]
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            record = json.loads(line)
            yield Record(**{**record, "told": tuple(record["told"])})
        except (ValueError, TypeError, KeyError) as error:
            if not line.startswith("{") or line.endswith("}"):
                raise StoreError(f"Line {number} of the ledger '{path}' {UNREADABLE}") from error
