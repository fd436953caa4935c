"""Opening a source: files, a DuckDB file, a PostgreSQL server or a Spark cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import DataError, HealthscoreError
from features.sources.source import Source
from features.sources.url import scheme_of, with_environment


@contextmanager
def open_source(url: str, relative_to: Path, encoding: str = "utf-8") -> Iterator[Source]:
    """Open the tables of an address.

    Parameters
    ----------
    url : str
        A folder of Parquet and CSV files, a DuckDB file (``duckdb://`` may stand before either),
        ``postgresql://user@host:port/database?schema=crm``, or ``spark://?master=yarn&folder=data``
        and ``spark://?database=crm``. ``${NAME}`` stands for an environment variable.
    relative_to : Path
        Folder that a relative path starts from.
    encoding : str
        Of text files.

    Raises
    ------
    SettingsError
        When the address has the wrong form, or the engine's driver is not installed.
    DataError
        When nothing readable is there, or the engine stops while it is used.
    """
    source = _opened(with_environment(url), relative_to, encoding)
    engine = source.engine
    try:
        yield source
    except HealthscoreError:
        raise
    except engine.errors as error:
        raise DataError(
            f"The engine {engine.name} stopped: {engine.explain(error)}; mend what it names and run"
            " again"
        ) from error
    finally:
        engine.close()


def _opened(url: str, relative_to: Path, encoding: str) -> Source:
    """Open the engine an address asks for; its driver is imported only then."""
    scheme = scheme_of(url)
    if scheme in ("postgresql", "postgres"):
        from features.sources.postgres import open_postgres

        return open_postgres(url)
    if scheme == "spark":
        from features.sources.spark import open_spark

        return open_spark(url, relative_to, encoding)
    from features.sources.duckdb import open_duckdb

    return open_duckdb(url, relative_to, encoding)
