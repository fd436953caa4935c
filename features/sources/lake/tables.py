"""The tables of a place: each of its files, and each of its folders that is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import ibis.expr.types as ir

from features.errors import DataError
from features.sources.files.delimited import read_text_file
from features.sources.files.listing import is_text_file, table_files, table_name, unread_files
from features.sources.files.plain_forms import TextTable
from features.sources.lake.opening import lake_tables
from features.sources.lake.parts import PartedTable, file_part
from features.sources.lake.place import Bucket, Folder, Listed

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


class PlaceTables:
    """The tables of a folder or a bucket, each opened once and only when it is asked for.

    Parameters
    ----------
    connection : ibis DuckDB backend
        What reads them.
    place : Folder or Bucket
        Where they lie.
    encoding : str
        Of text files.
    versions : mapping of str to int
        The version of a Delta or Iceberg table, by its name.
    scratch : callable
        Returns a folder for what is read in another form than it is kept in.

    Raises
    ------
    DataError
        When there is none, or one is there twice.
    """

    def __init__(
        self,
        connection: Backend,
        place: Folder | Bucket,
        encoding: str,
        versions: Mapping[str, int],
        scratch: Callable[[], Path],
    ) -> None:
        self._connection = connection
        self._encoding = encoding
        listed = place.files()
        self._folders = lake_tables(connection, place, listed, versions, scratch)
        self._files: dict[str, Callable[[], Path]]
        if isinstance(place, Folder):
            here = table_files(place.path, self._folders)
            self._files = {name: partial(Path, file) for name, file in here.items()}
            self.unread = unread_files(place.path)
        else:
            self._files, self.unread = _bucket_files(place, listed, self._folders)
        self.texts = cache(self._texts)
        self.parted = cache(self._parted)

    def __iter__(self) -> Iterator[str]:
        yield from self._files
        yield from self._folders

    def read(self, name: str) -> ir.Table:
        """Return a table of a name."""
        texts = self.texts(name)
        if texts is not None:
            return texts.typed()
        parted = self.parted(name)
        assert parted is not None
        return parted.whole()

    def _texts(self, name: str) -> TextTable | None:
        """Return the texts of a table that was written as text, None of another."""
        if name not in self._files:
            return None
        file = self._files[name]()
        if not is_text_file(file):
            return None
        return read_text_file(self._connection, file, self._encoding)

    def _parted(self, name: str) -> PartedTable | None:
        """Return the parts of a table of Parquet files, None of another."""
        if name in self._folders:
            return self._folders[name]()
        file = self._files[name]()
        if is_text_file(file):
            return None
        return PartedTable(self._connection, name, [file_part(file)])


def _bucket_files(
    bucket: Bucket, listed: list[Listed], beside: Mapping[str, object]
) -> tuple[dict[str, Callable[[], Path]], list[str]]:
    """List the files that lie in a bucket's folder itself: those that are tables, and others."""
    files: dict[str, Callable[[], Path]] = {}
    unread = []
    for file in listed:
        if "/" in file.path or file.path.startswith((".", "_")):
            continue
        name = table_name(file.path)
        if name is None:
            unread.append(file.path)
        elif name in files or name in beside:
            raise DataError(
                f"The source '{bucket.shown}' holds table '{name}' twice, once as '{file.path}';"
                " keep one of them"
            )
        else:
            files[name] = partial(bucket.bring, file.path)
    if not files and not beside:
        raise DataError(
            f"The source '{bucket.shown}' holds no Parquet or CSV file; correct source.url"
        )
    return files, unread
