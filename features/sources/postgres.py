"""The tables of a schema, or of several, on a PostgreSQL server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir

from features.errors import DataError, HealthscoreError, SettingsError, first_line, nearest, sample
from features.sources.engines.engine import Engine
from features.sources.source import Source, Tables
from features.sources.url import SourceUrl, parse_url

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

FORM = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=SCHEMA"
CONNECT_SECONDS = 10
# Tables, partitioned ones, views, materialised ones and foreign ones.
_LIST = """
SELECT c.relname, has_any_column_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname
"""
# The type of a domain is the type it is made from.
_COLUMNS = """
WITH RECURSIVE base AS (
    SELECT a.attnum, a.attname, a.atttypid AS type, a.atttypmod AS detail
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = format('%%I.%%I', %(schema)s::text, %(table)s::text)::regclass
      AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, b.attname, t.typbasetype, t.typtypmod
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT b.attname,
    CASE WHEN t.typtype = 'e' THEN 'text' ELSE format_type(b.type, b.detail) END
FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type
WHERE t.typtype <> 'd' ORDER BY b.attnum
"""


def open_postgres(url: str) -> Source:
    """Connect to a server and list the tables of a schema.

    Of several schemas, ``?schema=stripe,zendesk``, tables are called ``SCHEMA/TABLE``.

    Raises
    ------
    SettingsError
        When the address has the wrong form, or the driver is not installed.
    DataError
        When the server cannot be reached, refuses, or lacks the schema.
    """
    parsed = parse_url(url, FORM)
    options = dict(parsed.query)
    schemas = [each.strip() for each in options.pop("schema", "").split(",")]
    connection = connect(parsed, options)
    import psycopg

    from features.sources.engines.postgres import PostgresBackend

    engine = Engine(
        "PostgreSQL",
        PostgresBackend.from_connection(connection),
        (psycopg.Error,),
        connection.close,
        lambda error: parsed.scrub(first_line(error)),
    )
    try:
        _prepare(engine, parsed)
        return Source(engine, _tables(engine, schemas, parsed.shown), parsed.shown)
    except BaseException:
        engine.close()
        raise


def connect(
    parsed: SourceUrl,
    options: dict[str, str],
    what: str = "source",
    failure: type[HealthscoreError] = DataError,
) -> psycopg.Connection[TupleRow]:
    """Connect to a server.

    Parameters
    ----------
    parsed : SourceUrl
        The address.
    options : dict of str to str
        Its keys that are for the driver.
    what : str
        The section of the configuration that it is the ``url`` of.
    failure : type
        What is raised when the server cannot be reached, or refuses.

    Raises
    ------
    SettingsError
        When the driver is not installed, or does not know an option.
    """
    try:
        import psycopg
    except ImportError as error:
        raise SettingsError(
            f"The {what} '{parsed.shown}' needs the PostgreSQL driver psycopg, which is not"
            " installed; run: pip install 'healthscore[postgres]'"
        ) from error
    try:
        # By keyword and never as one text: libpq quotes parts of such a text in its messages.
        return psycopg.connect("", autocommit=True, **_keywords(parsed, options))
    except psycopg.ProgrammingError as error:
        raise SettingsError(
            f"The {what} '{parsed.shown}' has an option that PostgreSQL does not know:"
            f" {parsed.scrub(first_line(error))}; correct {what}.url"
        ) from error
    except psycopg.Error as error:
        raise failure(
            f"The PostgreSQL server of '{parsed.shown}' cannot be used:"
            f" {parsed.scrub(_last_reason(error))}; start it, or correct {what}.url or the password"
        ) from error


def _keywords(parsed: SourceUrl, options: dict[str, str]) -> dict[str, Any]:
    given = {
        "host": parsed.host,
        "port": parsed.port,
        "user": parsed.user,
        "password": parsed.password,
        "dbname": parsed.database,
    }
    known = {"application_name": "healthscore", "connect_timeout": str(CONNECT_SECONDS)}
    return known | {key: value for key, value in given.items() if value} | options


def _prepare(engine: Engine, parsed: SourceUrl) -> None:
    try:
        engine.connection.prepare()
    except engine.errors as error:
        raise DataError(
            f"The PostgreSQL server of '{parsed.shown}' does not let this user compute:"
            f" {engine.explain(error)}; grant TEMPORARY on the database and USAGE on the"
            " language plpgsql, and use a server that is no read-only copy"
        ) from error


def _tables(engine: Engine, schemas: list[str], shown: str) -> Tables:
    if len(schemas) == 1:
        return schema_tables(engine, schemas[0], shown)
    held = {schema: schema_tables(engine, schema, shown) for schema in schemas}
    places = {f"{schema}/{name}": (schema, name) for schema in held for name in held[schema]}

    def read(place: str) -> ir.Table:
        schema, name = places[place]
        return held[schema][name]

    return Tables(places, read)


def schema_tables(engine: Engine, schema: str, shown: str) -> Tables:
    """List the tables and views of a schema, the current one where none is named.

    Raises
    ------
    DataError
        When the schema does not exist, holds no table, or a table may not be read.
    """
    connection: psycopg.Connection[TupleRow] = engine.connection.con
    if not schema:
        row = connection.execute("SELECT current_schema()").fetchone()
        schema = (row and row[0]) or "public"
    listed = connection.execute(_LIST, [schema]).fetchall()
    if not listed:
        named = connection.execute("SELECT nspname::text FROM pg_catalog.pg_namespace").fetchall()
        schemas = sorted(name for (name,) in named if not name.startswith("pg_"))
        missing = schema not in schemas
        hint = nearest(schema, schemas) or f"; it has {sample(schemas, 8)}"
        what = "does not exist" if missing else "holds no table"
        raise DataError(
            f"The schema '{schema}' of '{shown}' {what}{hint if missing else ''};"
            " correct ?schema= in source.url"
        )
    allowed: dict[str, bool] = dict(listed)

    def read(name: str) -> ir.Table:
        if not allowed[name]:
            raise DataError(
                f"Table '{name}' of the source '{shown}' may not be read by this user;"
                f" run as its owner: GRANT SELECT ON {schema}.{name} TO the user"
            )
        columns = connection.execute(_COLUMNS, {"schema": schema, "table": name}).fetchall()
        return engine.connection.typed_table(name, schema, dict(columns))

    return Tables(allowed, read)


def _last_reason(error: Exception) -> str:
    """Return what the last of the tried addresses answered, without the addresses."""
    lines = [line.strip(" -\t") for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith(("Multiple", "Is the server"))]
    return reasons[-1].rstrip(".")[:200] if reasons else type(error).__name__
