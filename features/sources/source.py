"""The user's own tables, by name, in whatever engine holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import ibis.expr.types as ir

from features.errors import DataError, nearest, sample
from features.sources.engine import Engine

FILE_SUFFIXES = {".parquet", ".csv"}


class Tables(Mapping[str, ir.Table]):
    """Tables by name, each looked up in the engine only when it is asked for.

    Parameters
    ----------
    names : iterable of str
        The tables there are.
    read : callable
        Returns the table of a name.
    """

    def __init__(self, names: Iterable[str], read: Callable[[str], ir.Table]) -> None:
        self._found: dict[str, ir.Table | None] = dict.fromkeys(names)
        self._read = read

    def __getitem__(self, name: str) -> ir.Table:
        table = self._found[name]
        if table is None:
            table = self._found[name] = self._read(name)
        return table

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class Source:
    """The user's own tables, opened for reading.

    Parameters
    ----------
    engine : Engine
        What computes; its temporary tables are never among the user's.
    tables : mapping of str to ibis table
        Source tables by their own names.
    url : str
        Where they came from, without a password, for messages.
    """

    def __init__(self, engine: Engine, tables: Mapping[str, ir.Table], url: str) -> None:
        self.engine = engine
        self.tables = tables
        self.url = url

    def table(self, name: str, wanted_for: str) -> ir.Table:
        """Return a source table; where none has exactly that name, upper and lower case are one.

        Raises
        ------
        DataError
            When the source has no table of that name.
        """
        found = same_name(name, self.tables)
        if found is None:
            hint = nearest(name, self.tables) or f"; it holds {sample(sorted(self.tables), 8)}"
            raise DataError(
                f"Table '{name}', mapped to {wanted_for}, is not in the source '{self.url}'{hint}"
            )
        return self.tables[found]


def table_files(folder: Path) -> dict[str, Path]:
    """List a folder's Parquet and CSV files by the names of the tables they hold.

    Raises
    ------
    DataError
        When there is none, or one table is there twice.
    """
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        is_table = file.suffix.lower() in FILE_SUFFIXES and file.is_file()
        if not is_table or file.name.startswith((".", "_")):
            continue
        if file.stem in found:
            raise DataError(
                f"The folder '{folder}' holds table '{file.stem}' twice, as Parquet and as CSV;"
                " keep one of them"
            )
        found[file.stem] = file
    if not found:
        raise DataError(f"The folder '{folder}' holds no Parquet or CSV file; correct source.url")
    return found


def same_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is this one, else the only one that differs in case alone.

    Examples
    --------
    >>> same_name("account_id", ["ACCOUNT_ID", "CREATED_AT"])
    'ACCOUNT_ID'
    >>> same_name("plan", ["Plan", "PLAN"]) is None
    True
    """
    listed = list(known)
    if name in listed:
        return name
    alike = [candidate for candidate in listed if candidate.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None


def first_line(error: Exception) -> str:
    """Return the first line of a library's message, without the closing full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".")[:200] if lines else type(error).__name__
