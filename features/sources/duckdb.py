"""A folder of Parquet and CSV files, or a DuckDB file, read by the embedded DuckDB."""

from __future__ import annotations

import glob
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from features.errors import DataError
from features.sources.engine import Engine
from features.sources.source import Source, first_line, table_files

DUCKDB_SUFFIXES = {".duckdb", ".ddb", ".db"}
_ATTACHED = "company"


def duckdb_engine() -> Engine:
    """Start an embedded DuckDB in memory: temporary tables never touch the user's files."""
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    connection.raw_sql("SET autoinstall_known_extensions = false")
    # Division by zero is unknown, as it is made on the other engines.
    connection.raw_sql("SET ieee_floating_point_ops = false")
    connection.raw_sql("SET error_on_division_by_zero = false")
    return Engine("DuckDB", connection, (duckdb.Error,), connection.disconnect, first_line)


def open_duckdb(url: str, relative_to: Path) -> Source:
    """Open a folder or a DuckDB file.

    Raises
    ------
    DataError
        When nothing readable is there, or the file is held by another process.
    """
    path = relative_to / url.removeprefix("duckdb://")
    is_file = path.suffix.lower() in DUCKDB_SUFFIXES and path.is_file()
    if not path.is_dir() and not is_file:
        raise DataError(
            f"The source '{url}' is neither a folder nor a DuckDB file"
            f" ({', '.join(sorted(DUCKDB_SUFFIXES))}) under '{relative_to}';"
            " correct source.url"
        )
    engine = duckdb_engine()
    try:
        read = _duckdb_tables if is_file else _folder_tables
        return Source(engine, read(engine.connection, path), url)
    except BaseException:
        engine.close()
        raise


def _folder_tables(connection: Backend, folder: Path) -> dict[str, ir.Table]:
    tables: dict[str, ir.Table] = {}
    for name, file in table_files(folder).items():
        try:
            tables[name] = _read_file(connection, file)
        except duckdb.Error as error:
            raise DataError(
                f"The file '{file}' cannot be read as {file.suffix[1:].upper()}:"
                f" {first_line(error)}; repair it or take it out of the folder"
            ) from error
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
    # A view of somebody's file runs with our rights: it may read that file and nothing beside it.
    connection.con.execute("SET enable_external_access = false").fetchall()
    if not names:
        raise DataError(f"The DuckDB file '{file}' holds no table; correct source.url")
    return {name: _attached_table(connection, file, name) for name in names}


def _attached_table(connection: Backend, file: Path, name: str) -> ir.Table:
    try:
        return connection.table(name, database=(_ATTACHED, "main"))
    except duckdb.PermissionException as error:
        raise DataError(
            f"The view '{name}' of the DuckDB file '{file}' reads other files, and a source may"
            " read none beside itself; make it a table there, or take it out"
        ) from error
