"""Recommended weights as files that customer-success platforms and spreadsheets read.

Every format holds the same tables. A CSV file holds one, so the others lie beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv

from features.catalog import EVERYBODY
from features.errors import SettingsError, sample
from features.json_values import Json, described_fields, json_value
from pipelines.reports.terminal.whole_file import replaced_whole
from pipelines.reports.wording import score
from pipelines.scoring.export_files import (
    CELL_CHARACTERS,
    SHEET_ROWS,
    harmless,
    readable,
    utf16_length,
)
from pipelines.scoring.export_rows import Column, export_schema
from pipelines.weights.report.words import reason

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format

    from pipelines.weights.recommend import Recommended

TEXT, NUMBER, COUNT = pa.string(), pa.float64(), pa.int64()
_SEGMENT = Column("segment", TEXT, "The segment; all for accounts of no segment named here.")
_MEASURE = Column("measure", TEXT, "Line of the scorecard: a signal group or a measure of yours.")
COLUMNS: dict[str, tuple[Column, ...]] = {
    "weights": (
        _SEGMENT,
        _MEASURE,
        Column("today", NUMBER, "Weight in use, in percent; equal weights where none is set."),
        Column("recommended", NUMBER, "Recommended weight, in percent; a segment's sum to 100."),
        Column("low", NUMBER, "Lower end of what past outcomes say of it, 90 % sure, in percent."),
        Column("high", NUMBER, "Upper end of what past outcomes say of it, in percent."),
        Column("verdict", TEXT, "keep, raise or lower."),
        Column(
            "why",
            TEXT,
            "learnt: past outcomes ask for it; makes room: others change; as it should be; not"
            " enough evidence; no data.",
        ),
        Column("sentence", TEXT, "The advice in words."),
    ),
    "cuts": (
        Column("scorecard", TEXT, "today, recommended, or the full model's score."),
        Column("red_below", NUMBER, "Scores below are red."),
        Column("green_from", NUMBER, "Scores from it on are green; those between are amber."),
        Column("red_share", NUMBER, "Share of the replayed rows that is red, from 0 to 1."),
        Column("green_share", NUMBER, "Share of the replayed rows that is green, from 0 to 1."),
    ),
    "grades": (
        _SEGMENT,
        _MEASURE,
        Column(
            "signal",
            TEXT,
            "Signal that is graded; a measure's grade is the mean over its known signals. Empty"
            " in the row with what a measure counts as where none is known.",
        ),
        Column("value", NUMBER, "A value of the signal; empty in that row."),
        Column(
            "grade",
            NUMBER,
            "Its grade from 0 to 100; between two rows on the line that joins them, outside as"
            " the nearest.",
        ),
    ),
    "points": (
        Column("signal", TEXT, "Signal that points are given for; the same in every segment."),
        Column("label", TEXT, "The signal in words."),
        Column("group", TEXT, "Its signal group."),
        Column("at_least", NUMBER, "Lowest value of the range; empty where it is open."),
        Column("below", NUMBER, "First value above it; with at_least empty: value not known."),
        Column("points", COUNT, "What an account gets for it; the best ranges sum to about 100."),
        Column("rows", COUNT, "Rows seen in the range."),
        Column("positives", COUNT, "Those to which the outcome happened."),
        Column("observed_rate", NUMBER, "Their share, from 0 to 1."),
        Column("low", NUMBER, "Lower end of its 90 % interval."),
        Column("high", NUMBER, "Upper end of its 90 % interval."),
    ),
    "effect": (
        _SEGMENT,
        Column("cases", COUNT, "Rows with the outcome that were counted."),
        Column("happened", NUMBER, "Accounts with the outcome in twelve months, at this rate."),
        Column("caught_today", NUMBER, "Those that today's weights flag in time."),
        Column("caught", NUMBER, "Those that the recommended weights flag, with as many flags."),
        Column("flagged_today", NUMBER, "Share of rows that today's weights flag, from 0 to 1."),
        Column("flagged", NUMBER, "Share of rows that the recommended weights flag."),
        Column("more", NUMBER, "How many more that is."),
        Column("more_low", NUMBER, "Lower end of its 90 % interval."),
        Column("more_high", NUMBER, "Upper end of its 90 % interval."),
        Column("arr", NUMBER, "ARR of the accounts with the outcome; empty where not known."),
        Column("more_arr", NUMBER, "ARR of those that are flagged beyond today's."),
        Column("more_arr_low", NUMBER, "Lower end of its 90 % interval."),
        Column("more_arr_high", NUMBER, "Upper end of its 90 % interval."),
    ),
}
"""Columns of every table, in order; names stay the same from version to version."""
NOTES = (
    Column("table", TEXT, "Name of a table."),
    Column("column", TEXT, "One of its columns."),
    Column("note", TEXT, "What it holds."),
)
_WIDTHS = {"sentence": 110, "note": 110, "segment": 28, "signal": 28, "label": 40}


@dataclass(frozen=True)
class Sheet:
    """One table of a recommendation.

    Parameters
    ----------
    name : str
        Its name.
    columns : tuple of Column
        What it holds.
    table : Table
        Its rows, in :func:`~pipelines.scoring.export_rows.export_schema` of the columns.
    """

    name: str
    columns: tuple[Column, ...]
    table: pa.Table


def sheets_of(recommended: Recommended) -> list[Sheet]:
    """Arrange a recommendation as tables, with one that documents their columns last."""
    rows: dict[str, Iterable[Mapping[str, object]]] = {
        "weights": _weights(recommended),
        "cuts": _cuts(recommended),
        "grades": _grades(recommended),
        "points": _points(recommended),
        "effect": (described_fields(effect) for effect in recommended.effects.values()),
    }
    sheets = [_sheet(name, columns, rows[name]) for name, columns in COLUMNS.items()]
    notes = (
        {"table": sheet.name, "column": column.name, "note": column.note}
        for sheet in sheets
        for column in sheet.columns
    )
    return [*sheets, _sheet("columns", NOTES, notes)]


def write_recommendation(recommended: Recommended, file: Path) -> list[Path]:
    """Write a recommendation as .json, .csv or .xlsx, by the suffix, each file whole or not at all.

    Returns
    -------
    list of Path
        What was written; a CSV file has one further file per table beside it.

    Raises
    ------
    SettingsError
        When a workbook cannot hold a table or a text.
    OSError
        When a file cannot be written.
    """
    sheets = sheets_of(recommended)
    files: dict[Path, Callable[[Path], object]]
    suffix = file.suffix.lower()
    if suffix == ".csv":
        first, *others = sheets
        files = {file: _csv_writer(first)}
        files |= {
            file.with_name(f"{file.stem}-{sheet.name}{file.suffix}"): _csv_writer(sheet)
            for sheet in others
        }
    elif suffix == ".xlsx":
        content = _workbook(recommended, sheets)
        files = {file: lambda fresh: fresh.write_bytes(content)}
    else:
        text = json.dumps(_described(recommended, sheets), allow_nan=False)
        files = {file: lambda fresh: fresh.write_text(text, encoding="utf-8")}
    with ExitStack() as together:
        for place, write in files.items():
            write(together.enter_context(replaced_whole(place)))
    return list(files)


def recommendation_dict(recommended: Recommended) -> Json:
    """Return what ``recommend --json`` prints: all but the grades, the notes and the evidence."""
    return {
        "outcome": recommended.outcome,
        "made_at": f"{recommended.made_at.isoformat()}Z",
        "model_version": recommended.version,
        "foretells": recommended.foretells,
        "weights_are_assumed": recommended.is_assumed,
        "segments": {name: recommended.advice[name].to_dict() for name in recommended.segments},
        "replayed": recommended.replayed.to_dict(),
        "taught_until": recommended.taught_until.isoformat(),
        "replayed_from": recommended.replayed_from.isoformat(),
        "replayed_until": recommended.replayed_until.isoformat(),
        "effect": {name: described_fields(effect) for name, effect in recommended.effects.items()},
        "points": [points.to_dict() for points in recommended.behaviours],
        "counts": json_value(recommended.counts),
        "versions": recommended.versions,
        "warnings": recommended.warnings,
    }


def _described(recommended: Recommended, sheets: list[Sheet]) -> Json:
    return {
        "outcome": recommended.outcome,
        "made_at": f"{recommended.made_at.isoformat()}Z",
        "versions": recommended.versions,
        "counts": json_value(recommended.counts),
        "warnings": recommended.warnings,
        "tables": {sheet.name: sheet.table.to_pylist() for sheet in sheets[:-1]},
        "columns": {
            sheet.name: {column.name: column.note for column in sheet.columns}
            for sheet in sheets[:-1]
        },
    }


def _sheet(name: str, columns: tuple[Column, ...], rows: Iterable[Mapping[str, object]]) -> Sheet:
    listed = list(rows)
    arrays = [
        # What is not a number is not known.
        pa.array([row.get(column.name) for row in listed], column.kind, from_pandas=True)
        for column in columns
    ]
    return Sheet(name, columns, pa.Table.from_arrays(arrays, schema=export_schema(columns)))


def _weights(recommended: Recommended) -> Iterator[dict[str, object]]:
    for segment in recommended.segments:
        for line in recommended.advice[segment].advice:
            why = reason(line, recommended.words.past, recommended.good)
            move = f"from {score(line.today)} to {score(line.recommended)}"
            if line.verdict == "keep":
                move = f"at {score(line.today)}"
            sentence = f"{line.verdict.capitalize()} {line.measure} {move}. {why}"
            yield vars(line) | {"segment": segment, "sentence": sentence}


def _cuts(recommended: Recommended) -> Iterator[dict[str, object]]:
    table = recommended.replayed.table
    whole = {
        row["contender"]: row for row in table[table["segment"] == EVERYBODY].to_dict("records")
    }
    for name, cuts in recommended.replayed.cuts.items():
        yield {
            "scorecard": name,
            "red_below": cuts.red_below,
            "green_from": cuts.green_from,
            "red_share": whole[name]["red"],
            "green_share": whole[name]["green"],
        }


def _grades(recommended: Recommended) -> Iterator[dict[str, object]]:
    grading = recommended.scorecard.grading
    for segment, tables in grading.tables.items():
        for place, measure in enumerate(grading.measures):
            told: dict[str, object] = {"segment": segment, "measure": measure.name}
            for signal in measure.signals:
                if (table := tables.get(signal.name)) is not None:
                    for value, grade in zip(*table, strict=True):
                        yield told | {"signal": signal.name, "value": value, "grade": grade}
            yield told | {"grade": grading.typical[segment][place]}


def _points(recommended: Recommended) -> Iterator[dict[str, object]]:
    for found in recommended.behaviours:
        signal = {
            "signal": found.signal.name,
            "label": found.signal.label,
            "group": found.signal.group,
        }
        for behaviour in found.behaviours:
            yield signal | vars(behaviour)


def _csv_writer(sheet: Sheet) -> Callable[[Path], None]:
    def write(fresh: Path) -> None:
        columns = [
            harmless(readable(column)) if pa.types.is_string(column.type) else column
            for column in (chunked.combine_chunks() for chunked in sheet.table.columns)
        ]
        safe = pa.Table.from_arrays(columns, schema=sheet.table.schema)
        options = pa.csv.WriteOptions(quoting_style="needed")
        pa.csv.write_csv(safe, fresh, options)

    return write


def _workbook(recommended: Recommended, sheets: list[Sheet]) -> bytes:
    """Make a workbook with a sheet per table."""
    import xlsxwriter

    made = BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as book:
        # The same recommendation gives the same bytes.
        book.set_properties({"title": "Recommended weights", "created": recommended.made_at})
        heading = book.add_format({"bold": True, "bottom": 1})
        for sheet in sheets:
            _write_sheet(book, heading, sheet)
    return made.getvalue()


def _write_sheet(book: Workbook, heading: Format, sheet: Sheet) -> None:
    if sheet.table.num_rows >= SHEET_ROWS:
        raise SettingsError(
            f"A sheet of a workbook holds {SHEET_ROWS - 1:,} rows and table {sheet.name} has"
            f" {sheet.table.num_rows:,}; name a .csv or .json file"
        )
    page = book.add_worksheet(sheet.name.capitalize())
    page.freeze_panes(1, 0)
    for place, column in enumerate(sheet.columns):
        is_text = pa.types.is_string(column.kind)
        # As text, so that editing a cell does not make a formula of it either.
        shown = book.add_format({"num_format": "@"} if is_text else {"num_format": "General"})
        page.set_column(place, place, _WIDTHS.get(column.name, 14), shown)
        page.write_string(0, place, column.name, heading)
        cells = sheet.table.column(place).combine_chunks()
        for row, value in enumerate((readable(cells) if is_text else cells).to_pylist(), start=1):
            if value is None:
                continue
            if is_text:
                page.write_string(row, place, _cell_text(value))
            else:
                page.write_number(row, place, value)


def _cell_text(text: str) -> str:
    if utf16_length(text) > CELL_CHARACTERS:
        raise SettingsError(
            f"A cell of a workbook holds {CELL_CHARACTERS:,} characters and a text has"
            f" {utf16_length(text):,}, beginning with {sample([text])}; name a .csv or .json file"
        )
    # XlsxWriter takes <r>...</r> for its own markup and would write it out as it is.
    return f"{text} " if text.startswith("<r>") else text
