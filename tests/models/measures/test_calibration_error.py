from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit

from models.measures.calibration_error import CalibrationError, equal_count_bins
from models.measures.metrics import calibration_table, evaluate
from models.measures.resampling import AccountBootstrap


def test_error_is_that_of_the_calibration_table():
    rng = np.random.default_rng(0)
    risk = rng.beta(1, 8, 777)
    happened = (rng.random(777) < risk).astype(float)
    table = calibration_table(happened, risk)
    distance = (table["expected_rate"] - table["observed_rate"]).abs()
    expected = (table["rows"] * distance).sum() / 777
    assert table["rows"].tolist() == [78] * 7 + [77] * 3
    assert evaluate(happened, risk, np.arange(777), base_rate=0.1).ece.value == pytest.approx(
        expected
    )


@given(hnp.arrays(float, st.integers(1, 40), elements=st.sampled_from([0.1, 0.2, 0.3, 0.7])))
def test_bins_keep_equal_risks_together_and_in_order(risk):
    code = equal_count_bins(risk)
    assert code.min() >= 0
    assert code.max() < 10
    for i, j in zip(np.argsort(risk)[:-1], np.argsort(risk)[1:], strict=True):
        assert code[i] <= code[j]
        assert risk[i] != risk[j] or code[i] == code[j]


@given(st.permutations(range(30)))
def test_order_of_rows_does_not_matter(order):
    rng = np.random.default_rng(0)
    risk, happened = rng.choice([0.1, 0.4], 30), rng.integers(0, 2, 30)
    first = evaluate(happened, risk, np.arange(30), base_rate=0.2, resamples=2)
    order = np.array(order)
    again = evaluate(happened[order], risk[order], order, base_rate=0.2, resamples=2)
    assert again.ece.value == pytest.approx(first.ece.value, abs=1e-12)


def test_chance_is_what_true_probabilities_are_measured_to_have():
    rng = np.random.default_rng(1)
    risk = rng.beta(1, 20, 3000)
    bootstrap = AccountBootstrap(np.arange(3000), resamples=2)
    measured = []
    for _ in range(300):
        error = CalibrationError((rng.random(3000) < risk).astype(float), risk, bootstrap)
        measured.append(error.of(np.ones(3000), 3000))
    assert error.by_chance == pytest.approx(np.mean(measured), rel=0.04)


@pytest.mark.parametrize(("offset", "least"), [(0.0, 0.9), (0.7, 0.7)])
def test_interval_holds_the_error(offset, least):
    rng = np.random.default_rng(2)
    held = 0
    for seed in range(60):
        margin = rng.normal(-3, 1, 3000)
        truth, risk = expit(margin), expit(margin + offset)
        happened = (rng.random(3000) < truth).astype(float)
        found = evaluate(happened, risk, np.arange(3000), base_rate=0.1, seed=seed, resamples=60)
        code = equal_count_bins(risk)
        error = np.abs(np.bincount(code, risk - truth)).sum() / 3000
        held += found.ece.low <= error <= found.ece.high
        assert found.ece.low <= found.ece.value <= found.ece.high
    assert held / 60 >= least
    assert (found.ece.low > 0) == (offset > 0)
