"""Recommended weights as files: the same in every format, safe, and enough to score by."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace

import numpy as np
import openpyxl
import pytest

from features.errors import SettingsError
from features.json_values import described_fields
from pipelines.commands.answer import answering
from pipelines.scoring.export_files import CELL_CHARACTERS, readable
from pipelines.weights.report import files as recommendation_files
from pipelines.weights.report.files import (
    COLUMNS,
    recommendation_dict,
    sheets_of,
    write_recommendation,
)
from tests.pipelines.recommended_by_hand import (
    ESCAPE,
    FORMULA,
    LONG,
    RTL,
    SCRIPT,
    SEGMENTS,
    SILENT,
    TODAY_WEIGHTS,
    made,
    rows,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for suffix in ("csv", "xlsx", "json"):
        write_recommendation(made(), folder / f"weights.{suffix}")
    return folder


def in_csv(folder, table):
    name = "weights.csv" if table == "weights" else f"weights-{table}.csv"
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def in_json(folder, table):
    return json.loads((folder / "weights.json").read_text(encoding="utf-8"))["tables"][table]


def in_xlsx(folder, table):
    book = openpyxl.load_workbook(folder / "weights.xlsx")
    first, *others = book[table.capitalize()].iter_rows(values_only=True)
    return [dict(zip(first, row, strict=True)) for row in others]


def test_weights_are_those_of_the_advice(folder) -> None:
    recommended = made()
    told = in_json(folder, "weights")
    assert len(told) == 5 * 4
    assert [row["segment"] for row in told[::4]] == recommended.segments
    for row in told:
        (line,) = (
            line
            for line in recommended.advice[row["segment"]].advice
            if line.measure == row["measure"]
        )
        expected = {name: getattr(line, name) for name in list(row) if hasattr(line, name)}
        assert row | expected == row
        assert set(row) - set(expected) == {"segment", "sentence"}
    for segment in recommended.segments:
        assert sum(row["recommended"] for row in told if row["segment"] == segment) == 100


def test_sentences_say_what_to_do_and_why(folder) -> None:
    told = {row["measure"]: row for row in in_json(folder, "weights") if row["segment"] == "all"}
    usage, silent = told["usage"], told[SILENT]
    assert usage["verdict"] == "raise"
    assert re.fullmatch(
        r"Raise usage from 10 to \d+\. Accounts in the worst fifth churned [\d.]+ times as often as"
        r" those in the best \([\d.]+\u202f% against [\d.]+\u202f%\)\. Beside the other measures it"
        r" tells more than its weight says\.",
        usage["sentence"],
    )
    assert told[FORMULA]["sentence"].startswith(f"Lower {FORMULA} from 60 to ")
    assert silent["why"] == "no data" or silent["verdict"] == "lower"


def test_every_format_holds_the_same(folder) -> None:
    for table, columns in COLUMNS.items():
        as_json, as_csv, as_xlsx = (read(folder, table) for read in (in_json, in_csv, in_xlsx))
        assert as_json
        assert len(as_json) == len(as_csv) == len(as_xlsx)
        for plain, flat, cells in zip(as_json, as_csv, as_xlsx, strict=True):
            assert list(plain) == list(flat) == list(cells) == [each.name for each in columns]
            for column in columns:
                value = plain[column.name]
                if value is None:
                    assert flat[column.name] == ""
                    assert cells[column.name] is None
                elif isinstance(value, str):
                    (clean,) = readable(_array(value)).to_pylist()
                    assert cells[column.name] == clean.replace("\r", "\n")
                    bare = re.sub(r"(^|[;\t\r\n])'", r"\1", flat[column.name])
                    assert bare == clean
                else:
                    assert float(flat[column.name]) == pytest.approx(value, rel=1e-12)
                    assert cells[column.name] == pytest.approx(value, rel=1e-12)


def _array(text):
    import pyarrow as pa

    return pa.array([text])


def test_every_column_is_documented(folder) -> None:
    listed = {(row["table"], row["column"]): row["note"] for row in in_csv(folder, "columns")}
    sheet = {(row["table"], row["column"]): row["note"] for row in in_xlsx(folder, "columns")}
    told = json.loads((folder / "weights.json").read_text(encoding="utf-8"))["columns"]
    assert listed == sheet
    assert {
        (table, name): note for table, notes in told.items() for name, note in notes.items()
    } == (listed)
    assert set(listed) == {
        (table, column.name) for table, columns in COLUMNS.items() for column in columns
    }
    assert all(len(note) > 5 for note in listed.values())


def test_no_name_becomes_a_formula(folder) -> None:
    found = set()
    for file in folder.glob("*.csv"):
        with file.open(encoding="utf-8", newline="") as opened:
            for row in csv.reader(opened):
                for cell in row:
                    if not re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell):
                        assert not re.match(r"[=+\-@\t\r\n]", cell), cell
                    found.add(cell)
    assert {f"'{FORMULA}", f"'{SILENT}", SCRIPT, RTL, LONG} <= found
    assert "\x1b" not in "".join(found)
    book = openpyxl.load_workbook(folder / "weights.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    assert not [cell for cell in cells if cell.hyperlink]
    assert {FORMULA, SCRIPT, RTL, LONG} <= {cell.value for cell in cells}


def test_a_platform_that_imports_them_scores_as_we_do(folder) -> None:
    """From the CSV files alone, by hand: grades on lines, means, weights, colours."""
    frame = rows()
    weights = {
        (_bare(row["segment"]), _bare(row["measure"])): float(row["recommended"])
        for row in in_csv(folder, "weights")
    }
    tables: dict = {}
    for row in in_csv(folder, "grades"):
        key = (_bare(row["segment"]), _bare(row["measure"]), row["signal"])
        value = float(row["value"]) if row["value"] else math.nan
        tables.setdefault(key, []).append((value, float(row["grade"])))
    escaped = ESCAPE.replace("\x1b", r"\x1b")
    measures = {"usage": ["uses", "logins"], escaped: ["open"], FORMULA: ["nps"], SILENT: []}
    recommended = made()
    ours = recommended.scorecard.score(frame, frame["segment"])
    cuts = {row["scorecard"]: row for row in in_csv(folder, "cuts")}["recommended"]
    red = 0
    for place in range(0, len(frame), 7):
        row = frame.iloc[place]
        score = 0.0
        for measure, signals in measures.items():
            grades = [
                np.interp(row[signal], *zip(*tables[row["segment"], measure, signal], strict=True))
                for signal in signals
                if not math.isnan(row[signal])
            ]
            if not grades:
                grades = [tables[row["segment"], measure, ""][0][1]]
            score += weights[row["segment"], measure] / 100 * sum(grades) / len(grades)
        assert score == pytest.approx(ours[place], abs=1e-9)
        red += score < float(cuts["red_below"])
    share = float(cuts["red_share"])
    assert (ours < float(cuts["red_below"])).mean() == pytest.approx(share)
    assert red / len(range(0, len(frame), 7)) == pytest.approx(share, abs=0.05)


def _bare(text):
    return re.sub(r"(^|[;\t\r\n])'", r"\1", text)


def test_points_and_effect_are_those_of_the_recommendation(folder) -> None:
    recommended = made()
    told = in_json(folder, "points")
    expected = [
        (found.signal.name, each.at_least, each.below, each.points, each.rows)
        for found in recommended.behaviours
        for each in found.behaviours
    ]
    assert [
        (row["signal"], row["at_least"], row["below"], row["points"], row["rows"]) for row in told
    ] == expected
    assert {row["label"] for row in told} & {FORMULA, SCRIPT}
    for row in in_json(folder, "effect"):
        assert row == described_fields(recommended.effects[row["segment"]])


def test_what_is_not_known_is_empty(tmp_path) -> None:
    """Without ARR, and in a segment where nobody churned, there is nothing to tell."""
    nothing = made(arr=False)
    effects = {
        name: replace(effect, caught_today=math.nan, caught=math.nan, more=math.nan)
        for name, effect in nothing.effects.items()
    }
    write_recommendation(replace(nothing, effects=effects), tmp_path / "weights.json")
    for row in in_json(tmp_path, "effect"):
        assert row["more"] is row["caught"] is row["arr"] is row["more_arr_low"] is None
        assert row["happened"] > 0


def test_no_behaviours_leave_an_empty_table(tmp_path) -> None:
    written = write_recommendation(made(foretells=False), tmp_path / "w.CSV")
    assert [file.name for file in written] == [
        *("w.CSV", "w-cuts.CSV", "w-grades.CSV", "w-points.CSV", "w-effect.CSV", "w-columns.CSV")
    ]
    assert sorted(written) == sorted(tmp_path.iterdir())
    with (tmp_path / "w-points.CSV").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [[column.name for column in COLUMNS["points"]]]


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch) -> None:
    (tmp_path / "w.csv").write_text("old", encoding="utf-8")
    (tmp_path / "w-points.csv").mkdir()
    with pytest.raises(OSError, match="w-points"):
        write_recommendation(made(), tmp_path / "w.csv")
    assert (tmp_path / "w.csv").read_text(encoding="utf-8") == "old"
    assert not list(tmp_path.glob("*.new"))


def test_what_a_workbook_cannot_hold_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(recommendation_files, "CELL_CHARACTERS", 100)
    message = r"A cell of a workbook holds 100 characters and a text has \d+, beginning with '.+'; "
    with pytest.raises(SettingsError, match=message + r"name a \.csv or \.json file$"):
        write_recommendation(made(), tmp_path / "w.xlsx")
    monkeypatch.setattr(recommendation_files, "CELL_CHARACTERS", CELL_CHARACTERS)
    monkeypatch.setattr(recommendation_files, "SHEET_ROWS", 101)
    message = r"A sheet of a workbook holds 100 rows and table grades has [\d,]+; name a \.csv or "
    with pytest.raises(SettingsError, match=message + r"\.json file$"):
        write_recommendation(made(), tmp_path / "w.xlsx")
    assert not list(tmp_path.iterdir())


def test_the_same_recommendation_gives_the_same_bytes(tmp_path, folder) -> None:
    for suffix in ("csv", "xlsx", "json"):
        write_recommendation(made(), tmp_path / f"weights.{suffix}")
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (folder / file.name).read_bytes()


def test_standard_output_holds_what_fits_there(capsys) -> None:
    recommended = made()
    with answering(as_json=True) as answer:
        answer.give(recommendation_dict(recommended))
    told = json.loads(capsys.readouterr().out)
    assert list(told["segments"]) == recommended.segments == ["all", *_by_size()]
    assert told["segments"]["all"]["advice"][0]["measure"] == "usage"
    assert told["segments"]["all"]["advice"][0]["today"] == TODAY_WEIGHTS["all"][0]
    assert told["effect"]["all"]["more"] == recommended.effects["all"].more.value
    assert told["made_at"] == "2025-06-01T12:30:00Z"
    assert {row["contender"] for row in told["replayed"]["table"]} == {
        *("today", "recommended", "full model")
    }


def _by_size():
    counts = {name: made().advice[name].rows for name in SEGMENTS}
    return sorted(sorted(SEGMENTS), key=lambda name: -counts[name])


def test_sheets_keep_their_notes() -> None:
    for sheet in sheets_of(made()):
        for column, field in zip(sheet.columns, sheet.table.schema, strict=True):
            assert field.metadata[b"description"].decode() == column.note
