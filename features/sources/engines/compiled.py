"""Engines whose SQL is compiled here and was never run: what is said of them, and the compiling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import ibis.expr.types as ir

Label = Literal["run", "compiled only"]
RUN: Mapping[str, str] = MappingProxyType(
    {
        "DuckDB": "files, buckets, Delta Lake, Iceberg and DuckDB files",
        "PostgreSQL": "its tables",
        "Spark": "files and tables of its catalogue",
        "MySQL": "its tables, read into DuckDB",
    }
)
"""Engines whose suite of tests runs, and what they read."""


@dataclass(frozen=True)
class CompiledOnly:
    """An engine that nothing here was run on.

    Parameters
    ----------
    name : str
        What people call it.
    compiler : str
        Ibis' compiler.
    dialect : str
        Of the statements.
    has_sets : bool
        Whether distinct users, features and days can be compiled too.
    """

    name: str
    compiler: str
    dialect: str
    has_sets: bool = True


COMPILED_ONLY: Mapping[str, CompiledOnly] = MappingProxyType(
    {
        "snowflake": CompiledOnly("Snowflake", "SnowflakeCompiler", "snowflake"),
        "bigquery": CompiledOnly("BigQuery", "BigQueryCompiler", "bigquery"),
        "redshift": CompiledOnly("Redshift", "PostgresCompiler", "redshift"),
        "databricks": CompiledOnly("Databricks", "DatabricksCompiler", "databricks"),
        "clickhouse": CompiledOnly("ClickHouse", "ClickHouseCompiler", "clickhouse"),
        "mssql": CompiledOnly("SQL Server", "MSSQLCompiler", "tsql", has_sets=False),
    }
)
"""By the scheme of the address."""


def label_of(engine: str) -> Label:
    """Return what is known of an engine by its name.

    Examples
    --------
    >>> label_of("DuckDB"), label_of("Snowflake")
    ('run', 'compiled only')
    """
    return "run" if engine in RUN else "compiled only"


def refusal(scheme: str, shown: str) -> str:
    """Say why an address cannot be opened, and what can."""
    engine = COMPILED_ONLY[scheme]
    return (
        f"The source '{shown}' names {engine.name}, which is compiled only: its statements are"
        " made in the tests and none was ever run, so no score may rest on them; unload the tables"
        " as Parquet, Delta or Iceberg and name that folder or bucket in source.url"
    )


def compiled(scheme: str, table: ir.Table) -> str:
    """Compile an expression into the statement that the engine would be asked."""
    from ibis.backends.sql import compilers

    engine = COMPILED_ONLY[scheme]
    compiler = getattr(compilers, engine.compiler)()
    return str(compiler.to_sqlglot(table).sql(engine.dialect, pretty=True))
