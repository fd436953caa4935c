"""Stores from before seals are read as they are; those whose every seal was taken away are not."""

from __future__ import annotations

import shutil

import pytest

from pipelines.project.project import Project
from pipelines.scoring.bands.settled import AFTER
from pipelines.store.opening import open_store
from pipelines.store.runs import RunKey
from tests.features.servers import PostgresServer
from tests.pipelines.issued import DAY, batch, fresh, issue, read
from tests.pipelines.store.seals_by_hand import (
    as_before_parts,
    checked,
    rewrite_facts,
    run_file,
    sql,
)

KEYS = [RunKey("main", DAY, version) for version in ("1", "2", "3")]


@pytest.fixture
def project(
    kind: str, used: PostgresServer | None, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A store of three runs."""
    project = fresh(kind, tmp_path_factory, used)
    for number, key in enumerate(KEYS):
        issue(project, batch([f"A{account}" for account in range(6)], seed=number), key=key)
    return project


def test_a_store_from_before_seals_is_read_and_goes_on(
    project: Project, kind: str, used: PostgresServer | None
) -> None:
    before_seals(project, kind, used)
    check = checked(project)
    assert (check.same, check.sealed) == (True, 0)
    assert check.notes[0].startswith(
        "3 runs were issued before there were seals, so whether they changed cannot be told: "
    )
    assert read(project, KEYS[1]).num_rows == 6
    issue(project, batch(["B"]), key=RunKey("main", DAY, "4"))
    check = checked(project)
    assert (check.same, check.sealed, len(check.notes)) == (True, 1, 1)
    with open_store(project, read_only=True) as store:
        assert [run.key.model_version for run in store.runs()] == ["1", "2", "3", "4"]
    if kind == "parquet":
        shutil.rmtree(run_file(project, "2").parent)
    else:
        sql(project, used, "delete from runs where run_id = 2")
    assert (
        checked(project)
        .broken[0]
        .startswith("2 runs bear no seal, and there were 3 when sealing began")
    )


def test_a_store_whose_every_seal_was_taken_away_is_not_one_from_before_seals(
    project: Project, kind: str, used: PostgresServer | None
) -> None:
    issue(project, batch(["B"]), key=RunKey("main", DAY, "4"), facts={AFTER: ""})
    before_seals(project, kind, used)
    if kind == "parquet":
        rewrite_facts(project, "4", lambda facts: facts.pop("seal"))
    assert checked(project).broken == [
        "1 runs bear no seal, and the version that issued them seals every run: '2025-01-01 by"
        " model version 4 (outcome main), revision 1'"
    ]


def before_seals(project: Project, kind: str, used: PostgresServer | None) -> None:
    if kind == "parquet":
        for key in KEYS:
            rewrite_facts(
                project, key.model_version, lambda facts: facts.update(version=3, seal=None)
            )
            rewrite_facts(project, key.model_version, lambda facts: facts.pop("seal"))
        return
    sql(
        project,
        used,
        *(as_before_parts() if kind == "postgres" else []),
        "drop table run_seals",
        "update healthscore_store set version = 3",
    )
