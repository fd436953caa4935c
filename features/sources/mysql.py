"""MySQL and MariaDB: tables are read through Arrow into DuckDB, which computes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.errors import DataError, SettingsError, first_line, nearest, sample
from features.sources.duckdb import duckdb_engine
from features.sources.engines.engine import Engine
from features.sources.lake.mysql_spans import Column, Spans, quoted
from features.sources.lake.parts import PartedTable
from features.sources.lake.watermarks import SPAN, ServerTable, Watermarks, kept_rows
from features.sources.source import Source, Tables, same_name
from features.sources.url import SourceUrl, parse_url

if TYPE_CHECKING:
    from pymysql.connections import Connection

FORM = "mysql://USER@HOST:PORT/DATABASE"
BATCH_ROWS = 50_000
_OPTIONS = ("socket", "tls")
_TYPES = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "year", "bit"), pa.int64()),
    **dict.fromkeys(("float", "double"), pa.float64()),
    **dict.fromkeys(("datetime", "timestamp"), pa.timestamp("us")),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), pa.string()),
    **dict.fromkeys(("enum", "set", "json", "uuid"), pa.string()),
    "date": pa.date32(),
}


def open_mysql(url: str, watermarks: Watermarks | None = None) -> Source:
    """Open the tables of a database.

    Parameters
    ----------
    url : str
        The address.
    watermarks : Watermarks, optional
        Which tables' rows are kept, and where; all others are brought whole.

    Raises
    ------
    SettingsError
        When the address has the wrong form, or the driver is not installed.
    DataError
        When the server refuses, or the database holds no table.
    """
    try:
        import pymysql
    except ImportError as error:
        raise SettingsError(
            "MySQL and MariaDB are read with an extra: pip install 'healthscore[mysql]'"
        ) from error
    parsed = parse_url(url, FORM)
    others = [key for key in parsed.query if key not in _OPTIONS]
    if others or not parsed.database:
        wrong = f"has an option {sample(others[:1])}" if others else "names no database"
        raise SettingsError(
            f"The source '{parsed.shown}' {wrong}, and its form is {FORM} with"
            f" {sample(_OPTIONS)}; correct source.url"
        )

    def explain(error: Exception) -> str:
        told = error.args[-1] if error.args else error
        return parsed.scrub(first_line(Exception(told)))

    started = duckdb_engine()
    try:
        server = _connected(parsed)
        # All tables as of one moment, and nothing can be written.
        with server.cursor() as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        names = _asked(
            server,
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY 1",
            parsed.database,
        )
    except pymysql.Error as error:
        started.close()
        raise DataError(
            f"The source '{parsed.shown}' cannot be opened: {explain(error)}; correct source.url or"
            " what the server allows"
        ) from error

    def close() -> None:
        server.close()
        started.close()

    engine = Engine("MySQL", started.connection, (duckdb.Error, pymysql.Error), close, explain)
    if not names:
        close()
        raise DataError(
            f"The database {sample([parsed.database])} of '{parsed.shown}' holds no table that this"
            " user may read; correct source.url"
        )

    known = [str(row[0]) for row in names]
    columns = {} if watermarks is None else watermarks.columns
    cut_by = {same_name(table, known): column for table, column in columns.items()}

    @cache
    def parted(name: str) -> PartedTable | None:
        if watermarks is None or name not in cut_by:
            return None
        place = f"{parsed.host}:{parsed.port}{parsed.query.get('socket', '')}/{parsed.database}"
        table = _server_table(engine, server, parsed.database, name, cut_by[name], place)
        return kept_rows(engine.connection, table, watermarks)

    def read(name: str) -> ir.Table:
        table = parted(name)
        return _read(engine, server, parsed.database, name) if table is None else table.whole()

    return Source(engine, Tables(known, read), parsed.shown, parted=parted)


def _connected(parsed: SourceUrl) -> Connection:
    import pymysql
    from pymysql.cursors import SSCursor

    own = Path("~/.my.cnf").expanduser()
    secure = parsed.query.get("tls") == "true"
    return pymysql.connect(
        host=parsed.host or "localhost",
        port=int(parsed.port or 3306),
        unix_socket=parsed.query.get("socket"),
        user=parsed.user or None,
        # As bytes: the driver would write a text in Latin-1.
        password=(parsed.password or os.environ.get("MYSQL_PWD", "")).encode(),
        database=parsed.database,
        charset="utf8mb4",
        read_default_file=str(own) if own.is_file() else None,
        ssl={"ssl": {}} if secure else None,
        ssl_verify_cert=secure or None,
        cursorclass=SSCursor,
        init_command="SET time_zone = '+00:00'",
    )


def _asked(server: Connection, statement: str, *values: str) -> list[tuple[object, ...]]:
    with server.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def _read(engine: Engine, server: Connection, database: str, name: str) -> ir.Table:
    """Read a table into DuckDB."""
    columns = _columns(server, database, name)
    selected = ", ".join(quoted(column.name) for column in columns)
    statement = f"SELECT {selected} FROM {quoted(database)}.{quoted(name)}"
    return engine.connection.table(_brought(engine, server, columns, statement))


def _brought(engine: Engine, server: Connection, columns: Sequence[Column], statement: str) -> str:
    """Bring what a statement selects into a table of DuckDB, some rows at a time."""
    schema = pa.schema([(column.name, column.kind) for column in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        with server.cursor() as cursor:
            cursor.execute(statement)
            while rows := cursor.fetchmany(BATCH_ROWS):
                yield pa.record_batch(
                    [
                        pa.array([_plain(value, column.kind) for value in values], column.kind)
                        for column, values in zip(columns, zip(*rows, strict=True), strict=True)
                    ],
                    schema=schema,
                )

    table = str(ibis.util.gen_name("source"))
    connection = engine.connection
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    connection.con.register(f"{table}_read", reader)
    connection.con.execute(f'CREATE TEMP TABLE "{table}" AS SELECT * FROM "{table}_read"')
    connection.con.unregister(f"{table}_read")
    return table


def _server_table(
    engine: Engine, server: Connection, database: str, name: str, watermark: str, place: str
) -> ServerTable:
    """Say what is asked of a table whose rows are kept.

    Raises
    ------
    SettingsError
        When it has no such column, or one that cannot be cut into spans.
    """
    columns = _columns(server, database, name)
    found = same_name(watermark, [column.name for column in columns])
    if found is None:
        names = [column.name for column in columns]
        raise SettingsError(
            f"Table '{name}' has no column '{watermark[:60]}' of plain values, named as its"
            f" watermark{nearest(watermark, names) or f'; its columns are {sample(names, 12)}'}"
        )
    spans = Spans(
        lambda statement: _asked(server, statement),
        f"{quoted(database)}.{quoted(name)}",
        columns,
        next(column for column in columns if column.name == found),
    )

    def bring(names: Collection[str]) -> str:
        held = [*columns, Column(SPAN, pa.string())]
        return _brought(engine, server, held, spans.statement(names))

    schema = ibis.Schema.from_pyarrow(pa.schema([(each.name, each.kind) for each in columns]))
    return ServerTable(name, f"{place}.{name}", schema, spans.listed, bring)


def _columns(server: Connection, database: str, name: str) -> list[Column]:
    """List the columns of types that hold plain values; others count as absent."""
    listed = _asked(
        server,
        "SELECT column_name, data_type, column_type, numeric_precision, numeric_scale"
        " FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
        " ORDER BY ordinal_position",
        database,
        name,
    )
    columns = []
    for column, data_type, column_type, precision, scale in listed:
        kind = _TYPES.get(str(data_type))
        if str(column_type).startswith("tinyint(1)"):
            kind = pa.bool_()
        elif data_type == "bigint":
            kind = pa.uint64() if "unsigned" in str(column_type) else pa.int64()
        elif data_type == "decimal" and isinstance(precision, int) and isinstance(scale, int):
            kind = pa.decimal128(precision, scale) if precision <= 38 else pa.float64()
        if kind is not None:
            columns.append(Column(str(column), kind))
    return columns


def _plain(value: object, kind: pa.DataType) -> object:
    """Return a value as Arrow wants it; a date of zeros is none."""
    if value is None:
        return None
    if pa.types.is_boolean(kind):
        return bool(value)
    if pa.types.is_temporal(kind):
        return value if isinstance(value, date | datetime) else None
    if isinstance(value, bytes):
        return int.from_bytes(value) if pa.types.is_integer(kind) else value.decode()
    return float(str(value)) if pa.types.is_floating(kind) else value
