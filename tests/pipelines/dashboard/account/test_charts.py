from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dashboard.account.charts import HEIGHT, LEFT, NARROW, WIDTH, trend_chart, waterfall

POINTS = st.lists(st.floats(-60, 60), max_size=12)


@given(st.floats(0, 100), POINTS)
def test_bars_lie_on_the_line_and_follow_each_other(start, points) -> None:
    parts = [(str(place), amount) for place, amount in enumerate(points)]
    steps = waterfall(("from", start), parts, ("to", start + sum(points)))
    assert [step.amount for step in steps[1:-1]] == points
    reached = steps[0].low
    for step in steps:
        assert -0.01 <= step.low <= step.low + step.width <= 100.02
        # Each bar begins where the one before ended: on its left or on its right.
        if step.kind == "end":
            assert abs(step.low - reached) < 0.1
            continue
        assert abs((step.low + step.width if step.amount < 0 else step.low) - reached) < 0.1
        reached = step.low if step.amount < 0 else step.low + step.width


def test_a_small_move_is_drawn_as_one() -> None:
    steps = waterfall(("from", 50.0), [("Usage", 2.0)], ("to", 52.0))
    assert steps[1].width == pytest.approx(10.0)


def score(day: str, value: float, band: str = "watch", version: str = "1") -> dict:
    return {"as_of": day, "score": value, "band": band, "model_version": version}


def test_nothing_issued_is_no_chart() -> None:
    assert trend_chart({"scores": [], "model_changes": []}) is None


def test_a_single_score_stands_in_the_middle() -> None:
    chart = trend_chart({"scores": [score("2025-01-01", 50.0)], "model_changes": []})
    ((x, y, band, told),) = chart.marks
    assert LEFT < x < WIDTH
    assert 0 < y < HEIGHT
    assert (band, told) == ("watch", "1 Jan 2025: 50.0, watch")
    assert chart.dates == [(x, "1 Jan 2025")]


def test_marks_are_in_the_order_of_dates_and_scores() -> None:
    scores = [score("2025-01-01", 0.0), score("2025-01-11", 100.0), score("2025-01-31", 50.0)]
    chart = trend_chart({"scores": scores, "model_changes": []})
    (x1, y1, *_), (x2, y2, *_), (x3, y3, *_) = chart.marks
    assert (x2 - x1) * 2 == pytest.approx(x3 - x2, abs=0.2)
    assert y2 < y3 < y1
    heights = {level: height for height, level in chart.levels}
    assert (y1, y2, y3) == (heights["0"], heights["100"], heights["50"])


def test_dates_that_are_written_do_not_cover_each_other() -> None:
    scores = [score(f"2025-{month:02}-{day:02}", 10.0) for month in range(1, 13) for day in (1, 15)]
    chart = trend_chart({"scores": scores, "model_changes": []})
    places = [place for place, _ in chart.dates]
    assert all(after - before >= NARROW for before, after in pairwise(places))
    assert chart.dates[-1][1] == "15 Dec 2025"


def test_each_model_has_a_rule_and_few_have_names() -> None:
    changes = [
        {"as_of": f"2025-01-{day:02}", "before": str(day), "after": str(day + 1)}
        for day in range(2, 30)
    ]
    scores = [score("2025-01-01", 10.0), score("2025-01-31", 20.0)]
    chart = trend_chart({"scores": scores, "model_changes": changes})
    assert len(chart.models) == 28
    assert 1 < sum(bool(version) for _, version in chart.models) <= 8
    assert "Model version 3 from 2 Jan 2025." in chart.told
    assert chart.told.startswith("2 issued scores: 10.0 (watch) on 1 Jan 2025, 20.0 (watch)")
