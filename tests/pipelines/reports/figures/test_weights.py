from __future__ import annotations

import html
import re

import numpy as np
import pandas as pd
import pytest

from models.backtest.lead_time import lead_time
from models.measures.metrics import calibration_table, rate_row
from models.scorecard.advice import Advice, SegmentAdvice
from models.scorecard.replay import replay
from models.scorecard.scorecard import Cuts
from pipelines.reports.figures.weights import (
    bands_plot,
    calibration_plot,
    calibration_top,
    caught_plot,
    lead_plot,
    weights_plot,
)

HOSTILE = "<script>alert(1)</script> $x_2$ & \u202eRTL \x1b[31m" + "L" * 300
# Beside ink and greys, the palette of Okabe and Ito.
COLOURS = {"#0072b2", "#d55e00", "#009e73", "#6b7782", "#cccccc", "#ffffff", "#000000"}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(3)
    count = 900
    risk = random.random(count)
    return pd.DataFrame(
        {
            "account_id": [f"A{number % 300}" for number in range(count)],
            "observation_date": pd.to_datetime("2025-01-01")
            + pd.to_timedelta(30 * (np.arange(count) // 300), unit="D"),
            "segment": np.array(["small", HOSTILE], dtype=object)[np.arange(count) % 2],
            "happened": (random.random(count) < 0.3 * risk).astype(int),
            "arr": np.nan,
            "risk": risk,
        }
    )


def _told(svg: str) -> str:
    (found,) = re.findall(r"<desc[^>]*>(.*?)</desc>", svg, re.DOTALL)
    return html.unescape(found)


def _texts(svg: str) -> list[str]:
    return [html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def _sound(svg: str) -> None:
    assert "<script" not in svg
    assert svg.startswith("<svg ")
    used = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg))
    assert used <= COLOURS, used - COLOURS


def test_weights_are_drawn_and_told():
    lines = (
        Advice("usage", 20.0, 31.0, 30.0, 24.2, 36.7, "raise", "learnt", None),
        Advice(HOSTILE, 80.0, 69.0, 70.0, 60.0, 75.0, "lower", "learnt", None),
    )
    svg = weights_plot(SegmentAdvice("all", lines, True, False, 100, 10), HOSTILE, "w")
    _sound(svg)
    assert _told(svg).startswith(
        "usage: today 20, recommended 31, outcomes point to 24 to 37; <script>"
    )
    # Told apart by a ring, a diamond and a bar, each of them named.
    assert {"today", "recommended", "outcomes point to", "usage"} <= set(_texts(svg))
    shown = [text for text in _texts(svg) if text.startswith("<script>")]
    assert [len(text) for text in shown] == [28]


def test_shares_caught_are_drawn_and_told(rows):
    scores = {"today": -rows["happened"] + rows["risk"], "mine": -rows["risk"]}
    cuts = {name: Cuts.with_shares(score.to_numpy(), 0.2, 0.5) for name, score in scores.items()}
    replayed = replay(
        rows, {name: s.to_numpy() for name, s in scores.items()}, cuts, "today", resamples=10
    )
    names = {"all": "All accounts", HOSTILE: HOSTILE, "gone": "gone"}
    svg = caught_plot(replayed, names, "churned", "c")
    _sound(svg)
    table = replayed.table.set_index(["segment", "contender"])
    for contender in ("today", "mine"):
        row = table.loc["all", contender]
        assert (
            f"All accounts, {contender}: {100 * row['caught']:.0f} % ({100 * row['caught_low']:.0f}"
            f" to {100 * row['caught_high']:.0f} %)"
        ) in _told(svg)
    assert "gone" not in _told(svg)
    assert "small" not in _told(svg)


def test_calibration_is_drawn_and_told_on_shared_axes(rows):
    table = calibration_table(rows["happened"], 0.3 * rows["risk"], accounts=rows["account_id"])
    top = calibration_top({"all": table})
    assert top == pytest.approx(1.1 * max(table["high"].max(), table["expected_rate"].max()))
    assert calibration_top({"sure": table.assign(high=1.0)}) == 1.0
    svg = calibration_plot(table, HOSTILE, top, "k")
    _sound(svg)
    assert _told(svg).count("expected") == len(table)
    first = table.iloc[0]
    assert f"happened {100 * first['observed_rate']:.1f} %" in _told(svg)
    # The diagonal and the axes' ends are those of all segments.
    assert _texts(calibration_plot(table.iloc[:3], "s", top, "k")) == _texts(svg)


def test_bands_are_drawn_and_told(rows):
    happened, risk = rows["happened"].to_numpy(float), 0.3 * rows["risk"].to_numpy()
    bands = [
        {"band": name, **rate_row(happened[own], risk[own])}
        for name, own in (("at-risk", risk > 0.2), ("watch", risk > 0.3), ("healthy", risk <= 0.2))
    ]
    assert bands[1]["rows"] == 0
    svg = bands_plot(bands, "churn", "b")
    _sound(svg)
    assert {"at-risk", "healthy"} <= set(_texts(svg))
    assert "watch" not in _texts(svg)
    assert f"observed {100 * bands[0]['observed_rate']:.1f} %" in _told(svg)


def test_lead_time_is_drawn_towards_the_outcome(rows):
    gone = rows[rows["happened"] == 1]
    events = pd.DataFrame(
        {
            "account_id": gone["account_id"],
            "happened_at": gone["observation_date"] + pd.Timedelta(days=40),
        }
    )
    band = np.where(rows["risk"] > 0.7, "at-risk", "healthy")
    lead = lead_time(rows.assign(score=100 * (1 - rows["risk"]), band=band), events)
    svg = lead_plot(lead, "churned", "l")
    _sound(svg)
    days = [int(text.split()[0]) for text in _texts(svg) if text.endswith(" days")]
    assert days == sorted(days, reverse=True)
    for row in lead[lead["events"] > 0].to_dict("records"):
        said = f"{row['days_before']} days before: {100 * row['at_risk']:.0f} % of {row['events']}"
        assert said in _told(svg)
