"""Stores of earlier forms: every score is carried over, or nothing is touched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from features.catalog import GROUPS
from features.errors import StoreError
from pipelines.project.project import Project
from pipelines.store.opening import open_store
from pipelines.store.runs import AlreadyIssued, EarlierStore, Run, RunKey
from pipelines.store.schema import ADDED_COLUMNS, POINT_COLUMNS
from tests.pipelines.issued import DAY, Nursery, batch, configured, contents, issue, read

ROWS = 3_000
LATER = date(2025, 2, 1)
ISSUED = {DAY: datetime(2025, 1, 1, 3, 4, 5, 678), LATER: datetime(2025, 2, 1, 3)}
SCORES = (0.0, 19.99, 20.0, 39.9, 40.0, 60.0, 79.9, 80.0, 100.0)


def make_earlier(file: Path, *, outcomes: bool) -> None:
    """Write a store as it was before runs, or before outcomes; some accounts have no reasons."""
    outcome = "outcome varchar not null, " if outcomes else ""
    key = "outcome, " if outcomes else ""
    points = ", ".join(f"{column} double not null" for column in POINT_COLUMNS)
    with duckdb.connect(str(file)) as connection:
        connection.execute(
            f"create table scores ({outcome}account_id varchar not null, as_of date not null,"
            " segment varchar not null, score double not null, band varchar not null,"
            " probability double not null, coverage double not null,"
            f" baseline_score double not null, {points}, mrr double,"
            " model_version varchar not null, issued_at timestamp not null,"
            f" primary key ({key}account_id, as_of, model_version))"
        )
        connection.execute(
            f"create table score_reasons ({outcome}account_id varchar not null,"
            " as_of date not null, model_version varchar not null, rank tinyint not null,"
            " signal varchar not null, signal_group varchar not null, value varchar,"
            f" points double not null, primary key ({key}account_id, as_of, model_version, rank))"
        )
        main = "'main', " if outcomes else ""
        values = ", ".join(f"n + {number} / 8" for number in range(len(GROUPS)))
        for day, moment in ISSUED.items():
            connection.execute(
                f"insert into scores select {main}'A' || n, $1, 'all', ($2)[n % len($2) + 1],"
                f" 'watch', n / 4000, 0.5, 50, {values}, if(n % 3 = 0, null, n), '7', $3"
                f" from range({ROWS}) t(n)",
                [day, list(SCORES), moment],
            )
            connection.execute(
                f"insert into score_reasons select {main}'A' || n, $1, '7', rank,"
                " ['plan', 'logins', 'tickets'][rank], ['profile', 'usage', 'support'][rank],"
                f" if(rank = 1, null, 'v' || n), n / rank from range({ROWS}) t(n),"
                " range(1, n % 4 + 1) r(rank) order by hash(n * rank)",
                [day],
            )


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(params=[False, True], ids=["before outcomes", "before runs"])
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    project = configured(tmp_path, "scores.duckdb")
    make_earlier(tmp_path / "scores.duckdb", outcomes=request.param)
    return project


def tables(project: Project, *names: str) -> list[list[tuple[Any, ...]]]:
    with duckdb.connect(project.store_shown, read_only=True) as connection:
        return [
            connection.execute(f"select * from {name} order by all").fetchall() for name in names
        ]


def expected_rows() -> list[dict[str, Any]]:
    rows = []
    for n in range(ROWS):
        score, count = SCORES[n % len(SCORES)], n % 4
        rows.append(
            {"account_id": f"A{n}", "segment": "all", "score": score, "band": "watch"}
            | {"grade": "", "probability": n / 4000, "coverage": 0.5, "baseline_score": 50.0}
            | {column: n + number / 8 for number, column in enumerate(POINT_COLUMNS)}
            | {"mrr": None if n % 3 == 0 else n}
            | {"reason_signals": ["plan", "logins", "tickets"][:count]}
            | {"reason_points": [n / rank for rank in range(1, count + 1)]}
            | {"reason_values": [None, f"v{n}", f"v{n}"][:count]}
            | dict.fromkeys(ADDED_COLUMNS)
        )
    return sorted(rows, key=lambda row: row["account_id"])


def test_a_store_of_an_earlier_form_is_carried_over_whole(earlier: Project) -> None:
    before = tables(earlier, "scores", "score_reasons")
    message = re.escape(
        f"The score store '{earlier.store_shown}' was written by an earlier version; run"
        " 'healthscore score' once, which brings it up to date and keeps every score"
    )
    with pytest.raises(EarlierStore, match=message), open_store(earlier, read_only=True):
        pass
    assert tables(earlier, "scores", "score_reasons") == before
    with pytest.raises(AlreadyIssued):
        issue(earlier, batch(["B"]), key=RunKey("main", DAY, "7"))
    with open_store(earlier, read_only=True) as store:
        assert store.runs() == [
            Run(RunKey("main", day, "7"), 1, moment, ROWS, {}) for day, moment in ISSUED.items()
        ]
    for day in ISSUED:
        assert read(earlier, RunKey("main", day, "7")).to_pylist() == expected_rows()
    # What people asked of the earlier tables gets the same answer.
    with duckdb.connect(earlier.store_shown, read_only=True) as connection:
        asked = "account_id, as_of, model_version, rank, signal, signal_group, value, points"
        assert connection.execute(f"select {asked} from score_reasons order by all").fetchall() == [
            row[-8:] for row in before[1]
        ]
        asked = "account_id, as_of, segment, score, band, probability, coverage, baseline_score"
        assert connection.execute(f"select {asked} from scores order by all").fetchall() == [
            row[-20:-12] for row in before[0]
        ]
    assert issue(earlier, batch(["B"]), key=RunKey("main", DAY, "8")).revision == 1
    assert issue(earlier, batch(["B"]), key=RunKey("main", DAY, "7"), force=True).revision == 2


@pytest.mark.parametrize(("call", "number"), [("execute", 18), ("commit", 1)])
def test_a_store_killed_while_it_is_carried_over_is_the_old_one(
    tmp_path: Path, nursery: Nursery, call: str, number: int
) -> None:
    project = configured(tmp_path, "scores.duckdb")
    make_earlier(tmp_path / "scores.duckdb", outcomes=True)
    before = tables(project, "scores", "score_reasons")
    nursery.start(project, RunKey("main", DAY, "8"), 1, 1, dies=[call, number])
    assert nursery.line() == "killed"
    assert tables(project, "scores", "score_reasons") == before
    assert issue(project, batch(["B"]), key=RunKey("main", DAY, "8")).revision == 1
    assert [len(rows) for rows in contents(project).values()] == [ROWS, 1, ROWS]


def test_a_broken_store_of_an_earlier_form_is_left_as_it_is(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores.duckdb")
    make_earlier(tmp_path / "scores.duckdb", outcomes=False)
    with duckdb.connect(project.store_shown) as connection:
        connection.execute("alter table score_reasons drop column value")
    before = tables(project, "scores", "score_reasons")
    with pytest.raises(
        StoreError, match=r"could not be used: .*value.*; what it held is unchanged"
    ):
        issue(project, batch(["B"]))
    assert tables(project, "scores", "score_reasons") == before
