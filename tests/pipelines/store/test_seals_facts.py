"""What is said of a run and was made unreadable, or put in another order, is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import SettingsError, StoreError
from pipelines.store.runs import RunKey
from tests.pipelines.issued import DAY, batch, configured, issue
from tests.pipelines.store.seals_by_hand import checked, rewrite_facts, run_file, sql


def test_facts_that_are_no_object_are_a_sentence(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores.duckdb")
    issue(project, batch(["A"]))
    for text in ("7", "{", "[" * 100_000):
        sql(project, None, f"update runs set facts = '{text}'")
        with pytest.raises(
            StoreError,
            match="holds facts of the scores of 2025-01-01 by model version '1' that are no JSON"
            " object, so they were changed since they were issued; put the store back from a copy",
        ):
            checked(project)


def test_deeply_nested_facts_of_a_folder_are_a_sentence(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores/")
    issue(project, batch(["A"]))
    run_file(project, "1").write_text("[" * 100_000, "utf-8")
    with pytest.raises(StoreError, match=r"holds a run whose '.*_run.json' is broken"):
        checked(project)


CANNOT_BE_READ = (
    r"What the score store '.*' says of its runs cannot be read: {}; it was changed since they were"
    " issued, so put the store back from a copy"
)


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (["update runs set as_of = 'infinity'"], "days=2147483647; must have magnitude .*"),
        (["update runs set issued_at = '-infinity'"], "date value out of range"),
        (
            ["alter table run_seals alter form drop not null", "update run_seals set form = null"],
            "'form' must be known and are empty",
        ),
        (
            ["alter table run_seals alter seal drop not null", "update run_seals set seal = null"],
            "'seal' must be known and are empty",
        ),
    ],
)
def test_what_cannot_be_said_of_a_run_is_a_sentence(
    tmp_path: Path, statements: list[str], why: str
) -> None:
    project = configured(tmp_path, "scores.duckdb")
    issue(project, batch(["A"]))
    sql(project, None, *statements)
    with pytest.raises(StoreError, match=CANNOT_BE_READ.format(why)):
        checked(project)


def test_a_seal_of_a_folder_that_lacks_a_part_is_a_sentence(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores/")
    issue(project, batch(["A"]))
    rewrite_facts(project, "1", lambda facts: facts["seal"].pop("digest"))
    with pytest.raises(StoreError, match=CANNOT_BE_READ.format("'digest' must be known")[:80]):
        checked(project)
    rewrite_facts(project, "1", lambda facts: facts["seal"].update(form="one", digest=""))
    with pytest.raises(StoreError, match="could not be used: Could not convert 'one'"):
        checked(project)


@pytest.mark.parametrize("column", ["score", "reason_points"])
def test_rows_that_hold_nothing_where_something_must_be_are_named(
    tmp_path: Path, column: str
) -> None:
    project = configured(tmp_path, "scores.duckdb")
    issue(project, batch(["A"]))
    drop = f"alter table score_rows alter {column} drop not null"
    sql(project, None, drop, f"update score_rows set {column} = null")
    assert [run.parts for run in checked(project).changed] == [("its rows cannot be read",)]


def test_runs_whose_numbers_were_exchanged_are_said(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores.duckdb")
    for version in ("1", "2"):
        issue(project, batch([version]), key=RunKey("main", DAY, version))
    exchanged = [
        f"create table {name}_held as select * replace (3 - run_id as run_id) from {name};"
        f" delete from {name}; insert into {name} select * from {name}_held; drop table {name}_held"
        for name in ("runs", "score_rows", "signal_groups")
    ]
    assert checked(project).notes == []
    sql(project, None, *exchanged)
    assert checked(project).notes == [
        "The store holds 2025-01-01 by model version 2 (outcome main) before 2025-01-01 by model"
        " version 1 (outcome main), which was sealed earlier: they were issued at the same time, or"
        " somebody changed which is the newest"
    ]


@pytest.mark.parametrize("noted", ["", "abc", "F" * 64, "0" * 64 + "\n"])
def test_what_was_noted_is_a_seal(tmp_path: Path, noted: str) -> None:
    project = configured(tmp_path, "scores.duckdb")
    issue(project, batch(["A"]))
    with pytest.raises(SettingsError, match=r"A seal is 64 hexadecimal digits, and '.*' is none;"):
        checked(project, noted=noted)
