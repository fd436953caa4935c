"""Delta Lake: the files of one version of a table, as its log lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import ibis

from features.errors import DataError, SettingsError, first_line, sample
from features.sources.lake.parts import Part, PartedTable, partition_types

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from ibis.backends.duckdb import Backend

_READ = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "typeWidening", "variantType"}
"""Features of the log that change nothing in how a file's rows are read."""


def delta_table(
    connection: Backend,
    name: str,
    where: str,
    version: int | None,
    options: Mapping[str, str],
    bring: Callable[[str], Path],
) -> PartedTable:
    """Read one version of a Delta table.

    Parameters
    ----------
    connection : ibis DuckDB backend
        What reads the files.
    name : str
        The table's name.
    where : str
        Its folder, or its address.
    version : int or None
        The newest when None.
    options : mapping of str to str
        What the log's reader is told of the storage.
    bring : callable
        Returns a file of this machine for a path below the table's folder.

    Raises
    ------
    SettingsError
        When the reader of Delta tables is not installed.
    DataError
        When the version is not there, or keeps its rows in a way that files alone do not tell.
    """
    table = _opened(name, where, version, options)
    features = set(table.protocol().reader_features or ()) - _READ
    if features or table.protocol().min_reader_version == 2:
        raise DataError(
            f"The Delta table '{name}' uses {sample(sorted(features) or ['columnMapping'])}, with"
            " which files alone do not tell its rows; rewrite it without (REORG TABLE … APPLY"
            " (PURGE)), or read it on Spark"
        )
    schema = ibis.Schema.from_pyarrow(_arrow_schema(table))
    import pyarrow as pa

    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    files = [unquote(action["path"]) for action in actions]
    if not files:
        raise DataError(f"The Delta table '{name}' of '{where}' holds no row; correct source.url")

    def part(path: str, size: int) -> Part:
        # A file of the log is never written again: another version lists other files.
        return Part(f"{where}/{path}|{size}|{schema!r}", lambda: bring(path))

    parts = [part(path, action["size_bytes"]) for path, action in zip(files, actions, strict=True)]
    keys = partition_types([Path(path) for path in files])
    return PartedTable(connection, name, parts, keys, schema)


def _arrow_schema(table: DeltaTable) -> object:
    import pyarrow as pa

    return pa.schema(table.schema().to_arrow())


def _opened(name: str, where: str, version: int | None, options: Mapping[str, str]) -> DeltaTable:
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise SettingsError(
            f"The Delta table '{name}' is read with an extra: pip install 'healthscore[delta]'"
        ) from error
    try:
        return DeltaTable(where, version=version, storage_options=dict(options) or None)
    except (DeltaError, OSError, ValueError) as error:
        asked = "" if version is None else f" in version {version}"
        raise DataError(
            f"The Delta table '{name}' cannot be opened{asked}: {first_line(error)}; correct"
            " source.url, or restore what a vacuum took"
        ) from error
