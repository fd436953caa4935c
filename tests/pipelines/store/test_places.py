"""Where scores may be kept: addresses, files of other programs, rights, and other readers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds
import pytest

from features.errors import SettingsError, StoreError
from pipelines.project.project import Project, load_project
from pipelines.store.opening import open_store
from pipelines.store.runs import NoStore, RunKey
from tests.pipelines.issued import DAY, VIEWS, batch, configured, issue, issue_for_views, read

HOLD = """
import duckdb, sys
held = duckdb.connect(sys.argv[1])
held.execute("create table if not exists t as select 1 as x")
print("held", flush=True)
sys.stdin.read()
"""


def test_the_earlier_name_of_the_address_is_understood(tmp_path: Path) -> None:
    path = configured(tmp_path, "scores.duckdb").path
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('url = "scores', 'file = "old'), encoding="utf-8")
    assert load_project(path).store_shown == str(tmp_path / "old.duckdb")
    path.write_text(f"{text}file = 'old.duckdb'\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"\[store\] has both url and file, its earlier name;"):
        load_project(path)
    path.write_text(f"{text}zzz = 1\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"\[store\] has no key 'zzz'; known are url"):
        load_project(path)
    path.write_text(text.partition("[store]")[0], encoding="utf-8")
    assert load_project(path).store_shown == str(tmp_path / "scores.duckdb")


def test_a_password_is_shown_and_stored_nowhere(tmp_path: Path) -> None:
    project = configured(tmp_path, "postgresql://me:s3cret@server/crm?password=s3cret")
    assert project.store_shown == "postgresql://me:***@server/crm?password=***"
    for shown in (project.shown_text, repr(project), repr(project.settings)):
        assert "s3cret" not in shown
    assert "postgresql://me:***@server/crm?password=***" in project.shown_text
    earlier = project.path.read_text(encoding="utf-8").replace('\nurl = "post', '\nfile = "post')
    project.path.write_text(earlier, encoding="utf-8")
    assert "s3cret" not in load_project(project.path).shown_text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "s3://me:s3cret@bucket/scores/",
            "[store] url must be a DuckDB file, a folder of Parquet with a slash at its end or"
            " postgresql://USER@HOST/DATABASE, found 's3://me:***@bucket/scores/'; correct it",
        ),
        (
            "postgresql://me:s3cret@[/crm",
            "The store 'postgresql://me:***@[/crm' must have the form postgresql://USER:PASSWORD@"
            "HOST:PORT/DATABASE?schema=SCHEMA and has not; write any of @ : / ? # % in a name or"
            " password as %40 %3A %2F %3F %23 %25, or give the password as ${NAME}",
        ),
        (
            "${NO_SUCH_STORE}",
            "The store names the environment variable 'NO_SUCH_STORE', which is not set; set it or"
            " correct store.url",
        ),
        (
            "postgresql://me:${NO_SUCH_STORE}@server/crm",
            "The store names the environment variable 'NO_SUCH_STORE', which is not set; set it or"
            " correct store.url",
        ),
    ],
)
def test_an_impossible_address_is_refused(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        open_store(configured(tmp_path, url), read_only=False)
    assert str(refused.value) == message


def test_the_whole_address_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORES_OF_TEST", str(tmp_path / "elsewhere.duckdb"))
    project = configured(tmp_path, "${SCORES_OF_TEST}")
    assert project.store_shown == "${SCORES_OF_TEST}"
    issue(project, batch(["A"]))
    assert (tmp_path / "elsewhere.duckdb").exists()


def test_a_folder_without_its_slash_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    with pytest.raises(StoreError, match=r"is a folder and must be a DuckDB file; end .* slash"):
        issue(configured(tmp_path, "scores"), batch(["A"]))
    assert not list((tmp_path / "scores").iterdir())


def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    project, file = configured(tmp_path, "scores.duckdb"), tmp_path / "scores.duckdb"
    file.write_bytes(b"a spreadsheet, say" * 1000)
    with pytest.raises(StoreError, match=r"cannot be opened: .*not a valid DuckDB database file"):
        issue(project, batch(["A"]))
    assert file.read_bytes() == b"a spreadsheet, say" * 1000


@pytest.mark.parametrize("name", ["scores", "runs", "healthscore_store"])
def test_a_table_of_somebody_elses_is_left_alone(tmp_path: Path, name: str) -> None:
    project = configured(tmp_path, "warehouse.duckdb")
    with duckdb.connect(project.store_shown) as connection:
        connection.execute(f"create table {name} as select 'theirs' as account_id, 3 as points")
    for read_only in (True, False):
        opened = open_store(project, read_only=read_only)
        message = f"holds '{name}', which healthscore did not make; set another .store. url"
        with pytest.raises(StoreError, match=message), opened:
            pass
    with duckdb.connect(project.store_shown) as connection:
        assert connection.execute(f"from {name}").fetchall() == [("theirs", 3)]
        assert connection.execute("show tables").fetchall() == [(name,)]


def test_other_tables_of_a_warehouse_stay_beside(tmp_path: Path) -> None:
    project = configured(tmp_path, "warehouse.duckdb")
    with duckdb.connect(project.store_shown) as connection:
        connection.execute("create table customers as select 1 as id")
    with pytest.raises(NoStore), open_store(project, read_only=True):
        pass
    issue(project, batch(["A"]))
    with duckdb.connect(project.store_shown) as connection:
        assert connection.execute("from customers").fetchall() == [(1,)]


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts.csv").write_text("account_id\nA\n", encoding="utf-8")
    project = configured(tmp_path, "data/")
    message = "must be a folder of its own, and holds 'accounts.csv'; set .* to an empty folder or"
    with pytest.raises(StoreError, match=message):
        issue(project, batch(["A"]))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["accounts.csv"]


def later_form(project: Project) -> None:
    if project.store_shown.endswith("/"):
        (told,) = Path(project.store_shown).rglob("_run.json")
        changed = json.loads(told.read_text(encoding="utf-8")) | {"version": 7}
        told.write_text(json.dumps(changed), encoding="utf-8")
    else:
        with duckdb.connect(project.store_shown) as connection:
            connection.execute("update healthscore_store set version = 7")


@pytest.mark.parametrize("url", ["scores.duckdb", "scores/"])
def test_a_store_of_a_later_version_is_refused(tmp_path: Path, url: str) -> None:
    project = configured(tmp_path, url)
    issue(project, batch(["A"]))
    later_form(project)
    message = re.escape(
        f"The score store '{project.store_shown}' has form 7, of a later version of healthscore"
        " than this one, which knows forms up to 6; install that version"
    )
    for read_only in (True, False):
        opened = open_store(project, read_only=read_only)
        with pytest.raises(StoreError, match=message), opened:
            pass


def test_broken_facts_of_a_run_are_named(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores/")
    issue(project, batch(["A"]))
    (told,) = Path(project.store_shown).rglob("_run.json")
    for text in ("{", '{"version": 3}', '{"version": 3, "as_of": 7}', "[]"):
        told.write_text(text, encoding="utf-8")
        message = "holds a run whose 'outcome=main.*_run.json' is broken .*; put it back from a"
        with pytest.raises(StoreError, match=message):
            read(project)


def test_other_programs_read_the_folder(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores/")
    issue(project, batch(["A", "B"]))
    issue(project, batch(["B"]), key=RunKey("growth", DAY, "a/b"))
    left = tmp_path / "scores" / "_unfinished" / "left"
    left.mkdir(parents=True)
    (left / "scores.parquet").write_bytes(b"half a file")
    found = duckdb.sql(
        f"select outcome, as_of, model_version, revision, account_id from '{tmp_path}/scores/"
        "outcome=*/*/*/*/*.parquet' order by all"
    ).fetchall()
    # Such as Spark, which passes over names that begin with an underscore too.
    arrow = ds.dataset(tmp_path / "scores", partitioning="hive", format="parquet").to_table()
    assert sorted(arrow["account_id"].to_pylist()) == ["A", "B", "B"]
    assert set(arrow["outcome"].to_pylist()) == {"main", "growth"}
    assert found == [
        ("growth", DAY, "a/b", 1, "B"),
        ("main", DAY, "1", 1, "A"),
        ("main", DAY, "1", 1, "B"),
    ]
    # The next job takes away what a killed one left.
    issue(project, batch(["A"]), key=RunKey("last", DAY, "1"))
    assert not left.parent.exists()


def test_sql_sees_tables_and_views_in_duckdb(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores.duckdb")
    issue_for_views(project)
    with duckdb.connect(project.store_shown, read_only=True) as connection:
        for query, answer in VIEWS:
            assert connection.execute(query).fetchall() == [answer], query


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A DuckDB file that another process holds."""
    file = tmp_path / "held.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=-1, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield file
        assert process.stdin is not None
        process.stdin.close()


def test_a_file_that_another_process_holds_is_refused(held: Path, small: Any, run: Any) -> None:
    project = configured(held.parent / "other", str(held))
    for read_only in (True, False):
        opened = open_store(project, read_only=read_only)
        with pytest.raises(StoreError) as refused, opened:
            pass
        assert str(refused.value).startswith(f"The score store '{held}' cannot be opened: ")
        assert "lock" in str(refused.value)
        assert str(refused.value).endswith(
            "; close the program that holds it, free the disk or set another [store] url"
        )
    config = small()
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"data"', f'"{held}"'), encoding="utf-8")
    for command in ("check", "train"):
        ran = run(command, "-c", config)
        assert ran.code == 3
        assert f"The DuckDB file '{held}' cannot be opened: " in ran.sentence
        assert "lock" in ran.sentence
    ran = run("init", held, "-c", config.parent / "fresh.toml")
    assert ran.code == 3
    assert not (config.parent / "fresh.toml").exists()
