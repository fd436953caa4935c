"""A worklist as a file holds what the panel shows, in the same order and words."""

from __future__ import annotations

import csv
import json
import re
from datetime import date

import pytest

from features.errors import DataError, SettingsError
from pipelines.cli import main
from pipelines.portfolio.outbox.worklist_file import COLUMNS, write_worklist
from tests.pipelines.dashboard.served import HOSTILE, company, issue_scores, served


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = company(tmp_path_factory.mktemp("worklist") / "company")
    issue_scores(made, 200, seed=5, day=date(2024, 12, 1))
    issue_scores(made)
    return made


def rows_of(file) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def write(project, file, **options):
    return write_worklist(project, file, **({"as_of": None, "owner": None, "first": 10} | options))


def test_the_file_holds_what_the_panel_shows(project, tmp_path) -> None:
    written = write(project, tmp_path / "w.csv")
    with served(project) as running:
        calls = running.browser().get("/api/v1/portfolio").json()["calls"]
    rows = rows_of(tmp_path / "w.csv")
    assert list(rows[0]) == [column.name for column in COLUMNS]
    assert written.rows == len(rows) == len(calls) == 10
    for rank, (row, call) in enumerate(zip(rows, calls, strict=True), start=1):
        account = call["account"]
        assert row["rank"] == str(rank)
        assert row["account_id"].lstrip("'") == account["account_id"]
        assert float(row["score"]) == pytest.approx(account["score"], abs=0.051)
        assert float(row["change"]) == pytest.approx(account["change"], abs=0.051)
        assert float(row["expected_loss"]) == pytest.approx(account["stake"], abs=0.01)
        assert row["renewal"] == account["renewal"]
        assert row["owner"] == (account["owner"] or "")
        told = [row[f"reason_{place}"] for place in (1, 2, 3) if row[f"reason_{place}"]]
        assert told == call["reasons"][:3]
        assert row["play"] == (call["play"] or "")
    stakes = [float(row["expected_loss"]) for row in rows]
    assert stakes == sorted(stakes, reverse=True)


def test_an_owner_gets_their_own_accounts(project, tmp_path) -> None:
    write(project, tmp_path / "w.csv", owner="Zoé", first=500)
    rows = rows_of(tmp_path / "w.csv")
    assert len(rows) == 50
    assert {row["owner"] for row in rows} == {"Zoé"}
    with pytest.raises(DataError, match="Nobody named 'Zoe' looks after an account"):
        write(project, tmp_path / "x.csv", owner="Zoe")
    assert not (tmp_path / "x.csv").exists()


def test_hostile_names_are_text_in_every_file(project, tmp_path) -> None:
    import zipfile

    write(project, tmp_path / "w.csv", first=200)
    rows = rows_of(tmp_path / "w.csv")
    assert len(rows) == 200
    names = [row["name"] for row in rows]
    assert f"'{HOSTILE[4]}" in names
    assert not any(re.match(r"\s*[=+@]", value) for row in rows for value in row.values())
    write(project, tmp_path / "w.xlsx", first=200)
    with zipfile.ZipFile(tmp_path / "w.xlsx") as book:
        sheets = "".join(
            book.read(name).decode() for name in book.namelist() if "worksheets" in name
        )
        titles = book.read("xl/workbook.xml").decode()
    assert "<f>" not in sheets
    assert 'name="Worklist"' in titles
    write(project, tmp_path / "w.parquet", first=200)
    import pyarrow.parquet as pq

    assert HOSTILE[4] in pq.read_table(tmp_path / "w.parquet")["name"].to_pylist()


def test_the_command_says_what_it_wrote(project, tmp_path, capsys) -> None:
    file = tmp_path / "w.csv"
    with pytest.raises(SystemExit) as ended:
        main(["export", str(file), "-c", str(project.path), "--worklist", "--first", "3", "--json"])
    assert not ended.value.code
    answer = json.loads(capsys.readouterr().out)
    assert answer == {
        "file": str(file),
        "rows": 3,
        "owner": None,
        "outcome": "main",
        "as_of": "2025-01-01",
        "model_version": "1",
        "outdated": None,
    }


def test_what_a_worklist_cannot_be_is_refused(project, tmp_path, capsys) -> None:
    with pytest.raises(SettingsError, match="A worklist is written as"):
        write(project, tmp_path / "w.pdf")
    with pytest.raises(SystemExit) as ended:
        main(["export", "w.csv", "-c", str(project.path), "--worklist", "--columns", "score"])
    assert ended.value.code == 2
    assert "A worklist has columns of its own" in capsys.readouterr().err
