"""Tables that Spark reads: files that every executor can reach, or those of its catalogue."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
from ibis.common.exceptions import IbisError

from features.errors import DataError, SettingsError, nearest, sample
from features.sources.engine import Engine
from features.sources.source import Source, Tables, table_files
from features.sources.spark_session import spark_engine
from features.sources.url import SourceUrl, parse_url

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FORM = "spark://?master=MASTER&folder=FOLDER or spark://?master=MASTER&database=DATABASE"
_OPTIONS = ("master", "folder", "database")
# Comparing with what CSV files on DuckDB give: numbers are numbers, but 007 is a text.
_WHOLE = r"^-?(0|[1-9][0-9]{0,17})$"
_NUMBER = r"^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$"


def open_spark(url: str, relative_to: Path) -> Source:
    """Open files or catalogue tables with Spark.

    Raises
    ------
    SettingsError
        When the address has the wrong form, or PySpark or Java is not installed.
    DataError
        When Spark does not start, or nothing readable is there.
    """
    parsed = parse_url(url, FORM)
    places = [key for key in ("folder", "database") if key in parsed.query]
    if len(places) != 1 or parsed.host or parsed.user or parsed.database:
        raise SettingsError(
            f"The source '{parsed.shown}' must name one of folder and database, as in {FORM};"
            " correct source.url"
        )
    for key in parsed.query:
        if key not in _OPTIONS and not key.startswith("spark."):
            raise SettingsError(
                f"The source '{parsed.shown}' has an option '{key[:60]}', and known are"
                f" {sample(_OPTIONS)} and Spark's own settings, spark.…"
                f"{nearest(key, _OPTIONS)}; correct source.url"
            )
    engine = spark_engine(parsed)
    try:
        if "folder" in parsed.query:
            tables = folder_tables(engine, relative_to / parsed.query["folder"])
        else:
            tables = _catalogue_tables(engine, parsed)
        return Source(engine, tables, parsed.shown)
    except BaseException:
        engine.close()
        raise


def folder_tables(engine: Engine, folder: Path) -> Tables:
    """List the Parquet and CSV files of a folder that the driver and every executor can read.

    Raises
    ------
    DataError
        When the folder or a file cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"The folder '{folder}' does not exist; correct folder= in source.url")
    files = table_files(folder.resolve())

    def read(name: str) -> ir.Table:
        try:
            return _table(engine, name, _read_file(engine.connection._session, files[name]))
        except engine.errors as error:
            raise DataError(
                f"The file '{files[name]}' cannot be read as {files[name].suffix[1:].upper()}:"
                f" {engine.explain(error)}; repair it or take it out of the folder"
            ) from error

    return Tables(files, read)


def _read_file(session: SparkSession, file: Path) -> DataFrame:
    # Spark expands wildcards: a folder named "data[1]" must not open its neighbour "data1".
    path = "file://" + re.sub(r"([*?\[\]{}\\])", r"\\\1", str(file))
    if file.suffix.lower() == ".parquet":
        return session.read.parquet(path)
    # Files whose texts hold line ends are read whole, and there wildcards cannot be escaped.
    whole = path == f"file://{file}"
    rows = session.read.csv(path, header=True, multiLine=whole, escape='"', mode="FAILFAST")
    return _with_numbers(rows)


def _with_numbers(rows: DataFrame) -> DataFrame:
    """Give columns of numbers a number's type, after one look at every value."""
    from pyspark.sql import functions

    def quoted(name: str) -> Any:
        return functions.col("`" + name.replace("`", "``") + "`")

    if not rows.columns:
        return rows
    tests = {"whole": _WHOLE, "number": _NUMBER, "any": ""}
    found = rows.agg(
        *(
            functions.bool_and(quoted(name).rlike(pattern)).alias(f"{number} {kind}")
            for number, name in enumerate(rows.columns)
            for kind, pattern in tests.items()
        )
    ).collect()[0]
    types = {
        name: "bigint" if found[f"{number} whole"] else "double"
        for number, name in enumerate(rows.columns)
        if found[f"{number} number"]
    }
    return rows.select(
        *(
            quoted(name).cast(types[name]).alias(name) if name in types else quoted(name)
            for name in rows.columns
        )
    )


def _catalogue_tables(engine: Engine, parsed: SourceUrl) -> Tables:
    session: SparkSession = engine.connection._session
    database = parsed.query["database"]
    quoted = ".".join("`" + part.replace("`", "``") + "`" for part in database.split("."))
    try:
        listed = session.sql(f"SHOW TABLES IN {quoted}").collect()
    except engine.errors as error:
        raise DataError(
            f"The database '{database}' of '{parsed.shown}' cannot be listed:"
            f" {engine.explain(error)}; correct database= in source.url"
        ) from error
    names = [row["tableName"] for row in listed if not row["isTemporary"]]
    if not names:
        raise DataError(
            f"The database '{database}' of '{parsed.shown}' holds no table; correct database= in"
            " source.url"
        )

    def read(name: str) -> ir.Table:
        rows = session.table(quoted + ".`" + name.replace("`", "``") + "`")
        return _table(engine, name, rows)

    return Tables(names, read)


def _table(engine: Engine, name: str, rows: DataFrame) -> ir.Table:
    """Name rows for Ibis, leaving out columns of types that it does not know."""
    from ibis.backends.pyspark.datatypes import PySparkType

    known = []
    for column in rows.schema.fields:
        try:
            PySparkType.to_ibis(column.dataType)
        except (NotImplementedError, IbisError):
            continue
        known.append("`" + column.name.replace("`", "``") + "`")
    view = ibis.util.gen_name("source")
    rows.select(*known).createTempView(view)
    return engine.connection.table(view)
