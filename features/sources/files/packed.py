"""Workbooks, zip archives, SQLite files: what they hold is unpacked into a folder and read there.

A sheet becomes a delimited file, so that it is read with every check that CSV has. What an archive
says of its size is not believed: what comes out of it is counted.
"""

from __future__ import annotations

import csv
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from features.errors import DataError
from features.sources.files.listing import files_by_table, is_packed, is_sqlite, packed_files

if TYPE_CHECKING:
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

MOST_MEMBERS, MOST_SHEETS = 5_000, 200
MOST_BYTES = 4 << 30
"""What one archive may hold, unpacked."""
MOST_SHEET_BYTES = 512 << 20
"""What the sheets of one workbook may hold as XML: some four million rows of five columns."""
_CHUNK = 1 << 20
_NO_NAME = re.compile(r"(sheet|tabelle|feuil(le)?|hoja|foglio|blad|export|data)[ _]?\d*", re.I)
_NOT_IN_NAMES = re.compile(r"[/\\\0]")


@dataclass(frozen=True)
class TableFile:
    """A file that holds one table.

    Parameters
    ----------
    path : Path
        Where it lies.
    shown : str
        What it is called in messages: where it came from, if it was unpacked.
    is_sheet : bool
        Whether it was a sheet, and is UTF-8 whatever other files are.
    """

    path: Path
    shown: str
    is_sheet: bool = False


def unpacked_in(
    place: Path, taken: Mapping[str, str], scratch: Callable[[], Path]
) -> tuple[dict[str, TableFile], list[str]]:
    """Unpack the workbooks and archives of a folder, or the one that a place is.

    Parameters
    ----------
    place : Path
        The folder or file.
    taken : mapping of str to str
        Tables that lie beside them, and where.
    scratch : callable
        Returns a folder to unpack into.

    Returns
    -------
    dict of str to TableFile
        By the names of the tables.
    list of str
        Workbooks and archives beside other tables that are broken, and not read.

    Raises
    ------
    DataError
        When a table is there twice, or what alone holds tables cannot be read.
    """
    if place.is_file():
        tables = _unpacked(place, str(place), scratch)
        if not tables:
            raise DataError(f"The file '{place}' holds no table; correct source.url")
        return tables, []
    tables = {}
    unread: list[str] = []
    broken: DataError | None = None
    for file in packed_files(place):
        try:
            inner = _unpacked(file, str(file), scratch)
        except DataError as error:
            broken, unread = error, [*unread, file.name]
            continue
        for name in sorted(inner.keys() & taken.keys()):
            raise DataError(
                f"The folder '{place}' holds table '{name}' twice, as '{taken[name]}' and as"
                f" '{inner[name].shown}'; keep one of them"
            )
        _add(tables, inner, file, place)
    if broken is not None and not tables and not taken:
        raise broken
    return tables, unread


def _add(
    tables: dict[str, TableFile], inner: dict[str, TableFile], file: Path, place: Path
) -> None:
    """Add what was unpacked; of sheets with one name in two workbooks the second has both names."""
    for name, found in inner.items():
        other = tables.get(name)
        if other is not None and not (other.is_sheet and found.is_sheet):
            raise DataError(
                f"The folder '{place}' holds table '{name}' twice, as '{other.shown}' and as"
                f" '{found.shown}'; keep one of them"
            )
        tables[name if other is None else f"{file.stem}_{name}"] = found


def _unpacked(file: Path, shown: str, scratch: Callable[[], Path]) -> dict[str, TableFile]:
    """Unpack a workbook or an archive, and list the files of tables that were in it."""
    place = Path(tempfile.mkdtemp(dir=scratch())) / _NOT_IN_NAMES.sub("_", file.name)
    place.mkdir()
    if is_sqlite(file):
        from features.sources.files.sqlite import tables_of_sqlite

        inside = tables_of_sqlite(file, place)
        return {name: TableFile(path, f"{shown}/{name}", True) for name, path in inside.items()}
    if file.suffix.lower() != ".zip":
        sheets = _from_workbook(file, place)
        return {n: TableFile(path, f"{shown}/{path.name}", True) for n, path in sheets.items()}
    members = _from_zip(file, place)
    books = [each for each in members if is_packed(each) and each.suffix.lower() != ".zip"]
    plain = files_by_table([each for each in members if not is_packed(each)], file)
    tables = {name: TableFile(path, f"{shown}/{path.name}") for name, path in plain.items()}
    for book in books:
        _add(tables, _unpacked(book, f"{shown}/{book.name}", scratch), book, file)
    return tables


def _from_zip(file: Path, place: Path) -> list[Path]:
    """Write the members of an archive that may hold tables, by their own last names."""
    written: list[Path] = []
    room = MOST_BYTES
    try:
        with zipfile.ZipFile(file) as archive:
            members = [each for each in archive.infolist() if _may_hold_tables(each)]
            if len(members) > MOST_MEMBERS:
                raise DataError(
                    f"The archive '{file}' holds {len(members):,} files, and at most"
                    f" {MOST_MEMBERS:,} are unpacked; unpack it and name a folder of it"
                )
            for number, member in enumerate(members):
                target = place / str(number)
                target.mkdir()
                target = target / PurePosixPath(member.filename).name
                with archive.open(member) as stream, target.open("wb") as sink:
                    while chunk := stream.read(_CHUNK):
                        room -= len(chunk)
                        if room < 0:
                            raise DataError(
                                f"The archive '{file}' holds more than {MOST_BYTES >> 30} GiB"
                                " unpacked; unpack it yourself and name its folder"
                            )
                        sink.write(chunk)
                written.append(target)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise DataError(
            f"The archive '{file}' cannot be read: {error or type(error).__name__}; repair it, or"
            " unpack it and name the folder"
        ) from error
    return written


def _may_hold_tables(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename.replace("\\", "/")).parts
    hidden = any(part.startswith((".", "_")) and part != ".." for part in parts[-1:])
    return not member.is_dir() and bool(parts) and not hidden and "__MACOSX" not in parts


def _from_workbook(file: Path, place: Path) -> dict[str, Path]:
    """Write every sheet with rows as a delimited file; a single one is called as the file."""
    from openpyxl import load_workbook

    _refuse_large(file)
    sheets: dict[str, Path] = {}
    try:
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        try:
            if len(book.sheetnames) > MOST_SHEETS:
                raise DataError(
                    f"The workbook '{file}' has {len(book.sheetnames):,} sheets, and at most"
                    f" {MOST_SHEETS} are read; save those you need in a workbook of their own"
                )
            for sheet in book.worksheets:
                target = place / _NOT_IN_NAMES.sub("_", sheet.title)
                if _write_sheet(sheet, target):
                    sheets[sheet.title] = target
        finally:
            book.close()
    except DataError:
        raise
    # The parser meets a broken file with errors of every kind.
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(
            f"The workbook '{file}' cannot be read: {reason}; save it again, or its sheets as CSV"
        ) from error
    if len(sheets) == 1 and _NO_NAME.fullmatch(next(iter(sheets))):
        return {file.stem: next(iter(sheets.values()))}
    return sheets


def _refuse_large(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"The workbook '{file}' cannot be read: it is no XLSX file, or has a password; save it"
            " again, or its sheets as CSV"
        ) from error
    if size > MOST_SHEET_BYTES:
        raise DataError(
            f"The workbook '{file}' holds {size >> 20:,} MiB of sheets, and at most"
            f" {MOST_SHEET_BYTES >> 20:,} MiB are read; save its sheets as CSV"
        )


def _write_sheet(sheet: ReadOnlyWorksheet, target: Path) -> bool:
    """Write a sheet's rows from its first that is not blank; tell whether there were any."""
    # What a program wrote as the sheet's size may be wrong.
    sheet.reset_dimensions()
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        rows = 0
        for row in _filled(sheet.iter_rows(values_only=True)):
            writer.writerow(row)
            rows += 1
    return rows > 0


def _filled(rows: Iterable[tuple[object, ...]]) -> Iterator[list[str]]:
    """Return rows as texts of one width, without blank ones and blank columns at the end.

    A row that is wider than those before it is kept so, and refused as a line of a file would be.
    """
    width = 0
    for row in rows:
        texts = [_text(value) for value in row]
        while texts and not texts[-1]:
            texts.pop()
        if not texts:
            continue
        width = max(width, len(texts))
        yield texts + [""] * (width - len(texts))


def _text(value: object) -> str:
    """Write a cell as text: times as in ISO 8601, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    return value.isoformat() if isinstance(value, date | time) else str(value)
