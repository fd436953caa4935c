from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from models.scoring.calibration import LogisticCalibrator
from models.scoring.timing.decisions import KINDS


def draw(rows, seed=0, slope=0.5, intercept=-1.0):
    rng = np.random.default_rng(seed)
    margin = rng.normal(-2, 1.5, rows)
    return margin, (rng.random(rows) < expit(intercept + slope * margin)).astype(float)


def test_many_rows_find_the_maximum_likelihood_line():
    margin, happened = draw(200_000)
    found = LogisticCalibrator().fit(margin, happened, np.repeat("all", len(margin)))
    oracle = LogisticRegression(C=np.inf, tol=1e-8).fit(margin[:, None], happened)
    expected = oracle.decision_function(margin[:50, None])
    assert found.log_odds(margin[:50], np.repeat("all", 50)) == pytest.approx(expected, abs=0.03)


def test_few_churns_pass_almost_untouched():
    margin, _ = draw(40)
    happened = np.r_[1.0, np.zeros(39)]
    found = LogisticCalibrator().fit(margin, happened, np.repeat("all", 40))
    assert found.shared_[1] == pytest.approx(1, abs=0.15)


def test_segments_differ_only_as_far_as_they_can_show():
    margin, happened = draw(20_000, slope=1.0, intercept=0.0)
    shifted = (np.random.default_rng(9).random(20_000) < expit(margin + 1)).astype(float)
    segment = np.r_[np.repeat("many", 20_000), np.repeat("other", 20_000), np.repeat("few", 20)]
    found = LogisticCalibrator().fit(
        np.r_[margin, margin, margin[:20]], np.r_[happened, shifted, np.ones(20)], segment
    )
    at = np.array([-2.0])
    assert found.log_odds(at, ["many"])[0] == pytest.approx(-2, abs=0.1)
    assert found.log_odds(at, ["other"])[0] == pytest.approx(-1, abs=0.1)
    # Twenty positives of twenty are not believed outright.
    assert found.log_odds(at, ["few"])[0] < 0


def test_an_unseen_segment_uses_the_shared_line():
    margin, happened = draw(500)
    found = LogisticCalibrator().fit(margin, happened, np.repeat("a", 500))
    line = found.centre_ + found.shared_[0] + found.shared_[1] * (margin - found.centre_)
    assert found.log_odds(margin, np.repeat("new", 500)) == pytest.approx(line)


def acted_on(effect, more_at_risk, rows=60_000):
    """Rows of high margin are acted on; the risk that nobody sees adds to what margins say."""
    rng = np.random.default_rng(4)
    margin = rng.normal(-2, 1, rows)
    acted = (margin > -1.5) & (rng.random(rows) < 0.6)
    truth = margin + np.where(acted, effect + more_at_risk, 0.0)
    return margin, (rng.random(rows) < expit(truth)).astype(float), acted


def test_the_risk_if_nobody_acts_is_told_where_acts_work():
    margin, happened, acted = acted_on(effect=-0.9, more_at_risk=0.0)
    everybody = np.repeat("all", len(margin))
    found = LogisticCalibrator().fit(margin, happened, everybody, acted=acted)
    design = np.column_stack([margin, acted])
    oracle = LogisticRegression(C=np.inf, tol=1e-8).fit(design, happened)
    assert found.relief_ == pytest.approx(oracle.coef_[0][1], abs=0.03)
    assert found.log_odds(np.array([-1.0]), ["all"])[0] == pytest.approx(-1.0, abs=0.06)
    again = LogisticCalibrator.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.relief_ == found.relief_
    unmarked = LogisticCalibrator().fit(margin, happened, everybody)
    assert unmarked.log_odds(np.array([-1.0]), ["all"])[0] < -1.2


def test_a_team_that_knows_more_than_margins_makes_no_act_look_harmful():
    margin, happened, acted = acted_on(effect=0.0, more_at_risk=0.6)
    everybody = np.repeat("all", len(margin))
    found = LogisticCalibrator().fit(margin, happened, everybody, acted=acted)
    unmarked = LogisticCalibrator().fit(margin, happened, everybody)
    assert found.relief_ == 0.0
    assert found.shared_ == pytest.approx(unmarked.shared_, abs=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_slope_is_above_zero_even_for_a_reversed_margin(seed, rows):
    rng = np.random.default_rng(seed)
    margin = rng.normal(0, 3, rows)
    segment = rng.choice(["a", "b", "c"], rows)
    found = LogisticCalibrator().fit(margin, (margin < 0).astype(float), segment)
    assert (found.slope(segment) > 0).all()
    assert np.isfinite(found.log_odds(margin, segment)).all()


def test_round_trip_is_exact():
    margin, happened = draw(300)
    found = LogisticCalibrator().fit(margin, happened, np.tile(["a", "b"], 150))
    again = LogisticCalibrator.from_dict(json.loads(json.dumps(found.to_dict())))
    segment = np.tile(["a", "b", "c"], 100)
    assert (again.log_odds(margin, segment) == found.log_odds(margin, segment)).all()


def drawn_kinds(lifted, rows=20_000):
    """Margins that are right at will, and too low for contracts of a year by so much."""
    margin, _ = draw(rows)
    kind = np.repeat([KINDS.index("at_will"), KINDS.index("year")], rows // 2)
    risk = expit(margin + np.where(kind > 0, lifted, 0.0))
    return margin, (np.random.default_rng(4).random(rows) < risk).astype(float), kind


def test_each_kind_of_term_is_told_the_risk_that_was_seen_of_it():
    margin, happened, kind = drawn_kinds(0.8)
    everybody = np.repeat("all", len(margin))
    found = LogisticCalibrator().fit(margin, happened, everybody, kind)
    told = expit(found.log_odds(margin, everybody, kind))
    for own in (kind == 0, kind > 0):
        assert told[own].mean() == pytest.approx(happened[own].mean(), rel=0.03)
    # A kind of which nothing was seen is as others with a renewal date.
    levels = dict(zip(KINDS, found.levels_, strict=True))
    assert levels["at_will"] == 0.0
    assert levels["year"] == pytest.approx(0.8, abs=0.1)
    assert 0.4 < levels["years"] < levels["year"]
    again = LogisticCalibrator.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.levels_ == found.levels_
    at_will = found.log_odds(margin, everybody)
    assert (at_will == found.log_odds(margin, everybody, np.zeros_like(kind))).all()


def test_kinds_are_not_told_apart_by_a_few_losses_or_by_nothing_else():
    margin, happened, kind = drawn_kinds(0.8)
    everybody = np.repeat("all", len(margin))
    lost = np.flatnonzero((happened > 0) & (kind > 0))
    few = happened.copy()
    few[lost[14:]] = 0.0
    for outcome in (few, np.where(kind > 0, 1.0, happened)):
        found = LogisticCalibrator().fit(margin, outcome, everybody, kind)
        assert found.levels_ == ()
        assert found.to_dict() == LogisticCalibrator().fit(margin, outcome, everybody).to_dict()
    one_more = few.copy()
    one_more[lost[14]] = 1.0
    assert LogisticCalibrator().fit(margin, one_more, everybody, kind).levels_
