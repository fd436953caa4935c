"""A folder of Parquet and CSV files, or a DuckDB file, read by the embedded DuckDB."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import duckdb
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from features.errors import DataError, first_line
from features.sources.engines.duckdb import DuckBackend
from features.sources.engines.engine import Engine
from features.sources.files.listing import DATABASE_SUFFIXES, is_packed
from features.sources.files.plain_forms import TextTable
from features.sources.lake.parts import PartedTable, versions_in
from features.sources.lake.place import Folder
from features.sources.lake.tables import PlaceTables
from features.sources.source import Source, Tables
from features.sources.url import query_of

_ATTACHED = "company"


def duckdb_engine() -> Engine:
    """Start an embedded DuckDB in memory: temporary tables never touch the user's files."""
    connection = DuckBackend().connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    # In notebooks and `python -c` it draws a bar of its own on standard output, amid the answers.
    connection.raw_sql("SET enable_progress_bar = false")
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
    further = dict(parts or {})
    places = {"": url} if url is not None else {}
    paths = {name: _path_of(place, relative_to, name) for name, place in (places | further).items()}
    shown = url if url is not None else ", ".join(further.values())
    files = [path for path, _ in paths.values() if path.is_file() and not is_packed(path)]
    if further and files:
        raise DataError(
            f"The DuckDB file '{files[0]}' cannot be read beside further folders, as its views must"
            " not read them; put the vendors into schemas of the file, or all into folders"
        )
    engine = duckdb_engine()
    try:
        if files:
            return Source(engine, _duckdb_tables(engine.connection, files[0]), shown)
        with_scratch, scratch = scratch_of(engine)
        held = {
            name: PlaceTables(engine.connection, Folder(path), encoding, versions, scratch)
            for name, (path, versions) in paths.items()
        }
        return places_source(with_scratch, held, shown)
    except BaseException:
        engine.close()
        raise


def scratch_of(engine: Engine) -> tuple[Engine, Callable[[], Path]]:
    """Give an engine a folder of its own, made when it is asked for and gone when it closes."""
    made: list[Path] = []

    def scratch() -> Path:
        if not made:
            made.append(Path(tempfile.mkdtemp(prefix="healthscore-")))
        return made[0]

    def close() -> None:
        engine.close()
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)

    return replace(engine, close=close), scratch


def places_source(engine: Engine, places: Mapping[str, PlaceTables], shown: str) -> Source:
    """Read one place under its tables' own names, and each further one under ``NAME/TABLE``."""
    holders = {
        f"{name}/{table}" if name else table: (table, held)
        for name, held in places.items()
        for table in held
    }

    def read(name: str) -> ir.Table:
        table, held = holders[name]
        return held.read(table)

    def texts(name: str) -> TextTable | None:
        table, held = holders[name]
        return held.texts(table)

    def parted(name: str) -> PartedTable | None:
        table, held = holders[name]
        return held.parted(table)

    unread = [file for held in places.values() for file in held.unread]

    def unchanged() -> None:
        for held in places.values():
            held.unchanged()

    tables = Tables(holders, read)
    engine = replace(engine, unchanged=unchanged)
    return Source(engine, tables, shown, texts=texts, parted=parted, unread=unread)


def _path_of(url: str, relative_to: Path, name: str = "") -> tuple[Path, dict[str, int]]:
    """Return the folder or file of an address, and the versions of tables that it asks for."""
    place, versions = url.removeprefix("duckdb://"), {}
    if not (relative_to / place).exists() and "?version." in place:
        place, _, query = place.partition("?")
        versions = versions_in(query_of(query))
    path = relative_to / place
    is_file = path.is_file() and (path.suffix.lower() in DATABASE_SUFFIXES or is_packed(path))
    if path.is_dir() or is_file:
        return path, versions
    raise DataError(
        f"The source '{url}' is neither a folder, a workbook or archive nor a DuckDB file"
        f" ({', '.join(sorted(DATABASE_SUFFIXES))}) under '{relative_to}';"
        f" correct source{'.' + name if name else ''}.url"
    )


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
