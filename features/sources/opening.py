"""Opening a source: files here or in a bucket, a DuckDB file, a server or a Spark cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import DataError, HealthscoreError, SettingsError
from features.sources.engines.compiled import COMPILED_ONLY, refusal
from features.sources.files.json_columns import json_columns
from features.sources.source import Source
from features.sources.url import masked, scheme_of, with_environment

if TYPE_CHECKING:
    from features.sources.lake.kept import KeptParts
    from features.sources.lake.watermarks import Watermarks


@contextmanager
def open_source(
    url: str | None,
    relative_to: Path,
    encoding: str = "utf-8",
    parts: Mapping[str, str] | None = None,
    watermarks: Watermarks | None = None,
) -> Iterator[Source]:
    """Open the tables of an address.

    Parameters
    ----------
    url : str or None
        A folder of Parquet and CSV files, a DuckDB file (``duckdb://`` may stand before either), a
        bucket (``s3://``, ``gs://``, ``az://``), ``iceberg://catalogue/namespace``,
        ``mysql://user@host:port/database``, ``postgresql://user@host:port/database?schema=crm``, or
        ``spark://?master=yarn&folder=data`` and ``spark://?database=crm``.
        ``${NAME}`` stands for an environment variable.
    relative_to : Path
        Folder that a relative path starts from.
    encoding : str
        Of text files.
    parts : mapping of str to str, optional
        Further folders or DuckDB files, whose tables are called ``NAME/TABLE``.
    watermarks : Watermarks, optional
        Which tables of a MySQL server have their rows kept here, and where.

    Raises
    ------
    SettingsError
        When the address has the wrong form, or the engine's driver is not installed.
    DataError
        When nothing readable is there, a file is written while it is read, or the engine stops
        while it is used.
    """
    address = url and with_environment(url)
    if watermarks is not None and scheme_of(address or "") in ("mysql", "mariadb"):
        from features.sources.mysql import open_mysql

        opened = open_mysql(address or "", watermarks)
    else:
        opened = _opened(address, relative_to, encoding, parts or {})
    source = _with_json_columns(opened)
    engine = source.engine
    try:
        yield source
        engine.unchanged()
    except HealthscoreError:
        raise
    except engine.errors as error:
        raise DataError(
            f"The engine {engine.name} stopped: {engine.explain(error)}; mend what it names and run"
            " again"
        ) from error
    finally:
        engine.close()


def _with_json_columns(source: Source) -> Source:
    """Read what a loader wrote as JSON as columns, where the embedded engine reads."""
    if source.engine.name != "DuckDB":
        return source
    return source.rewritten(json_columns(source.tables, source.engine.keep))


def remember(
    source: Source,
    names: Iterable[str],
    folder: Path,
    *,
    is_full: bool = False,
    only_reads: bool = False,
) -> KeptParts | None:
    """Let a source remember what was computed of the parts of its tables.

    Parameters
    ----------
    source : Source
        The opened source.
    names : iterable of str
        The tables that will be read.
    folder : Path
        Where results are kept.
    is_full : bool
        Whether everything is computed anew.
    only_reads : bool
        Whether nothing is kept that was not: of what only asks nothing is left behind.

    Returns
    -------
    KeptParts or None
        None where no table has several parts.
    """
    parted = [source.parted(name) for name in dict.fromkeys(names)]
    several = [table for table in parted if table is not None and len(table.parts) > 1]
    if not several:
        return None
    from features.sources.lake.kept import KeptParts

    kept = KeptParts(source.engine.connection, folder, is_full=is_full, only_reads=only_reads)
    for table in several:
        kept.add(table)
    source.engine = replace(source.engine, remembered=kept)
    return kept


def _opened(url: str | None, relative_to: Path, encoding: str, parts: Mapping[str, str]) -> Source:
    """Open the engine an address asks for; its driver is imported only then."""
    scheme = scheme_of(url or "")
    if parts and scheme not in ("", "duckdb"):
        raise SettingsError(
            f"[source.{next(iter(parts))}] has a url beside a source on a server, and only folders"
            " and DuckDB files can be read together; load its tables into the server"
        )
    if scheme in ("postgresql", "postgres"):
        from features.sources.postgres import open_postgres

        return open_postgres(url or "")
    if scheme in ("s3", "gs", "az"):
        from features.sources.buckets import open_bucket

        return open_bucket(url or "", encoding)
    if scheme == "iceberg":
        from features.sources.buckets import open_catalogue

        return open_catalogue(url or "")
    if scheme in ("mysql", "mariadb"):
        from features.sources.mysql import open_mysql

        return open_mysql(url or "")
    if scheme in COMPILED_ONLY:
        raise SettingsError(refusal(scheme, masked(url or "")))
    if scheme == "spark":
        from features.sources.spark import open_spark

        return open_spark(url or "", relative_to, encoding)
    from features.sources.duckdb import open_duckdb

    return open_duckdb(url, relative_to, encoding, parts)
