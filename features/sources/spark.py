"""Tables that Spark reads: files that every executor can reach, or those of its catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
from ibis.common.exceptions import IbisError

from features.errors import DataError, SettingsError, nearest, sample
from features.sources.engines.engine import Engine
from features.sources.files.delimited import Dialect, dialect_of
from features.sources.files.listing import is_json_file, is_text_file, table_files, unread_files
from features.sources.files.plain_forms import TextTable, text_table
from features.sources.source import Source, Tables
from features.sources.spark_session import spark_engine
from features.sources.url import SourceUrl, parse_url

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FORM = "spark://?master=MASTER&folder=FOLDER or spark://?master=MASTER&database=DATABASE"
_OPTIONS = ("master", "folder", "database")


def open_spark(url: str, relative_to: Path, encoding: str = "utf-8") -> Source:
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
            folder = relative_to / parsed.query["folder"]
            tables, texts = folder_tables(engine, folder, encoding)
            unread = unread_files(folder)
            return Source(engine, tables, parsed.shown, texts=texts, unread=unread)
        return Source(engine, _catalogue_tables(engine, parsed), parsed.shown)
    except BaseException:
        engine.close()
        raise


def folder_tables(
    engine: Engine, folder: Path, encoding: str = "utf-8"
) -> tuple[Tables, Callable[[str], TextTable | None]]:
    """List the Parquet and text files of a folder that the driver and every executor can read.

    Raises
    ------
    DataError
        When the folder or a file cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"The folder '{folder}' does not exist; correct folder= in source.url")
    files = table_files(folder.resolve())
    files = {name: file for name, file in files.items() if not is_json_file(file)}

    read_before: dict[str, TextTable] = {}

    def texts(name: str) -> TextTable | None:
        if not is_text_file(files[name]):
            return None
        if name not in read_before:
            dialect = dialect_of(files[name], encoding)
            if dialect.skip:
                raise DataError(
                    f"The header of the file '{files[name]}' is line {dialect.skip + 1}, and Spark"
                    " reads it from the first; take out what stands before it"
                )
            with _named(engine, files[name]):
                rows = _read_text(engine.connection._session, files[name], dialect)
                read_before[name] = text_table(_table(engine, name, rows))
        return read_before[name]

    def read(name: str) -> ir.Table:
        table = texts(name)
        if table is not None:
            return table.typed()
        with _named(engine, files[name]):
            rows = engine.connection._session.read.parquet(_escaped(files[name]))
            return _table(engine, name, rows)

    return Tables(files, read), texts


@contextmanager
def _named(engine: Engine, file: Path) -> Iterator[None]:
    """Name the file that Spark cannot read."""
    try:
        yield
    except engine.errors as error:
        raise DataError(
            f"The file '{file}' cannot be read: {engine.explain(error)}; repair it or take it out"
            " of the folder"
        ) from error


def _escaped(file: Path) -> str:
    # Spark expands wildcards: a folder named "data[1]" must not open its neighbour "data1".
    return "file://" + re.sub(r"([*?\[\]{}\\])", r"\\\1", str(file))


def _read_text(session: SparkSession, file: Path, dialect: Dialect) -> DataFrame:
    """Read a delimited file, every value as text."""
    path = _escaped(file)
    # Files whose texts hold line ends are read whole, and there wildcards cannot be escaped.
    whole = path == f"file://{file}"
    rows = session.read.csv(
        path,
        header=True,
        sep=dialect.delimiter,
        encoding=dialect.encoding,
        multiLine=whole,
        escape='"',
        mode="FAILFAST",
    )
    return rows.toDF(*dialect.names) if len(rows.columns) == len(dialect.names) else rows


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
