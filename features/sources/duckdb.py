"""A folder of Parquet and CSV files, or a DuckDB file, read by the embedded DuckDB."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from features.errors import DataError
from features.sources.engines.engine import Engine
from features.sources.files.delimited import read_text_file
from features.sources.files.listing import is_packed
from features.sources.files.packed import Scratch, TableFile, files_of
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
    files = [path for path in (*paths.values(), *further.values()) if _is_database(path)]
    if further and files:
        raise DataError(
            f"The DuckDB file '{files[0]}' cannot be read beside further folders, as its views must"
            " not read them; put the vendors into schemas of the file, or all into folders"
        )
    scratch = Scratch()
    engine = duckdb_engine()
    disconnect = engine.close

    def close() -> None:
        disconnect()
        scratch.close()

    engine = replace(engine, close=close)
    try:
        if files:
            return Source(engine, _duckdb_tables(engine.connection, files[0]), shown)
        return _folders(engine, paths | further, shown, encoding, scratch)
    except BaseException:
        engine.close()
        raise


def _path_of(url: str, relative_to: Path, name: str = "") -> Path:
    path = relative_to / url.removeprefix("duckdb://")
    if path.is_dir() or _is_database(path) or (path.is_file() and is_packed(path)):
        return path
    raise DataError(
        f"The source '{url}' is neither a folder, a workbook or archive nor a DuckDB file"
        f" ({', '.join(sorted(DUCKDB_SUFFIXES))}) under '{relative_to}';"
        f" correct source{'.' + name if name else ''}.url"
    )


def _is_database(path: Path) -> bool:
    return path.suffix.lower() in DUCKDB_SUFFIXES and path.is_file()


def _folders(
    engine: Engine, folders: Mapping[str, Path], shown: str, encoding: str, scratch: Scratch
) -> Source:
    """Read one folder under its tables' own names, and each further one under ``NAME/TABLE``."""
    holders: dict[str, tuple[str, Tables, Callable[[str], TextTable | None]]] = {}
    unread: list[str] = []
    for name, folder in folders.items():
        files, beside = files_of(folder, scratch)
        unread += beside
        tables, texts = _folder_tables(engine.connection, files, encoding)
        for table in tables:
            holders[f"{name}/{table}" if name else table] = (table, tables, texts)

    def read(name: str) -> ir.Table:
        table, tables, _ = holders[name]
        return tables[table]

    def texts_of(name: str) -> TextTable | None:
        table, _, texts = holders[name]
        return texts(table)

    return Source(engine, Tables(holders, read), shown, texts=texts_of, unread=unread)


def _folder_tables(
    connection: Backend, files: Mapping[str, TableFile], encoding: str
) -> tuple[Tables, Callable[[str], TextTable | None]]:
    """Read files, each once and only when it is asked for."""
    read_before: dict[str, TextTable] = {}

    def texts(name: str) -> TextTable | None:
        file = files[name]
        if file.path.suffix.lower() == ".parquet":
            return None
        if name not in read_before:
            with _called(file):
                written = "utf-8" if file.is_sheet else encoding
                read_before[name] = read_text_file(connection, file.path, written)
        return read_before[name]

    def read(name: str) -> ir.Table:
        table = texts(name)
        return _read_parquet(connection, files[name].path) if table is None else table.typed()

    return Tables(files, read), texts


@contextmanager
def _called(file: TableFile) -> Iterator[None]:
    """Name what was unpacked by where it came from."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(str(file.path), file.shown)) from error


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
