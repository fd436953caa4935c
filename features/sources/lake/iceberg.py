"""Iceberg: the rows of one snapshot of a table, with deletes and renamed columns carried out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from features.errors import DataError, SettingsError, first_line, sample
from features.sources.lake.parts import Part, PartedTable

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask, Table


def opened_by_metadata(name: str, where: str, options: Mapping[str, str]) -> Table:
    """Open a table by the address of its metadata file.

    Raises
    ------
    SettingsError
        When the reader of Iceberg tables is not installed.
    DataError
        When it cannot be opened.
    """
    with _named(name):
        from pyiceberg.table import StaticTable

        return StaticTable.from_metadata(where, dict(options))


def catalogue_tables(
    catalogue: str, namespace: str, properties: Mapping[str, str]
) -> dict[str, Table]:
    """Open every table of a catalogue's namespace.

    What the catalogue needs beside these properties, credentials first of all, PyIceberg finds in
    its own file and environment.

    Raises
    ------
    SettingsError
        When the reader of Iceberg tables is not installed.
    DataError
        When the catalogue or the namespace is not there.
    """
    with _named(f"{catalogue}/{namespace}"):
        from pyiceberg.catalog import load_catalog

        opened = load_catalog(catalogue, **properties)
        names = opened.list_tables(namespace)
        if not names:
            raise DataError(
                f"The namespace {sample([namespace])} of the Iceberg catalogue"
                f" {sample([catalogue])} holds no table; correct source.url"
            )
        return {name[-1]: opened.load_table(name) for name in names}


def iceberg_table(
    connection: Backend, name: str, table: Table, snapshot: int | None, scratch: Path
) -> PartedTable:
    """Read one snapshot of an Iceberg table.

    Parameters
    ----------
    connection : ibis DuckDB backend
        What reads the rows.
    name : str
        The table's name.
    table : pyiceberg Table
        The opened table.
    snapshot : int or None
        The newest when None.
    scratch : Path
        Where rows are written to as plain Parquet: only Iceberg's own reader knows of deleted rows
        and of columns that were renamed.

    Raises
    ------
    DataError
        When the snapshot is not there, or a file of it is gone.
    """
    with _named(name):
        scan = table.scan(snapshot_id=snapshot)
        schema = scan.projection()
        tasks = list(scan.plan_files())
        arrow = schema.as_arrow()
    if not tasks:
        raise DataError(f"The Iceberg table '{name}' holds no row; correct source.url")

    def part(task: FileScanTask) -> Part:
        deletes = sorted(file.file_path for file in task.delete_files)
        identity = f"{task.file.file_path}|{task.file.file_size_in_bytes}|{deletes}|{schema}"
        file = scratch / name / (hashlib.sha256(identity.encode()).hexdigest() + ".parquet")

        def fetch() -> Path:
            if not file.exists():
                with _named(name):
                    _write(table, schema, task, file)
            return file

        return Part(identity, fetch)

    parts = [part(task) for task in tasks]
    return PartedTable(connection, name, parts, schema=ibis.Schema.from_pyarrow(arrow))


def _write(table: Table, schema: Schema, task: FileScanTask, file: Path) -> None:
    from pyarrow import parquet
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow

    file.parent.mkdir(parents=True, exist_ok=True)
    scan = ArrowScan(table.metadata, table.io, schema, AlwaysTrue())
    arrow = schema_to_pyarrow(schema, include_field_ids=False)
    fresh = file.with_suffix(".part")
    with parquet.ParquetWriter(fresh, arrow) as writer:
        for batch in scan.to_record_batches([task]):
            writer.write_batch(batch.cast(arrow))
    fresh.replace(file)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the table that cannot be read, or the extra that is missing."""
    try:
        from pyiceberg.exceptions import (
            NoSuchNamespaceError,
            NoSuchTableError,
            ServerError,
            ValidationError,
        )
    except ImportError as error:
        raise SettingsError(
            f"The Iceberg table '{name}' is read with an extra: pip install 'healthscore[iceberg]'"
        ) from error
    try:
        yield
    except (
        NoSuchNamespaceError,
        NoSuchTableError,
        ServerError,
        ValidationError,
        OSError,
        ValueError,
    ) as error:
        raise DataError(
            f"The Iceberg table '{name}' cannot be read: {first_line(error)}; correct source.url,"
            " or restore what was taken away"
        ) from error
