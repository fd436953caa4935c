"""Scoring on Spark: the rows stay where they are, the scores are those of DuckDB."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from features.build import FeatureRows
from features.tables.company import Company
from models.scoring.scorer import Scorer
from models.training.fingerprint import RowsFingerprint, row_hashes

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


@pytest.fixture
def on_spark(loaded: tuple[Any, Any], tmp_path: Path) -> Any:
    pytest.importorskip("pyspark", reason="the spark extra is not installed")
    if shutil.which("java") is None:
        pytest.skip("no Java is installed")
    import pyarrow as pa
    from pyarrow import parquet

    from features.sources.opening import open_source

    _, batch = loaded
    (tmp_path / "data").mkdir()
    parquet.write_table(pa.Table.from_batches([batch]), tmp_path / "data" / "rows.parquet")
    with open_source("spark://?master=local[2]&folder=data", tmp_path) as source:
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
