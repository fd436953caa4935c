"""Decimals that scores are issued with: cut by hand in decimal arithmetic, and still adding up."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import StoreError
from pipelines.store.schema import DECIMALS, POINT_COLUMNS, SCORE_SCHEMA
from pipelines.store.writer import as_in_file, checked, with_decimals
from tests.pipelines.issued import GROUPS_OF, KEY, batch, fresh, issue, read
from tests.pipelines.store.seals_by_hand import checked as sealed_as_issued
from tests.pipelines.store.seals_by_hand import run_file

ACCOUNTS = [f"A{number:03}" for number in range(400)]


def exact(seed: int = 3) -> pa.RecordBatch:
    """Scores with as many digits as a double holds, whose points add up."""
    random = np.random.default_rng(seed)
    given: dict[str, Any] = {
        name: random.normal(size=len(ACCOUNTS)) * 30 for name in (*POINT_COLUMNS, "baseline_score")
    }
    score = given["baseline_score"] + sum(given[name] for name in POINT_COLUMNS)
    told = {name: random.random(len(ACCOUNTS)) for name in ("probability", "coverage")}
    mrr = [None if number < 0.2 else number * 1e5 for number in random.random(len(ACCOUNTS))]
    lists = batch(ACCOUNTS)["reason_signals"]
    points = [(random.normal(size=len(names)) * 9).tolist() for names in lists.to_pylist()]
    return batch(ACCOUNTS, score=score, mrr=mrr, reason_points=points, **given, **told)


def cut(number: float | None, decimals: int) -> float | None:
    if number is None:
        return None
    unit = Decimal(1).scaleb(-decimals)
    return float(Decimal(number).quantize(unit, ROUND_HALF_EVEN))


def test_every_number_is_the_decimal_nearest_to_it() -> None:
    rows = exact()
    issued = with_decimals(rows)
    for name in DECIMALS.keys() - {"baseline_score", "reason_points"}:
        given = rows[name].to_pylist()
        assert issued[name].to_pylist() == [cut(number, DECIMALS[name]) for number in given]
    flat = [cut(one, 3) for row in rows["reason_points"].to_pylist() for one in row]
    assert issued["reason_points"].flatten().to_pylist() == flat
    assert issued["reason_points"].offsets == rows["reason_points"].offsets


def test_baseline_and_points_add_up_to_the_score_all_the_same() -> None:
    rows, issued = exact(), with_decimals(exact())
    total = issued["baseline_score"].to_numpy() + sum(issued[n].to_numpy() for n in POINT_COLUMNS)
    np.testing.assert_allclose(total, issued["score"].to_numpy(), rtol=0, atol=1e-9)
    lost = issued["baseline_score"].to_numpy() - rows["baseline_score"].to_numpy()
    assert 0 < np.abs(lost).max() <= len(POINT_COLUMNS) * 0.5 * 10.0 ** -DECIMALS[POINT_COLUMNS[0]]


def test_twice_cut_is_cut_once_and_part_of_a_batch_is_cut_alike() -> None:
    issued = with_decimals(exact())
    assert with_decimals(issued) == issued
    assert with_decimals(exact()[100:150]) == issued[100:150]


def test_what_has_no_decimals_left_stays() -> None:
    rows = batch(["a", "b"], mrr=[1e300, None], points_usage=[-1e17, 0.0])
    issued = with_decimals(rows)
    assert issued["mrr"].to_pylist() == [1e300, None]
    assert issued["points_usage"].to_pylist() == [-1e17, 0.0]


def test_every_store_gives_back_the_same_numbers(
    kind: str, used: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = fresh(kind, tmp_path_factory, used)
    issue(project, exact())
    assert read(project, KEY).to_batches()[0] == checked(exact(), GROUPS_OF)
    assert sealed_as_issued(project).same


def test_a_parquet_file_holds_decimals_in_as_few_bits_as_they_need(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    project = fresh("parquet", tmp_path_factory)
    issue(project, exact())
    file = pq.ParquetFile(run_file(project, "1", "scores.parquet"))
    columns = [
        file.metadata.row_group(0).column(place) for place in range(file.metadata.num_columns)
    ]
    for column in columns:
        name = column.path_in_schema.split(".")[0]
        packed = "DELTA_BINARY_PACKED" in column.encodings
        assert packed == (name in DECIMALS)
        assert (column.physical_type == "INT64") == packed
    assert file.schema_arrow.names == SCORE_SCHEMA.names


def test_a_score_that_is_no_number_leaves_the_baseline() -> None:
    rows = batch(["a", "b"], score=[float("nan"), 40.0], baseline_score=[51.5, 50.0])
    assert with_decimals(rows)["baseline_score"].to_pylist() == [51.5, 50.0]


def test_a_number_of_more_digits_than_a_file_holds_is_refused_in_a_sentence() -> None:
    assert as_in_file(batch(["a"], mrr=[9e13]))["mrr"][0].as_py() == Decimal("9e13")
    sentence = r"has more than 18 digits .* cannot hold \(.*\); correct it in the tables"
    with pytest.raises(StoreError, match=sentence):
        as_in_file(batch(["a"], mrr=[1e15]))
