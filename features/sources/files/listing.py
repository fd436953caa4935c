"""Which files of a folder hold tables, and which lie beside them unread."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from pathlib import Path

from features.errors import DataError, sample

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".json.gz")
"""Of files that hold an object a line."""
FILE_SUFFIXES = (".parquet", *TEXT_SUFFIXES, *JSON_SUFFIXES)
PACKED_SUFFIXES = (".xlsx", ".xlsm", ".zip")
"""Of workbooks and archives, which may hold several tables."""
SQLITE_SUFFIXES, _SQLITE = (".sqlite", ".sqlite3", ".db", ".db3"), b"SQLite format 3\0"
"""Of databases of SQLite, and how each begins."""

DATABASE_SUFFIXES = (".duckdb", ".ddb", ".db")
"""Of files that hold tables of a database."""

FEWEST = 2
"""Files of one table, each of a time."""
_YEAR = r"(?P<y>(?:19|20)\d\d)"
_PERIOD = (
    rf"{_YEAR}(?:(?P<s>[-_.]?)(?P<m>0[1-9]|1[0-2])(?:(?P=s)(?P<d>0[1-9]|[12]\d|3[01]))?"
    r"|[-_.]?[Qq](?P<q>[1-4]))?"
)
_BEHIND = re.compile(rf"(?P<stem>.*[^\W\d_])[-_. ]+{_PERIOD}", re.S)
_BEFORE = re.compile(rf"{_PERIOD}[-_. ]+(?P<stem>[^\W\d_].*)", re.S)


def table_files(
    folder: Path, beside: Collection[str] = (), *, beside_packed: bool = False
) -> dict[str, Path]:
    """List a folder's Parquet, text and JSON files by the names of the tables they hold.

    ``beside`` are the names of its folders that are tables themselves; with ``beside_packed`` there
    need be none where workbooks or archives are.

    Raises
    ------
    DataError
        When there is none, or one table is there twice.
    """
    found = files_by_table(_visible_files(folder), folder)
    for name in sorted(found.keys() & set(beside)):
        raise DataError(
            f"The folder '{folder}' holds table '{name}' twice, as the folder '{name}' and as"
            f" '{found[name].name}'; keep one of them"
        )
    if not found and not beside and not (beside_packed and packed_files(folder)):
        parts = [f"{part.name}/" for part in sorted(folder.iterdir()) if _holds_tables(part)]
        others = unread_files(folder) + parts
        held = f" (it holds {sample(others)})" if others else ""
        database = next((name for name in others if name.endswith(DATABASE_SUFFIXES)), None)
        step = f"name the file itself, '{folder / database}'" if database else "correct source.url"
        raise DataError(f"The folder '{folder}' holds no Parquet or CSV file{held}; {step}")
    return found


def files_by_table(files: Iterable[Path], holder: Path) -> dict[str, Path]:
    """List Parquet and text files by the names of the tables they hold.

    Raises
    ------
    DataError
        When two hold one table.
    """
    tables: dict[str, Path] = {}
    for file in files:
        name = _table_of(file)
        if name is None:
            continue
        if name in tables:
            kind = "folder" if holder.is_dir() else "archive"
            raise DataError(
                f"The {kind} '{holder}' holds table '{name}' twice, as '{tables[name].name}' and as"
                f" '{file.name}'; keep one of them"
            )
        tables[name] = file
    return tables


def packed_files(folder: Path) -> list[Path]:
    """List the workbooks and archives of a folder."""
    return [file for file in _visible_files(folder) if is_packed(file)]


def is_packed(file: Path) -> bool:
    """Whether a file is a workbook, an archive or a database of SQLite, which are unpacked."""
    return file.suffix.lower() in PACKED_SUFFIXES or is_sqlite(file)


def is_sqlite(file: Path) -> bool:
    """Whether a file is a database of SQLite, by its name and its first bytes."""
    if file.suffix.lower() not in SQLITE_SUFFIXES or not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(_SQLITE)) == _SQLITE


def unread_files(folder: Path, *, unpacks: bool = False) -> list[str]:
    """List the files that may hold tables and are not read, such as spreadsheets.

    With ``unpacks`` workbooks, archives and objects in JSON are read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "tickets.jsonl")
    ...     _ = file.write_text("{}")
    ...     unread_files(file.parent), unread_files(file.parent, unpacks=True)
    (['tickets.jsonl'], [])
    """
    beside = [file for file in _visible_files(folder)
              if _table_of(file) is None or (not unpacks and is_json_file(file))]  # fmt: skip
    beside = [file for file in beside if not (unpacks and is_packed(file))]
    return [file.name for file in beside if not file.name.lower().endswith(_NO_TABLE)]


def unread_folders(folder: Path, read: Collection[str]) -> list[str]:
    """List the folders beside tables whose files look like parts of one table, and are not read."""
    return [f"{part.name}/" for part in sorted(folder.iterdir())
            if part.name not in read and _holds_tables(part) and _holds_parts(part)]  # fmt: skip


def json_folders(folder: Path) -> dict[str, list[Path]]:
    """List the folders whose files of objects in JSON differ by a number alone: each is a table."""
    found = {}
    for part in sorted(folder.iterdir()):
        if part.is_dir() and not part.name.startswith((".", "_")) and _holds_parts(part):
            files = _visible_files(part)
            if all(is_json_file(file) for file in files):
                found[part.name] = files
    return found


def _holds_parts(folder: Path) -> bool:
    """Whether files differ by a number alone, as in ``part-00001.csv``."""
    names = [re.sub(r"\d+", "", file.name) for file in folder.iterdir() if _table_of(file)]
    return len(names) > 1 and len(set(names)) == 1


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
        and any(_table_of(file) is not None or is_packed(file) for file in folder.iterdir())
    )


def _visible_files(folder: Path) -> list[Path]:
    files = sorted(folder.iterdir())
    # Programs mark with a tilde what they have open.
    return [
        file
        for file in files
        if file.is_file()
        and not file.name.startswith((".", "~"))
        and (not file.name.startswith("_") or file.name.startswith("_airbyte"))
    ]


def _table_of(file: Path) -> str | None:
    """Return the table that a file holds, None where it holds none."""
    if file.name.lower().endswith(".txt") and not _has_fields(file):
        return None
    if file.name.lower().endswith(".json"):
        from features.sources.files.json_files import holds_objects

        return file.stem if file.is_file() and holds_objects(file) else None
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


def is_json_file(file: Path) -> bool:
    """Whether a file's name says that it holds objects in JSON."""
    return file.name.lower().endswith((*JSON_SUFFIXES, ".json"))


def is_text_file(file: Path) -> bool:
    """Whether a file's name says that it holds delimited text."""
    return file.name.lower().endswith(TEXT_SUFFIXES)


def parts_by_table(names: Iterable[str], *, beside: bool = False) -> dict[str, dict[str, date]]:
    """List the tables that some others are the parts of, and when the time of each is over.

    Parameters
    ----------
    names : iterable of str
        Of tables.
    beside : bool
        Whether what they are parts of may itself be among them.

    Examples
    --------
    >>> found = parts_by_table(["logins", "plans_2024-01", "plans_2024-02"])
    >>> {table: [(part, str(day)) for part, day in parts.items()] for table, parts in found.items()}
    {'plans': [('plans_2024-01', '2024-02-01'), ('plans_2024-02', '2024-03-01')]}
    >>> parts_by_table(["bills_2024", "bills_2024-01", "used 2024Q4", "2024Q3_used"])
    {}
    """
    listed = list(names)
    found: dict[tuple[str, str, str], dict[str, date]] = {}
    for name in listed:
        for pattern in (_BEHIND, _BEFORE):
            match = pattern.fullmatch(name)
            over = None if match is None else _over(match)
            if match is not None and over is not None:
                length = "".join(key for key in "ymdq" if match[key])
                key = (match["stem"], pattern.pattern, length)
                found.setdefault(key, {})[name] = over
                break
    several = [
        (stem, dict(sorted(parts.items(), key=lambda part: part[1])))
        for (stem, _, _), parts in found.items()
        if len(parts) >= FEWEST and len(set(parts.values())) == len(parts)
    ]
    stems = [stem for stem, _ in several]
    return {
        stem: parts
        for stem, parts in several
        if (beside or stem not in listed) and stems.count(stem) == 1
    }


def _over(match: re.Match[str]) -> date | None:
    """Return the day after a period, None where its day is none."""
    year, month, day, quarter = (int(match[key] or 0) for key in "ymdq")
    if day:
        try:
            return date(year, month, day) + timedelta(days=1)
        except ValueError:
            return None
    months = 12 * year + (month or 3 * quarter if month or quarter else 12)
    return date(months // 12, months % 12 + 1, 1)
