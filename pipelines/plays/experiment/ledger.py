"""The ledger of assignments: one line for each draw, never changed, each line sealing the last."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from features.errors import StoreError
from features.json_values import Json, JsonReady, JsonValue, json_value

FILE_NAME = "experiments.jsonl"
FIRST = "0" * 64
FORM = 1


@dataclass(frozen=True)
class Assignment(JsonReady):
    """One account of an experiment.

    Parameters
    ----------
    account_id : str
        Which one.
    left_alone : bool
        Whether it is to be left alone.
    stratum : str
        Accounts that it was drawn among.
    risk : float
        Probability of churn in the outcome window when it was drawn.
    owner : str or None
        Who looked after it.
    """

    account_id: str
    left_alone: bool
    stratum: str
    risk: float
    owner: str | None


@dataclass(frozen=True)
class Draw(JsonReady):
    """Accounts that were assigned at once.

    Parameters
    ----------
    experiment : str
        Its name.
    as_of : date
        Date of the scores; what comes of the accounts counts from here.
    drawn_at : datetime
        When, in UTC.
    model_version : str
        Of the scores.
    share : float
        With which probability an account was left alone.
    seed : int
        Of the draw, which can be made again from it.
    assignments : tuple of Assignment
        In order of account.
    """

    experiment: str
    as_of: date
    drawn_at: datetime
    model_version: str
    share: float
    seed: int
    assignments: tuple[Assignment, ...]


class Ledger:
    """A file with a line for each draw.

    A line is there whole or not at all: one that a killed process left without its end counts as
    never written. Each line holds the digest of the line before, so that a change is noticed.

    Parameters
    ----------
    path : Path
        The file.
    key : bytes or None
        What digests are keyed with, so that they cannot be made anew by who has not got it.
    """

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        self.path = path
        self._key = key

    def draws(self, experiment: str | None = None) -> list[Draw]:
        """Read the draws, of one experiment or of all, oldest first.

        Raises
        ------
        StoreError
            When the file cannot be read, or a line was changed, taken out or put in.
        """
        draws = [draw for draw, _ in self._lines()]
        return [draw for draw in draws if experiment in (None, draw.experiment)]

    @contextmanager
    def adding(self) -> Iterator[Ledger]:
        """Hold the ledger, so that what is read stays so until something is added.

        Raises
        ------
        StoreError
            When the folder cannot be written.
        """
        beside = self.path.with_name(f".{self.path.name}.lock")
        try:
            held = os.open(beside, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield self
        finally:
            os.close(held)

    def add(self, draw: Draw) -> None:
        """Write a draw at the end; the ledger is held with :meth:`adding`.

        Raises
        ------
        StoreError
            When the ledger was changed, or cannot be written.
        """
        lines = self._lines()
        before = lines[-1][1] if lines else FIRST
        body: Json = {"form": FORM, "before": before, **draw.to_dict()}
        line = json.dumps({**body, "digest": self._digest(body)}, allow_nan=False) + "\n"
        try:
            with self.path.open("ab") as file:
                # What a killed process left without its end was never there.
                file.truncate(self._whole_size())
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def _whole_size(self) -> int:
        return self.path.read_bytes().rfind(b"\n") + 1

    def _lines(self) -> list[tuple[Draw, str]]:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(
                f"The ledger '{self.path}' cannot be read: {error.strerror}; correct its rights"
            ) from error
        before, lines = FIRST, []
        for number, line in enumerate(text[: text.rfind(b"\n") + 1].splitlines(), start=1):
            draw, before = self._line(line, number, before)
            lines.append((draw, before))
        return lines

    def _line(self, line: bytes, number: int, before: str) -> tuple[Draw, str]:
        try:
            entries: dict[str, JsonValue] = json.loads(line)
            digest = str(entries.pop("digest"))
            if entries["form"] != FORM:
                raise StoreError(
                    f"Line {number} of the ledger '{self.path}' is of form {entries['form']!r}, and"
                    f" this version reads form {FORM}; use the version that wrote it"
                )
            is_sealed = hmac.compare_digest(digest, self._digest(entries))
            if not is_sealed or entries["before"] != before:
                raise self._changed(number)
            described = {k: v for k, v in entries.items() if k not in ("form", "before")}
            return Draw.from_dict(described), digest
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._changed(number) from error

    def _digest(self, body: Json) -> str:
        text = json.dumps(json_value(body), sort_keys=True, allow_nan=False).encode()
        if self._key is not None:
            return hmac.new(self._key, text, "sha256").hexdigest()
        return hashlib.sha256(text).hexdigest()

    def _changed(self, number: int) -> StoreError:
        return StoreError(
            f"Line {number} of the ledger '{self.path}' is not as it was written, or its key is"
            " another: an experiment whose assignments were changed proves nothing; put back a copy"
            " of the file"
        )

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"The ledger '{self.path}' cannot be written: {error.strerror}; correct its rights or"
            " free some space"
        )


def owners_of_both(assignments: Sequence[Assignment]) -> int:
    """Count the owners who look after accounts of both arms, and may treat them alike."""
    arms: dict[str, set[bool]] = {}
    for one in assignments:
        if one.owner is not None:
            arms.setdefault(one.owner, set()).add(one.left_alone)
    return sum(len(seen) > 1 for seen in arms.values())
