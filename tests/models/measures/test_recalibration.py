from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from features.json_values import described_fields
from models.measures.recalibration import Recalibration, recalibrate


def rows(n=600, seed=0, slope=1.5, offset=-0.4):
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1.5, 1, n)
    happened = (rng.random(n) < expit(margin)).astype(float)
    return happened, expit(slope * margin + offset), rng.integers(0, 150, n)


@given(st.integers(0, 1000), st.floats(0.3, 3), st.floats(-2, 2))
def test_offset_makes_as_much_expected_as_observed(seed, slope, offset):
    happened, risk, cluster = rows(200, seed, slope, offset)
    found = recalibrate(happened, risk, cluster).offset.value

    def missing(added):
        return expit(logit(risk) + added).sum() - happened.sum()

    assert found == pytest.approx(brentq(missing, -20, 20), abs=1e-7)


def test_slope_is_the_maximum_of_the_likelihood():
    happened, risk, cluster = rows()
    margin = logit(risk)

    def loss(theta):
        line = theta[0] + theta[1] * margin
        return np.logaddexp(0, line).sum() - happened @ line

    expected = minimize(loss, [0, 1], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    found = recalibrate(happened, risk, cluster)
    assert found.slope.value == pytest.approx(expected.x[1], abs=1e-5)


def test_intervals_hold_the_truth_in_nine_of_ten_cases():
    held = np.zeros(2)
    for seed in range(200):
        # A log-odds of 1.5 margin - 0.4 is put right by a slope of 1 / 1.5.
        found = recalibrate(*rows(seed=seed))
        held[0] += found.slope.low < 1 / 1.5 < found.slope.high
        same = recalibrate(*rows(seed=seed, slope=1, offset=-0.4))
        held[1] += same.offset.low < 0.4 < same.offset.high
    assert ((held / 200 > 0.84) & (held / 200 < 0.96)).all()


def test_interval_is_that_of_a_bootstrap_over_accounts():
    happened, risk, cluster = rows(1500, seed=2)
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(cluster == name) for name in range(150)]
    drawn = []
    for _ in range(300):
        copies = np.concatenate([members[i] for i in rng.integers(0, 150, 150)])
        again = recalibrate(happened[copies], risk[copies], np.arange(len(copies)))
        drawn.append((again.offset.value, again.slope.value))
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    found = recalibrate(happened, risk, cluster)
    assert found.offset.high - found.offset.low == pytest.approx(high[0] - low[0], rel=0.15)
    assert found.slope.high - found.slope.low == pytest.approx(high[1] - low[1], rel=0.15)


def test_copies_of_an_account_tell_nothing_new():
    happened, risk, _ = rows()
    once = recalibrate(happened, risk, np.arange(600))
    copies = np.tile(np.arange(600), 5)
    again = recalibrate(happened[copies], risk[copies], copies)
    told, before = described_fields(again), described_fields(once)
    assert told == pytest.approx(before, abs=1e-7)


def test_true_probabilities_need_no_change():
    happened, risk, cluster = rows(20_000, slope=1, offset=0)
    found = recalibrate(happened, risk, cluster)
    assert found.offset.low < 0 < found.offset.high
    assert found.slope.low < 1 < found.slope.high


@pytest.mark.parametrize("happened", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_has_nothing_to_recalibrate(happened):
    found = recalibrate(happened, [0.1] * len(happened), np.arange(len(happened)))
    assert found == Recalibration()


def test_no_spread_has_no_slope():
    found = recalibrate([0, 1, 0, 0], [0.5] * 4, np.arange(4))
    assert found.offset.value == pytest.approx(logit(0.25))
    assert found.slope.value is None


def test_separated_classes_have_no_finite_slope():
    assert recalibrate([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.8], np.arange(4)).slope.value is None


def test_certain_and_wrong_is_finite():
    found = recalibrate([0, 1, 0, 1], [1.0, 0.0, 0.3, 0.4], np.arange(4))
    assert np.isfinite([found.offset.value, found.slope.value]).all()
