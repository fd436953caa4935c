"""Runs that many processes wrote: a file of each, one moment at which all are issued."""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from features.errors import StoreError
from pipelines.project.erase.runs import changes_of
from pipelines.project.project import Project, load_project
from pipelines.scoring.spark.issue import commit_parts, staging_of
from pipelines.scoring.spark.parts import Part, write_part
from pipelines.scoring.verify.seals import SealCheck, check_seals
from pipelines.store.opening import open_store
from pipelines.store.parquet import ParquetStore
from pipelines.store.runs import AlreadyIssued, Run
from tests.pipelines.issued import FACTS, GROUPS_OF, KEY, batch, configured, issue, read

NAMES = [f"{letter}{number}" for letter in "AzÄ" for number in range(7)]
SHARES = [NAMES[:5], NAMES[5:6], [], NAMES[6:]]
ROOT = Path(__file__).resolve().parents[3]


def stored(project: Project, *, read_only: bool = True) -> ParquetStore:
    store = open_store(project, read_only=read_only)
    assert isinstance(store, ParquetStore)
    return store


def told(staged: Path, shares: list[list[str]]) -> list[Part]:
    """Have each share written some rows at a time, as workers do; the last one comes first."""
    whole = batch(NAMES)
    of = {name: whole[place : place + 1] for place, name in enumerate(NAMES)}
    parts = []
    for number, names in enumerate(shares):
        rows = [(of[name], np.array([len(name)], dtype=np.uint64)) for name in names]
        parts.append(write_part(staged, number, rows, GROUPS_OF))
    return parts[::-1]


def issue_parts(
    project: Project, shares: list[list[str]] = SHARES, key: Any = KEY, *, force: bool = False
) -> Run:
    with stored(project, read_only=False) as store, store.drafting(key, force=force) as draft:
        staged = staging_of(draft[0])
        # Attempts that were killed, or whose twin was faster.
        told(staged, [NAMES[:5]])
        (staged / "000001-dead.parquet").write_bytes(b"PAR1 half a")
        return commit_parts(
            store, key, *draft, told(staged, shares), GROUPS_OF, lambda text: FACTS | {"sum": text}
        )


def verdict(project: Project) -> SealCheck:
    with stored(project) as store:
        return check_seals(store, None)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return configured(tmp_path / "it's [a] *folder? 100%", "scores/")


def test_parts_are_one_run_like_any_other(project: Project, tmp_path: Path) -> None:
    run = issue_parts(project)
    assert (run.rows, run.revision) == (len(NAMES), 1)
    assert run.facts == FACTS | {"sum": run.facts["sum"], "rows_of_parts": "[5, 1, 15]"}
    whole = configured(tmp_path / "whole", "scores/")
    issue(whole, batch(NAMES))
    assert read(project).to_pylist() == read(whole).to_pylist()
    with stored(project) as store:
        (folder,) = Path(store.folder).glob("outcome=*/*/*/*")
        assert store.account_history("main", "Ä3")["account_id"].to_pylist() == ["Ä3"]
        between = store.scores_between(run, "A4", "z0", ["account_id"]).read_all()
    assert between["account_id"].to_pylist() == ["A4", "A5", "A6", "z0"]
    # Other programs see each row once, and nothing of what was given up is left.
    files = glob.escape(str(folder)) + "/*.parquet"
    counted = duckdb.execute("select count(*) from read_parquet(?)", [files]).fetchall()
    assert counted == [(len(NAMES),)]
    assert sorted(each.name for each in folder.iterdir()) == [
        "_run.json",
        *(f"scores-{number:05d}.parquet" for number in range(3)),
    ]
    assert sorted(each.name for each in folder.parents[3].iterdir()) == ["_lock", "outcome=main"]
    assert verdict(project).said == ["All 1 sealed runs are as they were issued"]
    with pytest.raises(AlreadyIssued):
        issue_parts(project)
    assert issue_parts(project, [NAMES], force=True).revision == 2
    # The fingerprint does not tell how the rows were shared out.
    assert {one.facts["sum"] for one in runs_of(project)} == {run.facts["sum"]}
    issue(project, batch(["B"]), key=replace(KEY, model_version="2"))
    assert verdict(project).same


def runs_of(project: Project) -> list[Run]:
    with stored(project) as store:
        return store.runs()


def test_what_is_changed_in_parts_is_noticed(project: Project) -> None:
    issue_parts(project)
    with stored(project) as store:
        (folder,) = Path(store.folder).glob("outcome=*/*/*/*")
    middle, facts = folder / "scores-00001.parquet", folder / "_run.json"
    rows, kept, text = pq.read_table(middle), middle.read_bytes(), facts.read_text("utf-8")
    pq.write_table(rows.set_column(4, "grade", [["A"]]), middle)
    assert [one.parts for one in verdict(project).changed] == [("its rows",)]
    pq.write_table(rows, middle)
    assert [one.parts for one in verdict(project).changed] == [("its file, beside its rows",)]
    middle.write_bytes(kept)
    (folder / "scores-00003.parquet").write_bytes(kept)
    assert [one.parts for one in verdict(project).changed] == [("its file, beside its rows",)]
    (folder / "scores-00003.parquet").unlink()
    for counts in ("[6, 15]", "[5, 1, 14]", "[]", "none", "[5, 1, 15, 1]"):
        facts.write_text(text.replace('"[5, 1, 15]"', json.dumps(counts)), encoding="utf-8")
        ((first, *more),) = [one.parts for one in verdict(project).changed]
        assert "its moment, facts" in " ".join([first, *more]), counts
    facts.write_text(text, encoding="utf-8")
    assert verdict(project).same


def test_an_account_is_erased_from_its_part(project: Project) -> None:
    issue_parts(project)
    with stored(project, read_only=False) as store:
        moment = datetime(2025, 3, 1)
        changes = changes_of(store, "A5", "erased-1", moment, lambda facts: facts)
        store.write_erased(changes, "A5")
    accounts = read(project)["account_id"].to_pylist()
    assert accounts == sorted([*NAMES[:5], *NAMES[6:], "erased-1"], key=str.encode)
    checked = verdict(project)
    assert checked.same
    assert "Erased on 2025-03-01, and 1 run changed for it" in checked.said[1]


@pytest.mark.parametrize(
    "shares", [[NAMES[:3], NAMES[2:]], [["A1", "A1"]], [NAMES[:3], [*NAMES[3:], NAMES[-1]]]]
)
def test_an_account_that_came_twice_is_refused(project: Project, shares: list[list[str]]) -> None:
    with pytest.raises(StoreError, match=r"hold the account '(A1|A2|Ä6)' more than once"):
        issue_parts(project, shares)
    assert not list(Path(project.store_shown).glob("outcome=*"))
    assert issue_parts(project).revision == 1


def test_a_worker_that_does_not_reach_the_folder_says_so(tmp_path: Path) -> None:
    (part,) = told(tmp_path / "nowhere", [NAMES])
    assert part == Part(
        0,
        refused=f"A worker of the cluster does not find '{tmp_path / 'nowhere'}', where the rows of"
        " the run wait; set [store] url to a folder that every worker reaches under the same path",
    )


def die_at(config: str, steps: int) -> None:
    """Fork jobs that die just before each of their renames, or after the last."""
    rename = os.rename
    for number in range(1, steps + 2):
        child = os.fork()
        if not child:
            left = [number]

            def renamed(*names: Any, left: list[int] = left) -> None:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                rename(*names)

            os.rename = renamed
            issue_parts(load_project(Path(config)))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        store = Path(load_project(Path(config)).store_shown)
        print(number, len(list(store.glob("outcome=*/*/*/*"))), flush=True)


def test_killed_between_staging_and_commit_nothing_is_there(project: Project) -> None:
    code = f"from tests.pipelines.store.test_parts import die_at; die_at({str(project.path)!r}, 4)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    # Three files are moved into place, and a fourth rename makes them a run.
    assert done.stdout.split("\n")[:-1] == ["1 0", "2 0", "3 0", "4 0", "5 1"]
    assert len(read(project)) == len(NAMES)
    assert verdict(project).same
    issue(project, batch(["B"]), key=replace(KEY, model_version="2"))
    assert not list(Path(project.store_shown).glob("_unfinished*"))
