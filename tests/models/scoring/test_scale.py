from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from features.errors import SettingsError
from models.scoring.scale import ScaleSettings, ScoreScale, points

SCALE = ScoreScale(anchor_probability=0.05, at_risk_from=0.1, watch_from=0.04)
finite = st.floats(-1e4, 1e4)


def brute_force(log_odds):
    odds = expit(log_odds) / expit(-log_odds)
    anchor = SCALE.anchor_probability / (1 - SCALE.anchor_probability)
    return min(100.0, max(0.0, 50 + 10 * np.log2(anchor / odds)))


@given(st.floats(-30, 30))
def test_score_is_the_formula(log_odds):
    assert SCALE.score(np.array([log_odds]))[0] == pytest.approx(brute_force(log_odds), abs=1e-9)


def test_anchor_scores_fifty_and_ten_points_halve_the_odds():
    anchor = logit(0.05)
    assert SCALE.score(np.array([anchor, anchor - np.log(2)])) == pytest.approx([50, 60])


@given(
    st.lists(finite, min_size=1, max_size=12),
    st.floats(-60, 60),
    st.floats(1e-3, 20),
)
def test_points_sum_to_the_score_and_keep_their_sign(contributions, baseline, slope):
    row = np.array([contributions])
    table = points(row, np.array([baseline]), np.array([slope]), SCALE)
    assert table.baseline[0] + table.points.sum() == pytest.approx(table.score[0], abs=1e-9)
    assert 0 <= table.score[0] <= 100
    # A factor that underflows may leave a zero, never the other sign.
    assert (np.sign(table.points) * np.sign(row) <= 0).all()
    if 0 < table.baseline[0] < 100:
        large = np.abs(row) > 1e-9
        assert (np.sign(table.points)[large] == -np.sign(row)[large]).all()


@given(st.floats(-1e-7, 1e-7), st.floats(-3, 3), st.floats(0.1, 3), st.floats(-5, 5))
def test_points_near_the_baseline_have_the_slope_of_the_map(tiny, baseline, slope, opposed):
    """Two contributions that cancel: z is at z_s, the points are not."""
    row = np.array([[opposed + tiny, -opposed]])
    scale = ScoreScale(anchor_probability=0.5, at_risk_from=0.6, watch_from=0.4)
    table = points(row, np.array([baseline]), np.array([slope]), scale)
    assert table.points[0] == pytest.approx(-10 / np.log(2) * slope * row[0], rel=1e-9)


@given(st.floats(1e-9, 5))
def test_points_across_the_edge_of_the_scale(step):
    """The baseline sits just inside 100, the score is cut."""
    edge = logit(0.05) - 5 * np.log(2) + 1e-10
    table = points(np.array([[-step]]), np.array([edge]), np.ones(1), SCALE)
    assert table.score[0] == 100
    assert table.baseline[0] + table.points.sum() == pytest.approx(100, abs=1e-9)


def test_points_equal_the_secant_of_the_whole_map():
    rng = np.random.default_rng(0)
    row, baseline, slope = (
        rng.normal(size=(200, 6)),
        rng.normal(-3, 2, 200),
        rng.uniform(0.2, 3, 200),
    )
    table = points(row, baseline, slope, SCALE)
    total = row.sum(axis=1)
    secant = (SCALE.score(baseline + slope * total) - SCALE.score(baseline)) / total
    assert table.points == pytest.approx(row * secant[:, None], abs=1e-9)


def test_bands_include_their_lower_cut():
    assert SCALE.band(np.array([0.1, 0.0999, 0.04, 0.0399])).tolist() == [
        "at-risk",
        "watch",
        "watch",
        "healthy",
    ]


def test_default_cuts_follow_the_anchor_odds():
    scale = ScaleSettings().scale(0.2)
    assert scale.at_risk_from == pytest.approx(1 / 3)
    assert scale.watch_from == pytest.approx(0.9 * 0.25 / (1 + 0.9 * 0.25))
    frozen = ScaleSettings(anchor_probability=0.1).scale(0.2)
    assert frozen.anchor_probability == 0.1


def test_a_default_cut_gives_way_to_a_given_one():
    assert ScaleSettings(at_risk_from=0.02).scale(0.2).watch_from == 0.02
    assert ScaleSettings(watch_from=0.9).scale(0.2).at_risk_from == 0.9


@pytest.mark.parametrize("anchor", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_anchor_outside_zero_and_one(anchor):
    with pytest.raises(SettingsError, match="anchor_probability must be a probability strictly"):
        ScaleSettings(anchor_probability=anchor).scale(0.1)


def test_watch_above_at_risk():
    with pytest.raises(SettingsError, match="watch_from must not be above at_risk_from"):
        ScoreScale(0.05, at_risk_from=0.1, watch_from=0.2)


def test_round_trip():
    assert ScoreScale.from_dict(SCALE.to_dict()) == SCALE


GROWTH = ScoreScale(anchor_probability=0.05, at_risk_from=0.1, watch_from=0.04, good=True)


@given(st.floats(-30, 30))
def test_a_good_outcome_mirrors_the_scale(log_odds):
    assert GROWTH.score(np.array([log_odds]))[0] == pytest.approx(
        100 - brute_force(log_odds), abs=1e-9
    )


@given(st.lists(finite, min_size=1, max_size=12), st.floats(-60, 60), st.floats(1e-3, 20))
def test_a_positive_point_is_good_news_whichever_way_it_goes(contributions, baseline, slope):
    row = np.array([contributions])
    good = points(row, np.array([baseline]), np.array([slope]), GROWTH)
    bad = points(row, np.array([baseline]), np.array([slope]), SCALE)
    assert good.baseline[0] + good.points.sum() == pytest.approx(good.score[0], abs=1e-9)
    assert good.points == pytest.approx(-bad.points, abs=1e-9)
    assert (np.sign(good.points) * np.sign(row) >= 0).all()
    assert good.log_odds.tolist() == bad.log_odds.tolist()


def test_bands_of_a_good_outcome():
    probability = np.array([0.1, 0.0999, 0.04, 0.0399])
    assert GROWTH.band(probability).tolist() == ["likely", "possible", "possible", "unlikely"]
    assert (SCALE.bands, GROWTH.bands) == (
        ("at-risk", "watch", "healthy"),
        ("likely", "possible", "unlikely"),
    )


def test_a_good_scale_speaks_its_own_words():
    described = {"anchor_probability": 0.05, "likely_from": 0.1, "possible_from": 0.04}
    assert GROWTH.to_dict() == described | {"good": True}
    assert ScoreScale.from_dict(GROWTH.to_dict()) == GROWTH
    assert ScaleSettings(good=True).scale(0.2).good
    with pytest.raises(SettingsError, match="possible_from must not be above likely_from"):
        ScoreScale(0.05, at_risk_from=0.1, watch_from=0.2, good=True)
    with pytest.raises(SettingsError, match="likely_from must be a probability strictly"):
        ScoreScale(0.05, at_risk_from=1.0, watch_from=0.2, good=True)
