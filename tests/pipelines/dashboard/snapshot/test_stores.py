"""Snapshots of runs in every kind of store, and of jobs that write while they are taken."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date
from uuid import uuid4

import pytest

from pipelines.dashboard.access.visitor import Visitor
from pipelines.dashboard.snapshot.paging import page_of
from pipelines.dashboard.snapshot.query import AccountQuery
from pipelines.dashboard.snapshot.watch import Snapshots
from pipelines.project.project import load_project
from pipelines.store.schema import SHOWN
from tests.features.servers import PostgresServer, running_postgres
from tests.pipelines.dashboard.served import account_id, asked_alone, company, issue_scores
from tests.pipelines.issued import STORES, read

ADMIN = Visitor("root", "admin")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running_postgres() as found:
        yield found


# The other tests are on DuckDB.
@pytest.mark.parametrize("kind", STORES[1:])
def test_a_run_is_the_same_from_every_other_store(kind, tmp_path, request) -> None:
    project = company(tmp_path / "company", 40)
    url = "scores/"
    if kind == "postgres":
        url = request.getfixturevalue("server").url(schema=f"panel {uuid4().hex}")
    text = project.path.read_text(encoding="utf-8")
    project.path.write_text(f"{text}[store]\nurl = {json.dumps(url)}\n", encoding="utf-8")
    project = load_project(project.path)
    issue_scores(project, 40)
    with Snapshots(project, asked_alone(project)) as snapshots:
        snapshots.refresh()
        snapshot = snapshots.current("main")
        assert snapshot is not None, snapshots.why_none("main", ADMIN)
        for row in read(project).to_pylist():
            found = snapshot.account(ADMIN, row["account_id"])
            assert {name: found[name] for name in SHOWN} == {name: row[name] for name in SHOWN}
        assert snapshot.account(ADMIN, account_id(4))["owner"] == "Ann Lee"
        assert sum(row["accounts"] for row in snapshot.contents.history) == 40
        issue_scores(project, 30, seed=3, day=date(2025, 2, 1))
        snapshots.refresh()
        assert page_of(snapshots.current("main"), ADMIN, AccountQuery()).total == 30


def test_those_who_ask_while_a_newer_run_is_taken_are_answered_from_one(tmp_path) -> None:
    project = company(tmp_path / "company", 60)
    issue_scores(project, 60)
    wrong, stop = [], threading.Event()

    def ask(snapshots: Snapshots) -> None:
        while not stop.is_set():
            snapshot = snapshots.current("main")
            page = page_of(snapshot, ADMIN, AccountQuery(size=60, sort="name"))
            if len(page.rows) != snapshot.run.rows or page.total != snapshot.run.rows:
                wrong.append(page)

    with Snapshots(project, asked_alone(project)) as snapshots:
        snapshots.refresh()
        threads = [threading.Thread(target=ask, args=(snapshots,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for rows in (50, 30):
            issue_scores(project, rows, force=True)
            snapshots.refresh()
        stop.set()
        for thread in threads:
            thread.join()
        assert snapshots.current("main").run.rows == 30
    assert wrong == []
