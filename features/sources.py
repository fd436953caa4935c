"""Where source tables live: a folder of Parquet and CSV files, or a DuckDB file."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from features.errors import DataError, nearest, sample

FILE_SUFFIXES = {".parquet", ".csv"}
DUCKDB_SUFFIXES = {".duckdb", ".ddb", ".db"}
_ATTACHED = "company"


class Source:
    """The user's own tables, opened read-only.

    Parameters
    ----------
    connection : ibis.backends.duckdb.Backend
        The engine; temporary tables live in its memory, never in the user's files.
    tables : dict of str to ibis table
        Source tables by their own names.
    url : str
        Where they came from, for messages.
    """

    def __init__(self, connection: Backend, tables: dict[str, ir.Table], url: str) -> None:
        self.connection = connection
        self.tables = tables
        self.url = url

    def table(self, name: str, wanted_for: str) -> ir.Table:
        """Return a source table; where none has exactly that name, upper and lower case are one.

        Raises
        ------
        DataError
            When the source has no table of that name.
        """
        found = same_name(name, self.tables)
        if found is None:
            hint = nearest(name, self.tables) or f"; it holds {sample(sorted(self.tables), 8)}"
            raise DataError(
                f"Table '{name}', mapped to {wanted_for}, is not in the source '{self.url}'{hint}"
            )
        return self.tables[found]

    def close(self) -> None:
        """Close the engine."""
        self.connection.disconnect()


@contextmanager
def open_source(url: str, relative_to: Path) -> Iterator[Source]:
    """Open a folder of Parquet/CSV files or a DuckDB file.

    Parameters
    ----------
    url : str
        A folder, a path to a DuckDB file, or ``duckdb://`` before such a path.
    relative_to : Path
        Folder that a relative path starts from.

    Raises
    ------
    DataError
        When nothing readable is there, or the file is held by another process.
    """
    path = relative_to / url.removeprefix("duckdb://")
    connection = ibis.duckdb.connect()
    try:
        connection.raw_sql("SET TimeZone = 'UTC'")
        connection.raw_sql("SET autoinstall_known_extensions = false")
        if path.is_dir():
            yield Source(connection, _folder_tables(connection, path), url)
        elif path.suffix.lower() in DUCKDB_SUFFIXES and path.is_file():
            yield Source(connection, _duckdb_tables(connection, path), url)
        else:
            raise DataError(
                f"The source '{url}' is neither a folder nor a DuckDB file"
                f" ({', '.join(sorted(DUCKDB_SUFFIXES))}) under '{relative_to}';"
                " correct source.url"
            )
    finally:
        connection.disconnect()


def _folder_tables(connection: Backend, folder: Path) -> dict[str, ir.Table]:
    tables: dict[str, ir.Table] = {}
    for file in sorted(folder.iterdir()):
        is_table = file.suffix.lower() in FILE_SUFFIXES and file.is_file()
        if not is_table or file.name.startswith((".", "_")):
            continue
        if file.stem in tables:
            raise DataError(
                f"The folder '{folder}' holds table '{file.stem}' twice, as Parquet and as CSV;"
                " keep one of them"
            )
        try:
            tables[file.stem] = _read_file(connection, file)
        except duckdb.Error as error:
            raise DataError(
                f"The file '{file}' cannot be read as {file.suffix[1:].upper()}:"
                f" {first_line(error)}; repair it or take it out of the folder"
            ) from error
    if not tables:
        raise DataError(f"The folder '{folder}' holds no Parquet or CSV file; correct source.url")
    return tables


def _read_file(connection: Backend, file: Path) -> ir.Table:
    # The engine expands wildcards: a folder named "data[1]" must not open its neighbour "data1".
    path = glob.escape(str(file))
    if file.suffix.lower() == ".parquet":
        return connection.read_parquet(path)
    # Types are sniffed over the whole file: a late "A17" among numbers would end in a crash.
    return connection.read_csv(path, header=True, sample_size=-1)


def _duckdb_tables(connection: Backend, file: Path) -> dict[str, ir.Table]:
    try:
        connection.attach(str(file).replace("'", "''"), name=_ATTACHED, read_only=True)
    except duckdb.Error as error:
        raise DataError(
            f"The DuckDB file '{file}' cannot be opened: {first_line(error)};"
            " close the program that holds it, or correct source.url"
        ) from error
    listed = connection.con.execute(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_catalog = ? AND table_schema = 'main' ORDER BY table_name",
        [_ATTACHED],
    )
    names = [name for (name,) in listed.fetchall()]
    if not names:
        raise DataError(f"The DuckDB file '{file}' holds no table; correct source.url")
    return {name: connection.table(name, database=(_ATTACHED, "main")) for name in names}


def same_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is this one, else the only one that differs in case alone.

    Examples
    --------
    >>> same_name("account_id", ["ACCOUNT_ID", "CREATED_AT"])
    'ACCOUNT_ID'
    >>> same_name("plan", ["Plan", "PLAN"]) is None
    True
    """
    listed = list(known)
    if name in listed:
        return name
    alike = [candidate for candidate in listed if candidate.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None


def first_line(error: Exception) -> str:
    """Return the first line of a library's message, without the closing full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".")[:200] if lines else type(error).__name__
