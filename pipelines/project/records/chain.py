"""A file of lines that are only ever added, each sealing the one before."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

from features.errors import StoreError
from features.json_values import Json, JsonReady, JsonValue, json_value
from pipelines.reports.terminal.whole_file import replaced_whole

FIRST = "0" * 64
FORM = 1
PRIVATE = 0o600
Entry = TypeVar("Entry", bound=JsonReady)


class Chain(Generic[Entry]):
    """A file with a line for each entry.

    A line is there whole or not at all: one that a killed process left without its end counts as
    never written. Each line holds the digest of the line before, so that a change is noticed; a
    mark in the hidden file beside it holds how many there were and the digest of the last, so that
    lines cut off the end are noticed, too. Without the mark, as in a copy of the file alone, the
    file counts as it is.

    Parameters
    ----------
    path : Path
        The file.
    key : bytes or None
        What digests are keyed with, so that they cannot be made anew by who has not got it.

    Attributes
    ----------
    KIND : type
        The entries, each a dataclass that is written as JSON.
    WHAT, WHY : str
        What the file is called, and what a changed line means.
    """

    KIND: ClassVar[type[JsonReady]]
    WHAT: ClassVar[str] = "ledger"
    WHY: ClassVar[str]

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        self.path = path
        self._key = key
        # Entries, the digest of the last one, and the bytes that they were read from.
        self._known: tuple[tuple[Entry, ...], str, bytes] = ((), FIRST, b"")

    def entries(self) -> tuple[Entry, ...]:
        """Read the entries, oldest first; of a file that grew only what was added is checked.

        Raises
        ------
        StoreError
            When the file cannot be read, or a line was changed, taken out or put in.
        """
        try:
            return self._read()
        except StoreError:
            # Between the mark and the file another process may have put others in their place.
            return self._read()

    def _read(self) -> tuple[Entry, ...]:
        # The mark comes first: it never tells of lines that the file does not have by then.
        count, mark = self._mark()
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            text = b""
        except OSError as error:
            raise StoreError(
                f"The {self.WHAT} '{self.path}' cannot be read: {error.strerror}; correct its"
                " rights"
            ) from error
        entries, last, known = self._known
        if not text.startswith(known):
            entries, last, known = (), FIRST, b""
        whole = text[: text.rfind(b"\n") + 1]
        added = []
        for number, line in enumerate(whole[len(known) :].splitlines(), start=len(entries) + 1):
            entry, last = self._entry(line, number, last)
            if number == count and last != mark:
                raise self._changed(number)
            added.append(entry)
        if len(entries) + len(added) < count:
            raise StoreError(
                f"The {self.WHAT} '{self.path}' ends after {len(entries) + len(added):,} of"
                f" {count:,} lines that were written: {self.WHY}; put back a copy of the file, or"
                f" remove '{self._beside}' if what is missing may go"
            )
        self._known = ((*entries, *added), last, whole)
        return self._known[0]

    @property
    def end(self) -> str:
        """Digest of the last line, which stands for all of them."""
        self.entries()
        return self._known[1]

    @contextmanager
    def adding(self) -> Iterator[Self]:
        """Hold the file, so that what is read stays so until something is added.

        Raises
        ------
        StoreError
            When the folder cannot be written.
        """
        try:
            held = os.open(self._beside, os.O_RDWR | os.O_CREAT, PRIVATE)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield self
        finally:
            os.close(held)

    def add(self, *entries: Entry) -> None:
        """Write entries at the end; the file is held with :meth:`adding`.

        Raises
        ------
        StoreError
            When the file was changed, or cannot be written.
        """
        self.entries()
        _, before, whole = self._known
        try:
            made = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE)
            with os.fdopen(made, "ab") as file:
                # What a killed process left without its end was never there.
                file.truncate(len(whole))
                file.write(self._lines(entries, before))
                file.flush()
                os.fsync(file.fileno())
            self._set_mark()
        except OSError as error:
            raise self._unwritable(error) from error

    def rewrite(self, entries: Iterable[Entry]) -> None:
        """Put other entries in the place of all; the file is held with :meth:`adding`.

        Raises
        ------
        StoreError
            When it cannot be written.
        """
        try:
            # Whoever is stopped in between leaves no mark rather than one of other lines.
            self._beside.write_bytes(b"")
            with replaced_whole(self.path) as fresh:
                fresh.write_bytes(self._lines(entries, FIRST))
            self._set_mark()
        except OSError as error:
            raise self._unwritable(error) from error

    @property
    def _beside(self) -> Path:
        """File that writers hold; the mark is in it."""
        return self.path.with_name(f".{self.path.name}.lock")

    def _mark(self) -> tuple[int, str]:
        """Return how many lines were written, zero if unsaid, and the digest of the last."""
        try:
            count, digest = self._beside.read_text("ascii").split()
            return int(count), digest
        except (OSError, ValueError):
            return 0, FIRST

    def _set_mark(self) -> None:
        """Write the mark of the file as it is, in one go, so that no half of it is ever read."""
        entries, last = self._read(), self._known[1]
        held = os.open(self._beside, os.O_WRONLY | os.O_CREAT, PRIVATE)
        try:
            os.write(held, f"{len(entries):012d} {last}\n".encode())
        finally:
            os.close(held)

    def _lines(self, entries: Iterable[Entry], before: str) -> bytes:
        lines = []
        for entry in entries:
            body: Json = {"form": FORM, "before": before, **entry.to_dict()}
            before = self._digest(body)
            lines.append(json.dumps({**body, "digest": before}, allow_nan=False) + "\n")
        return "".join(lines).encode()

    def _entry(self, line: bytes, number: int, before: str) -> tuple[Entry, str]:
        try:
            held: dict[str, JsonValue] = json.loads(line)
            digest = str(held.pop("digest"))
            if held["form"] != FORM:
                raise StoreError(
                    f"Line {number} of the {self.WHAT} '{self.path}' is of form {held['form']!r},"
                    f" and this version reads form {FORM}; use the version that wrote it"
                )
            is_sealed = hmac.compare_digest(digest, self._digest(held))
            if not is_sealed or held["before"] != before:
                raise self._changed(number)
            described = {k: v for k, v in held.items() if k not in ("form", "before")}
            entry: Entry = self.KIND.from_dict(described)  # type: ignore[assignment]
            return entry, digest
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._changed(number) from error

    def _digest(self, body: Json) -> str:
        text = json.dumps(json_value(body), sort_keys=True, allow_nan=False).encode()
        if self._key is not None:
            return hmac.new(self._key, text, "sha256").hexdigest()
        return hashlib.sha256(text).hexdigest()

    def _changed(self, number: int) -> StoreError:
        return StoreError(
            f"Line {number} of the {self.WHAT} '{self.path}' is not as it was written, or its key"
            f" is another: {self.WHY}; put back a copy of the file"
        )

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"The {self.WHAT} '{self.path}' cannot be written: {error.strerror}; correct its rights"
            " or free some space"
        )
