"""SQLite files: each of their tables is written as delimited text, and read with its checks."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

from features.errors import DataError

SUFFIXES = (".sqlite", ".sqlite3", ".db", ".db3")
MAGIC = b"SQLite format 3\0"
_ROWS = 10_000


def is_sqlite(file: Path) -> bool:
    """Whether a file is a database of SQLite, by its name and its first bytes."""
    if file.suffix.lower() not in SUFFIXES or not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def tables_of_sqlite(file: Path, place: Path) -> dict[str, Path]:
    """Write every table with rows into a folder, a file each.

    Raises
    ------
    DataError
        When the file is broken, or a program holds it.
    """
    tables: dict[str, Path] = {}
    try:
        # Nothing is changed, not even a journal that a program left beside it.
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.text_factory = lambda value: value.decode("utf-8", errors="replace")
            listed = database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
                " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
            )
            for number, (name,) in enumerate(listed.fetchall()):
                target = place / str(number)
                if _write(database, name, target):
                    tables[name] = target
    except sqlite3.Error as error:
        raise DataError(
            f"The SQLite file '{file}' cannot be read: {error}; close the program that holds it, or"
            " save it again"
        ) from error
    return tables


def _write(database: sqlite3.Connection, table: str, target: Path) -> bool:
    """Write the rows of a table below its columns' names; tell whether there were any."""
    name = table.replace('"', '""')
    rows = database.execute(f'SELECT * FROM "{name}"')
    written = False
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([column[0] for column in rows.description])
        while some := rows.fetchmany(_ROWS):
            writer.writerows([_text(value) for value in row] for row in some)
            written = True
    return written


def _text(value: object) -> object:
    """Leave out what is no text, such as pictures."""
    return "" if isinstance(value, bytes) else value
