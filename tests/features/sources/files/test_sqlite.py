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


def test_hostile_names_texts_and_indexes_of_a_database(tmp_path: Path) -> None:
    file = tmp_path / "app.sqlite"
    with closing(sqlite3.connect(file)) as made:
        made.execute('CREATE TABLE "it\'s a/b" (id INTEGER, "two\nlines" TEXT)')
        made.execute("INSERT INTO \"it's a/b\" VALUES (9223372036854775807, 'a' || char(0))")
        made.execute("PRAGMA writable_schema = 1")
        # Its module is in no library here, and it keeps a table beside itself.
        made.execute("CREATE TABLE geo_node (id INTEGER)")
        made.execute("INSERT INTO geo_node VALUES (1)")
        made.execute(
            "INSERT INTO sqlite_master VALUES"
            " ('table', 'geo', 'geo', 0, 'CREATE VIRTUAL TABLE geo USING Unknown()')"
        )
        made.commit()
    with open_source(str(file), tmp_path) as source:
        assert list(source.tables) == ["it's a/b"]
        (row,) = source.tables["it's a/b"].to_pyarrow().to_pylist()
    assert row == {"id": str(2**63 - 1), "two lines": "a"}
