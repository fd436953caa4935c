"""Reasons of old runs: let go where the configuration has it, on record, and told by readers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from features.errors import SettingsError, StoreError
from pipelines.project.erase import reasons
from pipelines.project.erase.reasons import compact, let_reasons_go, runs_due
from pipelines.project.project import Project, load_project
from pipelines.scoring.spark import issue as spark
from pipelines.scoring.verify.seals import STOPPED
from pipelines.store import duckdb, parquet, postgres
from pipelines.store.issued import issued_run, reasons_note
from pipelines.store.opening import open_store
from pipelines.store.runs import Run, RunKey
from pipelines.store.schema import LISTS
from tests.features.servers import PostgresServer
from tests.pipelines.issued import DAY, batch, configured, fresh, issue, killed_at, read
from tests.pipelines.store.seals_by_hand import checked, sql
from tests.pipelines.store.test_erasing import erase
from tests.pipelines.store.test_parts import issue_parts

MONTH = timedelta(days=30)
FIRST = datetime(2025, 1, 1, 9)
ACCOUNTS = ["A0", "b", "c", "z"]
NONE: dict[str, list[object]] = {name: [] for name in LISTS}
KEYS = [RunKey("main", DAY + number * MONTH, "1") for number in range(4)]


def keeping(project: Project, days: int | str | None) -> Project:
    """The same project with another retention."""
    text = "\n".join(
        line
        for line in project.path.read_text(encoding="utf-8").splitlines()
        if not line.startswith("keep_reasons_days")
    )
    told = "" if days is None else f"keep_reasons_days = {days}\n"
    project.path.write_text(f"{text}\n{told}", encoding="utf-8")
    return load_project(project.path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the clock of stores."""

    def set_to(moment: datetime) -> None:
        for module in (duckdb, parquet, postgres, reasons, spark):
            monkeypatch.setattr(module, "now", lambda: moment)

    return set_to


@pytest.fixture
def project(
    kind: str,
    used: PostgresServer | None,
    tmp_path_factory: pytest.TempPathFactory,
    clock: Callable[[datetime], None],
) -> Project:
    """A run a month; the last is three months younger than the first."""
    project = fresh(kind, tmp_path_factory, used)
    for number, key in enumerate(KEYS):
        clock(FIRST + number * MONTH)
        issue(project, batch(ACCOUNTS, seed=number), key=key)
    return keeping(project, 60)


def rows(project: Project, key: RunKey) -> list[dict[str, object]]:
    return list(read(project, key).to_pylist())


def test_reasons_go_and_all_else_stays(project: Project) -> None:
    before = {key: rows(project, key) for key in KEYS}
    noted = checked(project).newest
    compacted = compact(project)
    assert (compacted.runs, compacted.changed) == (2, [])
    assert compacted.said[0] == "Let the reasons of 2 runs go, kept for 60 days"
    for key in KEYS[:2]:
        assert rows(project, key) == [row | NONE for row in before[key]]
    for key in KEYS[2:]:
        assert rows(project, key) == before[key]
    check = checked(project, noted=noted)
    assert check.said == [
        "All 4 sealed runs are as they were issued",
        "Reasons of 2 runs were let go as the configuration had it, the last on 2025-04-01, and"
        " are no longer compared",
    ]
    assert compact(project).runs == 0
    with open_store(project, read_only=True) as store:
        old, young = (issued_run(store, "main", key.as_of) for key in (KEYS[0], KEYS[3]))
        assert reasons_note(store.erasures(), young) is None
        assert reasons_note(store.erasures(), old) == (
            "Reasons of the scores of 2025-01-01 are no longer kept: they were let go on"
            " 2025-04-01, for [store] keep_reasons_days was 60"
        )
    # An account of such a run can still be erased, and later runs join the chain.
    assert erase(project, account="b") == 4
    issue(project, batch(ACCOUNTS), key=RunKey("main", DAY, "9"))
    assert checked(project).same
    assert rows(project, KEYS[0])[0]["reason_signals"] == []


def test_reasons_go_from_runs_that_an_account_was_erased_from(project: Project) -> None:
    erase(project, account="b")
    assert let_reasons_go(project) == (2, [])
    assert checked(project).same


def test_without_a_retention_nothing_goes(project: Project) -> None:
    whole = keeping(project, None)
    compacted = compact(whole)
    assert compacted.runs == 0
    assert compacted.said[0] == (
        "Reasons are kept for ever; set [store] keep_reasons_days to let old ones go"
    )
    assert any(row["reason_signals"] for row in rows(project, KEYS[0]))


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_what_was_changed_before_keeps_its_reasons_and_shows(
    project: Project, kind: str, used: PostgresServer | None
) -> None:
    values = "reason_texts = 'x'" if kind == "postgres" else "reason_values = ['x']"
    change = f"update score_rows set {values} where run_id = 1 and account_id = 'b'"
    sql(project, used, change)
    assert let_reasons_go(project) == (1, [f"{KEYS[0]}, revision 1"])
    (changed,) = checked(project).changed
    assert (changed.as_of, changed.parts) == ("2025-01-01", ("its rows",))
    assert compact(project).warnings == [
        f"The reasons of the scores of {KEYS[0]}, revision 1 stay, for the run is not as it was"
        " issued; see 'healthscore verify-store'"
    ]


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
@pytest.mark.parametrize(
    "change",
    [
        "update score_rows set score = 99 where run_id = 1",
        # Reasons may not be said to have been old enough when they were not.
        "update run_erasures set tombstone = 'reasons kept 99 days' where as_of < '2025-01-15'",
        "update run_erasures set rows_after = rows_before where as_of < '2025-01-15'",
        "delete from run_erasures where as_of < '2025-01-15'",
    ],
)
def test_a_record_explains_what_it_says_alone(
    project: Project, kind: str, used: PostgresServer | None, change: str
) -> None:
    let_reasons_go(project)
    sql(project, used, change)
    assert [one.as_of for one in checked(project).changed] == ["2025-01-01"]


@pytest.mark.parametrize("kind", ["duckdb", "parquet"])
def test_killed_midway_a_run_is_whole_or_its_reasons_are_gone(
    project: Project, kind: str, tmp_path: Path
) -> None:
    whole = {key: rows(project, key) for key in KEYS}
    gone = {key: [row | NONE for row in whole[key]] for key in KEYS}
    stops = []
    for call, number in product(("fsync", "replace"), (1, 3, 4)):
        folder = shutil.copytree(project.folder, tmp_path / f"{call} {number}")
        stopped = load_project(folder / project.path.name)
        stops.append(killed_at(call, number, partial(compact, stopped)))
        for key in KEYS:
            assert rows(stopped, key) in (whole[key], gone[key]), (call, number)
        assert {part for one in checked(stopped).changed for part in one.parts} <= {STOPPED}
        compact(stopped)
        assert checked(stopped).same, (call, number)
        assert [rows(stopped, key) == gone[key] for key in KEYS] == [True, True, False, False]
    assert sum(stops) > 1


def test_reasons_of_a_run_in_parts_go_from_every_file(
    tmp_path: Path, clock: Callable[[datetime], None]
) -> None:
    project = configured(tmp_path / "project", "scores/")
    clock(FIRST)
    issue_parts(project)
    whole = read(project).to_pylist()
    clock(FIRST + 3 * MONTH)
    issue(project, batch(ACCOUNTS), key=KEYS[3])
    kept = keeping(project, 60)
    for number in (1, 2, 3, 5):
        # Before the record, between files, and after them.
        killed_at("replace", number, partial(compact, kept))
        assert read(kept).to_pylist() in (whole, [row | NONE for row in whole])
        assert {part for one in checked(kept).changed for part in one.parts} <= {STOPPED}
    assert compact(kept).runs == 0
    assert checked(kept).same
    (folder,) = Path(kept.store_shown).glob(f"outcome=main/as_of={DAY}/*/*")
    for file in folder.glob("*.parquet"):
        held = pq.read_table(file, columns=["reason_signals"])["reason_signals"]
        assert not any(held.to_pylist())


@pytest.mark.parametrize("kind", ["parquet"])
def test_of_two_jobs_that_change_a_run_one_says_so(project: Project) -> None:
    with open_store(project, read_only=False) as store:
        changes, _ = reasons._changes(store, 60, FIRST + 3 * MONTH)
        erase(project, account="b")
        with pytest.raises(StoreError, match="was changed by another job meanwhile; it is as"):
            store.write_erased(changes, None)
    assert checked(project).same


def _runs(*days: int, outcome: str = "main") -> Iterator[Run]:
    for place, day in enumerate(days):
        yield Run(RunKey(outcome, DAY + place * MONTH, "1"), 1, FIRST + timedelta(days=day), 4)


@pytest.mark.parametrize(
    ("issued", "clock_days", "due"),
    [
        ((0, 30, 60), 60, [0]),
        # A clock far ahead, or far behind, lets nothing go that later runs do not vouch for.
        ((0, 30, 60), 90_000, [0]),
        ((0, 30, 60), -90_000, []),
        # A run of the past, issued late, is as young as its issue; what readers see first stays.
        ((0, 100, 1), 200, [0]),
        ((0,), 500, []),
    ],
)
def test_a_run_is_old_when_a_later_one_was_issued_so_long_after(
    issued: tuple[int, ...], clock_days: int, due: list[int]
) -> None:
    runs = list(_runs(*issued))
    moment = FIRST + timedelta(days=clock_days)
    assert [runs.index(run) for run in runs_due(runs, 60, moment)] == due


@pytest.mark.parametrize("kind", ["duckdb"])
@pytest.mark.parametrize("days", ["0", "-1", '"forever"', '"0 days"', "40000000000"])
def test_days_that_are_none_are_refused(project: Project, days: str) -> None:
    with pytest.raises(SettingsError, match="keep_reasons_days"):
        keeping(project, days)
