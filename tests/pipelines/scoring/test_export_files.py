"""Exported files: read alike, whole, in bounded memory, and safe with hostile names."""

from __future__ import annotations

import gc
import json
import math
import re
import resource
import tempfile
import warnings
import weakref
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.catalog import GROUPS
from features.errors import SettingsError
from pipelines.project.project import Project, load_project
from pipelines.scoring import export as exporting
from pipelines.scoring import export_files
from pipelines.scoring.export import export_scores
from pipelines.scoring.export_files import CELL_CHARACTERS, SHEET_ROWS, Export
from pipelines.scoring.export_rows import COLUMNS, chosen_columns, export_schema
from pipelines.store.runs import Run, RunKey
from pipelines.store.schema import REASONS, SHOWN
from tests.pipelines.export_by_hand import (
    CONFIG,
    FIRST,
    SIGNALS,
    SUFFIXES,
    files_in,
    issue,
    read_csv,
    read_xlsx,
    refusal,
    rows_of,
)

HOSTILE = (
    '=HYPERLINK("http://evil.example","click")',
    "  +1",
    "@SUM(1)",
    "\uff1dcmd|' /C calc'!A0",
    "http://evil.example/",
    "<r><t>x</t></r></is></c><c r='AZ9'><f>1+1</f></c><r></r>",
    "<r></r>",
    "{=1+1}",
    "_x0041_",
    "nul\x00 and \x1b[31m",
    "two\r\nlines",
    "tab\t=1",
    "\u202eRTL עברית 😀",
    "L" * 300,
    "'quoted' \"twice\"; =1",
    "-3.2",
    "\ufffe\uffff",
)
WRITERS: dict[str, Callable[[Export, Path], None]] = {
    ".csv": export_files.write_csv,
    ".xlsx": export_files.write_xlsx,
    ".parquet": export_files.write_parquet,
}


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with nothing issued, whose models know three signals."""
    path = tmp_path / "healthscore.toml"
    path.write_text(CONFIG, encoding="utf-8")
    monkeypatch.setattr(exporting, "_catalogue", lambda project, run: SIGNALS)
    return load_project(path)


def as_excel_reads(text: str) -> str:
    """Undo the escapes of ECMA-376, part 1, 22.9.2.19, which openpyxl leaves in a text."""
    return re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), text)


def test_the_three_kinds_hold_the_same(company: Project, tmp_path: Path) -> None:
    issue(company, rows_of(["A", "B", "C"]))
    for suffix in SUFFIXES:
        told = export_scores(company, tmp_path / f"scores{suffix}")
        assert told.to_dict()["columns"] == [column.name for column in COLUMNS]
        assert (told.rows, told.as_of, told.model_version) == (3, "2025-01-01", "1")
    typed = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    plain, sheet = read_csv(tmp_path / "scores.csv"), read_xlsx(tmp_path / "scores.xlsx")
    assert [row["account_id"] for row in typed] == ["A", "B", "C"]
    for one, text, cells in zip(typed, plain, sheet, strict=True):
        assert list(one) == list(text) == list(cells) == [column.name for column in COLUMNS]
        for name, value in one.items():
            if name in ("as_of", "issued_at"):
                assert text[name].startswith(f"{value:%Y-%m-%d}")
                assert f"{cells[name]:%Y-%m-%d %H:%M}" == f"{value:%Y-%m-%d %H:%M}"
            elif value is None:
                assert (text[name], cells[name]) == ("", None)
            elif isinstance(value, str):
                shown = value.replace("\x00", r"\x00")
                assert (text[name].lstrip("'"), cells[name]) == (shown, shown)
            else:
                # A workbook holds sixteen digits.
                assert float(text[name]) == value
                assert math.isclose(cells[name], value, rel_tol=1e-15)
    assert typed[0]["mrr"] is None
    assert plain[0]["points_usage"] == "-3.2"
    assert plain[0]["reason_3_value"] == r"'=1+1\x00"


def test_every_hostile_name_is_text_and_can_be_read(company: Project, tmp_path: Path) -> None:
    names = sorted(HOSTILE, key=lambda name: name.encode())
    issue(company, rows_of(names, segment=names))
    for suffix in SUFFIXES:
        export_scores(company, tmp_path / f"scores{suffix}")
    assert pq.read_table(tmp_path / "scores.parquet")["segment"].to_pylist() == names
    shown = [
        name.replace("\x00", r"\x00").replace("\x1b", r"\x1b").replace("\r", r"\x0d")
        for name in names
    ]
    shown = [name.replace("\ufffe\uffff", r"\ufffe\uffff") for name in shown]
    book = openpyxl.load_workbook(tmp_path / "scores.xlsx")
    for place in (1, 2):
        cells = [row[place - 1] for row in book["Scores"].iter_rows(min_row=2)]
        # A space tells what XlsxWriter takes for its own markup from it.
        assert [as_excel_reads(str(cell.value)) for cell in cells] == [
            f"{name} " if name.startswith("<r>") else name for name in shown
        ]
        assert {cell.data_type for cell in cells} <= {"s", "inlineStr"}
        assert {cell.number_format for cell in cells} == {"@"}
        assert not [cell for cell in cells if cell.hyperlink]
    with zipfile.ZipFile(tmp_path / "scores.xlsx") as archive:
        sheets = [archive.read(name).decode() for name in archive.namelist() if "sheet" in name]
    assert not [text for text in sheets if re.search("<f[ >]|<hyperlink|externalLink", text)]
    for row, name in zip(read_csv(tmp_path / "scores.csv"), shown, strict=True):
        assert row["segment"].replace("'", "") == name.replace("'", "")
        assert row["segment"][:1] not in ("=", "+", "-", "@")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_run_gives_the_same_bytes(company: Project, tmp_path: Path, suffix: str) -> None:
    issue(company, rows_of(["A", "B"]))
    files = [tmp_path / f"{name}{suffix}" for name in ("one", "two")]
    for file in files:
        export_scores(company, file)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    company: Project, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(company, rows_of([f"A{number:05}" for number in range(5000)]))
    file = tmp_path / f"scores{suffix}"
    file.write_text("old", encoding="utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = files_in(company)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as full:
            export_scores(company, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert full.value.filename == str(file)
    with warnings.catch_warnings():
        # XlsxWriter leaves it to the garbage collector to close its scratch files.
        warnings.simplefilter("ignore", ResourceWarning)
        del full
        gc.collect()
    assert files_in(company) == before
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_that_is_not_there_is_named(company: Project, tmp_path: Path, suffix: str) -> None:
    issue(company, rows_of(["A"]))
    file = tmp_path / "nowhere" / f"scores{suffix}"
    with pytest.raises(FileNotFoundError, match="No such file or directory") as absent:
        export_scores(company, file)
    assert absent.value.filename == str(file)


def a_run(rows: int) -> Run:
    return Run(RunKey("main", FIRST, "1"), 1, datetime(2025, 1, 2, 3, 4, 5), rows, {})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_batch_is_held_at_a_time(tmp_path: Path, suffix: str) -> None:
    columns = chosen_columns(["account_id", "score"])
    seen: list[weakref.ref[pa.RecordBatch]] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(20):
            # The one before may still be in a loop's variable.
            assert sum(one() is not None for one in seen) <= 1
            batch = pa.RecordBatch.from_pydict(
                {"account_id": [f"A{number}"] * 10, "score": [1.0] * 10},
                schema=export_schema(columns),
            )
            seen.append(weakref.ref(batch))
            yield batch
            del batch

    WRITERS[suffix](Export(a_run(200), columns, batches()), tmp_path / f"scores{suffix}")
    assert len(seen) == 20


def test_a_sheet_that_is_too_small_is_said_before_a_row_is_written(tmp_path: Path) -> None:
    columns = chosen_columns(["account_id"])

    def batches() -> Iterator[pa.RecordBatch]:
        raise AssertionError("a row was asked for")
        yield

    with pytest.raises(SettingsError) as refused:
        export_files.write_xlsx(Export(a_run(SHEET_ROWS), columns, batches()), tmp_path / "a.xlsx")
    assert str(refused.value) == (
        "A sheet of a workbook holds 1,048,575 accounts and the run has 1,048,576; name a .csv or"
        " .parquet file"
    )
    fits = Export(a_run(SHEET_ROWS - 1), columns, [])
    export_files.write_xlsx(fits, tmp_path / "a.xlsx")


@pytest.mark.parametrize("text", ["😀" * (CELL_CHARACTERS // 2), "\x00" * (CELL_CHARACTERS // 4)])
def test_a_text_longer_than_a_cell(company: Project, tmp_path: Path, text: str) -> None:
    issue(company, rows_of(["A"], segment=[text]))
    export_scores(company, tmp_path / "scores.xlsx", columns=["segment"])
    cell = openpyxl.load_workbook(tmp_path / "scores.xlsx")["Scores"]["A2"].value
    assert len(cell) >= CELL_CHARACTERS // 2
    before = files_in(company)
    issue(company, rows_of(["A"], segment=[f"{text}{text[:4]}"]))
    said = refusal(SettingsError, company, tmp_path / "scores.xlsx", columns=["segment"])
    assert re.fullmatch(
        r"A cell of a workbook holds 32,767 characters and a text of the run has 32,7\d\d,"
        r" beginning with '.{60,250}'; name a .csv or .parquet file",
        said,
    )
    assert files_in(company)["scores.xlsx"] == before["scores.xlsx"]
    export_scores(company, tmp_path / "scores.csv", columns=["segment"])


def test_columns_are_explained_in_every_place(company: Project, tmp_path: Path) -> None:
    notes = {column.name: column.note for column in COLUMNS}
    assert len(notes) == len(COLUMNS) == len(SHOWN) - 3 + 4 * REASONS + 5
    assert all(note.endswith(".") and ".." not in note for note in notes.values())
    assert {f"points_{group}" for group in GROUPS} < notes.keys()
    issue(company, rows_of(["A"]))
    for suffix in (".xlsx", ".parquet"):
        export_scores(company, tmp_path / f"scores{suffix}")
    listed = read_xlsx(tmp_path / "scores.xlsx", "Columns")
    assert {row["Column"]: row["What it holds"] for row in listed} == notes
    schema = pq.read_schema(tmp_path / "scores.parquet")
    assert {field.name: field.metadata[b"description"].decode() for field in schema} == notes
    about = json.loads(schema.metadata[b"healthscore"])
    assert about["facts"] == {"config_fingerprint": "abc"}
    assert (about["as_of"], about["model_version"], about["revision"]) == ("2025-01-01", "1", 1)
    page = Path(__file__).parents[3] / "docs" / "reference" / "exports.md"
    listed = re.findall(r"^\| `(\w+)` \| (.+) \|$", page.read_text("utf-8"), flags=re.MULTILINE)
    assert dict(listed) == notes


def test_nothing_is_left_of_an_interrupted_export(
    company: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(company, rows_of(["A"]))
    before = files_in(company)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for suffix, writer in (
        (".csv", "pyarrow.csv.CSVWriter.write_batch"),
        (".xlsx", "xlsxwriter.worksheet.Worksheet.write_datetime"),
        (".parquet", "pyarrow.parquet.ParquetWriter.write_batch"),
    ):
        if suffix == ".csv":
            # A method of a C class cannot be replaced.
            monkeypatch.setattr(export_files, "harmless", interrupted)
        else:
            monkeypatch.setattr(writer, interrupted)
        refusal(KeyboardInterrupt, company, tmp_path / f"scores{suffix}")
    assert files_in(company) == before
