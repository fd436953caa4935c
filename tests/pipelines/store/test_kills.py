"""Jobs that are killed, run out of disk, lose their server or meet a rival."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from features.errors import StoreError
from pipelines.project.project import Project
from pipelines.store.opening import open_store
from pipelines.store.runs import AlreadyIssued, RunKey
from tests.features.servers import PostgresServer
from tests.pipelines.issued import (
    KEY,
    Nursery,
    batch,
    contents,
    fresh,
    issue,
    issuing,
    read,
    rows_of,
)

BATCHES, ROWS = 5, 50
Said = Callable[[Project], str]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def project(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    server = request.getfixturevalue("server") if kind == "postgres" else None
    return fresh(kind, tmp_path_factory, server)


def whole(batches: int, rows: int) -> list[dict[str, object]]:
    return [row for number in range(batches) for row in rows_of(number, rows).to_pylist()]


def days() -> Iterator[RunKey]:
    return (replace(KEY, as_of=KEY.as_of + timedelta(days=number)) for number in range(10_000))


def test_killed_at_random_moments_a_run_is_whole_or_not_there(
    project: Project, kind: str, nursery: Nursery, request: pytest.FixtureRequest
) -> None:
    random = Random(7)
    kills = {"duckdb": 50, "parquet": 30, "postgres": 20}[kind]
    keys = days()
    done = [next(keys), next(keys)]
    for key in done:
        started = time.monotonic()
        nursery.start(project, key, BATCHES, ROWS)
        assert nursery.line() == "ended 0"
        seconds = time.monotonic() - started
    expected = read(project, done[0]).to_pylist()
    assert expected == whole(BATCHES, ROWS)
    key, partly = next(keys), 0
    for _ in range(kills):
        child = nursery.start(project, key, BATCHES, ROWS)
        ending = nursery.killed(child, random.uniform(0, 1.1 * seconds))
        if kind == "postgres":
            # The server may notice a while later that nobody is there any more.
            wait_for_writers(request.getfixturevalue("server"), project)
        with open_store(project, read_only=True) as store:
            run = store.newest(key)
        assert ending == "killed" or run is not None
        if run is None:
            partly += 1
            continue
        assert (run.revision, run.rows) == (1, BATCHES * ROWS)
        done.append(key)
        key = next(keys)
    # Most were killed on the way, and the next of them began afresh.
    assert partly > kills / 4
    if key not in done:
        nursery.start(project, key, BATCHES, ROWS)
        assert nursery.line() == "ended 0"
        done.append(key)
    assert {key[0]: rows for key, rows in contents(project).items()} == dict.fromkeys(
        done, expected
    )
    leave_no_litter(project, kind)


def wait_for_writers(server: PostgresServer, project: Project) -> None:
    from psycopg import sql

    with open_store(project, read_only=True) as store:
        table = sql.Identifier(store.schema, "score_rows")
    with server.connect() as admin, admin.transaction():
        admin.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(table))


def leave_no_litter(project: Project, kind: str) -> None:
    issue(project, batch(["A"]), key=replace(KEY, outcome="last"))
    left = sorted(str(path.relative_to(project.folder)) for path in project.folder.rglob("*"))
    left = [name for name in left if "outcome=" not in name]
    store = {
        "duckdb": ["made", "made/for", "made/for/scores.duckdb"],
        "parquet": ["made", "made/for", "made/for/scores", "made/for/scores/_lock"],
        "postgres": [],
    }
    assert left == ["healthscore.toml", *store[kind]]


HELD = {
    "duckdb": "cannot be opened: .*lock.*; close the program that holds it",
    "parquet": "is just now written by another job; wait for it and run again",
    "postgres": r"is just now given the scores of 2025-01-01 by model version 1 \(outcome main\) by"
    " another job; wait for it and run again",
}


def test_of_two_jobs_one_wins_and_the_other_says_so(
    project: Project, kind: str, nursery: Nursery
) -> None:
    issue(project, batch(["Z"]), key=replace(KEY, outcome="before"))
    rival = nursery.start(project, KEY, 2, 3, waits=0)
    assert nursery.line() == "waits"
    with pytest.raises(StoreError, match=HELD[kind]) as refused:
        issue(project, batch(["C"]))
    assert not isinstance(refused.value, AlreadyIssued)
    assert "\n" not in str(refused.value)
    os.kill(rival, signal.SIGCONT)
    assert nursery.line() == "ended 0"
    with pytest.raises(AlreadyIssued):
        issue(project, batch(["C"]))
    assert read(project).to_pylist() == whole(2, 3)


def test_of_two_threads_one_wins_and_the_other_says_so(project: Project, kind: str) -> None:
    with issuing(project) as (_, first):
        first.write(batch(["A"]))
        if kind != "duckdb":
            with pytest.raises(StoreError, match=HELD[kind]), issuing(project):
                pass
            first.finish({})
            return
        with issuing(project) as (_, second):
            second.write(batch(["B"]))
            first.finish({})
            with pytest.raises(AlreadyIssued, match=r"were issued at .* as revision 1 and stay"):
                second.finish({})
    assert read(project)["account_id"].to_pylist() == ["A"]


@pytest.mark.parametrize("kind", ["duckdb", "parquet"])
@pytest.mark.parametrize("room", [100, 20_000])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_full_disk_leaves_what_was_there(
    project: Project, nursery: Nursery, kind: str, room: int, is_new: bool
) -> None:
    if not is_new:
        issue(project, batch(["A"]), key=replace(KEY, model_version="0"))
    nursery.start(project, KEY, 3, 2000, room=room)
    assert nursery.line() == "ended 6"
    said = project.folder.joinpath("said.txt").read_text(encoding="utf-8")
    place = re.escape(f"The score store '{project.store_shown}' could not be used: ")
    assert re.fullmatch(
        place + r".*(File too large|fsync failed|write).*; what it held is unchanged, so free the"
        " disk or mend the file and run again",
        said,
    ), said
    if not is_new:
        assert [len(rows) for rows in contents(project).values()] == [1]
    assert issue(project, batch(["B"])).revision == 1
    assert read(project)["account_id"].to_pylist() == ["B"]


def test_a_store_that_cannot_be_made_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    for kind, said in (("duckdb", "cannot be made: "), ("parquet", "could not be used: ")):
        project = fresh(kind, tmp_path_factory)
        (project.folder / "made").write_text("a file", encoding="utf-8")
        place = re.escape(f"The score store '{project.store_shown}' {said}")
        with pytest.raises(StoreError, match=place + ".*(Not a directory|File exists)"):
            issue(project, batch(["A"]))
        assert Path(project.folder / "made").read_text(encoding="utf-8") == "a file"


@pytest.mark.postgres
@pytest.mark.xdist_group("postgres")
@pytest.mark.parametrize("kind", ["postgres"])
def test_a_server_that_goes_away_leaves_what_was_there(
    project: Project, server: PostgresServer, kind: str
) -> None:
    issue(project, batch(["A"]), key=replace(KEY, model_version="0"))
    before = contents(project)

    def interrupted(finishing: bool) -> None:
        with issuing(project) as (_, writer):
            writer.write(batch(["B"]))
            server.stop()
            while not finishing:
                # The first blocks go into the socket whether somebody reads them or not.
                writer.write(rows_of(0, 20_000))
            writer.finish({})

    for finishing in (True, False):
        with pytest.raises(StoreError, match=r"could not be used: .*; what it held is") as lost:
            interrupted(finishing)
        assert server.PASSWORD not in str(lost.value)
        assert "\n" not in str(lost.value)
        place = re.escape(f"The PostgreSQL server of '{project.store_shown}' cannot be used: ")
        with pytest.raises(StoreError, match=place + ".*; start it, or correct store.url or the"):
            read(project)
        server.start()
        assert contents(project) == before
    assert issue(project, batch(["B"])).revision == 1
