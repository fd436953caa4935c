"""Scoring on Spark: the rows stay where they are, the scores are those of DuckDB."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyarrow import parquet

from features.build import FeatureRows
from features.tables.company import Company
from models.scoring.scorer import Scorer
from models.training.fingerprint import RowsFingerprint, row_hashes
from pipelines.scoring.bands.settled import bands_of
from pipelines.scoring.spark.parts import Part, write_part
from pipelines.scoring.verify.seals import check_seals
from pipelines.store.opening import open_store
from pipelines.store.parquet import ParquetStore
from pipelines.store.runs import RunKey
from tests.pipelines.issued import configured

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]


@pytest.fixture(scope="module")
def loaded(taught: Any) -> tuple[Any, Any]:
    """The champion, and the feature rows of a date."""
    from pipelines.project.feature_stream import feature_stream
    from pipelines.project.project import load_project

    project = load_project(taught.config)
    model = project.registry.champion().model
    with feature_stream(project, model, None, None) as stream:
        _, batches = stream.read()
        (batch,) = batches
    return model, batch


@pytest.fixture(scope="module")
def on_spark(loaded: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same rows on Spark, with two executors in processes of their own."""
    pytest.importorskip("pyspark", reason="the spark extra is not installed")
    if shutil.which("java") is None:
        pytest.skip("no Java is installed")
    from pyspark import cloudpickle

    from features.sources.opening import open_source

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    _, batch = loaded
    folder = tmp_path_factory.mktemp("spark")
    (folder / "data").mkdir()
    parquet.write_table(pa.Table.from_batches([batch]), folder / "data" / "rows.parquet")
    url = "spark://?master=local-cluster[2,1,1024]&folder=data&spark.driver.host=127.0.0.1"
    with open_source(url, folder) as source:
        # An executor that is killed takes with it what was not written down.
        source.engine.connection._session.sparkContext.setCheckpointDir(str(folder / "kept"))
        table = source.tables["rows"]
        days = table.observation_date.cast("timestamp")
        spread = source.engine.keep("spread", table.mutate(observation_date=days))
        company = Company(source.engine, {}, {}, None)  # type: ignore[arg-type]
        yield FeatureRows(company, spread, batch.num_rows, loaded[0].signals)


def test_scores_on_spark_are_those_of_duckdb(loaded: tuple[Any, Any], on_spark: Any) -> None:
    from pipelines.scoring.spark.cluster import score_on_cluster

    model, batch = loaded
    hashed = ["account_id", *model.required_columns]
    count, scored = score_on_cluster(on_spark, model, hashed)
    assert count == batch.num_rows
    found, fingerprint = [], RowsFingerprint()
    for rows, hashes in scored:
        found += rows.to_pylist()
        fingerprint.update(hashes)
    expected = Scorer(model).score_batch(batch).to_pylist()
    assert len(found) == len(expected) > 100
    by_account = {row["account_id"]: row for row in found}
    for row in expected:
        other = by_account[row["account_id"]]
        assert row.keys() == other.keys()
        for name, value in row.items():
            if isinstance(value, float) or name == "reason_points":
                assert other[name] == pytest.approx(value, abs=1e-9)
            else:
                assert other[name] == value, name
    here = RowsFingerprint()
    here.update(row_hashes(batch, hashed))
    assert fingerprint.hexdigest() == here.hexdigest()


def deadly(marks: Path) -> Any:
    """Return a way to write a part that kills its executor the first time, when half is written."""

    def write(folder: Path, number: int, scored: Iterable[Any], groups: Any) -> Part:
        def until_killed() -> Iterable[Any]:
            for rows, hashes in scored:
                yield rows[:5], hashes[:5]
                if number == 1 and not (marks / "killed").exists():
                    (marks / "killed").touch()
                    # The worker's daemon, and the executor that started it.
                    os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)
                    os.kill(os.getpid(), signal.SIGKILL)
                yield rows[5:], hashes[5:]

        return write_part(folder, number, until_killed(), groups)

    return write


def test_executors_write_the_run_and_one_may_be_killed(
    loaded: tuple[Any, Any], on_spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.scoring.spark import issue

    model, batch = loaded
    monkeypatch.setattr(issue, "MOST_ROWS", batch.num_rows // 3)
    monkeypatch.setattr(issue, "write_part", deadly(tmp_path))
    groups = {signal.name: signal.group for signal in model.signals}
    first = RunKey("main", date(2025, 1, 1), "1")
    then = replace(first, as_of=first.as_of + timedelta(days=7))
    spread = configured(tmp_path / "spread", "scores/", "delta = true\n")
    alone = configured(tmp_path / "alone", "scores/")
    scored = Scorer(model).score_batch(batch)
    # Half of the accounts were in other bands before.
    others = pa.array([80.0 if row % 2 else 20.0 for row in range(batch.num_rows)])
    moved = scored.set_column(scored.schema.get_field_index("score"), "score", others)
    for project, key in ((spread, first), (alone, first), (alone, then)):
        with open_store(project, read_only=False) as store, store.issue(key, groups) as writer:
            (earlier,) = store.runs() or [None]
            bands = bands_of(store, earlier, key.as_of)
            writer.write(bands.settle(scored if earlier else moved, model.scale))
            writer.finish({})
    with open_store(spread, read_only=False) as store:
        assert isinstance(store, ParquetStore)
        run = issue.issue_from_workers(
            on_spark, model, store, then, *store.runs(), lambda told: {"told": told}, force=False
        )
        folder = store.folder_of(then, 1)
    assert (tmp_path / "killed").exists()
    here = RowsFingerprint()
    here.update(row_hashes(batch, ["account_id", *model.required_columns]))
    assert run.facts["told"] == here.hexdigest()
    assert len(list(folder.glob("*.parquet"))) > 2
    with open_store(spread, read_only=True) as store, open_store(alone, read_only=True) as other:
        assert check_seals(store, None).same
        for run, same in zip(store.runs(), other.runs(), strict=True):
            found, expected = (one.read_all() for one in (store.scores(run), other.scores(same)))
            assert found.num_rows == expected.num_rows == batch.num_rows
            for name in ("account_id", "band", "band_days", "reason_signals"):
                assert found[name] == expected[name], name
            assert found["score"].to_pylist() == pytest.approx(expected["score"].to_pylist())
    # One commit lists what the executors wrote, of which there are several files.
    table = DeltaTable(spread.folder / "scores")
    assert table.version() == 1
    listed = table.to_pyarrow_table(filters=[("as_of", "=", then.as_of)])
    assert sorted(listed["account_id"].to_pylist()) == found["account_id"].to_pylist()
