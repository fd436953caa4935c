"""Writers of exports: CSV, XLSX and Parquet, from batches and in bounded memory."""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from features.errors import SettingsError, sample
from pipelines.scoring.export_rows import export_schema

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from pipelines.scoring.export_rows import Column
    from pipelines.store.runs import Run

# What XML cannot hold, what ends a text early in some programs, and what moves a terminal's cursor.
# Other people's words in cells are text, never a formula: one such as =HYPERLINK(...) is run by a
# spreadsheet program that opens it from a CSV file (OWASP, "CSV Injection").
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{fffe}\x{ffff}]"
_CONTROL_IN_PYTHON = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
# Programs that trim a cell, or take a sign of full or small width for the plain one, see a formula.
_BLANK = r"[ \v\f\p{Z}\p{Cf}]*"
_SIGN = r"[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}\x{fe66}\x{fe62}\x{fe63}\x{fe6b}]"
# A program set to another separator begins a cell after each of these, quotes or not.
_BEFORE = r"^|[;\t\r\n]"
_FORMULA = rf"({_BEFORE})('*{_BLANK}{_SIGN})"
_LEADING_BREAK = r"^('*[\t\r\n])"


SHEET_ROWS = 1_048_576
CELL_CHARACTERS = 32_767
_WIDTHS = {"account_id": 24, "segment": 28, "issued_at": 18}
_POINTS = "+0.0;-0.0;0.0"
_FORMATS = {
    "score": "0.0",
    "baseline_score": "0.0",
    "probability": "0.0%",
    "coverage": "0%",
    "mrr": "#,##0.00",
    "as_of": "yyyy-mm-dd",
    "renewal": "yyyy-mm-dd",
    "rank": "0",
    "arr": "#,##0",
    "expected_loss": "#,##0",
    "issued_at": "yyyy-mm-dd hh:mm",
    "revision": "0",
}


@dataclass(frozen=True)
class Export:
    """What is written.

    Parameters
    ----------
    run : Run
        The run the rows are of.
    columns : sequence of Column
        Their columns.
    batches : iterable of RecordBatch
        The rows, in :func:`~pipelines.scoring.export_rows.export_schema` of the columns.
    title : str
        What they are called in a workbook.
    """

    run: Run
    columns: Sequence[Column]
    batches: Iterable[pa.RecordBatch]
    title: str = "Scores"


def write_parquet(export: Export, file: Path) -> None:
    """Write Parquet: texts as they are, notes as metadata of the fields, the run as the file's."""
    key = export.run.key
    about = {
        "outcome": key.outcome,
        "as_of": key.as_of.isoformat(),
        "model_version": key.model_version,
        "revision": export.run.revision,
        "issued_at": f"{export.run.issued_at.isoformat()}Z",
        "facts": dict(export.run.facts),
    }
    schema = export_schema(export.columns).with_metadata({"healthscore": json.dumps(about)})
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in export.batches:
            writer.write_batch(batch)


def write_csv(export: Export, file: Path) -> None:
    """Write CSV in UTF-8: text quoted and made harmless, numbers plain, what is not known empty."""
    schema = export_schema(export.columns)
    options = pa.csv.WriteOptions(quoting_style="needed")
    with pa.csv.CSVWriter(file, schema, write_options=options) as writer:
        for batch in export.batches:
            columns = [
                harmless(readable(column)) if pa.types.is_string(column.type) else column
                for column in batch.columns
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def write_xlsx(export: Export, file: Path) -> None:
    """Write a workbook: a sheet of rows, and sheet "Columns" that says what each column holds.

    Raises
    ------
    SettingsError
        When the run or one of its texts is larger than a sheet or a cell can be.
    OSError
        When there is no room.
    """
    import xlsxwriter
    from xlsxwriter.exceptions import FileCreateError

    if export.run.rows >= SHEET_ROWS:
        raise SettingsError(
            f"A sheet of a workbook holds {SHEET_ROWS - 1:,} accounts and the run has"
            f" {export.run.rows:,}; name a .csv or .parquet file"
        )
    with TemporaryDirectory() as scratch, file.open("wb") as opened:
        # Rows go to the disk as they come, so that memory stays level.
        options = {"constant_memory": True, "tmpdir": scratch}
        try:
            with xlsxwriter.Workbook(opened, options) as book:
                # More than two gigabytes of rows take the newer form of archive.
                book.use_zip64()
                # The same scores give the same bytes, whenever they are exported.
                title = f"{export.title} of {export.run.key}"
                book.set_properties({"title": title, "created": export.run.issued_at})
                heading = book.add_format({"bold": True, "bottom": 1})
                _write_scores(book, heading, export)
                _write_notes(book, heading, export.columns)
        except FileCreateError as error:
            (full,) = error.args
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), opened.fileno())
            # The half-made archive ends itself when it is let go, which has to go well.
            traceback.clear_frames(full.__traceback__)
            raise full from None


def _write_scores(book: Workbook, heading: Format, export: Export) -> None:
    sheet = book.add_worksheet(export.title)
    sheet.freeze_panes(1, 1)
    sheet.autofilter(0, 0, export.run.rows, len(export.columns) - 1)
    for place, column in enumerate(export.columns):
        shown = book.add_format({"num_format": _format(column)})
        sheet.set_column(place, place, _width(column), shown)
        sheet.write_string(0, place, column.name, heading)
    write: list[Callable[[int, int, Any], Any]] = [
        partial(_write_text, sheet)
        if pa.types.is_string(column.kind)
        else sheet.write_datetime
        if pa.types.is_temporal(column.kind)
        else sheet.write_number
        for column in export.columns
    ]
    row = 0
    for batch in export.batches:
        for values in zip(*map(_cells, batch.columns), strict=True):
            row += 1
            for place, value in enumerate(values):
                if value is not None:
                    write[place](row, place, value)


def _write_notes(book: Workbook, heading: Format, columns: Sequence[Column]) -> None:
    sheet = book.add_worksheet("Columns")
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 110)
    sheet.freeze_panes(1, 0)
    for place, title in enumerate(("Column", "What it holds")):
        sheet.write_string(0, place, title, heading)
    for row, column in enumerate(columns, start=1):
        sheet.write_string(row, 0, column.name)
        sheet.write_string(row, 1, column.note)


def _cells(column: pa.Array) -> list[Any]:
    """Give values as a workbook takes them: text readable, moments without their zone."""
    if pa.types.is_string(column.type):
        column = readable(column)
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us"))
    cells: list[Any] = column.to_pylist()
    return cells


def _write_text(sheet: Worksheet, row: int, place: int, text: str) -> None:
    if utf16_length(text) > CELL_CHARACTERS:
        raise SettingsError(
            f"A cell of a workbook holds {CELL_CHARACTERS:,} characters and a text of the run has"
            f" {utf16_length(text):,}, beginning with {sample([text])}; name a .csv or .parquet"
            " file"
        )
    if text.startswith("<r>"):
        # XlsxWriter takes <r>...</r> for its own markup and would write it out as it is.
        text += " "
    sheet.write_string(row, place, text)


def _format(column: Column) -> str:
    if pa.types.is_string(column.kind):
        # As text, so that editing a cell does not make a formula of it either.
        return "@"
    return _FORMATS.get(column.name, _POINTS)


def _width(column: Column) -> int:
    return 60 if column.is_sentence else _WIDTHS.get(column.name, max(10, len(column.name) + 2))


def readable(texts: pa.Array) -> pa.Array:
    r"""Spell out control characters, but for tabs and line breaks.

    Parameters
    ----------
    texts : StringArray
        Any text; null stays null.

    Examples
    --------
    >>> print(readable(pa.array(["A\x1b[31m", "two\nlines"])).to_pylist())
    ['A\\x1b[31m', 'two\nlines']
    """
    if not pc.any(pc.match_substring_regex(texts, _CONTROL)).as_py():
        return texts
    spelt = [None if text is None else _spelt(text) for text in texts.to_pylist()]
    return pa.array(spelt, pa.string())


def harmless(texts: pa.Array) -> pa.Array:
    """Put an apostrophe before whatever a spreadsheet program would take for a formula.

    It goes before ``= + - @`` (of any width, after blanks too) at the start of a text and after a
    semicolon, a tab or a line break within it, and before a tab or a line break at the start.
    Apostrophes that were there stay, so that taking one away again gives the text as it was.

    Parameters
    ----------
    texts : StringArray
        Any text; null stays null.

    Examples
    --------
    >>> harmless(pa.array(["=1+1", "Acme; =1+1", "a-b", "'@x"])).to_pylist()
    ["'=1+1", "Acme;' =1+1", 'a-b', "''@x"]
    """
    marked = pc.replace_substring_regex(texts, _FORMULA, r"\1'\2")
    return pc.replace_substring_regex(marked, _LEADING_BREAK, r"'\1")


def utf16_length(text: str) -> int:
    """Count characters as spreadsheets do: one beyond the basic plane counts for two.

    Examples
    --------
    >>> utf16_length("a😀")
    3
    """
    return len(text) + sum(character > "\uffff" for character in text)


def _spelt(text: str) -> str:
    return _CONTROL_IN_PYTHON.sub(lambda found: _escape(ord(found[0])), text)


def _escape(code: int) -> str:
    return rf"\x{code:02x}" if code < 0x100 else rf"\u{code:04x}"
