"""Text files as people have them: delimiter, encoding, header, ragged lines, values as written."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from features.errors import DataError
from features.sources.files import delimited
from features.sources.files.plain_forms import MANY_COLUMNS
from features.sources.opening import open_source
from features.tables.company import load_company
from features.tables.mapping.mapping import TablesSettings


def rows_of(folder: Path, name: str = "rows", encoding: str = "utf-8") -> list[dict[str, object]]:
    with open_source(str(folder), folder, encoding) as source:
        rows: list[dict[str, object]] = source.tables[name].to_pyarrow().to_pylist()
        return rows


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", b"a,b\n1,x\n"),
        ("rows.csv", b"\xef\xbb\xbfa;b\r\n1;x\r\n"),
        ("rows.csv", "a,b\n1,x\n".encode("utf-16")),
        ("rows.tsv", b"a\tb\n1\tx\n"),
        ("rows.txt", b"a|b\n1|x\n"),
        ("rows.csv.gz", gzip.compress(b"a,b\n1,x\n", mtime=0)),
        ("rows.csv", b"a,b\r\n1,x\n"),
        ("rows.csv", b"a,b\n1,x\n\n\n"),
        ("rows.csv", b"sep=;\r\na;b\r\n1;x\r\n"),
    ],
)
def test_a_file_is_read_however_it_is_written(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert rows_of(tmp_path) == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n3,4,5\n", "Line 3 of the file '{}' must have 2 fields, as its header line"),
        (b"a,b\n1,2\n\nTotal (1 record)\n", "Line 4 of the file '{}' must have 2 fields, as its"),
        (b"a,b,\n1,2\n", "Line 2 of the file '{}' must have 3 fields, as its header line has, and"),
        (b'a,b\n1,"2\n3,4\n', "Line 2 of the file '{}' opens a quote that never closes"),
        ("a,b\n1,2\n3,Zürich\n".encode("latin-1"), "The file '{}' is not UTF-8: line 3 holds"),
        (b"Report of May\n\na,b\n1,2\n3,4\n", "The first line of the file '{}' must name its col"),
        (b"Report\n1,2,3\n4,5,6\n", "The first line of the file '{}' must name its columns and"),
        (b"A1,2024-01-01\nA2,2024-01-02\n", "The file '{}' has no header line: its first line"),
        (b"a,b\0\n1,2\n", "The file '{}' must hold text and holds bytes of another kind"),
    ],
)
def test_what_cannot_be_read_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path)
    assert str(caught.value).startswith(said.format(file))
    assert "\n" not in str(caught.value)


def test_another_encoding_is_read_when_told(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("a,b\n1,Zürich\n".encode("latin-1"))
    assert rows_of(tmp_path, encoding="latin-1") == [{"a": 1, "b": "Zürich"}]


def test_names_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,,A,a\n1,2,3,4\n")
    assert rows_of(tmp_path) == [{"a": 1, "column1": 2, "A_1": 3, "a_2": 4}]


@pytest.mark.parametrize(
    "ids",
    [("1E4", "2E4"), ("00:01", "00:02"), ("02-01-24", "03-01-24"), ("1.10", "1.1"), ("07", "7")],
)
def test_ids_stay_as_they_are_written(ids: tuple[str, str], tmp_path: Path) -> None:
    rows = "".join(f"{each},2023-01-01\n" for each in ids)
    (tmp_path / "accounts.csv").write_text(f"account_id,created_at\n{rows}")
    (tmp_path / "subscriptions.csv").write_text(f"account_id,started_at\n{rows}")
    settings = TablesSettings.model_validate({"accounts": {}, "subscriptions": {}})
    with open_source(str(tmp_path), tmp_path) as source:
        company = load_company(source, settings)
        found = company.tables["accounts"].cleaned.account_id.to_pyarrow().to_pylist()
        assert sorted(found) == sorted(ids)
        assert company.quality["subscriptions"].problems == ()


def test_ids_that_a_program_wrote_as_fractions_join_with_whole_ones(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("account_id,created_at\n7,2023-01-01\n8,2023-01-01\n")
    (tmp_path / "subscriptions.csv").write_text("account_id,started_at\n7.0,2023-01-01\n,\n")
    settings = TablesSettings.model_validate({"accounts": {}, "subscriptions": {}})
    with open_source(str(tmp_path), tmp_path) as source:
        company = load_company(source, settings)
        rows = company.tables["subscriptions"].cleaned
        assert rows.account_id.to_pyarrow().to_pylist() == ["7"]


def test_files_that_are_not_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("account_id\nA\n")
    for name in ("tickets.xlsx", "all.zip", "old.xls", "notes.md", "readme.txt"):
        (tmp_path / name).write_text("words")
    with open_source(str(tmp_path), tmp_path) as source:
        assert source.unread == ("all.zip", "old.xls", "tickets.xlsx")


def test_a_broken_file_that_nobody_maps_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,x\n")
    (tmp_path / "broken.csv").write_text("a,b\n1,2,3\n")
    assert rows_of(tmp_path) == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"Customers\nas of 2024-05-01\n\na,b,c,d\n1,x,2,4\n3,y,4,5\n", 4),
        (b"Customers,,,\nGenerated,2024-05-01,,\n,,,\na,b,c,d\n1,x,2,4\n3,y,4,5\n", 4),
        (b"sep=,\nCustomers\na,b,c,d\n1,x,2,4\n3,y,4,5\n", 3),
    ],
)
def test_a_title_above_the_header_is_passed_over_and_told(
    content: bytes, line: int, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    first, second = {"a": 1, "b": "x", "c": 2, "d": 4}, {"a": 3, "b": "y", "c": 4, "d": 5}
    assert rows_of(tmp_path) == [first, second]
    with open_source(str(tmp_path), tmp_path) as source:
        assert source.about("rows").notes == (
            f"the header is line {line}, below lines of other text",
        )


def test_a_header_with_a_blank_name_is_no_title(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a,b,\nx,y,z\nu,v,w\n")
    assert rows_of(tmp_path)[0] == {"a": "x", "b": "y", "column2": "z"}


def test_a_name_that_is_there_twice_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a,mrr,MRR\n1,2,3\n")
    assert rows_of(tmp_path) == [{"a": 1, "mrr": 2, "MRR_1": 3}]
    with open_source(str(tmp_path), tmp_path) as source:
        assert source.about("rows").notes == (
            "the header names 'MRR' twice, and the second is read as another",
        )


def test_lines_of_totals_and_of_delimiters_alone_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text(
        "account_id,created_at\nA,2023-01-01\n,\nTotal,\nSumme,2023-01-01\n"
    )
    (tmp_path / "subscriptions.csv").write_text(
        "account_id,started_at,mrr\nA,2023-01-01,5\n,,\n,,\nGrand Total:,,5\n"
    )
    settings = TablesSettings.model_validate({"accounts": {}, "subscriptions": {}})
    with open_source(str(tmp_path), tmp_path) as source:
        company = load_company(source, settings)
        ids = company.tables["accounts"].cleaned.order_by("account_id").account_id
        # What has a time is a row, whatever it is called.
        assert ids.to_pyarrow().to_pylist() == ["A", "Summe"]
        assert company.quality["subscriptions"].rows == 1
        for name in ("accounts", "subscriptions"):
            assert company.quality[name].problems[0] == "1 rows are totals and are left out"


VALUES = ["1", "007", "1.5", "1.250", "true", "2024-01-05", "2024-01-05 10:00", "x", "NULL", ""]


def test_a_wide_file_has_the_types_of_a_narrow_one(tmp_path: Path) -> None:
    rows = [[VALUES[(place + shift) % 10] if place % 2 else VALUES[place % 10]
             for place in range(MANY_COLUMNS + 20)] for shift in (0, 8)]  # fmt: skip
    names = [f"c{place}" for place in range(MANY_COLUMNS + 20)]
    for name, width in (("wide", len(names)), ("narrow", 20)):
        lines = [names[:width], *(row[:width] for row in rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(",".join(line) for line in lines) + "\n")
    with open_source(str(tmp_path), tmp_path, "utf-8") as source:
        wide, narrow = (source.tables[name] for name in ("wide", "narrow"))
        kinds = [[type(kind) for kind in table.schema().types][:20] for table in (wide, narrow)]
        assert kinds[0] == kinds[1]
        assert (
            wide.select(narrow.columns).to_pyarrow().to_pylist() == narrow.to_pyarrow().to_pylist()
        )


def test_a_wide_table_counts_rows_and_spells_ids_as_a_narrow_one(tmp_path: Path) -> None:
    names = [f"c{place}" for place in range(MANY_COLUMNS)]
    rows = [
        ["account_id", "created_at", "Status", *names],
        *(["1E4", "2024-01-05", "", *["1"] * MANY_COLUMNS] for _ in range(2)),
        [""] * (MANY_COLUMNS + 3),
        ["007", "2024-01-06", "open", *["2"] * MANY_COLUMNS],
        ["Total", "", "", *["3"] * MANY_COLUMNS],
    ]
    text = "\n".join(",".join(row) for row in rows) + "\n"
    (tmp_path / "subscriptions.csv").write_text("account_id,started_at\n007,2024-01-06\n")
    settings = TablesSettings.model_validate({"accounts": {}, "subscriptions": {}})
    said = []
    for written in (text, text.replace("1E4", "1E5", 1)):
        (tmp_path / "accounts.csv").write_text(written)
        with open_source(str(tmp_path), tmp_path) as source:
            company = load_company(source, settings)
            found = company.tables["accounts"]
            ids = found.cleaned.order_by("account_id").account_id.to_pyarrow().to_pylist()
            assert found.source is not None
            said.append((ids, company.quality["accounts"].problems, len(found.source.columns)))
    totals, copies = "1 rows are totals and are left out", "1 rows are exact copies of another"
    assert said[0] == (["007", "1E4"], (totals, f"{copies} and are left out"), MANY_COLUMNS + 3)
    assert said[1] == (["007", "1E4", "1E5"], (totals,), 3)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"a,b\n1,2\n")
    read = delimited.text_table

    def slowly(texts):
        with file.open("ab") as more:
            more.write(b"3,")
        return read(texts)

    monkeypatch.setattr(delimited, "text_table", slowly)
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path)
    assert str(caught.value) == (
        f"The file '{file}' had 8 bytes and has 10: it is written while it is read; run again when"
        " it is complete"
    )


def test_a_file_that_grows_between_two_queries_is_refused(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_bytes(b"account_id,created_at\nA,2023-01-01\n")
    file = tmp_path / "subscriptions.csv"
    file.write_bytes(b"account_id,started_at\nA,2023-01-01\n")
    settings = TablesSettings.model_validate({"accounts": {}, "subscriptions": {}})
    said = f"The file '{file}' had 35 bytes and has 38: it is written while it is read"

    def grow_after_the_first_query() -> None:
        with open_source(str(tmp_path), tmp_path) as source:
            load_company(source, settings)
            file.write_bytes(b"account_id,started_at\nA,2023-01-01\nA,2")

    with pytest.raises(DataError, match=re.escape(said)):
        grow_after_the_first_query()
    file.write_bytes(b"account_id,started_at\nA,2023-01-01\n")
    with open_source(str(tmp_path), tmp_path) as source:
        source.table("subscriptions", "")
        file.write_bytes(b"account_id,started_at\nA,2023-01-01\nB,")
        with pytest.raises(DataError, match="it is written while it is read"):
            load_company(source, settings)
        file.write_bytes(b"account_id,started_at\nA,2023-01-01\n")
