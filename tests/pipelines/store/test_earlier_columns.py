"""Stores from before there were curves: read as they are, sealed as they were, and going on."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from pipelines.project.project import Project
from pipelines.store import seals, writer
from pipelines.store.opening import open_store
from pipelines.store.parquet_files import FILE_DIGEST
from pipelines.store.runs import RunKey
from pipelines.store.schema import ADDED_COLUMNS, SCORE_SCHEMA
from pipelines.store.seals import RowsDigest
from tests.pipelines.issued import DAY, KEY, STORES, batch, fresh, issue, read
from tests.pipelines.store.seals_by_hand import (
    as_before_parts,
    checked,
    rewrite_facts,
    run_file,
    sql,
)

EARLIER = [name for name in SCORE_SCHEMA.names if name not in ADDED_COLUMNS]
ACCOUNTS = ["A", "B", "C"]


@pytest.fixture(params=STORES)
def earlier(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    """A store of one run, as a version before curves left it."""
    kind = str(request.param)
    used = request.getfixturevalue("server") if kind == "postgres" else None
    project = fresh(kind, tmp_path_factory, used)
    with monkeypatch.context() as patched:
        patched.setattr(seals, "FORM", 1)
        patched.setattr(writer, "RowsDigest", lambda: RowsDigest(1))
        issue(project, batch(ACCOUNTS))
    if kind == "parquet":
        file = run_file(project, "1", "scores.parquet")
        pq.write_table(pq.ParquetFile(file).read(columns=EARLIER), file)
        # Nor were files' own digests kept.
        rewrite_facts(
            project, "1", lambda facts: facts.pop(FILE_DIGEST) and facts.update(version=4)
        )
        return project
    views = {
        "scores": "newest_runs",
        "latest_scores": "(select distinct on (outcome) * from newest_runs order by outcome)",
    }
    sql(
        project,
        used,
        *(f"drop view {name}" for name in (*views, "score_reasons") if kind != "postgres"),
        *(as_before_parts() if kind == "postgres" else []),
        *(f"alter table score_rows drop column {name}" for name in ADDED_COLUMNS),
        *(
            f"create view {name} as select outcome, as_of, model_version, revision, issued_at,"
            f" {', '.join(EARLIER)} from {runs} as issued join score_rows using (run_id)"
            for name, runs in views.items()
        ),
        "update healthscore_store set version = 4",
    )
    return project


def rows(project: Project, key: RunKey) -> dict[str, list[Any]]:
    return read(project, key).to_pydict()


def test_what_was_not_kept_is_empty_and_the_seal_still_fits(earlier: Project) -> None:
    given = batch(ACCOUNTS).to_pydict()
    held = rows(earlier, KEY)
    assert {name: held[name] for name in EARLIER} == {name: given[name] for name in EARLIER}
    assert all(held[name] == [None] * 3 for name in ADDED_COLUMNS)
    check = checked(earlier)
    assert (check.same, check.sealed) == (True, 1)
    with open_store(earlier, read_only=True) as store:
        history = store.account_history("main", "A")
        assert history["loss_90_days"].to_pylist() == [None]
        assert history["score"].to_pylist() == [given["score"][0]]


def test_a_store_goes_on_with_new_columns_in_one_chain(earlier: Project) -> None:
    issue(earlier, batch(ACCOUNTS, seed=1), key=RunKey("main", DAY, "2"))
    assert rows(earlier, KEY)["band_days"] == [None] * 3
    assert rows(earlier, RunKey("main", DAY, "2"))["band_days"] == [0.5] * 3
    check = checked(earlier)
    assert (check.same, check.sealed) == (True, 2)
    with open_store(earlier, read_only=True) as store:
        assert [seal.form for seal in store.seals()] == [1, 2]
        assert store.account_history("main", "B")["loss_30_days"].to_pylist() == [None, 0.5]


def test_an_added_column_is_sealed_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    project = fresh("duckdb", tmp_path_factory, None)
    issue(project, batch(ACCOUNTS))
    with duckdb.connect(project.store_shown) as connection:
        connection.execute("update score_rows set loss_30_days = 0.4 where account_id = 'A'")
    assert [run.parts for run in checked(project).changed] == [("its rows",)]
