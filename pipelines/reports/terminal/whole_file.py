"""Files that are put in place whole: whoever is killed, or has no room, leaves the old one."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from features.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIXES = (".parquet", ".csv")


@contextmanager
def replaced_whole(path: Path) -> Iterator[Path]:
    """Give a fresh file to write, and put it in place in one step when that went well.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with replaced_whole(Path(folder) / "note.txt") as fresh:
    ...         _ = fresh.write_text("done")
    ...     [file.name for file in Path(folder).iterdir()]
    ['note.txt']
    """
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        yield fresh
        if path.exists():
            shutil.copymode(path, fresh)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def to_disk(file: IO[Any]) -> None:
    """Return when what was written to an open file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def folder_to_disk(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def refuse_other_suffix(file: Path | None, what: str) -> None:
    """Stop before long work whose result could not be written.

    Raises
    ------
    SettingsError
        When the file's suffix is none that tables are written with.

    Examples
    --------
    >>> refuse_other_suffix(Path("table.xlsx"), "The feature table")
    Traceback (most recent call last):
    features.errors.SettingsError: The feature table is written as .parquet or .csv, and ...
    """
    if file is not None and file.suffix.lower() not in TABLE_SUFFIXES:
        raise SettingsError(
            f"{what} is written as {' or '.join(TABLE_SUFFIXES)}, and '{file}' ends in"
            f" '{file.suffix}'; name another file with --out"
        )


def write_table(frame: pd.DataFrame, file: Path) -> None:
    """Write a table as Parquet or CSV, by the file's suffix."""
    with replaced_whole(file) as fresh:
        if file.suffix.lower() == ".csv":
            frame.to_csv(fresh, index=False)
        else:
            frame.to_parquet(fresh, index=False)
