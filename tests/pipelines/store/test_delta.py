"""A Parquet store that is a Delta table as well: what the table says is what the store holds."""

from __future__ import annotations

import glob
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.errors import SettingsError, StoreError
from features.sources.lake import log
from features.sources.lake.log import DeltaLog
from features.sources.opening import open_source
from pipelines.project.erase import reasons
from pipelines.project.erase.reasons import let_reasons_go
from pipelines.project.project import Project, load_project
from pipelines.scoring.spark import issue as spark
from pipelines.store import parquet, parquet_files
from pipelines.store.opening import open_store
from pipelines.store.runs import AlreadyIssued, RunKey
from pipelines.store.schema import ADDED_COLUMNS, SCORE_SCHEMA
from pipelines.store.writer import rows_writer
from tests.pipelines.issued import (
    DAY,
    KEY,
    Nursery,
    batch,
    configured,
    contents,
    erase,
    issue,
    rows_of,
)
from tests.pipelines.store.seals_by_hand import checked
from tests.pipelines.store.test_parts import NAMES, issue_parts

deltalake = pytest.importorskip("deltalake", reason="the delta extra is not installed")

NAME = "A very odd name"
ODD = ["a/b", "50% of", "x=y", "ü #?", "a b+c&d", "%2F"]
PARTITIONS = parquet_files.PARTITIONS.names


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """A library that forked once it has worked does not work again: children do not share one."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return configured(tmp_path / "it's [a] *folder? 100%", "made/scores/", "delta = true\n")


def place(project: Project) -> Path:
    return Path(project.store_shown)


def table(project: Project) -> Any:
    return deltalake.DeltaTable(place(project).as_uri())


def listed(project: Project) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """The rows of the table, as another program reads them, by run and in order of account."""
    rows = table(project).to_pyarrow_table()
    return by_run(rows)


def by_run(rows: pa.Table) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in sorted(rows.to_pylist(), key=lambda each: str(each["account_id"])):
        key = tuple(row[name] for name in PARTITIONS)
        found.setdefault(key, []).append({name: plain(row[name]) for name in SCORE_SCHEMA.names})
    return found


def plain(value: Any) -> Any:
    """The double nearest to a decimal, as the store reads them."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    return float(value) if isinstance(value, Decimal) else value


def held(project: Project) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """The rows of the store, likewise."""
    return {
        (key.outcome, key.as_of, key.model_version, revision): rows
        for (key, revision, _, _), rows in contents(project).items()
        if rows
    }


def test_the_table_holds_what_the_store_does(project: Project, tmp_path: Path) -> None:
    for number, outcome in enumerate(ODD):
        issue(project, batch(["A", "B"], seed=number), key=RunKey(outcome, DAY, f"v/{number} %"))
    issue(project, batch(["A"]), batch(["B"], **{name: [None] for name in ADDED_COLUMNS}))
    issue(project, batch(["A", "C"]), force=True)
    issue_parts(project, key=replace(KEY, model_version="2"))
    assert len(held(project)) == len(ODD) + 3
    assert listed(project) == held(project)
    # One commit for each run, and the first makes the table.
    assert table(project).version() == len(ODD) + 2
    assert [field.name for field in table(project).schema().fields] == [
        *SCORE_SCHEMA.names,
        *PARTITIONS,
    ]
    # As DuckDB reads the files that the log lists, here by our own reader of such tables.
    with open_source(str(tmp_path / "it's [a] *folder? 100%" / "made"), tmp_path) as source:
        assert by_run(source.tables["scores"].to_pyarrow()) == held(project)
    paths = pa.table(table(project).get_add_actions(flatten=True))["path"].to_pylist()
    files = [glob.escape(f"{place(project)}/{unquote(path)}") for path in paths]
    kinds = {"outcome": "varchar", "as_of": "date", "model_version": "varchar", "revision": "int"}
    asked = f"select * from read_parquet(?, hive_partitioning = true, hive_types = {kinds})"
    assert by_run(duckdb.sql(asked, params=[files]).to_arrow_table()) == held(project)
    with pytest.raises(AlreadyIssued):
        issue(project, batch(["A"]))
    with open_store(project, read_only=False):
        pass
    assert table(project).version() == len(ODD) + 2
    assert checked(project).same


def test_values_of_rows_are_nowhere_in_the_log(project: Project) -> None:
    issue(project, batch([NAME]))
    text = "".join(each.read_text("utf-8") for each in (place(project) / log.LOG).glob("*.json"))
    assert NAME not in text
    assert '\\"numRecords\\": 1' in text


@pytest.mark.parametrize(
    ("is_first", "stop"),
    [
        *((False, {"dies_at": ["fsync", number]}) for number in (1, 2, 3, 4, 5, 6)),
        (False, {"dies_at": ["rename", 1]}),
        *((True, {"dies_at": ["fsync", number]}) for number in (5, 6)),
        *(
            (is_first, {"dies_at_log": stop})
            for is_first in (True, False)
            for stop in (["follow", False], ["_commit", False], ["_commit", True])
        ),
    ],
)
def test_killed_before_and_after_each_step_a_run_is_listed_once(
    project: Project, nursery: Nursery, stop: dict[str, Any], is_first: bool
) -> None:
    done = [] if is_first else [replace(KEY, model_version="0")]
    for key in done:
        issue(project, batch(["A"]), key=key)
    child = nursery.start(project, KEY, 2, 3, **stop)
    assert child
    assert nursery.line() == "killed"
    if deltalake.DeltaTable.is_deltatable(place(project).as_uri()):
        # Readers of the table see whole runs alone, and none that is not there.
        assert listed(project).items() <= held(project).items()
    before = set() if is_first else set(listed(project))
    nursery.start(project, KEY, 2, 3)
    assert nursery.line() in ("ended 0", "ended 7")
    rows = [row for number in range(2) for row in rows_of(number, 3).to_pylist()]
    assert listed(project) == held(project)
    assert listed(project)["main", DAY, "1", 1] == rows
    assert before <= set(listed(project))
    assert table(project).version() == len(done)


@pytest.mark.parametrize(
    "stop",
    [
        *({"dies_at": ["replace", number]} for number in (1, 2, 3, 4)),
        *({"dies_at": ["fsync", number]} for number in (2, 4, 6)),
        {"dies_at": ["unlink", 1]},
        {"dies_at_log": ["_commit", False]},
        {"dies_at_log": ["_commit", True]},
    ],
)
def test_killed_before_and_after_each_step_an_erasure_is_ended(
    project: Project, nursery: Nursery, stop: dict[str, Any]
) -> None:
    issue(project, batch(["A", NAME]))
    issue(project, batch(["A", NAME], seed=1), key=RunKey("a/b 50%", DAY, "1"))
    issue(project, batch(["A"]), key=replace(KEY, model_version="3"))
    before = listed(project)
    nursery.start(project, KEY, 0, 0, erases=NAME, **stop)
    assert nursery.line() == "killed"
    # The old rows or the new ones, and never both.
    assert {run: len(rows) for run, rows in listed(project).items()} == {
        run: len(rows) for run, rows in before.items()
    }
    erase(project, NAME)
    assert listed(project) == held(project)
    assert NAME.encode() not in b"".join(
        each.read_bytes() for each in place(project).rglob("*") if each.is_file()
    )
    check = checked(project)
    assert check.same, check.said
    names = {one["account_id"] for rows in listed(project).values() for one in rows}
    assert names == {"A", "erased-00ff"}


def test_reasons_that_are_let_go_are_gone_from_the_table(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2025, 1, 1, 9)
    for module in (parquet, spark, reasons):
        monkeypatch.setattr(module, "now", lambda: moment)
    issue_parts(project)
    erase(project, NAMES[3])
    moment += timedelta(days=100)
    issue(project, batch(["A"]), key=replace(KEY, as_of=DAY + timedelta(days=100)))
    with project.path.open("a", encoding="utf-8") as file:
        file.write("keep_reasons_days = 90\n")
    assert let_reasons_go(load_project(project.path)) == (1, [])
    assert listed(project) == held(project)
    rows = listed(project)["main", DAY, "1", 1]
    assert len(rows) == len(NAMES)
    assert not any(row["reason_signals"] for row in rows)
    # Every commit of the table was of one run: two issued, one erased from, one without reasons.
    assert table(project).version() == 3
    check = checked(project)
    assert check.same, check.said


def test_of_two_writers_that_list_a_run_one_does(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(project, batch(["A"]))
    real, rivals = DeltaLog._commit, [True]

    def beaten(self: DeltaLog, opened: Any, actions: Any, transactions: Any) -> None:
        # Where locks do not reach, a rival lists the same files in between.
        if rivals:
            rivals.pop()
            real(self, opened, actions, transactions)
        real(self, opened, actions, transactions)

    monkeypatch.setattr(DeltaLog, "_commit", beaten)
    issue(project, batch(["A", "B"]), key=replace(KEY, model_version="2"))
    assert not rivals
    assert table(project).version() == 1
    assert listed(project) == held(project)


def test_what_other_programs_rewrote_is_neither_listed_again_nor_erased(project: Project) -> None:
    issue_parts(project)
    table(project).optimize.compact()
    rewritten = table(project).version()
    issue(project, batch(["A"]), key=replace(KEY, model_version="2"))
    assert table(project).version() == rewritten + 1
    assert listed(project) == held(project)
    before = contents(project)
    with pytest.raises(StoreError, match=r"another program rewrote them .* take '_delta_log' away"):
        erase(project, NAMES[3])
    assert contents(project) == before


def test_a_store_becomes_a_table_and_stays_one(project: Project) -> None:
    text = project.path.read_text("utf-8")
    project.path.write_text(text.replace("delta = true\n", ""), "utf-8")
    plain = load_project(project.path)
    runs = [issue(plain, batch(["A", NAME]), key=replace(KEY, model_version=v)) for v in "12"]
    # As a version before curves left it.
    (file,) = place(plain).glob("*/*/model_version=1/*/*.parquet")
    earlier = [name for name in SCORE_SCHEMA.names if name not in ADDED_COLUMNS]
    rows = pq.ParquetFile(file).read(columns=earlier)
    with file.open("wb") as opened, rows_writer(opened, rows.schema) as writer:
        writer.write_table(rows)
    assert not (place(plain) / log.LOG).exists()
    with open_store(project, read_only=False) as store:
        assert [run.key for run in store.runs()] == [run.key for run in runs]
    assert table(project).version() == 0
    assert listed(project) == held(project)
    assert listed(project)["main", DAY, "1", 1][0]["probability_if_due"] is None
    # Whoever does not ask for it keeps the log right nevertheless.
    erase(plain, NAME)
    issue(plain, batch(["C"]), key=replace(KEY, model_version="3"))
    assert len(listed(project)) == 3
    assert listed(project) == held(project)


def test_files_of_earlier_types_are_refused(project: Project) -> None:
    text = project.path.read_text("utf-8")
    project.path.write_text(text.replace("delta = true\n", ""), "utf-8")
    issue(load_project(project.path), batch(["A"]))
    (file,) = place(project).glob("*/*/*/*/*.parquet")
    rows = pq.ParquetFile(file).read()
    number = rows.schema.get_field_index("score")
    pq.write_table(rows.set_column(number, "score", pc.cast(rows["score"], pa.float64())), file)
    with pytest.raises(StoreError, match=r"with 'score' in another type, and a Delta table has"):
        issue(project, batch(["B"]), key=replace(KEY, model_version="2"))
    assert not deltalake.DeltaTable.is_deltatable(place(project).as_uri())


def test_columns_of_later_versions_are_added(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        fewer = pa.schema(list(parquet_files.FILE_SCHEMA)[:-1])
        earlier.setattr("pipelines.store.parquet.FILE_SCHEMA", fewer)
        issue(project, batch(["A"]))
    assert "band_days" not in [field.name for field in table(project).schema().fields]
    issue(project, batch(["B"]), key=replace(KEY, model_version="2"))
    assert listed(project) == held(project)


def test_a_log_that_is_broken_is_told_and_made_good_once_it_is_mended(project: Project) -> None:
    issue(project, batch(["A"]))
    folder = place(project) / log.LOG
    kept = folder.rename(folder.with_name("_kept"))
    folder.write_text("a file")
    other = replace(KEY, model_version="2")
    said = r"could not be brought up to its files: .*; they are all there, so mend the cause"
    with pytest.raises(StoreError, match=said) as told:
        issue(project, batch(["B"]), key=other)
    assert "\n" not in str(told.value)
    folder.unlink()
    kept.rename(folder)
    issue(project, batch(["B"]), key=other)
    assert listed(project) == held(project)


@pytest.mark.parametrize("url", ["scores.duckdb", "postgresql://me@nowhere/crm", "made/scores"])
def test_only_a_folder_of_parquet_is_a_table(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"\[store\] delta makes a Delta table of a folder"):
        open_store(configured(tmp_path, url, "delta = true\n"), read_only=True)


def test_without_the_library_nothing_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(project, batch(["A"]))
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(SettingsError, match=r"pip install 'healthscore\[delta\]'"):
        issue(project, batch(["A"]), key=replace(KEY, model_version="2"))
    # Reading takes no log.
    assert len(contents(project)) == 1


def test_without_the_setting_the_library_is_not_loaded(tmp_path: Path) -> None:
    configured(tmp_path, "scores/")
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.pipelines.issued import batch, issue, load_project\n"
        f"issue(load_project(Path({str(tmp_path / 'healthscore.toml')!r})), batch(['A']))\n"
        "sys.exit('deltalake' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
