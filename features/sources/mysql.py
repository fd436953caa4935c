"""MySQL and MariaDB: tables are read through Arrow into DuckDB, which computes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.errors import DataError, SettingsError, first_line, sample
from features.sources.duckdb import duckdb_engine
from features.sources.engines.engine import Engine
from features.sources.source import Source, Tables
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


@dataclass(frozen=True)
class _Column:
    name: str
    kind: pa.DataType


def open_mysql(url: str) -> Source:
    """Open the tables of a database.

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
    tables = Tables(
        [str(row[0]) for row in names], lambda name: _read(engine, server, parsed.database, name)
    )
    return Source(engine, tables, parsed.shown)


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
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _read(engine: Engine, server: Connection, database: str, name: str) -> ir.Table:
    """Read a table into DuckDB, some rows at a time."""
    columns = _columns(server, database, name)
    schema = pa.schema([(column.name, column.kind) for column in columns])
    quoted = ", ".join(_quoted(column.name) for column in columns)
    statement = f"SELECT {quoted} FROM {_quoted(database)}.{_quoted(name)}"

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

    table = ibis.util.gen_name("source")
    connection = engine.connection
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    connection.con.register(f"{table}_read", reader)
    connection.con.execute(f'CREATE TEMP TABLE "{table}" AS SELECT * FROM "{table}_read"')
    connection.con.unregister(f"{table}_read")
    return connection.table(table)


def _columns(server: Connection, database: str, name: str) -> list[_Column]:
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
            columns.append(_Column(str(column), kind))
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


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
