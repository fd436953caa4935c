"""Tables that are folders: partitioned files, Delta Lake and Iceberg, here or in a bucket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from features.errors import DataError, nearest, sample
from features.sources.lake.listing import Layout, newest_metadata, parquet_files, table_layout
from features.sources.lake.parts import Part, PartedTable, partition_types
from features.sources.lake.place import Listed

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

Open = Callable[[], PartedTable]
"""Opens a table, once."""


class Place(Protocol):
    """A folder of this machine or of a bucket."""

    shown: str

    def files(self) -> list[Listed]:
        """List every file below it."""
        ...

    def part(self, file: Listed) -> Part:
        """Return a Parquet file as rows of a table."""
        ...

    def bring(self, path: str) -> Path:
        """Return a file of this machine that holds what a path does."""
        ...

    def address(self, path: str) -> str:
        """Return what other readers call a path."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """What the reader of Delta logs is told of the storage."""
        ...

    @property
    def iceberg_options(self) -> Mapping[str, str]:
        """What the reader of Iceberg's metadata is told of the storage."""
        ...


@dataclass(frozen=True)
class FolderTable:
    """A folder that is a table.

    Parameters
    ----------
    name : str
        The folder's name.
    layout : {"delta", "iceberg", "files"}
        How it holds its rows.
    files : tuple of Listed
        Everything in it, by paths from the folder on.
    """

    name: str
    layout: Layout
    files: tuple[Listed, ...]


def folder_tables(files: list[Listed]) -> list[FolderTable]:
    """Find the folders of a place that are tables."""
    below: dict[str, list[Listed]] = {}
    for file in files:
        folder, slash, rest = file.path.partition("/")
        if slash and not folder.startswith((".", "_")):
            below.setdefault(folder, []).append(Listed(rest, file.size, file.stamp))
    return [
        FolderTable(folder, layout, tuple(held))
        for folder, held in below.items()
        if (layout := table_layout(file.path for file in held)) is not None
    ]


def lake_tables(
    connection: Backend,
    place: Place,
    files: list[Listed],
    versions: Mapping[str, int],
    scratch: Callable[[], Path],
) -> dict[str, Open]:
    """Return what opens each table of a place that is a folder.

    Parameters
    ----------
    connection : ibis DuckDB backend
        What reads them.
    place : Place
        Where they lie.
    files : list of Listed
        What the place holds.
    versions : mapping of str to int
        The version of a Delta table, or the snapshot of an Iceberg table, by the table's name.
    scratch : callable
        Returns a folder for what is read in another form than it is kept in.

    Raises
    ------
    DataError
        When a version is asked of what has none.
    """
    found = {table.name: table for table in folder_tables(files)}
    for name in versions:
        if name not in found or found[name].layout == "files":
            kept = [name for name, table in found.items() if table.layout != "files"]
            hint = nearest(name, kept) or f"; tables with versions are {sample(kept) or 'none'}"
            raise DataError(
                f"The source '{place.shown}' asks for a version of table {sample([name])}, which"
                f" is no Delta or Iceberg table there{hint}"
            )

    def opener(table: FolderTable) -> Open:
        version = versions.get(table.name)
        return cache(lambda: _open(connection, place, table, version, scratch))

    return {name: opener(table) for name, table in found.items()}


def _open(
    connection: Backend,
    place: Place,
    table: FolderTable,
    version: int | None,
    scratch: Callable[[], Path],
) -> PartedTable:
    name = table.name
    if table.layout == "delta":
        from features.sources.lake.delta import delta_table

        where = place.address(name)
        return delta_table(
            *(connection, name, where, version, place.options),
            lambda path: place.bring(f"{name}/{path}"),
        )
    if table.layout == "iceberg":
        from features.sources.lake.iceberg import (
            iceberg_table,
            opened_by_metadata,
        )

        metadata = newest_metadata([file.path for file in table.files])
        opened = opened_by_metadata(
            name, place.address(f"{name}/{metadata}"), place.iceberg_options
        )
        return iceberg_table(connection, name, opened, version, scratch())
    held = set(parquet_files(file.path for file in table.files))
    parts = [
        place.part(Listed(f"{name}/{file.path}", file.size, file.stamp))
        for file in table.files
        if file.path in held
    ]
    return PartedTable(connection, name, parts, partition_types([Path(path) for path in held]))
