"""Experiments with hold-outs: drawn with the stated chance, right however often one looks."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import SettingsError
from models.plays.experiment import (
    accounts_needed,
    deviation_of,
    found_change,
    half_width,
    leave_alone,
    read_experiment,
    strata_of,
)

WEEKS = 40


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    share=st.floats(0.05, 0.5),
    seed=st.integers(0, 2**32),
)
def test_each_stratum_leaves_its_share_alone(sizes: list[int], share: float, seed: int) -> None:
    strata = np.repeat(np.array(list("abcd")[: len(sizes)], dtype=object), sizes)
    drawn = leave_alone(strata, share, np.random.default_rng(seed))
    for name, size in zip("abcd", sizes, strict=False):
        assert abs(drawn[strata == name].sum() - share * size) < 1
    assert np.array_equal(drawn, leave_alone(strata, share, np.random.default_rng(seed)))


def test_each_account_is_drawn_with_the_same_chance() -> None:
    strata = np.array(["a"] * 7 + ["b"] * 3, dtype=object)
    drawn = [leave_alone(strata, 0.2, np.random.default_rng(seed)) for seed in range(4000)]
    assert np.abs(np.mean(drawn, axis=0) - 0.2).max() < 4 * sqrt(0.2 * 0.8 / 4000)


def test_strata_part_each_segment_by_risk() -> None:
    segments = np.array(["a", "a", "b", "a", "a", "b"], dtype=object)
    strata = strata_of(segments, np.array([0.4, 0.1, 0.9, 0.3, 0.2, 0.1]))
    assert strata.tolist() == ["a 2", "a 1", "b 2", "a 2", "a 1", "b 1"]


def weeks_of_accounts(seed: int, change: float, share: float, risk: float, each: int):
    """Draw arms, churn and foretold risks of a company whose play changes churn by so much."""
    rng = np.random.default_rng(seed)
    true = np.clip(rng.beta(2, 6, WEEKS * each) * risk / 0.25, 0.01, 0.95)
    foretold = np.clip(true * np.exp(rng.normal(0, 0.3, len(true))), 0.005, 0.97)
    same = np.array(["a"] * each, dtype=object)
    alone = np.concatenate([leave_alone(same, share, rng) for _ in range(WEEKS)])
    acted = np.clip(true + change, 0, 1)
    churned = (rng.random(len(true)) < np.where(alone, true, acted)).astype(float)
    return alone, churned, foretold, float(np.mean(acted - true))


@pytest.mark.parametrize(("share", "risk"), [(0.1, 0.05), (0.2, 0.15), (0.5, 0.3)])
def test_who_looks_every_week_is_seldom_wrong(share: float, risk: float) -> None:
    """A play that does nothing, 200 experiments: at most 5 % of them ever say that it does."""
    wrong = 0
    for seed in range(200):
        alone, churned, foretold, _ = weeks_of_accounts(seed, 0.0, share, risk, 30)
        looks = (slice(30 * week) for week in range(1, WEEKS + 1))
        wrong += any(
            read_experiment(alone[look], churned[look], foretold[look], share, 30 * WEEKS).verdict
            in ("helps", "harms")
            for look in looks
        )
    assert wrong <= 10


def test_the_planned_power_is_reached() -> None:
    needed = accounts_needed(0.25, 0.2, 0.08)
    each = -(-needed // WEEKS)
    found = covered = 0
    for seed in range(100):
        alone, churned, foretold, change = weeks_of_accounts(seed, -0.08, 0.2, 0.25, each)
        reading = read_experiment(alone, churned, foretold, 0.2, needed)
        found += reading.verdict == "helps"
        assert reading.change.low is not None
        assert reading.change.high is not None
        covered += reading.change.low <= change <= reading.change.high
    assert found >= 75
    assert covered >= 97


def test_the_mean_is_that_of_reweighted_arms() -> None:
    """Without foretold risks: shares of the arms, each over the number that its chance implies."""
    rng = np.random.default_rng(4)
    alone = rng.random(400) < 0.25
    churned = (rng.random(400) < 0.3).astype(float)
    reading = read_experiment(alone, churned, np.zeros(400), 0.25, 400)
    by_hand = churned[~alone].sum() / 300 - churned[alone].sum() / 100
    assert reading.change.value == pytest.approx(by_hand, abs=1e-12)
    assert (reading.acted, reading.left_alone) == (int((~alone).sum()), int(alone.sum()))
    assert reading.churned_left_alone == int(churned[alone].sum())


def test_the_width_is_that_of_the_paper() -> None:
    n, deviation, rho, alpha = 500, 1.7, 0.01, 0.05
    by_hand = deviation * sqrt(
        2 * (n * rho**2 + 1) / (n**2 * rho**2) * log(sqrt(n * rho**2 + 1) / alpha)
    )
    planned = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / rho**2
    assert half_width(n, deviation, planned, alpha) == pytest.approx(by_hand, rel=1e-12)
    others = [half_width(1000, 1.0, planned) for planned in (500, 1000, 2000)]
    assert min(others) == others[1]


def test_little_is_too_early() -> None:
    alone = np.array([True] * 19 + [False] * 80)
    churned = np.ones(99)
    assert read_experiment(alone, churned, np.full(99, 0.5), 0.2, 99).verdict == "too early"
    alone[20] = True
    few = np.array([1.0] * 4 + [0.0] * 95)
    assert read_experiment(alone, few, np.full(99, 0.1), 0.2, 99).verdict == "too early"


@given(risk=st.floats(0.02, 0.6), share=st.floats(0.05, 0.5), part=st.floats(0.1, 1))
def test_so_many_accounts_find_the_change_and_one_fewer_does_not(
    risk: float, share: float, part: float
) -> None:
    needed = accounts_needed(risk, share, part * risk)
    assert found_change(needed, risk, share) <= part * risk
    assert needed <= 2 or found_change(needed - 1, risk, share) > part * risk


def test_the_deviation_is_that_of_drawn_outcomes() -> None:
    rng = np.random.default_rng(1)
    alone = rng.random(200_000) < 0.2
    churned = rng.random(200_000) < 0.1
    pseudo = np.where(alone, -5.0, 1.25) * (churned - 0.1)
    assert deviation_of(0.1, 0.2) == pytest.approx(pseudo.std(), rel=0.02)


@pytest.mark.parametrize(
    ("risk", "change", "message"),
    [
        (0.1, 0.2, "must lie above 0 and up to the share that churns, 10.0%, and is 0.2"),
        (0.1, 0.0, "must lie above 0"),
        (0.1, 1e-5, "would need more than 10,000,000 accounts; raise smallest_change"),
    ],
)
def test_an_impossible_change_is_refused(risk: float, change: float, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        accounts_needed(risk, 0.2, change)
