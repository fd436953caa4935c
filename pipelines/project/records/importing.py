"""Calls that were logged elsewhere, read from a CSV file."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from features.errors import DataError, SettingsError, sample
from pipelines.project.records.calls import CallEntry, call_entry

COLUMNS = ("account_id", "state", "done_at", "play", "result", "until", "note", "by", "key")
NEEDED = ("account_id", "done_at")


def calls_in(file: Path, moment: datetime, by: str) -> Iterator[CallEntry]:
    """Read the calls of a file, a row each.

    A row without a key has the digest of what it says: the same file again writes nothing.

    Parameters
    ----------
    file : Path
        A CSV file in UTF-8 with ``account_id``, ``done_at`` and as far as there are any the other
        columns of :data:`COLUMNS`; a row without a state was called.
    moment : datetime
        When it is read, in UTC.
    by : str
        Who made the calls of rows that do not say.

    Raises
    ------
    DataError
        When the file is none, or a row says what cannot be; nothing of it is read then.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            heads = reader.fieldnames or ()
            absent = [one for one in NEEDED if one not in heads]
            other = [one for one in heads if one not in COLUMNS]
            if absent or other:
                raise DataError(
                    f"Calls are read from the columns {', '.join(COLUMNS)}, of which"
                    f" {' and '.join(NEEDED)} are needed, and '{file}' has {sample(heads, 8)};"
                    " rename its columns or leave the others out"
                )
            for row in reader:
                yield _entry(row, moment, by, f"Line {reader.line_num} of '{file}'")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"The calls '{file}' cannot be read: {error}; name a CSV file in UTF-8"
        ) from error


def _entry(row: dict[str, str | None], moment: datetime, by: str, where: str) -> CallEntry:
    said = {name: (row.get(name) or "").strip() for name in COLUMNS}
    if not said["account_id"]:
        raise DataError(f"{where} names no account; write its account_id")
    try:
        key = said["key"] or hashlib.sha256(json.dumps(said).encode()).hexdigest()
        return call_entry(
            said["account_id"],
            said["state"] or "called",
            by=said["by"] or by,
            moment=moment,
            done_at=_moment("done_at", said["done_at"]),
            play=said["play"],
            result=said["result"].lower(),
            until=_moment("until", said["until"]).date() if said["until"] else None,
            note=said["note"],
            key=key,
        )
    except SettingsError as error:
        raise DataError(f"{where} cannot be read: {error}") from error


def _moment(name: str, text: str) -> datetime:
    try:
        made = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{name} must be a date or a time such as 2026-03-31 or 2026-03-31T14:05, and is"
            f" {sample([text])}; correct it, or take the row out"
        ) from error
    return made if made.tzinfo is None else made.astimezone(UTC).replace(tzinfo=None)
