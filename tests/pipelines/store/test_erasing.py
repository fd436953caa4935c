"""Erasing an account from issued runs: numbers stay, seals explain, and no byte of it is left."""

from __future__ import annotations

import shutil
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from features.errors import StoreError
from pipelines.project.project import Project, load_project
from pipelines.scoring.verify.seals import UNFINISHED
from pipelines.store.opening import open_store
from pipelines.store.runs import RunKey
from tests.features.servers import PostgresServer
from tests.pipelines import issued
from tests.pipelines.issued import DAY, batch, fresh, issue, killed_at, read
from tests.pipelines.store.seals_by_hand import checked, sql
from tests.pipelines.store.test_seals import keyed

NAME, TOMBSTONE = "A very 'odd' \"name\"", "erased-00ff"
ACCOUNTS = ["A0", NAME, "b", "z"]
KEYS = [RunKey("main", DAY, version) for version in ("1", "2")]


@pytest.fixture
def project(
    kind: str, used: PostgresServer | None, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A store of two runs that hold the account, and one that does not."""
    project = fresh(kind, tmp_path_factory, used)
    for number, key in enumerate(KEYS):
        issue(project, batch(ACCOUNTS, seed=number), key=key)
    issue(project, batch(["A0"]), key=RunKey("main", DAY, "3"))
    return project


def erase(project: Project, tombstone: str = TOMBSTONE, account: str = NAME) -> int:
    return issued.erase(project, account, tombstone)


def bytes_of(project: Project) -> bytes:
    place = Path(project.store_shown)
    files = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
    return b"".join(file.read_bytes() for file in files)


def test_numbers_stay_under_another_name_and_the_seals_say_so(project: Project, kind: str) -> None:
    before = {row["account_id"]: row for row in read(project, KEYS[1]).to_pylist()}
    noted = checked(project).newest
    assert erase(project) == 2
    after = {row["account_id"]: row for row in read(project, KEYS[1]).to_pylist()}
    assert set(after) == {"A0", "b", "z", TOMBSTONE}
    erased, was = after.pop(TOMBSTONE), before.pop(NAME)
    assert after == before
    words = [one if one == "1.5" else None for one in was["reason_values"]]
    assert erased == was | {"account_id": TOMBSTONE, "reason_values": words}
    check = checked(project, noted=noted)
    assert check.same
    assert check.said == [
        "All 3 sealed runs are as they were issued",
        "Erased on 2025-03-01, and 2 runs changed for it: what is now called erased-00ff",
    ]
    if kind != "postgres":
        assert b"very" not in bytes_of(project)
    # Once more there is nothing to do, and later runs join the chain.
    assert erase(project) == 0
    issue(project, batch(["A0"]), key=RunKey("main", DAY, "4"))
    assert checked(project).same


def test_two_erasures_follow_one_another(project: Project) -> None:
    erase(project)
    assert erase(project, "erased-2", "b") == 2
    check = checked(project)
    assert check.same
    assert len(check.notes) == 2


def test_a_change_beside_an_erasure_is_told_from_it(
    project: Project, kind: str, used: PostgresServer | None
) -> None:
    if kind == "parquet":
        pytest.skip("its files are changed in tests/pipelines/store/test_seals.py")
    erase(project)
    sql(project, used, "update score_rows set band = 'healthy!' where account_id = 'b'")
    changed = checked(project).changed
    assert [one.parts for one in changed] == [("its rows",)] * 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_erasure_covers_up_nothing(
    project: Project, kind: str, used: PostgresServer | None, when: str
) -> None:
    if kind == "parquet":
        pytest.skip("its files are changed in tests/pipelines/store/test_seals.py")
    change = "update score_rows set score = 99 where account_id = 'b'"
    if when == "before":
        sql(project, used, change)
        erase(project)
    else:
        erase(project)
        sql(project, used, change, "update run_erasures set rows_after = rows_before")
    said = {part for one in checked(project).changed for part in one.parts}
    assert said == {"its rows, which no record of an erasure explains"}


def test_without_the_key_nobody_writes_an_erasure(
    project: Project,
    kind: str,
    used: PostgresServer | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "parquet":
        pytest.skip("its files are changed in tests/pipelines/store/test_seals.py")
    monkeypatch.setenv("SEAL_KEY", "secret")
    own = keyed(project)
    issue(own, batch(ACCOUNTS, seed=5), key=RunKey("main", DAY, "5"))
    erase(own)
    assert checked(own, b"secret").same
    sql(own, used, "update run_erasures set tombstone = 'erased-other' where model_version = '5'")
    assert [one.model_version for one in checked(own, b"secret").changed] == ["5"]
    # Neither without a key, nor with the name of one that nobody has at hand.
    for name in ("", "0123456789abcdef"):
        sql(
            own,
            used,
            "update score_rows set score = 99",
            f"update run_erasures set key_id = '{name}', seal = '' where model_version = '5'",
        )
        assert "5" in [one.model_version for one in checked(own, b"secret").changed]


def test_an_erasure_that_the_key_at_hand_does_not_vouch_for_is_said(project: Project) -> None:
    erase(project)
    issue(project, batch(["A0"]), key=RunKey("main", DAY, "4"))
    check = checked(project, b"secret")
    assert check.same
    assert check.notes[-1] == (
        "2 erasures were written down without the key at hand, so who did it cannot be told:"
        " 'erased-00ff'"
    )


def test_a_store_for_reading_erases_nothing(project: Project) -> None:
    with (
        open_store(project, read_only=True) as store,
        pytest.raises(StoreError, match="is opened for reading alone"),
    ):
        store.write_erased([], NAME)


def test_killed_midway_it_is_taken_up_again(project: Project, kind: str, tmp_path: Path) -> None:
    if kind == "postgres":
        pytest.skip("it is one transaction")
    before = {row["account_id"]: row["score"] for row in read(project).to_pylist()}
    kept = {TOMBSTONE if name == NAME else name: score for name, score in before.items()}
    for call, number in product(("fsync", "replace"), (1, 2, 3)):
        case = f"{call} {number}"
        folder = shutil.copytree(project.folder, tmp_path / case)
        stopped = load_project(folder / project.path.name)
        assert killed_at(call, number, partial(erase, stopped)) or number > 1, case
        check = checked(stopped)
        if not check.same:
            assert {part for one in check.changed for part in one.parts} == {UNFINISHED}, case
        erase(stopped)
        check = checked(stopped)
        assert check.same, (case, check.said)
        assert len(check.notes) == 1, case
        assert b"very" not in bytes_of(stopped), case
        assert {row["account_id"]: row["score"] for row in read(stopped).to_pylist()} == kept, case


@pytest.mark.parametrize("kind", ["parquet"])
def test_what_a_stopped_erasure_left_names_nobody_who_is_erased_later(project: Project) -> None:
    assert killed_at("replace", 1, partial(erase, project, account="b"))
    left = list(Path(project.store_shown).rglob("scores.parquet.*.new"))
    assert any(b"very" in file.read_bytes() for file in left)
    erase(project)
    assert b"very" not in bytes_of(project)
