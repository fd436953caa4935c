from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import EvidenceError
from models.scorecard.grading import GradedSignal, Grading, Measure
from models.scorecard.scorecard import Cuts, Scorecard, whole_percentages

WEIGHTS = st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=12).filter(
    lambda weights: sum(weights) > 1e-6
)


@given(WEIGHTS, st.integers(0, 100))
def test_rounded_weights_keep_their_sum_and_no_weight_moves_by_a_point(weights, total):
    named = {f"m{place}": weight for place, weight in enumerate(weights)}
    rounded = whole_percentages(named, total)
    assert sum(rounded.values()) == total
    exact = np.array(weights) * total / sum(weights)
    assert np.abs(np.array(list(rounded.values())) - exact).max() < 1
    assert list(rounded) == list(named)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=9).filter(lambda given: sum(given) > 0))
def test_whole_weights_stay_as_they_are(weights):
    named = {f"m{place}": weight for place, weight in enumerate(weights)}
    assert whole_percentages(named, sum(weights)) == named


def test_nothing_cannot_be_shared_out():
    with pytest.raises(EvidenceError) as raised:
        whole_percentages({"usage": 0.0, "support": 0.0})
    assert str(raised.value) == ("Weights that are all 0 cannot be shared out; name one above 0.")


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=60),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_exact_cuts_come_as_near_to_the_shares_as_any_can(scores, red, green):
    score = np.array(scores)
    cuts = Cuts.with_shares(score, red, green, exact=True)
    assert cuts.red_below <= cuts.green_from
    candidates = np.append(np.unique(score), np.inf)
    nearest = min(abs((score < cut).mean() - red) for cut in candidates)
    assert abs((score < cuts.red_below).mean() - red) == pytest.approx(nearest)
    above = candidates[candidates >= cuts.red_below]
    nearest = min(abs((score >= cut).mean() - green) for cut in above)
    assert abs((score >= cuts.green_from).mean() - green) == pytest.approx(nearest)


def test_cuts_people_enter_have_one_decimal():
    score = np.random.default_rng(0).normal(50, 10, 5_000)
    cuts = Cuts.with_shares(score, 0.1, 0.6)
    for cut, share in ((cuts.red_below, 0.1), (cuts.green_from, 0.4)):
        assert round(cut, 1) == cut
        assert abs((score < cut).mean() - share) < 0.005


def test_a_score_is_grades_times_percentages():
    frame = pd.DataFrame({"uses": [1.0, 2.0, 3.0, np.nan], "tickets": [5.0, 0.0, 1.0, 2.0]})
    measures = [
        Measure("usage", (GradedSignal("uses", True),)),
        Measure("support", (GradedSignal("tickets", False, ((0.0, 100.0), (5.0, 0.0))),)),
    ]
    segment = np.array(["a", "a", "b", "b"], dtype=object)
    grading = Grading.fit(measures, frame, segment)
    weights = {"all": {"usage": 60.0, "support": 40.0}, "b": {"usage": 0.0, "support": 100.0}}
    score = Scorecard(grading, weights).score(frame, segment)
    assert score.tolist() == [0.6 * 25 + 0.4 * 0, 0.6 * 75 + 0.4 * 100, 80.0, 60.0]


def test_what_is_not_known_neither_lifts_nor_lowers():
    frame = pd.DataFrame({"uses": [1.0, 2.0, 3.0, np.nan]})
    segment = np.full(4, "a", dtype=object)
    grading = Grading.fit([Measure("usage", (GradedSignal("uses", True),))], frame, segment)
    score = Scorecard(grading, {"all": {"usage": 100.0}}).score(frame, segment)
    assert score[3] == pytest.approx(score[:3].mean())
