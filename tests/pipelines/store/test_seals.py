"""Sealed runs: what is changed past the program is noticed in every store, and the run named."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from features.errors import SettingsError, StoreError
from pipelines.project.project import Project, load_project
from pipelines.store.issued import issued_run
from pipelines.store.opening import open_store
from pipelines.store.runs import RunKey
from pipelines.store.seals import key_id
from tests.features.servers import PostgresServer
from tests.pipelines.issued import DAY, KEY, batch, configured, fresh, issue
from tests.pipelines.store.seals_by_hand import (
    checked,
    rewrite_facts,
    rewrite_rows,
    run_file,
    sql,
)

ACCOUNTS = [f"A{number}" for number in range(6)]
KEYS = [RunKey("main", DAY, version) for version in ("1", "2", "3")]


@pytest.fixture
def project(
    kind: str, used: PostgresServer | None, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A store of three runs."""
    project = fresh(kind, tmp_path_factory, used)
    for number, key in enumerate(KEYS):
        issue(project, batch(ACCOUNTS, seed=number), key=key)
    return project


def keyed(project: Project, name: str = "SEAL_KEY") -> Project:
    """The same project, whose runs are sealed with the key in a variable."""
    text = project.path.read_text("utf-8")
    project.path.write_text(f'{text}seal_key_env = "{name}"\n', "utf-8")
    return load_project(project.path)


def test_runs_as_issued_fit_their_seals(project: Project) -> None:
    check = checked(project)
    assert (check.runs, check.sealed, check.same) == (3, 3, True)
    assert check.said == ["All 3 sealed runs are as they were issued"]
    with open_store(project, read_only=True) as store:
        seals = store.seals()
    assert [seal.place for seal in seals] == [1, 2, 3]
    assert [seal.seal_before for seal in seals] == ["", seals[0].seal, seals[1].seal]
    assert check.newest == seals[-1].seal
    assert checked(project, noted=seals[1].seal).same
    # Issuing tells the seal, and rows in any order and batches have that of their order.
    run = issue(project, batch(["B"]), key=KEYS[0], force=True)
    assert run.seal == checked(project).newest
    rows = batch(ACCOUNTS, seed=9)
    turned = rows.take(list(range(5, -1, -1)))
    for number, batches in enumerate(
        [[rows], [rows[:1], rows[1:]], [turned], [rows[3:], rows[:3]]]
    ):
        issue(project, *batches, key=RunKey("main", DAY, f"order {number}"))
    assert checked(project).same
    with open_store(project, read_only=True) as store:
        digests = {seal.rows_digest for seal in store.seals()[4:]}
    assert len(digests) == 1


ROW_CHANGES = [
    "score = 'nan'::double",
    "score = score + 1e-9",
    "probability = 0.0001",
    "band = 'unheard'",
    "grade = 'A+'",
    "coverage = 1",
    "baseline_score = 7",
    "points_usage = 0",
    "mrr = coalesce(mrr, 0) + 1",
    "mrr = null",
    "segment = 'x'",
    "account_id = 'Z'",
    "reason_signals = ['nothing']",
    "reason_points = [1.5, 2.5, 3.5, 4.5]",
    "reason_values = ['1.25']",
]


MOVES = {
    "gone": (
        "select * from rows where account_id <> 'A3'",
        ["delete from score_rows where run_id = {run} and account_id = 'A3'"],
    ),
    "added": (
        "select * from rows union all select * replace ('B' as account_id) from rows"
        " where account_id = 'A3'",
        [
            "create table more as select * from score_rows where run_id = {run} and account_id ="
            " 'A3'",
            "update more set account_id = 'B'",
            "insert into score_rows select * from more",
        ],
    ),
    "swapped": (
        "select * replace (if(account_id = 'A3', 'A4', if(account_id = 'A4', 'A3',"
        " account_id)) as account_id) from rows",
        [
            "update score_rows set account_id = 'X' where run_id = {run} and account_id = 'A3'",
            "update score_rows set account_id = 'A3' where run_id = {run} and account_id = 'A4'",
            "update score_rows set account_id = 'A4' where run_id = {run} and account_id = 'X'",
        ],
    ),
}


def row_change(change: str) -> tuple[str, list[str]]:
    """How one row is changed in a file, and in a table."""
    account = "A1" if change == "mrr = null" else "A3"
    column, value = change.split(" = ")
    select = f"case when account_id = '{account}' then {value} else {column} end as {column}"
    update = f"update score_rows set {change.replace('= [', '= array[')}"
    where = f" where run_id = {{run}} and account_id = '{account}'"
    return f"select * replace ({select}) from rows", [update + where]


def test_changed_rows_name_their_runs(
    kind: str, used: PostgresServer | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = fresh(kind, tmp_path_factory, used)
    changes = {change: row_change(change) for change in ROW_CHANGES} | MOVES
    runs = {change: str(number) for number, change in enumerate([*changes, "none"], start=1)}
    for run in runs.values():
        issue(project, batch(ACCOUNTS, seed=1), key=RunKey("main", DAY, run))
    statements = []
    for change, (select, updates) in changes.items():
        statements += [update.format(run=runs[change]) for update in updates]
        if kind == "parquet":
            rewrite_rows(project, runs[change], select)
    if kind != "parquet":
        sql(project, used, *statements)
    check = checked(project)
    found = {run.model_version: run for run in check.changed}
    assert not check.same
    for change in changes:
        assert runs[change] in found, f"{change} is not noticed"
        assert found[runs[change]].parts[0] == "its rows", change
    for change in ROW_CHANGES:
        said = f"2025-01-01 by model version {runs[change]}, revision 1 (outcome main): its rows"
        assert said in check.said, change
    assert len(found) == len(changes)
    assert check.said == [str(run) for run in check.changed]


def test_a_file_that_was_written_anew_with_the_same_rows_is_noticed(
    project: Project, kind: str, used: PostgresServer | None
) -> None:
    """Statistics of columns say which rows a program need not read."""
    if kind != "parquet":
        pytest.skip("has no file of a run")
    rewrite_rows(project, "2", "select * from rows")
    check = checked(project)
    assert check.said == [
        "2025-01-01 by model version 2, revision 1 (outcome main): its file, beside its rows"
    ]


def test_a_changed_description_names_its_run(
    project: Project, kind: str, used: PostgresServer | None
) -> None:
    changes: dict[str, Any] = {
        "rows": 5,
        "issued_at": "2020-01-01T00:00:00",
        "facts": {},
        "groups": {"logins": "support", "tickets": "usage", "plan": "profile"},
    }
    for name, value in changes.items():
        if kind == "parquet":
            rewrite_facts(
                project, "2", lambda facts, name=name, value=value: facts.update({name: value})
            )
        elif name == "groups":
            sql(project, used, "update signal_groups set signal_group = 'support' where run_id = 2")
        else:
            text = json.dumps(value) if isinstance(value, dict) else value
            sql(project, used, f"update runs set {name} = '{text}' where run_id = 2")
        (run,) = checked(project).changed
        assert run.model_version == "2"
        assert run.parts[-1] == "its moment, facts, groups of signals or place in the chain"
        if name == "rows":
            assert run.parts[0] == "it says 5 rows and has 6"


def taken_out(project: Project, kind: str, used: PostgresServer | None, version: str) -> None:
    """Take a run out with all that speaks of it."""
    if kind == "parquet":
        shutil.rmtree(run_file(project, version).parent)
        return
    tables = ("score_rows", "signal_groups", "runs")
    statements = [f"delete from {table} where run_id = {version}" for table in tables]
    sql(project, used, *statements, f"delete from run_seals where model_version = '{version}'")


def test_a_run_that_was_taken_out_is_noticed(
    project: Project, kind: str, used: PostgresServer | None
) -> None:
    taken_out(project, kind, used, "2")
    assert checked(project).broken == [
        "The runs at places 2 to 2 of the chain are gone, which were issued before that of"
        " 2025-01-01 by model version 3"
    ]


def test_a_run_that_was_taken_off_the_end_is_noticed_by_a_seal_kept_elsewhere(
    project: Project, kind: str, used: PostgresServer | None
) -> None:
    noted = checked(project).newest
    assert noted is not None
    taken_out(project, kind, used, "3")
    assert checked(project).same
    assert checked(project, noted=noted).broken == [
        f"The seal {noted!r} is not in the store: runs were taken off its end, or sealed anew"
    ]


def test_a_seal_taken_away_is_noticed(
    project: Project, kind: str, used: PostgresServer | None
) -> None:
    if kind == "parquet":
        rewrite_facts(project, "2", lambda facts: facts.pop("seal"))
    else:
        sql(project, used, "delete from run_seals where place = 2")
    broken = checked(project).broken
    assert broken[-1] == (
        "1 runs bear no seal, and there were 0 when sealing began: '2025-01-01 by model version 2"
        " (outcome main), revision 1'"
    )


def test_a_forged_seal_without_the_key_is_noticed(
    project: Project, kind: str, used: PostgresServer | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAL_KEY", "a long secret")
    sealed = keyed(project)
    issue(sealed, batch(ACCOUNTS, seed=4), key=RunKey("main", DAY, "4"))
    key = b"a long secret"
    assert checked(sealed, key).said == ["All 4 sealed runs are as they were issued"]
    # Somebody with the program and without the key issues more.
    issue(project, batch(ACCOUNTS, seed=5), key=RunKey("main", DAY, "5"))
    check = checked(sealed, key)
    assert [(run.model_version, run.parts) for run in check.changed] == [
        ("5", ("it was sealed without the key at hand",))
    ]
    if kind == "parquet":
        rewrite_facts(sealed, "4", lambda facts: facts["seal"].update(seal=facts["seal"]["digest"]))
    else:
        sql(sealed, used, "update run_seals set seal = digest where place = 4")
    changed = {run.model_version: run.parts for run in checked(sealed, key).changed}
    assert changed["4"][0] == "its seal"


def test_a_lost_key_is_said_and_what_can_be_checked_is(
    project: Project, kind: str, used: PostgresServer | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAL_KEY", "one")
    sealed = keyed(project)
    issue(sealed, batch(ACCOUNTS), key=RunKey("main", DAY, "4"))
    check = checked(sealed)
    assert check.same
    assert check.notes == [
        "1 runs were sealed with a key that is not at hand: they fit their seals, but whether"
        " somebody without the key made those cannot be told; set [store] seal_key_env and its"
        " variable"
    ]
    assert checked(sealed, b"another").notes == [
        "None of the 4 seals was made with the key at hand; they fit their runs, and the next run"
        " that is issued vouches for them"
    ]
    if kind == "parquet":
        rewrite_facts(sealed, "4", lambda facts: facts.update(issued_at="2020-01-01T00:00:00"))
    else:
        sql(sealed, used, "update runs set issued_at = '2020-01-01' where model_version = '4'")
    assert [run.model_version for run in checked(sealed).changed] == ["4"]
    monkeypatch.delenv("SEAL_KEY")
    message = (
        r"The environment variable 'SEAL_KEY' that \[store\] seal_key_env names is not set, and"
        " issued runs are sealed with the key it holds; set it"
    )
    with pytest.raises(SettingsError, match=message):
        issue(sealed, batch(ACCOUNTS), key=RunKey("main", DAY, "5"))


def test_a_key_is_named_without_being_told() -> None:
    assert key_id(None) == ""
    assert "secret" not in key_id(b"secret")
    assert key_id(b"secret") != key_id(b"secret2")


def test_a_seal_of_a_later_version_is_refused(
    project: Project, kind: str, used: PostgresServer | None
) -> None:
    if kind == "parquet":
        rewrite_facts(project, "3", lambda facts: facts["seal"].update(form=4))
    else:
        sql(project, used, "update run_seals set form = 4 where place = 3")
    message = re.escape(
        "The scores of 2025-01-01 by model version 3 (outcome main) bear a seal of form 4, of a"
        " later version of healthscore than this one, which knows forms up to 3; install that"
        " version"
    )
    with pytest.raises(StoreError, match=message):
        checked(project)
    with pytest.raises(StoreError, match=message):
        issue(project, batch(["B"]), key=RunKey("main", DAY, "4"))
    assert [key.model_version for key in keys_of(project)] == ["1", "2", "3"]


def keys_of(project: Project) -> list[RunKey]:
    with open_store(project, read_only=True) as store:
        return [run.key for run in store.runs()]


def test_a_clock_that_went_back_changes_no_order(
    project: Project,
    kind: str,
    used: PostgresServer | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run that was issued last is the newest, whatever its moment says."""
    for engine in ("duckdb", "parquet", "postgres"):
        monkeypatch.setattr(f"pipelines.store.{engine}.now", lambda: datetime(2020, 1, 1))
    issue(project, batch(["A0"], score=[12.5]), key=RunKey("main", DAY, "4"))
    with open_store(project, read_only=True) as store:
        assert issued_run(store, "main").key.model_version == "4"
        assert store.account_history("main", "A0")["model_version"].to_pylist()[-1] == "4"
        assert store.portfolio_history("main")["model_version"].to_pylist()[-1] == "4"
    check = checked(project)
    assert check.same
    assert check.notes == [
        "The clock stood before that of the run before it when '2025-01-01 by model version 4"
        " (outcome main)' was issued; the order of issue is that of the seals"
    ]
    if kind == "duckdb":
        with duckdb.connect(project.store_shown, read_only=True) as connection:
            assert connection.execute("select score from latest_scores").fetchall() == [(12.5,)]


def test_places_follow_the_order_of_issue_not_of_dates(tmp_path: Path) -> None:
    project = configured(tmp_path, "scores.duckdb")
    days = [DAY, DAY - timedelta(days=30), DAY + timedelta(days=30)]
    for day in days:
        issue(project, batch(["A"]), key=replace(KEY, as_of=day))
    with open_store(project, read_only=True) as store:
        assert [seal.as_of for seal in store.seals()] == days
        assert isinstance(store.seals()[0].as_of, date)
