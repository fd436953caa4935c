from __future__ import annotations

import numpy as np
import pytest

from features.catalog import Signal
from models.weights.weights import group_weights, observed_share, signal_shares, signal_weights

SIGNALS = [
    Signal(name, group, "count", "higher", name, None, "{value}")
    for name, group in [("a", "usage"), ("b", "usage"), ("c", "support"), ("d", "profile")]
]
SEGMENT = np.array(["x", "x", "y"], dtype=object)
MOVED = np.array([[1.0, 1.0, -2.0, 9.0], [-1.0, 3.0, 2.0, 9.0], [2.0, -2.0, 3.0, 9.0]])


def test_weights_by_hand():
    weights = group_weights(MOVED, SEGMENT, SIGNALS)
    # x: usage |1+1| and |-1+3|, support 2 and 2; y: usage |2-2|, support 3; the profile is context.
    assert weights["x"] == {"usage": 50, "support": 50}
    assert weights["y"] == {"usage": 0, "support": 100}
    assert weights["all"] == pytest.approx({"usage": 100 * 4 / 11, "support": 100 * 7 / 11})


def test_signal_weights_by_hand():
    weights = signal_weights(MOVED, SEGMENT, SIGNALS)
    assert weights["y"] == pytest.approx({"a": 12.5, "b": 12.5, "c": 18.75, "d": 56.25})
    for shares in weights.values():
        assert sum(shares.values()) == pytest.approx(100)


def test_nothing_moved_is_all_zero():
    weights = group_weights(np.zeros((3, 4)), SEGMENT, SIGNALS)
    assert weights["x"] == {"usage": 0, "support": 0}


def test_coverage_is_the_share_of_observed_weight():
    shares = signal_shares(SIGNALS, ["y", "x"], signal_weights(MOVED, SEGMENT, SIGNALS))
    assert shares.sum(axis=1) == pytest.approx([1, 1])
    nan = np.nan
    values = np.array([[1.0, 2, 3, 4], [nan] * 4, [1, 2, nan, 4], [nan, 0, 0, 0]])
    found = observed_share(values, np.array([1, 1, 0, 0]), shares)
    assert found.tolist() == pytest.approx([1, 0, 1 - 0.1875, 1 - 0.125])


def test_coverage_of_an_unseen_segment_and_of_no_weight():
    weights = signal_weights(MOVED, SEGMENT, SIGNALS)
    unseen = signal_shares(SIGNALS, ["new"], weights)
    assert unseen[0] == pytest.approx([weights["all"][name] / 100 for name in "abcd"])
    silent = signal_weights(np.zeros((3, 4)), SEGMENT, SIGNALS)
    assert signal_shares(SIGNALS, ["x"], silent)[0] == pytest.approx([0.25] * 4)
