"""Which tables a folder holds that are folders themselves, by the files below them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Layout = Literal["delta", "iceberg", "files"]
LOG = "_delta_log"
_NUMBER = re.compile(r"metadata/v?([0-9]+)(-.*)?[.]metadata[.]json")
_HEX = re.compile(r"[0-9a-f]{8,}|[0-9]+")


def table_layout(files: Iterable[str]) -> Layout | None:
    """Tell how a folder holds one table; None where it holds none, or several.

    Parameters
    ----------
    files : iterable of str
        Paths of all files below the folder, from it on.

    Examples
    --------
    >>> table_layout(["month=2024-01/part-0.parquet", "month=2024-02/part-0.parquet"])
    'files'
    >>> table_layout(["customers.parquet", "charges.parquet"]) is None
    True
    """
    held = list(files)
    if any(file.startswith(LOG + "/") for file in held):
        return "delta"
    if newest_metadata(held) is not None:
        return "iceberg"
    return "files" if _is_one_table(parquet_files(held)) else None


def parquet_files(files: Iterable[str]) -> list[str]:
    """List the Parquet files that are no notes of a writer."""
    return sorted(
        file
        for file in files
        if file.lower().endswith(".parquet")
        and not any(part.startswith((".", "_")) for part in file.split("/"))
    )


def _is_one_table(files: list[str]) -> bool:
    """Whether folders are named ``key=value`` alone, or files differ in numbers alone."""
    folders = {part for file in files for part in file.split("/")[:-1]}
    if not files or not all("=" in folder for folder in folders):
        return False
    names = {_HEX.sub("", file.rpartition("/")[2].lower()) for file in files}
    is_numbered = all(_HEX.search(file.rpartition("/")[2].lower()) for file in files)
    return bool(folders) or (len(names) == 1 and is_numbered)


def newest_metadata(files: list[str]) -> str | None:
    """Return the newest of the metadata files among a table's files, None where there is none.

    Examples
    --------
    >>> newest_metadata(["metadata/v9.metadata.json", "metadata/v10.metadata.json", "a.parquet"])
    'metadata/v10.metadata.json'
    """
    numbered = [(int(match[1]), file) for file in files if (match := _NUMBER.fullmatch(file))]
    return max(numbered)[1] if numbered else None
