"""Exports of issued runs: which run, which columns, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from features.catalog import GROUPS
from features.errors import RegistryError, SettingsError, StoreError
from models.scoring.reasons import sentence
from pipelines.project.project import Project, load_project
from pipelines.scoring import export as exporting
from pipelines.scoring.export import export_scores
from pipelines.scoring.export_rows import COLUMNS
from pipelines.store.opening import open_store
from pipelines.store.schema import REASONS
from tests.pipelines.export_by_hand import (
    CONFIG,
    FIRST,
    SECOND,
    SIGNALS,
    SUFFIXES,
    issue,
    read_csv,
    read_xlsx,
    refusal,
    rows_of,
)


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with nothing issued, whose models know three signals."""
    path = tmp_path / "healthscore.toml"
    path.write_text(CONFIG, encoding="utf-8")
    monkeypatch.setattr(exporting, "_catalogue", lambda project, run: SIGNALS)
    return load_project(path)


def test_reasons_are_said_and_given_apart(company: Project, tmp_path: Path) -> None:
    issue(company, rows_of(["A"]))
    export_scores(company, tmp_path / "scores.parquet")
    (row,) = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    assert row["reason_1"] == "1 use in 28 days: −8.1 points"
    assert row["reason_2"] == "Uses is not known: +2.5 points"
    assert row["reason_3"] == "Plan is =1+1: +0.2 points"
    told = [row[f"reason_{rank}_{part}"] for rank in (1, 2) for part in ("signal", "value")]
    assert told == ["uses", "1.0", "change", None]
    assert [row[f"reason_{rank}_points"] for rank in range(1, 6)] == [-8.125, 2.5, 0.25, None, None]
    assert row["reason_4"] is row["reason_5_signal"] is None


def test_what_is_remembered_of_sentences_changes_none(company: Project, tmp_path: Path) -> None:
    points = [0.04, -0.04, 0.05, -0.05, 0.15, 0.25, -8.15, -8.25, 99.95, 0.0]
    values = ["0.0", None, "1.0", "1.04"]
    pairs = [(value, point) for value in values for point in points]
    issue(
        company,
        rows_of(
            [f"A{number:03}" for number in range(len(pairs))],
            reason_signals=[["uses"]] * len(pairs),
            reason_values=[[value] for value, _ in pairs],
            reason_points=[[point] for _, point in pairs],
        ),
    )
    export_scores(company, tmp_path / "scores.parquet", columns=["reason_1"])
    said = pq.read_table(tmp_path / "scores.parquet")["reason_1"].to_pylist()
    assert said == [
        sentence(SIGNALS["uses"], None if value is None else float(value), point)
        for value, point in pairs
    ]


def test_columns_are_chosen_and_ordered(company: Project, tmp_path: Path) -> None:
    issue(company, rows_of(["A", "B"]))
    wanted = ["score", "reason_2_points", "account_id", "as_of"]
    for suffix in SUFFIXES:
        told = export_scores(company, tmp_path / f"scores{suffix}", columns=wanted)
        assert told.columns == wanted
    assert pq.read_table(tmp_path / "scores.parquet").column_names == wanted
    assert list(read_csv(tmp_path / "scores.csv")[0]) == wanted
    assert [row["Column"] for row in read_xlsx(tmp_path / "scores.xlsx", "Columns")] == wanted


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["account", "score"], "An export has no column 'account'; did you mean 'account_id'?"),
        (
            ["zzz"],
            "An export has no column 'zzz'; there are 'account_id', 'segment', 'score', 'band',"
            " 'probability', 'coverage', 'baseline_score', 'points_usage' and 42 more",
        ),
        (
            ["score", "band", "score"],
            "The columns of an export must be named once each, and --columns names 'score' twice;"
            " correct it",
        ),
        (
            [],
            "The columns of an export must be named once each, and --columns names none;"
            " correct it",
        ),
    ],
)
def test_columns_that_cannot_be(
    company: Project, tmp_path: Path, columns: list[str], message: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        export_scores(company, tmp_path / "scores.csv", columns=columns)
    assert str(refused.value) == message


@pytest.mark.parametrize("name", ["scores.xls", "scores", "scores.csv.gz"])
def test_another_suffix_is_refused_before_anything_is_read(company: Project, name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        export_scores(company, Path(name))
    assert str(refused.value) == (
        f"An export is written as .csv, .xlsx, .parquet, and '{name}' ends in"
        f" '{Path(name).suffix}'; name another file"
    )


def test_suffixes_may_be_in_capitals(company: Project, tmp_path: Path) -> None:
    issue(company, rows_of(["A"]))
    export_scores(company, tmp_path / "SCORES.CSV")
    assert read_csv(tmp_path / "SCORES.CSV")[0]["account_id"] == "A"


def test_the_newest_date_and_there_the_last_issue(company: Project, tmp_path: Path) -> None:
    issue(company, rows_of(["new"]), SECOND, "1")
    issue(company, rows_of(["old, by 2"]), FIRST, "2")
    issue(company, rows_of(["old, by 1"]), FIRST, "1")
    issue(company, rows_of(["old, by 2 again"]), FIRST, "2")
    file = tmp_path / "scores.csv"

    def exported(**which: Any) -> tuple[str, int]:
        told = export_scores(company, file, columns=["account_id"], **which)
        return read_csv(file)[0]["account_id"], told.revision

    assert exported() == ("new", 1)
    assert exported(as_of=FIRST) == ("old, by 2 again", 2)
    assert exported(as_of=FIRST, revision=1) == ("old, by 1", 1)
    assert exported(model_version="2", revision=1) == ("old, by 2", 1)
    with pytest.raises(StoreError) as absent:
        exported(as_of=SECOND, model_version="2", revision=3)
    assert str(absent.value) == (
        "No run as of 2025-02-01, model version 2, revision 3 was issued of outcome 'main'; issued"
        " were '2025-02-01 by model version 1, revision 1', '2025-01-01 by model version 2,"
        " revision 2', '2025-01-01 by model version 1, revision 1' and 1 more"
    )


def test_nothing_issued(company: Project, tmp_path: Path) -> None:
    with open_store(company, read_only=False):
        pass
    with pytest.raises(StoreError) as absent:
        export_scores(company, tmp_path / "scores.csv")
    assert str(absent.value) == (
        "No run at all was issued of outcome 'main'; issue scores with 'healthscore score'"
    )


def test_a_signal_that_the_catalogue_lost(company: Project, tmp_path: Path) -> None:
    issue(company, rows_of(["A"], reason_signals=[["gone", "uses", "uses"]]))
    assert refusal(RegistryError, company, tmp_path / "scores.csv") == (
        "The scores of 2025-01-01 by model version 1 (outcome main) were issued with signal 'gone',"
        " which that version in the registry does not know; set the registry they were issued with,"
        " or leave the sentences out with --columns"
    )
    assert not (tmp_path / "scores.csv").exists()
    export_scores(company, tmp_path / "scores.csv", columns=["account_id", "reason_1_signal"])
    assert read_csv(tmp_path / "scores.csv") == [{"account_id": "A", "reason_1_signal": "gone"}]


def test_sentences_take_the_registry_and_the_rest_does_not(
    company: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(company, rows_of(["A"]))
    monkeypatch.undo()
    refusal(RegistryError, company, tmp_path / "scores.csv")
    without = [column.name for column in COLUMNS if not column.is_sentence]
    assert len(without) == len(COLUMNS) - REASONS
    export_scores(company, tmp_path / "scores.csv", columns=without)
    assert read_csv(tmp_path / "scores.csv")[0]["reason_1_signal"] == "uses"


def test_the_issued_scores_of_a_company(scored: Any, run: Any, tmp_path: Path) -> None:
    """The whole way: trained, scored and exported, in words that ``explain`` says too."""
    file = tmp_path / "scores.parquet"
    told = run("export", file, "-c", scored.config, "--json").answer
    rows = pq.read_table(file).to_pylist()
    assert told["rows"] == len(rows) == len({row["account_id"] for row in rows})
    assert told["columns"] == [column.name for column in COLUMNS] == list(rows[0])
    for row in rows:
        points = sum(row[f"points_{group}"] for group in GROUPS)
        assert row["baseline_score"] + points == pytest.approx(row["score"], abs=1e-9)
    for row in rows[:2]:
        shown = run("explain", row["account_id"], "-c", scored.config, "--json").answer
        said = [reason["sentence"] for reason in shown["signals"][:REASONS]]
        assert [row[f"reason_{rank}"] for rank in range(1, REASONS + 1)] == said
    asked = ("--as-of", "2025-03-15", "--columns", "score, as_of")
    earlier = run("export", tmp_path / "scores.csv", "-c", scored.config, *asked)
    lines = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert earlier.out == (
        f"Wrote {len(lines) - 1} scores of 2025-03-15 by model version 1 to"
        f" {tmp_path / 'scores.csv'}\n"
    )
    assert lines[0] == '"score","as_of"'
    assert all(line.endswith(",2025-03-15") for line in lines[1:])
