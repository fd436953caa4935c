"""Bins against counting by hand, and the corners a signal can be pushed into."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalog import Signal
from models.drift.bins import MOST_BINS, Bins, bins_of

NUMBER = Signal("usage", "usage", "count", "higher", "Usage", 28, "{value} uses")
NAME = Signal("plan", "profile", "category", "none", "Plan", None, "Plan is {value}")


def test_a_heavy_zero_gets_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(600), np.random.default_rng(0).exponential(size=400)])
    bins = bins_of(NUMBER, values)
    counts = np.bincount(bins.codes(values), minlength=bins.size)
    assert counts[bins.codes([0.0])[0]] == 600
    assert bins.codes([1e-9])[0] != bins.codes([0.0])[0]


def test_few_distinct_values_get_a_bin_each_and_later_ones_join_the_next() -> None:
    bins = bins_of(NUMBER, [1.0, 2.0, 5.0, 5.0])
    assert bins.edges == (1.0, 2.0)
    assert bins.codes([0.0, 1.0, 2.0, 3.0, 5.0, 99.0]).tolist() == [0, 0, 1, 2, 2, 2]


def test_infinities_are_counted_at_the_ends_and_nan_as_missing() -> None:
    bins = bins_of(NUMBER, [*range(100), np.inf, -np.inf])
    assert np.isfinite(bins.edges).all()
    assert bins.codes([-np.inf, np.inf, np.nan]).tolist() == [0, bins.size - 2, bins.size - 1]


def test_a_signal_never_known_has_one_bin_beside_the_missing_one() -> None:
    bins = bins_of(NUMBER, [np.nan, None])
    assert (bins.size, bins.labels) == (2, ("any", "missing"))


def test_names_unseen_and_missing_have_bins_of_their_own() -> None:
    bins = bins_of(NAME, ["pro", "free", "pro", None])
    assert bins.labels == ("pro", "free", "other", "missing")
    assert bins.codes(["free", "<script>", None, np.nan]).tolist() == [1, 2, 3, 3]


def test_only_the_most_frequent_names_are_kept() -> None:
    bins = bins_of(NAME, [f"level {i}" for i in range(200)] + ["common"] * 3)
    assert bins.levels[0] == "common"
    assert len(bins.levels) == 30


@pytest.mark.parametrize("values", [[1.0, 2.0, np.nan], ["a", "b", None]])
def test_bins_survive_json(values: list[object]) -> None:
    bins = bins_of(NAME if values[0] == "a" else NUMBER, values)
    assert Bins.from_dict(json.loads(json.dumps(bins.to_dict()))) == bins


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=80))
def test_every_value_falls_where_its_edges_say(values: list[float]) -> None:
    bins = bins_of(NUMBER, values)
    assert len(bins.edges) < MOST_BINS
    assert list(bins.edges) == sorted(set(bins.edges))
    for value, code in zip(values, bins.codes(values), strict=True):
        expected = bins.size - 1 if np.isnan(value) else sum(edge < value for edge in bins.edges)
        assert code == expected
