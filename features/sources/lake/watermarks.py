"""Rows that a server brought, kept as files by a column that says when they came.

The server counts the rows of each span of that column and takes a digest of them. A file is named
by both: a span whose rows are the same ones is not brought again, and one that gained, lost or
changed a row is, however old it is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import ibis
from ibis.backends.duckdb import Backend

from features.errors import DataError, first_line
from features.sources.lake.kept import is_whole
from features.sources.lake.parts import Part, PartedTable, ends_of

FORM = "rows 1"
SPAN = f"span of the {'water' * 12}mark"
"""Names the column of the span among rows that are brought: longer than a server's names can be."""


@dataclass
class Watermarks:
    """By which columns rows of servers' tables are kept, and where.

    Parameters
    ----------
    columns : dict of str to str
        A column of each such table, by the table's own name.
    folder : Path
        Where they are kept.
    is_full : bool
        Whether every row is brought, and kept anew.

    Attributes
    ----------
    told : list of str
        Per table how many rows were brought; one sentence each.
    """

    columns: dict[str, str]
    folder: Path
    is_full: bool = False
    told: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Span:
    """The rows of one span of a watermark, as the server tells of them.

    Parameters
    ----------
    name : str
        The span.
    rows : int
        How many they are.
    digest : str
        Differs once a row does.
    """

    name: str
    rows: int
    digest: str


@dataclass(frozen=True)
class ServerTable:
    """What a server is asked of a table.

    Parameters
    ----------
    name : str
        The table's own name.
    place : str
        Server, database and table: kept rows of others are others.
    schema : ibis Schema
        Columns and types.
    spans : callable
        Lists the spans there are, or those of some names.
    bring : callable
        Brings the rows of some spans into a table of the embedded engine, and returns its name:
        their columns, and :data:`SPAN`.
    """

    name: str
    place: str
    schema: ibis.Schema
    spans: Callable[[Collection[str]], Sequence[Span]]
    bring: Callable[[Collection[str]], str]


def kept_rows(
    connection: Backend, table: ServerTable, watermarks: Watermarks
) -> PartedTable | None:
    """Bring the rows that are not kept yet, and return all as a table in files.

    Returns
    -------
    PartedTable or None
        None where the table has no row, or nothing can be kept, as on a full disk.

    Raises
    ------
    DataError
        When rows change while they are brought, on a server without transactions.
    """
    spans = list(table.spans(()))
    files = {span.name: _place(watermarks.folder, table, span) for span in spans}
    missing = {
        span.name for span in spans if watermarks.is_full or not is_whole(files[span.name][1])
    }
    if not spans:
        return None
    if missing:
        brought = table.bring(missing)
        if set(table.spans(missing)) != {span for span in spans if span.name in missing}:
            raise DataError(
                f"The table '{table.name}' was changed while it was read, and its server keeps no"
                " state of one moment for a reader; run again when nothing writes"
            )
        try:
            for name in sorted(missing):
                _write(connection, brought, name, files[name][1])
        except (OSError, duckdb.Error) as error:
            watermarks.told.append(
                f"{table.name}: no row is kept for the next night, as '{watermarks.folder}' cannot"
                f" be written: {first_line(error)}"
            )
            return None
        finally:
            connection.con.execute(f'DROP TABLE "{brought}"')
    every = sum(span.rows for span in spans)
    fresh = sum(span.rows for span in spans if span.name in missing)
    before = f"{every - fresh:,} of {every:,} rows as before, {fresh:,} brought from the server"
    said = f"all {every:,} rows brought from the server" if watermarks.is_full else before
    watermarks.told.append(f"{table.name}: {said}")
    parts = [_part(*files[span.name]) for span in spans]
    return PartedTable(connection, table.name, parts, schema=table.schema)


def _place(folder: Path, table: ServerTable, span: Span) -> tuple[str, Path]:
    """Return the identity of a span's rows, and the file that they are kept in."""
    made_of = (FORM, table.place, repr(table.schema), span.name, str(span.rows), span.digest)
    identity = "|".join(made_of)
    return identity, folder / f"{hashlib.sha256(identity.encode()).hexdigest()}.parquet"


def _part(identity: str, file: Path) -> Part:
    def fetch() -> Path:
        if not file.is_file():
            raise DataError(
                f"The file '{file}', rows that a server brought, was taken away while they were"
                " read; run again"
            )
        return file

    return Part(identity, fetch)


def _write(connection: Backend, brought: str, span: str, file: Path) -> None:
    """Write the rows of a span, all of them or nothing."""
    fresh = file.with_suffix(f".{os.getpid()}.part")
    ends = fresh.with_suffix(".ends")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        place, named = (text.replace("'", "''") for text in (str(fresh), span))
        connection.con.execute(
            f'COPY (SELECT * EXCLUDE ("{SPAN}") FROM "{brought}" WHERE "{SPAN}" = \'{named}\')'
            f" TO '{place}' (FORMAT parquet)"
        )
        ends.write_text(ends_of(fresh), encoding="ascii")
        ends.replace(file.with_suffix(".ends"))
        fresh.replace(file)
    finally:
        with suppress(OSError):
            for left in (fresh, ends):
                left.unlink(missing_ok=True)
