"""SQLite files: their tables are read as a folder of texts would be."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from features.errors import DataError
from features.sources.opening import open_source


def database(file: Path) -> Path:
    with closing(sqlite3.connect(file)) as made:
        made.execute("CREATE TABLE orgs (id INTEGER PRIMARY KEY, code TEXT, ended_at TEXT, logo)")
        made.execute("CREATE TABLE none_yet (id INTEGER)")
        rows = [(1, "007", "2024-01-31 10:05:00", b"\0"), (2, "010", None, None)]
        made.executemany("INSERT INTO orgs VALUES (?, ?, ?, ?)", rows)
        made.commit()
    return file


@pytest.mark.parametrize("name", ["app.sqlite3", "app.db"])
def test_tables_of_sqlite_are_read_by_their_rows(name: str, tmp_path: Path) -> None:
    file = database(tmp_path / name)
    with open_source(str(file), tmp_path) as source:
        assert list(source.tables) == ["orgs"]
        rows = source.table("orgs", "", as_written={"code"}).to_pyarrow().to_pylist()
    assert [(row["id"], row["code"]) for row in rows] == [(1, "007"), (2, "010")]
    assert [str(row["ended_at"]) for row in rows] == ["2024-01-31 10:05:00", "None"]


def test_a_database_beside_files_is_read_with_them(tmp_path: Path) -> None:
    database(tmp_path / "app.sqlite")
    (tmp_path / "plain.csv").write_text("id\n7\n")
    with open_source(str(tmp_path), tmp_path) as source:
        assert sorted(source.tables) == ["orgs", "plain"]


def test_a_broken_database_is_named(tmp_path: Path) -> None:
    file = database(tmp_path / "app.sqlite")
    file.write_bytes(file.read_bytes()[:1000])
    with (
        pytest.raises(DataError, match=r"The SQLite file '.*app.sqlite' cannot be read: "),
        open_source(str(file), tmp_path),
    ):
        pass
