"""Forecasts of sums against every possible case, and the share of cases that intervals hold."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import expit, logit

from models.measures.expected_loss import DRAWN_ALONE, Forecast, LossForecast


def forecast(probability, amount, spread=0.0, batches=1, seed=0) -> Forecast:
    made = LossForecast(spread, seed=seed)
    parts = zip(np.array_split(probability, batches), np.array_split(amount, batches), strict=True)
    for risk, value in parts:
        made.add(risk, value)
    return made.forecast()


def weighted_quantiles(values, chances):
    order = np.argsort(values)
    upto = np.cumsum(chances[order])
    return [values[order][np.searchsorted(upto, tail - 1e-9)] for tail in (0.05, 0.95)]


def test_few_accounts_are_drawn_as_they_are() -> None:
    rng = np.random.default_rng(3)
    risk, arr = rng.beta(1, 3, 11), rng.lognormal(10, 1.2, 11)
    cases = np.array(list(itertools.product([0, 1], repeat=11)))
    chances = np.where(cases == 1, risk, 1 - risk).prod(axis=1)
    low, high = weighted_quantiles(cases @ arr, chances)
    found = forecast(risk, arr)
    assert found.expected == pytest.approx(risk @ arr)
    assert found.low == pytest.approx(low, rel=0.05)
    assert found.high == pytest.approx(high, rel=0.05)


def test_many_accounts_follow_the_poisson_binomial_distribution() -> None:
    rng = np.random.default_rng(4)
    risk = rng.beta(1, 25, 4 * DRAWN_ALONE)
    exact = np.ones(1)
    for one in risk:
        exact = np.convolve(exact, [1 - one, one])
    low, high = weighted_quantiles(np.arange(len(exact)), exact)
    found = forecast(risk, np.ones(len(risk)))
    assert found.low == pytest.approx(low, abs=1.0)
    assert found.high == pytest.approx(high, abs=1.0)


def test_a_shift_of_all_odds_is_in_the_interval() -> None:
    rng = np.random.default_rng(5)
    risk, spread = rng.beta(1, 30, 60_000), 0.3
    offsets = rng.normal(-(spread**2) / 2, spread, 4_000)
    odds = risk / (1 - risk)
    # The mean moves by so much that chance within it is a rounding.
    means = [float((odds * np.exp(o) / (1 + odds * np.exp(o))).sum()) for o in offsets[:800]]
    found = forecast(risk, np.ones(len(risk)), spread, batches=7)
    assert [found.low, found.high] == pytest.approx(np.quantile(means, [0.05, 0.95]), rel=0.06)
    assert found.high - found.low > 8 * np.sqrt(risk @ (1 - risk))


@pytest.mark.parametrize("count", [40, 600])
def test_nine_in_ten_intervals_hold_what_comes(count: int) -> None:
    spread, held = 0.25, 0
    for case in range(200):
        rng = np.random.default_rng([count, case])
        risk, arr = rng.beta(1, 12, count), rng.lognormal(9, 1.3, count)
        shift = rng.normal(-(spread**2) / 2, spread)
        came = float((rng.random(count) < expit(logit(risk) + shift)) @ arr)
        found = forecast(risk, arr, spread)
        held += found.low <= came <= found.high
    # 90 of 100 within three standard errors; chance in steps holds a little more.
    assert 0.84 <= held / 200 <= 0.97


def test_neither_batches_nor_their_sizes_matter() -> None:
    rng = np.random.default_rng(6)
    risk, arr = rng.beta(1, 12, 3_000), rng.lognormal(9, 1.3, 3_000)
    whole, parts = forecast(risk, arr, 0.1), forecast(risk, arr, 0.1, batches=13)
    assert list(parts.to_dict().values()) == pytest.approx(list(whole.to_dict().values()))
    assert forecast(risk, arr, 0.1) == whole
    assert forecast(risk, arr, 0.1, seed=1) != whole


@pytest.mark.parametrize(
    ("risk", "arr", "found"),
    [
        ([], [], Forecast(0.0, 0.0, 0.0)),
        ([0.0, 0.0], [5.0, 7.0], Forecast(0.0, 0.0, 0.0)),
        ([1.0, 1.0], [5.0, 7.0], Forecast(12.0, 12.0, 12.0)),
        ([0.3], [0.0], Forecast(0.0, 0.0, 0.0)),
        ([0.5], [10.0], Forecast(5.0, 0.0, 10.0)),
        # What is all but certain not to come is still expected a little.
        ([0.001], [1000.0], Forecast(1.0, 0.0, 1.0)),
    ],
)
def test_the_smallest_portfolios(risk, arr, found) -> None:
    assert forecast(np.array(risk), np.array(arr), 0.1) == found


def test_certain_accounts_among_many_break_nothing() -> None:
    risk = np.repeat([0.0, 1.0, 0.5], 400)
    found = forecast(risk, np.ones(1200))
    assert found.expected == 600
    assert 580 < found.low < 590
    assert 610 < found.high < 620
