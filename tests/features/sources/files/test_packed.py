"""Workbooks and archives: read as their sheets and files would be, and bounded."""

from __future__ import annotations

import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest

from features.errors import DataError
from features.sources.files import packed
from features.sources.opening import open_source

Rows = list[list[object]]
ROWS: Rows = [["id", "at", "mrr", "on"], [1, datetime(2024, 1, 31, 10, 5), 9.5, True]]
READ = {"id": 1, "at": datetime(2024, 1, 31, 10, 5), "mrr": 9.5, "on": True}


def workbook(file: Path, **sheets: Rows) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(file)
    return file


def tables(url: Path) -> dict[str, list[dict[str, object]]]:
    with open_source(str(url), Path()) as source:
        return {name: source.tables[name].to_pyarrow().to_pylist() for name in source.tables}


def failure(url: Path) -> str:
    with pytest.raises(DataError) as caught:
        tables(url)
    assert "\n" not in str(caught.value)
    assert "healthscore-" not in str(caught.value)
    return str(caught.value)


def test_every_sheet_is_a_table_and_a_single_one_is_called_as_its_file(tmp_path: Path) -> None:
    workbook(tmp_path / "crm.xlsx", Accounts=ROWS, Deals=ROWS, Empty=[])
    workbook(tmp_path / "tickets.xlsx", Sheet1=ROWS)
    (tmp_path / "plain.csv").write_text("id\n7\n")
    assert tables(tmp_path) == {
        "plain": [{"id": 7}],
        "Accounts": [READ],
        "Deals": [READ],
        "tickets": [READ],
    }
    assert list(tables(tmp_path / "crm.xlsx")) == ["Accounts", "Deals"]


def test_sheets_of_one_name_in_two_workbooks_are_told_apart(tmp_path: Path) -> None:
    for name in ("north", "south"):
        workbook(tmp_path / f"{name}.xlsx", Accounts=ROWS, Deals=ROWS)
    assert list(tables(tmp_path)) == ["Accounts", "Deals", "south_Accounts", "south_Deals"]


def test_cells_are_read_as_a_file_of_them_would_be(tmp_path: Path) -> None:
    rows: Rows = [
        ["Customers of May"],
        [],
        ["id", "code", "day", "sum"],
        ["7", "007", date(2024, 5, 1), 7.0],
        ["8", "1E4", datetime(2024, 5, 2), None],
    ]
    workbook(tmp_path / "book.xlsx", Sheet1=rows)
    assert tables(tmp_path)["book"] == [
        {"id": 7, "code": "007", "day": date(2024, 5, 1), "sum": 7},
        {"id": 8, "code": "1E4", "day": date(2024, 5, 2), "sum": None},
    ]


def test_a_row_wider_than_the_header_is_named_by_its_sheet(tmp_path: Path) -> None:
    workbook(tmp_path / "book.xlsx", One=[["a", "b"], [1, 2], [1, 2, 3]], Two=ROWS)
    said = f"Line 3 of the file '{tmp_path}/book.xlsx/One' must have 2 fields"
    assert failure(tmp_path).startswith(said)


def test_an_archive_is_read_like_its_folder(tmp_path: Path) -> None:
    book = workbook(tmp_path / "book.xlsx", Deals=ROWS, Accounts=ROWS)
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("export/rows.csv", "id,at\n1,2024-01-31\n")
        archive.writestr("export/../../escaped.tsv", "id\tat\n2\t2024-01-31\n")
        archive.writestr("__MACOSX/export/._rows.csv", "junk")
        archive.writestr("export/readme.md", "junk")
        archive.write(book, "export/book.xlsx")
    book.unlink()
    listed = tables(tmp_path)
    assert list(listed) == ["rows", "escaped", "Deals", "Accounts"]
    assert listed["rows"] == [{"id": 1, "at": date(2024, 1, 31)}]
    assert listed["Deals"] == [READ]
    assert tables(tmp_path / "export.zip") == listed
    assert not list(tmp_path.parent.glob("escaped*"))


def test_one_table_in_two_places_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id\n7\n")
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("rows.csv", "id\n7\n")
    assert failure(tmp_path) == (
        f"The folder '{tmp_path}' holds table 'rows' twice, as '{tmp_path}/rows.csv' and as"
        f" '{tmp_path}/export.zip/rows.csv'; keep one of them"
    )


def test_a_bomb_is_stopped_by_what_comes_out_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "MOST_BYTES", 1 << 30)
    monkeypatch.setattr(packed, "_CHUNK", 1 << 29)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", "id\n" + "7\n" * 1000)
    monkeypatch.setattr(packed, "MOST_BYTES", 1000)
    assert "holds more than 0 GiB unpacked; unpack it yourself" in failure(tmp_path)
    monkeypatch.setattr(packed, "MOST_MEMBERS", 0)
    assert "holds 1 files, and at most 0 are unpacked" in failure(tmp_path)


def test_a_workbook_that_is_too_large_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbook(tmp_path / "book.xlsx", One=ROWS, Two=ROWS)
    monkeypatch.setattr(packed, "MOST_SHEETS", 1)
    assert "has 2 sheets, and at most 1 are read" in failure(tmp_path)
    monkeypatch.setattr(packed, "MOST_SHEET_BYTES", 100)
    assert "MiB of sheets, and at most 0 MiB are read; save its sheets" in failure(tmp_path)


def test_what_is_broken_is_named(tmp_path: Path) -> None:
    file = tmp_path / "book.xlsx"
    file.write_bytes(b"no workbook")
    assert "it is no XLSX file, or has a password" in failure(tmp_path)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<")
    assert failure(tmp_path).startswith(f"The workbook '{file}' cannot be read: ")
    file.unlink()
    (tmp_path / "export.zip").write_bytes(b"PK no archive")
    assert failure(tmp_path).startswith(f"The archive '{tmp_path}/export.zip' cannot be read: ")


def test_a_sheet_with_a_title_and_blank_columns_has_its_header_below(tmp_path: Path) -> None:
    file = workbook(
        tmp_path / "crm.xlsx",
        Accounts=[
            ["Customers"],
            [],
            ["Customer No", "Company", None, "Segment", None, "Seats"],
            ["K1", "one", None, "small", None, 3],
            ["K2", "two", None, None, None, 4],
        ],
        Deals=ROWS,
    )
    rows = tables(file)["Accounts"]
    assert [(row["Customer No"], row["Segment"], row["Seats"]) for row in rows] == [
        ("K1", "small", 3),
        ("K2", None, 4),
    ]
