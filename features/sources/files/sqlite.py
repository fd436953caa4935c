"""SQLite files: each of their tables is written as delimited text, and read with its checks."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

from features.errors import DataError

_ROWS = 10_000
_PARTS = ("config", "content", "data", "docsize", "idx", "node", "parent", "rowid", "segdir",
          "segments", "stat")  # fmt: skip
"""Tables that an index for search, or of places, keeps beside itself."""


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
            for number, name in enumerate(_listed(database)):
                target = place / str(number)
                if _write(database, name, target):
                    tables[name] = target
    except sqlite3.Error as error:
        raise DataError(
            f"The SQLite file '{file}' cannot be read: {error}; close the program that holds it, or"
            " save it again"
        ) from error
    return tables


def _listed(database: sqlite3.Connection) -> list[str]:
    """List the tables that hold rows of their own: an index for search repeats those of others.

    What makes such an index may not even be there.
    """
    listed = database.execute(
        "SELECT name, sql LIKE 'CREATE VIRTUAL %' FROM sqlite_master WHERE type = 'table'"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    ).fetchall()
    made = tuple(f"{name}_{part}" for name, is_made in listed if is_made for part in _PARTS)
    return [name for name, is_made in listed if not is_made and name not in made]


def _write(database: sqlite3.Connection, table: str, target: Path) -> bool:
    """Write the rows of a table below its columns' names; tell whether there were any."""
    name = table.replace('"', '""')
    rows = database.execute(f'SELECT * FROM "{name}"')
    written = False
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        # A header is one line.
        writer.writerow([" ".join(column[0].split()) for column in rows.description])
        while some := rows.fetchmany(_ROWS):
            writer.writerows([_text(value) for value in row] for row in some)
            written = True
    return written


def _text(value: object) -> object:
    """Leave out what is no text: pictures, and zeros that some programs end texts by."""
    if isinstance(value, str):
        return value.replace("\0", "")
    return "" if isinstance(value, bytes) else value
