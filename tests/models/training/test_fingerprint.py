from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.training.fingerprint import RowsFingerprint, row_hashes

COLUMNS = ["account_id", "x", "plan"]
ROWS = st.lists(
    st.tuples(
        st.text(max_size=5),
        st.one_of(st.none(), st.floats(allow_nan=False, width=32)),
        st.one_of(st.none(), st.sampled_from(["a", "b", ""])),
    ),
    min_size=1,
    max_size=20,
)


def batch(rows) -> pa.RecordBatch:
    types = [pa.string(), pa.float64(), pa.string()]
    columns = [
        pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), types, strict=True)
    ]
    return pa.record_batch(columns, COLUMNS)


def fingerprint(*batches: pa.RecordBatch) -> str:
    found = RowsFingerprint()
    for rows in batches:
        found.update(row_hashes(rows, COLUMNS))
    return found.hexdigest()


@given(rows=ROWS, cut=st.integers(0, 20))
def test_neither_batches_nor_order_count(rows, cut) -> None:
    whole = batch(rows)
    assert fingerprint(whole[cut:], whole[:cut]) == fingerprint(whole)
    assert fingerprint(batch(rows[::-1])) == fingerprint(whole)


@given(rows=ROWS, place=st.integers(0, 19))
def test_every_value_counts(rows, place) -> None:
    place %= len(rows)
    account, x, plan = rows[place]
    others = [
        (account + "x", x, plan),
        (account, 1.0 if x is None else None, plan),
        (account, x, "" if plan is None else None),
    ]
    whole = fingerprint(batch(rows))
    for other in others:
        assert fingerprint(batch([*rows[:place], other, *rows[place + 1 :]])) != whole
    assert fingerprint(batch([*rows, rows[place]])) != whole


def test_rounding_of_sums_does_not_count_and_more_does() -> None:
    plain = batch([("a", 0.3, None), ("b", 0.0, None)])
    assert fingerprint(batch([("a", 0.1 + 0.2, None), ("b", -1e-17, None)])) == fingerprint(plain)
    assert fingerprint(batch([("a", 0.3001, None), ("b", 0.0, None)])) != fingerprint(plain)


def test_parts_that_change_places_show() -> None:
    one = batch([("a", 1.0, "a"), ("b", 2.0, "b")])
    other = batch([("a", 2.0, "a"), ("b", 1.0, "b")])
    assert fingerprint(one) != fingerprint(other)


def test_unknown_numbers_are_alike() -> None:
    types = [("account_id", pa.string()), ("x", pa.float64()), ("plan", pa.string())]
    null = pa.record_batch([["a"], [None], ["p"]], pa.schema(types))
    nan = pa.record_batch([["a"], [np.nan], ["p"]], pa.schema(types))
    assert fingerprint(null) == fingerprint(nan)
