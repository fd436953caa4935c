"""The engine that a snapshot is made in: tables out of batches."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa


def fill(
    engine: duckdb.DuckDBPyConnection,
    table: str,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema | None = None,
) -> None:
    """Make a table of batches, one at a time.

    Parameters
    ----------
    engine : DuckDBPyConnection
        Where.
    table : str
        What it is called.
    batches : iterable of RecordBatch
        The rows.
    schema : Schema, optional
        Their columns; those of a reader by default.
    """
    schema = schema or getattr(batches, "schema")  # noqa: B009 - a reader has one
    engine.register("batch", schema.empty_table())
    engine.execute(f"create table {table} as select * from batch").fetchall()
    for batch in batches:
        engine.register("batch", pa.Table.from_batches([batch]))
        engine.execute(f"insert into {table} select * from batch").fetchall()
    engine.unregister("batch")
