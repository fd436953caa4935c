"""Figures of a backtest: what they draw is what the tables say."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from pipelines.reports.figures.backtest import contender_styles, gain_plot, lead_plot, origin_plot

NAMES = ["healthscore", "pooled", "per segment", "base rate"]


def render(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")
    axes = figure.axes[0]
    assert axes.get_title(loc="left")
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    return axes


def measures(origins: list[str]) -> pd.DataFrame:
    rows = [
        {
            "contender": name,
            "origin": origin,
            "segment": "all",
            "population": population,
            "log_loss": 0.1 + number / 10 + step / 100,
            "log_loss_low": 0.05 + number / 10,
            "log_loss_high": 0.3 + number / 10,
        }
        for number, name in enumerate(NAMES)
        for step, origin in enumerate(["all", *origins])
        for population in ("all", "untreated")
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("origins", [["2025-01-01"], ["2025-01-01", "2025-02-01"], ["fold 1"]])
def test_every_contender_has_a_point_and_an_interval_on_every_origin(origins) -> None:
    table = measures(origins)
    # Intervals of measures that are nothing, as of an origin without positives.
    table.loc[table["contender"] == "pooled", ["log_loss_low", "log_loss_high"]] = np.nan
    axes = render(origin_plot(table))
    assert [text.get_text() for text in axes.get_xticklabels()] == origins
    assert [holder.get_label() for holder in axes.containers] == NAMES
    for number, holder in enumerate(axes.containers):
        places, points = holder[0].get_data()
        assert_allclose(points, [0.11 + number / 10 + step / 100 for step in range(len(origins))])
        assert np.round(places).astype(int).tolist() == list(range(len(origins)))


def test_many_origins_have_room_for_their_dates() -> None:
    figure = origin_plot(measures([f"2025-{1 + n:02d}-01" for n in range(12)]))
    render(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=12).filter(
        lambda rows: any(happened for happened, _ in rows)
    )
)
def test_a_call_list_finds_what_counting_says(rows) -> None:
    """Work through the list one row at a time; rows of equal risk come in random order."""
    happened, risk = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    frame = pd.DataFrame({"happened": happened, "p_healthscore": risk / 4})
    line = gain_plot(frame).axes[0].lines[1]
    worked, found = line.get_data()
    for share in (0.0, 0.1, 0.5, 0.75, 1.0):
        left, caught = Fraction(share) * len(rows), Fraction(0)
        for level in (3, 2, 1, 0):
            level_rows = risk == level
            taken = min(left, Fraction(int(level_rows.sum())))
            left -= taken
            if taken:
                caught += taken * int(happened[level_rows].sum()) / int(level_rows.sum())
        at = np.argmin(np.abs(worked - share))
        # The picture holds a thousand points, and corners of the line may lie between two.
        assert found[at] == pytest.approx(float(caught / int(happened.sum())), abs=0.02)


def test_the_legend_says_what_the_first_tenth_holds() -> None:
    risk = np.linspace(1, 0, 100)
    frame = pd.DataFrame({"happened": 0, "p_healthscore": risk, "p_base rate": 0.1})
    frame.loc[[0, 3, 50, 51], "happened"] = 1
    axes = render(gain_plot(frame))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["in random order", "healthscore: 50 % in the first tenth"]


@pytest.mark.parametrize("happened", [0, 1])
def test_one_outcome_still_draws(happened) -> None:
    render(gain_plot(pd.DataFrame({"happened": [happened] * 3, "p_healthscore": [0.1, 0.2, 0.2]})))


def test_boxes_run_towards_the_outcome() -> None:
    lead = pd.DataFrame(
        {
            "days_before": [30, 90, 180],
            "events": [1200, 8, 0],
            "median_score": [30.0, 45.0, np.nan],
            "low_quartile": [20.0, 40.0, np.nan],
            "high_quartile": [50.0, 70.0, np.nan],
            "at_risk": [0.5, 0.25, np.nan],
        }
    )
    axes = render(lead_plot(lead))
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        "90 days\n8 events\n25 % at-risk",
        "30 days\n1,200 events\n50 % at-risk",
    ]
    heights = [patch.get_path().get_extents() for patch in axes.patches]
    assert [(box.y0, box.y1) for box in heights] == [(40, 70), (20, 50)]


def test_contenders_are_told_apart_without_colour() -> None:
    styles = contender_styles([*NAMES, *(f"peer {n}" for n in range(3))])
    assert next(iter(styles)) == "healthscore"
    assert list(styles)[-1] == "base rate"
    shapes = [(style["marker"], str(style["linestyle"])) for style in styles.values()]
    assert len(set(shapes)) == len(shapes)
