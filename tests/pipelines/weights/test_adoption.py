"""How far recommendations were followed, through sequences of configurations."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.weights.adoption import Adoption, adoption_of
from tests.pipelines.recommended_by_hand import record

MAY, JUNE, JULY = date(2025, 5, 1), date(2025, 6, 1), date(2025, 7, 1)
TODAY = {"usage": 20.0, "support": 30.0, "surveys": 50.0}
ADVISED = {"usage": 50.0, "support": 30.0, "surveys": 20.0}
HALF = {"usage": 35.0, "support": 30.0, "surveys": 35.0}
ONE = record({"all": TODAY}, {"all": ADVISED})


def whole(made, *weights):
    days = (MAY, JUNE, JULY)[-len(weights) :]
    return adoption_of(made, list(zip(days, weights, strict=True)))[0]


def test_unchanged_weights_adopt_nothing() -> None:
    assert whole(ONE, {"all": TODAY}) == Adoption("not adopted", 0.0, None, True)


def test_weights_within_a_point_are_the_recommended_ones() -> None:
    near = {"usage": 49.0, "support": 31.0, "surveys": 20.0}
    assert whole(ONE, {"all": near}) == Adoption("adopted", 1.0, JULY, True)
    beside = {"usage": 48.9, "support": 31.1, "surveys": 20.0}
    found = whole(ONE, {"all": beside})
    assert found.status == "partly adopted"
    # 60 points were asked for, and 2.2 are left.
    assert found.share == round(1 - 2.2 / 60, 3)


def test_it_is_told_when_adoption_was_first_seen() -> None:
    assert whole(ONE, {"all": TODAY}, {"all": ADVISED}, {"all": ADVISED}).first_seen == JUNE
    found = whole(ONE, {"all": TODAY}, {"all": HALF}, {"all": HALF})
    assert found == Adoption("partly adopted", 0.5, JUNE, True)
    assert whole(ONE, {"all": HALF}, {"all": ADVISED}) == Adoption("adopted", 1.0, JULY, True)


def test_what_was_taken_back_is_told_so() -> None:
    assert whole(ONE, {"all": ADVISED}, {"all": TODAY}) == Adoption("adopted", 1.0, JUNE, False)
    assert whole(ONE, {"all": HALF}, {"all": TODAY}) == (
        Adoption("partly adopted", 0.5, JUNE, False)
    )


def test_a_change_the_other_way_is_no_adoption() -> None:
    away = {"usage": 0.0, "support": 30.0, "surveys": 70.0}
    assert whole(ONE, {"all": away}) == Adoption("not adopted", 0.0, None, True)


def test_without_a_recommended_change_there_is_nothing_to_adopt() -> None:
    kept = record({"all": TODAY}, {"all": TODAY})
    assert whole(kept, {"all": ADVISED}) == Adoption("nothing to adopt", None, None, True)


def test_a_measure_that_is_gone_weighs_nothing() -> None:
    advised = {"usage": 80.0, "support": 20.0, "surveys": 0.0}
    made = record({"all": TODAY}, {"all": advised})
    assert whole(made, {"all": {"usage": 80.0, "support": 20.0}}).status == "adopted"
    fresh = {"usage": 40.0, "support": 20.0, "health": 40.0}
    found = whole(made, {"all": fresh})
    # 120 points were asked for; 40 of usage and 40 of a measure nobody asked for are left.
    assert found == Adoption("partly adopted", round(1 - 80 / 120, 3), JULY, True)


SEGMENTED = record(
    {"all": TODAY, "plan=pro": TODAY, "plan=free": TODAY},
    {"all": HALF, "plan=pro": ADVISED, "plan=free": TODAY},
)


def test_segments_are_judged_by_the_weights_their_accounts_get() -> None:
    named = {"all": TODAY, "plan=pro": ADVISED}
    found, by_segment = adoption_of(SEGMENTED, [(JULY, named)])
    assert found == Adoption("adopted", 1.0, JULY, True)
    assert by_segment["all"].status == "not adopted"
    assert by_segment["plan=free"].status == "nothing to adopt"
    found, by_segment = adoption_of(SEGMENTED, [(JULY, {"all": ADVISED})])
    assert found.status == by_segment["plan=pro"].status == "adopted"
    # Twice the change that was asked for is as far off as none.
    assert by_segment["all"] == Adoption("not adopted", 0.0, None, True)


def test_one_scorecard_for_all_follows_the_line_for_all() -> None:
    found, by_segment = adoption_of(SEGMENTED, [(JULY, {"all": HALF})])
    assert found == by_segment["all"] == Adoption("adopted", 1.0, JULY, True)
    assert by_segment["plan=pro"].share == 0.5
    # With weights of its own a segment is asked for its own.
    split = {"all": HALF, "plan=free": TODAY, "plan=pro": TODAY}
    assert adoption_of(SEGMENTED, [(JULY, split)])[0].status == "not adopted"


SHARES = st.lists(st.integers(0, 100), min_size=3, max_size=3).filter(sum)


def _weights(parts):
    return dict(zip(TODAY, (100 * part / sum(parts) for part in parts), strict=True))


@given(SHARES.map(_weights), SHARES.map(_weights), SHARES.map(_weights), st.floats(0, 1))
def test_any_weights_lie_between_nothing_and_all(today, advised, now, way) -> None:
    made = record({"all": today}, {"all": advised})
    found = whole(made, {"all": now})
    if today == advised:
        assert found.status == "nothing to adopt"
        return
    assert 0 <= found.share <= 1
    assert (found.first_seen is None) == (found.status == "not adopted") == (found.share == 0)
    part = {name: today[name] + way * (advised[name] - today[name]) for name in today}
    step = whole(made, {"all": part})
    if step.status != "adopted":
        assert step.share == pytest.approx(way, abs=0.0006)
    assert whole(made, {"all": advised}).status == "adopted"
