"""Delimited text files (CSV, TSV, gzipped or not): delimiter, encoding, header and ragged lines.

Every value is read as it is written. A column gets the type of numbers, dates or yes and no only
where each of its values is one in the plainest form, so that nothing is lost by it.
"""

from __future__ import annotations

import csv
import glob
import gzip
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import ibis
from ibis.backends.duckdb import Backend

from features.errors import DataError, SettingsError, sample
from features.sources.files.plain_forms import MANY_COLUMNS, TextTable, text_table

DELIMITERS = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
ENCODINGS = ("utf-8", "utf-16", "latin-1")
HEAD_BYTES = 1 << 18
MOST_TITLES = 20
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T].*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}.*")
_LENGTHS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_LINE = re.compile(r"CSV Error on Line: (\d+)")


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Parameters
    ----------
    delimiter : str
        What stands between fields.
    encoding : str
        One of :data:`ENCODINGS`.
    names : tuple of str
        The columns, in order, each once.
    skip : int
        Lines of other text that stand before the header.
    notes : tuple of str
        What was decided of the header, for people.
    """

    delimiter: str
    encoding: str
    names: tuple[str, ...]
    skip: int = 0
    notes: tuple[str, ...] = ()


def known_encoding(name: str) -> str:
    """Return an encoding that is read.

    Raises
    ------
    SettingsError
        When it is none.
    """
    if name.lower() not in ENCODINGS:
        raise SettingsError(
            f"--encoding must be one of {sample(ENCODINGS)}, found {sample([name])}; save the files"
            " as UTF-8 if they are of another"
        )
    return name.lower()


def read_text_file(connection: Backend, file: Path, encoding: str = "utf-8") -> TextTable:
    """Read a delimited file, its types decided over all of its lines.

    Raises
    ------
    DataError
        When the file is not of that encoding, has no header line or a line of another length.
    """
    before = file.stat().st_size
    dialect = dialect_of(file, encoding)
    try:
        table = replace(_table(connection, file, dialect, is_strict=True), notes=dialect.notes)
        refuse_growing(file, before)
        return table
    except duckdb.Error as error:
        refuse_growing(file, before)
        if "state machine" not in str(error):
            raise DataError(_reason(file, error, dialect)) from error
    # Line ends of two kinds in one file are no fault of its fields.
    try:
        return replace(_table(connection, file, dialect, is_strict=False), notes=dialect.notes)
    except duckdb.Error as error:
        raise DataError(_reason(file, error, dialect)) from error


def dialect_of(file: Path, encoding: str = "utf-8") -> Dialect:
    """Find a file's delimiter and header from its first lines.

    Raises
    ------
    DataError
        When it is not of that encoding, or its first line is no header.
    """
    head, is_whole = _head(file)
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else encoding
    text = _decoded(file, head, encoding)
    if not is_whole:
        text = text[: text.rfind("\n") + 1]
    # A spreadsheet program is told the delimiter in a line of its own.
    hint = re.match(r"sep=[,;\t|]\r?\n", text, re.I)
    text = text[hint.end() :] if hint else text
    delimiter, rows = _best_delimiter(text)
    before, rows = _without_title(rows)
    _refuse_other_header(file, rows)
    notes = []
    if before:
        skipped = _line_of(text, delimiter, before)
        line = skipped + bool(hint) + 1
        notes.append(f"the header is line {line}, below lines of other text")
    else:
        skipped = 0
    names, repeated = _column_names(rows[0] if rows else [])
    if repeated:
        notes.append(
            f"the header names {sample(repeated)} twice, and the second is read as another"
        )
    return Dialect(delimiter, encoding, names, skipped + bool(hint), tuple(notes))


def _without_title(rows: list[list[str]]) -> tuple[int, list[list[str]]]:
    """Leave out rows of a title before the header; return how many, and the other rows.

    Titles have few fields; the header has all of them, each with a name of its own, but for columns
    that hold nothing at all.
    """
    width = Counter(len(row) for row in rows).most_common(1)[0][0] if rows else 0
    spacers = _blank_places(rows, width)
    for place, row in enumerate(rows[:MOST_TITLES]):
        names = [name.strip().casefold() for n, name in enumerate(row) if n not in spacers]
        filled = len(list(filter(None, names)))
        wanted = width - len(spacers)
        if "\n" in "".join(row):
            return 0, rows
        if len(row) == width and filled > wanted / 2:
            is_header = wanted > 2 and filled == wanted == len(set(names)) and len(rows) > place + 1
            is_header &= not any(_is_number(name) or _DATE.fullmatch(name) for name in names)
            return (place, rows[place:]) if is_header else (0, rows)
    return 0, rows


def _blank_places(rows: Sequence[Sequence[str]], width: int) -> set[int]:
    """Return the places of columns that stand between others as mere space."""
    whole = [row for row in rows if len(row) == width]
    return {place for place in range(width) if not any(row[place].strip() for row in whole)}


def _line_of(text: str, delimiter: str, before: int) -> int:
    """Return how many lines lie before a row that is not blank."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    start = 0
    for row in reader:
        if row:
            if not before:
                break
            before -= 1
        start = reader.line_num
    return start


def _head(file: Path) -> tuple[bytes, bool]:
    """Read the first bytes, and tell whether they are all."""
    opener = gzip.open if file.suffix.lower() == ".gz" else open
    try:
        with opener(file, "rb") as stream:
            head = stream.read(HEAD_BYTES + 1)
    except (OSError, EOFError) as error:
        raise DataError(
            f"The file '{file}' cannot be read: {error}; repair it or take it out of the folder"
        ) from error
    return head[:HEAD_BYTES], len(head) <= HEAD_BYTES


def _decoded(file: Path, head: bytes, encoding: str) -> str:
    if encoding == "utf-8" and b"\0" in head:
        raise DataError(
            f"The file '{file}' must hold text and holds bytes of another kind; save it as CSV in"
            " UTF-8 or take it out of the folder"
        )
    try:
        return head.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        if error.start >= len(head) - 4:  # a character that the end of the head cuts in two
            return head[: error.start].decode("utf-8-sig" if encoding == "utf-8" else encoding)
        line = head[: error.start].count(b"\n") + 1
        raise DataError(_not_encoded(file, line, encoding)) from None


def _not_encoded(file: Path, line: int, encoding: str) -> str:
    return (
        f"The file '{file}' is not {encoding.upper()}: line {line} holds bytes that are no"
        f" character; save it as UTF-8 or set [source] encoding, one of {sample(ENCODINGS)} (init"
        " takes it as --encoding)"
    )


def _best_delimiter(text: str) -> tuple[str, list[list[str]]]:
    """Choose the delimiter by which most lines have equally many fields, and the more of them."""
    best, chosen = (0.0, 0), (",", [[line] for line in text.splitlines() if line.strip()])
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
        except csv.Error:
            continue
        counts = Counter(len(row) for row in rows)
        if not counts:
            continue
        width, alike = max(counts.items(), key=lambda item: (item[1], item[0]))
        if width > 1 and (alike / len(rows), width) > best:
            best, chosen = (alike / len(rows), width), (delimiter, rows)
    return chosen


def _refuse_other_header(file: Path, rows: Sequence[Sequence[str]]) -> None:
    if len(rows) < 2:
        return
    header, width = rows[0], Counter(len(row) for row in rows[1:]).most_common(1)[0][0]
    if len(header) == 1 < width:
        number = next(n for n, row in enumerate(rows, start=1) if len(row) == width)
        raise DataError(
            f"The first line of the file '{file}' must name its columns and has 1 field, where line"
            f" {number} of those that are not blank has {width}; take out what stands before the"
            " header"
        )
    dates = [name for name in header if _DATE.fullmatch(name.strip())]
    below = rows[1]
    alike = [
        name
        for place, name in enumerate(header[: len(below)])
        if name in dates and _DATE.fullmatch(below[place].strip())
    ]
    numbers = all(_is_number(name) for name in header)
    if alike or (numbers and len(header) > 1):
        raise DataError(
            f"The file '{file}' has no header line: its first line holds values, such as"
            f" {sample((alike or header)[:1])}; write the names of the columns above it"
        )


def _is_number(name: str) -> bool:
    return bool(re.fullmatch(r"\s*[+-]?\d+([.,]\d+)?\s*", name))


def _column_names(header: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Name every column once: a blank name becomes its place, a repeated one gets a number.

    Returns
    -------
    tuple of str
        The names.
    list of str
        Those that are written twice.
    """
    names: list[str] = []
    repeated: list[str] = []
    taken: set[str] = set()
    for place, written in enumerate(header):
        name = base = written.strip() or f"column{place}"
        number = 0
        repeated += [base] if name.casefold() in taken else []
        while name.casefold() in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name.casefold())
        names.append(name)
    return tuple(names), repeated


def refuse_growing(file: Path, before: int) -> None:
    """Refuse a file that somebody writes: its last line may be half of one.

    Raises
    ------
    DataError
        When it has not as many bytes as before.
    """
    after = file.stat().st_size if file.exists() else 0
    if after != before:
        raise DataError(
            f"The file '{file}' had {before:,} bytes and has {after:,}: it is written while it is"
            " read; run again when it is complete"
        )


def _table(connection: Backend, file: Path, dialect: Dialect, *, is_strict: bool) -> TextTable:
    if not dialect.names:
        return text_table(ibis.memtable({"column0": []}, schema={"column0": "string"}))
    # The engine expands wildcards: a folder named "data[1]" must not open its neighbour "data1".
    path = glob.escape(str(file))
    options: dict[str, Any] = {
        "auto_detect": False,
        "columns": dict.fromkeys(dialect.names, "VARCHAR"),
        "delim": dialect.delimiter,
        "quote": '"',
        "escape": '"',
        "header": True,
        "skip": dialect.skip,
        "encoding": dialect.encoding,
        "strict_mode": is_strict,
        "null_padding": False,
    }
    if len(dialect.names) <= MANY_COLUMNS:
        return text_table(connection.read_csv(path, **options))
    from features.sources.files.wide_text import wide_table

    listed = ", ".join(f"{name} = {_literal(value)}" for name, value in options.items())
    return wide_table(connection, f"SELECT * FROM read_csv({_literal(path)}, {listed})")


def _literal(value: str | bool | int | dict[str, str]) -> str:
    """Write an option as the engine's language has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


def _reason(file: Path, error: duckdb.Error, dialect: Dialect) -> str:
    text = str(error)
    line, lengths = _LINE.search(text), _LENGTHS.search(text)
    if line is None:
        return (
            f"The file '{file}' cannot be read as {NAMES[dialect.delimiter]}-separated text:"
            f" {text.splitlines()[0][:200]}; repair it or take it out of the folder"
        )
    number = int(line[1])
    if "unicode" in text:
        return _not_encoded(file, number, dialect.encoding)
    if lengths is not None:
        wanted, fields = int(lengths[1]), int(lengths[2])
        return (
            f"Line {number} of the file '{file}' must have {wanted} fields, as its header line has,"
            f" and has {fields}; quote a field that holds a {NAMES[dialect.delimiter]}, or take the"
            " line out"
        )
    if "unterminated quote" in text:
        return f"Line {number} of the file '{file}' opens a quote that never closes; mend the line"
    return (
        f"Line {number} of the file '{file}' cannot be read:"
        f" {text.splitlines()[0][:200]}; mend the line"
    )
