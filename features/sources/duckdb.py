"""A folder of Parquet and CSV files, or a DuckDB file, read by the embedded DuckDB."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from features.errors import DataError
from features.sources.engines.engine import Engine
from features.sources.files.delimited import read_text_file
from features.sources.files.listing import is_text_file, table_files, unread_files
from features.sources.files.plain_forms import TextTable
from features.sources.source import Source, Tables, first_line

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


def open_duckdb(
    url: str | None,
    relative_to: Path,
    encoding: str = "utf-8",
    parts: Mapping[str, str] | None = None,
) -> Source:
    """Open a folder or a DuckDB file, and further folders whose tables are called ``NAME/TABLE``.

    Raises
    ------
    DataError
        When nothing readable is there, or the file is held by another process.
    """
    places = {"": url} if url is not None else {}
    paths = {name: _path_of(place, relative_to) for name, place in places.items()}
    further = {name: _path_of(place, relative_to, name) for name, place in (parts or {}).items()}
    shown = url if url is not None else ", ".join((parts or {}).values())
    files = [path for path in (*paths.values(), *further.values()) if path.is_file()]
    if further and files:
        raise DataError(
            f"The DuckDB file '{files[0]}' cannot be read beside further folders, as its views must"
            " not read them; put the vendors into schemas of the file, or all into folders"
        )
    engine = duckdb_engine()
    try:
        if files:
            return Source(engine, _duckdb_tables(engine.connection, files[0]), shown)
        return _folders(engine, paths | further, shown, encoding)
    except BaseException:
        engine.close()
        raise


def _path_of(url: str, relative_to: Path, name: str = "") -> Path:
    path = relative_to / url.removeprefix("duckdb://")
    is_file = path.suffix.lower() in DUCKDB_SUFFIXES and path.is_file()
    if path.is_dir() or is_file:
        return path
    raise DataError(
        f"The source '{url}' is neither a folder nor a DuckDB file"
        f" ({', '.join(sorted(DUCKDB_SUFFIXES))}) under '{relative_to}';"
        f" correct source{'.' + name if name else ''}.url"
    )


def _folders(engine: Engine, folders: Mapping[str, Path], shown: str, encoding: str) -> Source:
    """Read one folder under its tables' own names, and each further one under ``NAME/TABLE``."""
    holders: dict[str, tuple[str, Tables, Callable[[str], TextTable | None]]] = {}
    for name, folder in folders.items():
        tables, texts = _folder_tables(engine.connection, folder, encoding)
        for table in tables:
            holders[f"{name}/{table}" if name else table] = (table, tables, texts)

    def read(name: str) -> ir.Table:
        table, tables, _ = holders[name]
        return tables[table]

    def texts_of(name: str) -> TextTable | None:
        table, _, texts = holders[name]
        return texts(table)

    unread = [file for folder in folders.values() for file in unread_files(folder)]
    return Source(engine, Tables(holders, read), shown, texts=texts_of, unread=unread)


def _folder_tables(
    connection: Backend, folder: Path, encoding: str
) -> tuple[Tables, Callable[[str], TextTable | None]]:
    """Read a folder's files, each once and only when it is asked for."""
    files = table_files(folder)
    read_before: dict[str, TextTable] = {}

    def texts(name: str) -> TextTable | None:
        if not is_text_file(files[name]):
            return None
        if name not in read_before:
            read_before[name] = read_text_file(connection, files[name], encoding)
        return read_before[name]

    def read(name: str) -> ir.Table:
        table = texts(name)
        return _read_parquet(connection, files[name]) if table is None else table.typed()

    return Tables(files, read), texts


def _read_parquet(connection: Backend, file: Path) -> ir.Table:
    try:
        # The engine expands wildcards: a folder named "data[1]" must not open "data1".
        return connection.read_parquet(glob.escape(str(file)))
    except duckdb.Error as error:
        raise DataError(
            f"The file '{file}' cannot be read as PARQUET: {first_line(error)};"
            " repair it or take it out of the folder"
        ) from error


def _duckdb_tables(connection: Backend, file: Path) -> dict[str, ir.Table]:
    try:
        connection.attach(str(file).replace("'", "''"), name=_ATTACHED, read_only=True)
    except duckdb.Error as error:
        raise DataError(
            f"The DuckDB file '{file}' cannot be opened: {first_line(error)};"
            " close the program that holds it, or correct source.url"
        ) from error
    listed = connection.con.execute(
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_catalog = ? ORDER BY table_schema <> 'main', table_schema, table_name",
        [_ATTACHED],
    )
    places = {
        name if schema == "main" else f"{schema}/{name}": (schema, name)
        for schema, name in listed.fetchall()
    }
    # A view of somebody's file runs with our rights: it may read that file and nothing beside it.
    connection.con.execute("SET enable_external_access = false").fetchall()
    if not places:
        raise DataError(f"The DuckDB file '{file}' holds no table; correct source.url")
    return {name: _attached_table(connection, file, *place) for name, place in places.items()}


def _attached_table(connection: Backend, file: Path, schema: str, name: str) -> ir.Table:
    try:
        return connection.table(name, database=(_ATTACHED, schema))
    except duckdb.PermissionException as error:
        raise DataError(
            f"The view '{name}' of the DuckDB file '{file}' reads other files, and a source may"
            " read none beside itself; make it a table there, or take it out"
        ) from error
