from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from models.churn.encoding import MAX_LEVELS, SignalEncoder


def test_categories_numbers_flags_and_segments():
    frame = pd.DataFrame(
        {
            "seats": [1, 2, 3],
            "renewed": [True, False, True],
            "plan": ["b", "a", "b"],
            "region": pd.Series(["x", None, "y"], dtype=object),
            "segment": ["s", "r", None],
        }
    )
    encoder = SignalEncoder.fit(frame, "segment")
    assert encoder.names == ("seats", "renewed", "plan", "region")
    assert encoder.categorical == [2, 3]
    assert encoder.segments == ("r", "s")
    found = encoder.transform(frame)
    expected = [[1, 1, 0, 0], [2, 0, 1, np.nan], [3, 1, 0, 1]]
    assert np.array_equal(found.values, expected, equal_nan=True)
    assert found.segment.tolist() == [1, 0, -1]


def test_order_of_rows_does_not_change_the_codes():
    frame = pd.DataFrame({"plan": ["b", "a", "c", "c", None]})
    assert SignalEncoder.fit(frame, None) == SignalEncoder.fit(frame[::-1], None)


def test_nullable_and_object_numbers():
    fitted = SignalEncoder.fit(pd.DataFrame({"seats": [1.0, 2.0]}), None)
    for column in (
        pd.Series([3, pd.NA], dtype="Int64"),
        pd.Series([3, None], dtype=object),
        pd.Series(["3", None], dtype="str"),
    ):
        found = fitted.transform(pd.DataFrame({"seats": column})).values
        assert np.array_equal(found, [[3], [np.nan]], equal_nan=True)


def test_a_long_tail_of_categories_is_unknown():
    frame = pd.DataFrame({"city": [f"c{i:03d}" for i in range(150)]})
    encoder = SignalEncoder.fit(frame, None)
    assert len(encoder.levels["city"]) == MAX_LEVELS
    assert np.isnan(encoder.transform(frame).values).sum() == 50


def test_numbers_and_text_are_the_same_category():
    fitted = SignalEncoder.fit(pd.DataFrame({"code": ["1", "2"]}), None)
    found = fitted.transform(pd.DataFrame({"code": [2, 1]}))
    assert found.values.ravel().tolist() == [1, 0]


def test_what_was_a_number_must_stay_one():
    fitted = SignalEncoder.fit(pd.DataFrame({"seats": [1.0]}), None)
    with pytest.raises(ValueError, match="Signal 'seats' must hold numbers, as it did at fit"):
        fitted.transform(pd.DataFrame({"seats": ["many", "3"]}))


def test_round_trip():
    frame = pd.DataFrame({"plan": ["b", "a"], "segment": ["s", "t"]})
    encoder = SignalEncoder.fit(frame, "segment")
    again = SignalEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again == encoder
