"""The digest of rows: one for equal rows however they are cut, another for any other."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.store.seals import RowsDigest
from tests.pipelines.issued import batch


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    place=st.integers(0, 10_000),
)
def test_any_cut_into_batches_has_one_digest_and_any_changed_number_another(
    sizes: list[int], place: int
) -> None:
    rows = batch([f"A{number:04d}" for number in range(sum(sizes))], seed=sum(sizes))
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    parts = [rows[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    whole = RowsDigest().update(rows)
    assert RowsDigest().update(*parts).hexdigest() == whole.hexdigest()
    assert (whole.rows, whole.is_ordered) == (sum(sizes), True)
    scores = rows["score"].to_pylist()
    scores[place % len(scores)] += 1e-12
    other = rows.set_column(2, rows.schema.field(2), pa.array(scores))
    assert RowsDigest().update(other).hexdigest() != whole.hexdigest()


def test_values_that_move_between_neighbours_have_another_digest() -> None:
    def digest(**columns: Any) -> str:
        return RowsDigest().update(batch(["A", "B"], **columns)).hexdigest()

    reasons: dict[str, Any] = {
        "reason_signals": [["plan"], ["tickets"]],
        "reason_points": [[1.0], [2.0]],
        "reason_values": [["1"], [None]],
    }
    seen = [
        digest(**reasons),
        digest(**reasons | {"reason_values": [["1"], [""]]}),
        digest(**reasons | {"reason_values": [[None], ["1"]]}),
        digest(**reasons | {"reason_signals": [["plan", "tickets"], []]}),
        digest(**reasons | {"segment": ["smalll", "arge"]}),
        digest(**reasons | {"mrr": [None, 0.0]}),
        digest(**reasons | {"mrr": [0.0, None]}),
        # What is no number is not what is missing, with missing values beside it and without.
        digest(**reasons | {"mrr": [0.0, math.nan]}),
        digest(**reasons | {"mrr": [None, None]}),
        digest(**reasons | {"mrr": [math.nan, None]}),
        digest(**reasons | {"mrr": [math.nan, math.nan]}),
    ]
    assert len(set(seen)) == len(seen)
