"""An estimate: what its interval says, and its three entries."""

from __future__ import annotations

import numpy as np
import pytest

from models.measures.estimate import UNKNOWN, Estimate


@pytest.mark.parametrize(
    ("estimate", "above", "below"),
    [
        (Estimate(0.6, 0.51, 0.7), True, False),
        (Estimate(0.6, 0.5, 0.7), False, False),
        (Estimate(0.4, 0.3, 0.49), False, True),
        (Estimate(0.4, 0.3, 0.5), False, False),
        (Estimate(0.9), False, False),
        (UNKNOWN, False, False),
    ],
)
def test_an_interval_excludes_what_lies_outside(estimate, above, below) -> None:
    assert estimate.is_above(0.5) is above
    assert estimate.is_below(0.5) is below
    assert estimate.excludes(0.5) is (above or below)


def test_nan_is_not_known() -> None:
    assert Estimate.of(np.float64("nan"), (0.1, np.nan)) == Estimate(None, 0.1, None)
    assert Estimate.read({"auc": float("nan"), "auc_low": 0.2}, "auc") == Estimate(None, 0.2)


def test_entries_are_read_again_under_any_name() -> None:
    estimate = Estimate(0.5, None, 1.5)
    entries = estimate.spread("slope")
    assert entries == {"slope": 0.5, "slope_low": None, "slope_high": 1.5}
    assert Estimate.read(entries, "slope") == estimate
    assert Estimate.read(entries, "offset") == UNKNOWN


def test_what_is_scaled_keeps_what_is_not_known() -> None:
    assert Estimate(2.0, None, 3.0).times(10) == Estimate(20.0, None, 30.0)
