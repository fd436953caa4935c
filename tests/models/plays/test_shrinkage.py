"""Effects drawn toward each other, against integrals written out on a grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import halfnorm, norm

from models.plays.sensitivity import unseen_reason, unseen_reason_for_certainty
from models.plays.shrinkage import PLAY_SCALE, SEGMENT_SCALE, STEPS, shrunken_draws


def one_cell_by_hand(estimate: float, error: float) -> tuple[float, float]:
    """Mean and deviation of a single effect by summing over a fine line of its values."""
    line = np.linspace(-6, 6, 24001)
    places = (np.arange(STEPS) + 0.5) / STEPS
    density = np.zeros_like(line)
    for between in halfnorm.ppf(places, scale=PLAY_SCALE):
        for within in halfnorm.ppf(places, scale=SEGMENT_SCALE):
            density += norm.pdf(line, 0, np.hypot(between, within))
    density *= norm.pdf(estimate, line, error)
    density /= density.sum()
    mean = density @ line
    return float(mean), float(np.sqrt(density @ (line - mean) ** 2))


@pytest.mark.parametrize(("estimate", "error"), [(-0.5, 0.2), (0.1, 0.5), (-1.5, 1.0)])
def test_one_effect_is_the_integral(estimate: float, error: float) -> None:
    draws = shrunken_draws(np.array([estimate]), np.array([[error**2]]), [0])[:, 0]
    mean, deviation = one_cell_by_hand(estimate, error)
    assert draws.mean() == pytest.approx(mean, abs=0.015)
    assert draws.std() == pytest.approx(deviation, rel=0.05)


def test_segments_of_a_play_lend_each_other_strength_and_plays_do_less() -> None:
    noise = np.diag([0.04, 0.04, 4.0])
    own = shrunken_draws(np.array([-0.8, -0.7, 0.0]), noise, [0, 0, 0]).mean(axis=0)
    other = shrunken_draws(np.array([-0.8, -0.7, 0.0]), noise, [0, 0, 1]).mean(axis=0)
    assert own[2] < -0.3 < -0.1 < other[2]


def test_what_errs_alike_is_not_averaged_away() -> None:
    alone = np.diag(np.full(6, 0.01))
    alike = alone + 0.25
    estimate = np.full(6, -0.5)
    sure = shrunken_draws(estimate, alone, [0] * 6).mean(axis=1).std()
    unsure = shrunken_draws(estimate, alike, [0] * 6).mean(axis=1).std()
    assert sure < 0.06 < 0.25 < unsure


def test_equal_seeds_give_equal_draws() -> None:
    given = (np.array([-0.5, 0.2]), np.diag([0.1, 0.1]), [0, 1])
    assert (shrunken_draws(*given) == shrunken_draws(*given)).all()


def test_unseen_reasons_are_those_of_the_paper() -> None:
    # VanderWeele and Ding 2017: a ratio of 3.9 with interval 1.8 to 8.7 gives 7.2 and 3.0.
    assert unseen_reason(3.9) == pytest.approx(7.26, abs=0.01)
    assert unseen_reason_for_certainty(1.8, 8.7) == pytest.approx(3.0)
    assert unseen_reason(1 / 3.9) == pytest.approx(unseen_reason(3.9))
