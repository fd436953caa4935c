"""Which files of a folder hold tables, and which lie beside them unread."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from features.errors import DataError, sample

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
FILE_SUFFIXES = (".parquet", *TEXT_SUFFIXES)


def table_files(folder: Path, beside: Collection[str] = ()) -> dict[str, Path]:
    """List a folder's Parquet and text files by the names of the tables they hold.

    ``beside`` are the names of its folders that are tables themselves.

    Raises
    ------
    DataError
        When there is none, or one table is there twice.
    """
    found: dict[str, Path] = {}
    for file in _visible_files(folder):
        name = _table_of(file)
        if name is None:
            continue
        if name in found:
            raise DataError(
                f"The folder '{folder}' holds table '{name}' twice, as '{found[name].name}' and as"
                f" '{file.name}'; keep one of them"
            )
        if name in beside:
            raise DataError(
                f"The folder '{folder}' holds table '{name}' twice, as the folder '{name}' and as"
                f" '{file.name}'; keep one of them"
            )
        found[name] = file
    if not found and not beside:
        parts = [f"{part.name}/" for part in sorted(folder.iterdir()) if _holds_tables(part)]
        others = unread_files(folder) + parts
        held = f" (it holds {sample(others)})" if others else ""
        raise DataError(
            f"The folder '{folder}' holds no Parquet or CSV file{held}; correct source.url"
        )
    return found


def unread_files(folder: Path) -> list[str]:
    """List the files that may hold tables and are not read, such as spreadsheets."""
    beside = [file.name for file in _visible_files(folder) if _table_of(file) is None]
    return [name for name in beside if not name.lower().endswith(_NO_TABLE)]


_NO_TABLE = (
    ".md",
    ".txt",
    ".toml",
    ".py",
    ".sql",
    ".pdf",
    ".html",
    ".png",
    ".svg",
    ".yml",
    ".yaml",
)


def _holds_tables(folder: Path) -> bool:
    return (
        folder.is_dir()
        and not folder.name.startswith((".", "_"))
        and any(_table_of(file) is not None for file in folder.iterdir())
    )


def _visible_files(folder: Path) -> list[Path]:
    files = sorted(folder.iterdir())
    return [file for file in files if file.is_file() and not file.name.startswith((".", "_"))]


def _table_of(file: Path) -> str | None:
    """Return the table that a file holds, None where it holds none."""
    if file.name.lower().endswith(".txt") and not _has_fields(file):
        return None
    return table_name(file.name)


def table_name(file: str) -> str | None:
    """Return the table that a file holds by its name, None where the name says none.

    Examples
    --------
    >>> table_name("invoices.csv.gz"), table_name("notes.xlsx")
    ('invoices', None)
    """
    lowered = file.lower()
    suffix = next((suffix for suffix in FILE_SUFFIXES if lowered.endswith(suffix)), None)
    return None if suffix is None else file[: -len(suffix)]


def _has_fields(file: Path) -> bool:
    """Whether the first line of a text holds anything that parts fields: notes have none."""
    with file.open("rb") as stream:
        line = stream.readline(1 << 16)
    return any(delimiter in line for delimiter in (b",", b";", b"\t", b"|"))


def is_text_file(file: Path) -> bool:
    """Whether a file's name says that it holds delimited text."""
    return file.name.lower().endswith(TEXT_SUFFIXES)
