"""The null by simulation: how often nothing is called something."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, mannwhitneyu

from models.drift.null import movement, natural_variance
from models.drift.reference import ridits

DAYS = np.arange(12, 0, -1) * 30.0


def counts(rng: np.random.Generator, rows: int, share: np.ndarray, dates: int = 12) -> np.ndarray:
    return np.array([rng.multinomial(rows, share) for _ in range(dates)])


def test_independent_rows_give_the_p_values_they_should() -> None:
    rng = np.random.default_rng(0)
    share = np.array([0.4, 0.2, 0.2, 0.1, 0.1])
    found = [
        movement(
            counts(rng, 300, share),
            np.ones(3),
            rng.multinomial(300, share),
            DAYS,
            is_categorical=False,
        )
        for _ in range(600)
    ]
    p_values = np.array([one.p_value for one in found])
    for level in (0.2, 0.05, 0.01):
        assert (p_values < level).mean() <= level + 2 * (level / 600) ** 0.5
    # Not so careful either that nothing would ever be seen.
    assert (p_values < 0.2).mean() > 0.03
    index = np.array([one.psi for one in found])
    assert (index > np.array([one.psi_high for one in found])).mean() < 0.08


def test_the_index_has_yurdakuls_mean() -> None:
    rng = np.random.default_rng(1)
    share = [*np.full(10, 0.09).tolist(), 0.1]
    found = [
        movement(
            counts(rng, 2_000, np.array(share), 1),
            np.ones(3),
            rng.multinomial(500, share),
            DAYS[-1:],
            is_categorical=False,
        )
        for _ in range(300)
    ]
    expected = 10 * (1 / 500 + 1 / 2_000)
    assert found[0].psi_expected == pytest.approx(expected)
    assert np.mean([one.psi for one in found]) == pytest.approx(expected, rel=0.1)
    assert found[0].psi_high == pytest.approx(chi2(10).ppf(0.95) / 10 * expected, rel=1e-4)


def test_a_season_seen_in_training_is_no_drift_but_is_without_one() -> None:
    rng = np.random.default_rng(2)

    def date(shift: float) -> np.ndarray:
        cut = np.array([-1.0, -0.3, 0.3, 1.0])
        place = np.searchsorted(cut, rng.normal(size=50_000) + shift)
        return np.append(np.bincount(place, minlength=5), 0)

    season = np.array([date(0.1 * np.sin(month)) for month in range(12)])
    steady = np.array([date(0.0) for _ in range(12)])
    now = date(0.12)
    ones = np.ones(3)
    assert movement(season, ones, now, DAYS, is_categorical=False).p_value > 0.05
    assert movement(steady, ones, now, DAYS, is_categorical=False).p_value < 1e-6


def test_a_trend_may_go_on_but_not_for_ever() -> None:
    rows, days = np.full(12, 1000.0), DAYS
    rising = (0.5 + np.arange(12) * 0.01)[:, None]
    near, freedom = natural_variance(rising, rows, days, np.zeros(1))
    far, _ = natural_variance(rising, rows, days + 5_000, np.zeros(1))
    assert freedom == 10
    assert near[0] ** 0.5 == pytest.approx(0.01 / 30 * days.mean(), rel=1e-6)
    assert far[0] ** 0.5 == pytest.approx(0.01 / 30 * 2 * np.ptp(days), rel=1e-6)
    level, _ = natural_variance(np.full((12, 1), 0.5), rows, days, np.zeros(1))
    assert level[0] == 0


def test_one_date_and_dates_without_rows_say_nothing_of_nature() -> None:
    value, _ = natural_variance(np.array([[0.3]]), np.array([50.0]), DAYS[:1], np.zeros(1))
    assert value[0] == 0
    some = np.array([[0.3], [0.0], [0.3]])
    value, _ = natural_variance(some, np.array([50.0, 0.0, 50.0]), DAYS[:3], np.zeros(1))
    assert value[0] == pytest.approx(0.0, abs=1e-12)


def test_the_shift_is_that_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(4)
    before, now = rng.integers(0, 6, 4_000), rng.integers(1, 6, 80)
    was = np.append(np.bincount(before, minlength=6), 0)[None, :]
    found = movement(
        was,
        np.ones(3),
        np.append(np.bincount(now, minlength=6), 0),
        DAYS[-1:],
        is_categorical=False,
    )
    oracle = mannwhitneyu(now, before).statistic / (80 * 4_000) - 0.5
    assert found.shift == pytest.approx(oracle)
    more = np.append(np.bincount(rng.binomial(5, 0.56, 800), minlength=6), 0)
    usual = np.append(np.bincount(rng.binomial(5, 0.5, 8_000), minlength=6), 0)[None, :]
    higher = movement(usual, np.ones(3), more, DAYS[-1:], is_categorical=False)
    assert (higher.found_by, (higher.shift or 0) > 0) == ("shift", True)


def test_ridits_average_one_half() -> None:
    share = np.array([0.5, 0.0, 0.2, 0.3])
    assert ridits(share) @ share == pytest.approx(0.5)


def test_missing_values_and_new_names_are_found_as_such() -> None:
    before = np.tile([60, 30, 0, 10], (12, 1))
    ones = np.ones(3)
    gone = movement(before, ones, np.array([30, 15, 0, 55]), DAYS, is_categorical=True)
    assert (gone.found_by, gone.missing_before, gone.missing) == ("missing", 0.1, 0.55)
    fresh = movement(before, ones, np.array([60, 20, 12, 10]), DAYS, is_categorical=True)
    assert fresh.found_by == "new names"
    assert (fresh.other_before, round(fresh.other or 0, 3)) == (0.0, 0.130)
    assert fresh.p_value < 1e-3
    back = movement(
        np.tile([10, 90], (12, 1)), ones, np.array([60, 40]), DAYS, is_categorical=False
    )
    assert (back.found_by, back.p_value < 1e-6) == ("missing", True)


@pytest.mark.parametrize(
    "now", [[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 500], [10**9, 0, 0, 0], [1, 1, 1, 1]]
)
@pytest.mark.parametrize(
    "before", [[[5, 3, 2, 1]], [[0, 0, 0, 9]], [[1, 0, 0, 0]], [[3, 0, 0, 0], [0, 0, 0, 0]]]
)
@pytest.mark.parametrize("is_categorical", [True, False])
def test_corners_give_finite_numbers(
    now: list[int], before: list[list[int]], is_categorical: bool
) -> None:
    was = np.array(before)
    found = movement(
        was, np.ones(3), np.array(now), DAYS[: len(was)], is_categorical=is_categorical
    )
    assert 0 <= found.p_value <= 1
    assert np.isfinite([found.psi, found.psi_expected, found.psi_high]).all()
