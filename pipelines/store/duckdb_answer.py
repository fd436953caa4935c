"""Answers of DuckDB as Arrow batches, in bounded memory."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb
import pyarrow as pa

# What DuckDB may hold beside the batch at hand. It writes the rest to the file as it goes, and
# would otherwise keep a copy of that in most of the machine's memory.
MEMORY = "256MB"
BATCH_ROWS = 65_536
REPEATED = "select account_id from {rows} group by account_id having count(*) > 1 limit 100"


def spill_folder() -> str:
    """Name a folder, where the system keeps temporary files, for what exceeds the memory.

    The engine makes it when it must and takes it away again.
    """
    return str(Path(tempfile.gettempdir()) / f"healthscore-{os.getpid()}-{secrets.token_hex(4)}")


def batches_of(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: Sequence[object],
    schema: pa.Schema,
    speaking: Callable[[], AbstractContextManager[None]],
    unread: set[pa.RecordBatchReader],
) -> pa.RecordBatchReader:
    """Answer a query batch by batch, in columns of these types.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Serves this answer alone, and is closed after it.
    query : str
        The query, its parameters written ``?``.
    parameters : sequence
        Their values.
    schema : Schema
        The columns.
    speaking : callable
        Context manager that turns the engine's complaints into sentences.
    unread : set of RecordBatchReader
        Holds the engine's own answer until it is read to its end. Whoever closes the engine must
        close these first: one that is left open blocks every later opening of the file.
    """
    with speaking():
        answer = connection.sql(query, params=list(parameters)).to_arrow_reader(BATCH_ROWS)
    unread.add(answer)

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            with speaking():
                for batch in answer:
                    yield batch.cast(schema)
        finally:
            unread.discard(answer)
            answer.close()
            connection.close()

    return pa.RecordBatchReader.from_batches(schema, batches())
