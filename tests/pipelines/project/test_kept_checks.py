"""Checks of tables that did not change: told again, and made again once anything differs."""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.tables import company as companies
from features.tables.company import Company
from pipelines.project.company import Keeping, open_company
from pipelines.project.project import load_project

CONFIG = """
[source]
url = "data"
[tables.accounts]
[tables.subscriptions]
[tables.usage_events]
[store]
url = "scores.duckdb"
"""
TABLES = ["accounts", "subscriptions", "usage_events"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    begun = [datetime(2024, 1, day) for day in (1, 2, 3)]
    names = ["a", "b", "c"]
    write(tmp_path, "accounts", account_id=names, created_at=begun)
    write(tmp_path, "subscriptions", account_id=names, started_at=begun, mrr=[1.0, -2.0, 3.0])
    write(tmp_path, "usage_events", account_id=["a", "b", "x"], occurred_at=begun)
    (tmp_path / "healthscore.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path / "healthscore.toml"


@pytest.fixture
def inspected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables that were checked since it was emptied."""
    names: list[str] = []
    inspect = companies.inspect_table

    def noted(table, *given):  # type: ignore[no-untyped-def]
        names.append(table.contract.name)
        return inspect(table, *given)

    monkeypatch.setattr(companies, "inspect_table", noted)
    return names


def write(folder: Path, table: str, **columns: list[object]) -> None:
    pq.write_table(pa.table(columns), folder / "data" / f"{table}.parquet")


def opened(config: Path, keeping: Keeping | None = None) -> Company:
    with open_company(load_project(config), keeping=keeping) as company:
        return company


def kept(config: Path) -> list[Path]:
    return sorted(config.parent.glob("scores.duckdb.panes/*"))


def test_what_was_told_is_told_again(config: Path, inspected: list[str]) -> None:
    opened(config)
    assert kept(config) == []  # who only asks leaves nothing behind
    first = opened(config, Keeping())
    assert inspected == [*TABLES, *TABLES]
    assert len(kept(config)) == 1
    inspected.clear()
    for keeping in (None, Keeping()):
        again = opened(config, keeping)
        assert (again.quality, again.data_end) == (first.quality, date(2024, 1, 4))
    assert inspected == []
    assert any("x" in text for text in again.quality["usage_events"].problems)
    opened(config, Keeping(is_full=True))
    assert inspected == TABLES


def test_a_file_of_the_same_size_and_time_in_its_place_is_checked(
    config: Path, inspected: list[str]
) -> None:
    opened(config, Keeping())
    inspected.clear()
    file = config.parent / "data" / "subscriptions.parquet"
    before = file.stat()
    write(
        config.parent,
        "subscriptions",
        account_id=["a", "b", "c"],
        started_at=[datetime(2024, 1, day) for day in (1, 2, 3)],
        mrr=[1.0, -2.0, -3.0],
    )
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    problems = opened(config).quality["subscriptions"].problems
    assert inspected == TABLES
    assert any(text.startswith("2 negative values of mrr") for text in problems)


@pytest.mark.parametrize(
    "text", ["", "{", "null", '{"tables": {"accounts": {"later": 1}}, "end": "2024-01-04"}']
)
def test_what_a_full_disk_or_a_later_version_left_counts_as_absent(
    config: Path, inspected: list[str], text: str
) -> None:
    first = opened(config, Keeping())
    (file,) = kept(config)
    file.write_text(text, encoding="utf-8")
    inspected.clear()
    assert opened(config, Keeping()).quality == first.quality
    assert inspected == TABLES
    assert file.read_text("utf-8") != text


def test_another_mapping_is_checked(config: Path, inspected: list[str]) -> None:
    opened(config, Keeping())
    inspected.clear()
    config.write_text(CONFIG + '[reading]\ndates = "day-first"\n', encoding="utf-8")
    opened(config)
    assert inspected == TABLES


def test_times_that_are_still_to_come_are_told_anew(config: Path, inspected: list[str]) -> None:
    write(
        config.parent,
        "usage_events",
        account_id=["a", "b"],
        occurred_at=[datetime(2024, 1, 2), datetime(2200, 1, 1)],
    )
    opened(config, Keeping())
    assert kept(config) == []


def test_a_folder_that_cannot_be_written_costs_a_check(config: Path, inspected: list[str]) -> None:
    (config.parent / "scores.duckdb.panes").write_text("no folder", encoding="utf-8")
    assert opened(config, Keeping()).quality.keys() == set(TABLES)
    assert inspected == TABLES
