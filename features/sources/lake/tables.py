"""The tables of a place: each of its files, and each of its folders that is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import ibis.expr.types as ir

from features.errors import DataError
from features.sources.files.delimited import read_text_file, refuse_growing
from features.sources.files.listing import (
    is_json_file,
    is_text_file,
    json_folders,
    parts_by_table,
    table_files,
    table_name,
    unread_files,
    unread_folders,
)
from features.sources.files.packed import TableFile, unpacked_in
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
        self._packed: dict[str, TableFile] = {}
        self._parts: dict[str, list[Path]] = {}
        self._sizes: dict[Path, int] = {}
        self._opened: list[PartedTable] = []
        if isinstance(place, Folder):
            is_folder = place.path.is_dir()
            self._parts = json_folders(place.path) if is_folder else {}
            folders = [*self._folders, *self._parts]
            here = table_files(place.path, folders, beside_packed=True) if is_folder else {}
            taken = {name: str(file) for name, file in here.items()}
            taken |= {name: f"{place.path}/{name}" for name in folders}
            self._packed, broken = unpacked_in(place.path, taken, scratch)
            here |= {name: file.path for name, file in self._packed.items()}
            self._files = {name: partial(Path, file) for name, file in here.items()}
            self.unread = unread_files(place.path, unpacks=True) if is_folder else []
            others = unread_folders(place.path, folders) if is_folder and self._files else []
            self.unread = sorted([*self.unread, *broken, *others])
        else:
            self._files, self.unread = _bucket_files(place, listed, self._folders)
        # What they have together; each is a table of its own still.
        self.joined = parts_by_table([*self._files, *self._folders])
        self.joined = {
            name: parts for name, parts in self.joined.items() if parts.keys() <= self._files.keys()
        }
        self.texts = cache(self._texts)
        self.parted = cache(self._parted)

    def __iter__(self) -> Iterator[str]:
        yield from self.joined
        yield from self._files
        yield from self._folders
        yield from self._parts

    def read(self, name: str) -> ir.Table:
        """Return a table of a name."""
        texts = self.texts(name)
        if texts is not None:
            return texts.typed()
        if name in self.joined:
            from features.sources.files.periods import table_of_parts

            parts = self.joined[name]
            return self._connection.table(table_of_parts(self._connection, parts, self.read))
        if name in self._parts or (name in self._files and is_json_file(self._files[name]())):
            from features.sources.files.json_files import read_json_files

            files = self._parts.get(name) or [self._files[name]()]
            shown = files[0].parent if name in self._parts else files[0]
            return read_json_files(self._connection, files, shown)
        parted = self.parted(name)
        assert parted is not None
        return parted.whole()

    def _texts(self, name: str) -> TextTable | None:
        """Return the texts of a table that was written as text, None of another."""
        if name in self.joined:
            from features.sources.files.periods import text_of_parts

            return text_of_parts(self._connection, self.joined[name], self.texts)
        if name not in self._files:
            return None
        file, packed = self._files[name](), self._packed.get(name)
        if packed is not None and packed.is_sheet:
            with _called(packed):
                return read_text_file(self._connection, file, "utf-8")
        if not is_text_file(file):
            return None
        with _called(packed):
            self._sizes[file] = file.stat().st_size
            return read_text_file(self._connection, file, self._encoding)

    def unchanged(self) -> None:
        """Refuse a file that was changed since it was read: queries read it again.

        Raises
        ------
        DataError
            When one has other bytes than it had, or is gone.
        """
        for file, size in self._sizes.items():
            refuse_growing(file, size)
        for table in self._opened:
            table.unchanged()

    def _parted(self, name: str) -> PartedTable | None:
        """Return the parts of a table of Parquet files, None of another."""
        table = self._table_in_parts(name)
        if table is not None:
            self._opened.append(table)
        return table

    def _table_in_parts(self, name: str) -> PartedTable | None:
        if name in self._folders:
            return self._folders[name]()
        if name in self.joined or name in self._parts:
            return None
        file = self._files[name]()
        if (
            is_text_file(file)
            or is_json_file(file)
            or (name in self._packed and self._packed[name].is_sheet)
        ):
            return None
        return PartedTable(self._connection, name, [file_part(file)])


@contextmanager
def _called(file: TableFile | None) -> Iterator[None]:
    """Name what was unpacked by where it came from."""
    try:
        yield
    except DataError as error:
        if file is None:
            raise
        raise DataError(str(error).replace(str(file.path), file.shown)) from error


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
