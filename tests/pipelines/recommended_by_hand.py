"""Recommendations to a small company with hostile names, for tests of what is told."""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from typing import Any, cast

import numpy as np
import pandas as pd

from features.catalog import Signal
from features.outcomes.settings import WORDS
from models.registry.recommendations import RecommendationRecord
from models.scorecard.behaviour_points import behaviour_points
from models.scorecard.grading import GradedSignal, Grading, Measure
from models.scorecard.replay import Replayed, replay
from models.scorecard.scorecard import Cuts, Scorecard
from pipelines.weights.recommend import MeasureNote, Recommended, effects
from pipelines.weights.rows import FULL_MODEL, RECOMMENDED, TODAY, advice_from

SCRIPT = "<script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://evil.example","click")'
RTL = "\u202eRTL עברית"
LONG = "L" * 300
ESCAPE = "[/red]\x1b[31mred\nline"
SILENT = "@SUM(1)"
SEGMENTS = (SCRIPT, FORMULA, RTL, LONG)
SIGNALS = (
    Signal("uses", "usage", "count", "higher", FORMULA, 28, "{value} use{s}"),
    Signal("logins", "usage", "count", "higher", "Logins", 28, "{value} login{s}"),
    Signal("open", "support", "count", "lower", SCRIPT, 28, "{value} open"),
    Signal("nps", "surveys", "score", "higher", "NPS", 90, "NPS is {value}"),
)
MEASURES = (
    Measure("usage", (GradedSignal("uses", True), GradedSignal("logins", True))),
    Measure(ESCAPE, (GradedSignal("open", False),)),
    Measure(FORMULA, (GradedSignal("nps", True, ((0.0, 0.0), (7.0, 50.0), (10.0, 100.0))),)),
    Measure(SILENT, ()),
)
TODAY_WEIGHTS = {"all": np.array([10.0, 20.0, 60.0, 10.0])}


@cache
def rows() -> pd.DataFrame:
    """Simulate rows in which usage and tickets tell of churn, and NPS does not."""
    random = np.random.default_rng(5)
    count = 3000
    uses = random.poisson(20, count).astype(float)
    frame = pd.DataFrame(
        {
            "account_id": [f"A{number % 1000}" for number in range(count)],
            "observation_date": pd.to_datetime("2025-01-01")
            + pd.to_timedelta(30 * (np.arange(count) // 1000), unit="D"),
            "segment": np.array(SEGMENTS, dtype=object)[np.arange(count) % 1000 % 4],
            "uses": uses,
            "logins": np.where(random.random(count) < 0.1, np.nan, uses + random.poisson(5, count)),
            "open": random.poisson(2, count).astype(float),
            "nps": np.where(random.random(count) < 0.5, np.nan, random.integers(0, 11, count)),
            "arr": np.where(random.random(count) < 0.2, np.nan, 1200.0),
        }
    )
    margin = -1.6 - 0.2 * (uses - 20) + 0.5 * (frame["open"] - 2)
    return frame.assign(happened=(random.random(count) < 1 / (1 + np.exp(-margin))).astype(int))


@cache
def made(*, foretells: bool = True, arr: bool = True) -> Recommended:
    """Learn from the rows as the command does, but for the champion and the evidence."""
    frame = rows() if arr else rows().assign(arr=np.nan)
    grading = Grading.fit(MEASURES, frame, frame["segment"])
    advice = advice_from(frame, grading, TODAY_WEIGHTS, foretells, good=False, seed=0)
    scorecard = Scorecard(grading, {name: found.weights for name, found in advice.items()})
    segment = frame["segment"].to_numpy(dtype=object)
    today = {"all": dict(zip(grading.names, TODAY_WEIGHTS["all"].tolist(), strict=True))}
    scores = {
        TODAY: Scorecard(grading, today).score(frame, segment),
        RECOMMENDED: scorecard.score(frame, segment),
        FULL_MODEL: frame["uses"].to_numpy(),
    }
    cuts = {name: Cuts.with_shares(score, 0.2, 0.5) for name, score in scores.items()}
    replayed: Replayed = replay(frame, scores, cuts, TODAY, resamples=20)
    happened = frame["happened"].to_numpy(dtype=float)
    known: dict[str, Any] = {
        "outcome": "main",
        "words": WORDS["churn"],
        "good": False,
        "made_at": datetime(2025, 6, 1, 12, 30),
        "model": None,
        "version": "3",
        "created_at": "2025-05-01T00:00:00+00:00",
        "foretells": foretells,
        "advice": advice,
        "measures": tuple(
            MeasureNote(
                measure.name,
                tuple(s for s in SIGNALS for each in measure.signals if s.name == each.name),
                0.5,
            )
            for measure in MEASURES
        ),
        "is_assumed": False,
        "scorecard": scorecard,
        "replayed": replayed,
        "effects": effects(replayed, frame, 30),
        "taught_until": date(2024, 12, 1),
        "replayed_from": date(2025, 1, 1),
        "replayed_until": date(2025, 3, 2),
        "behaviours": behaviour_points(frame, SIGNALS, happened) if foretells else [],
        "evidence": None,
        "counts": {"rows": len(frame), "last_date": "2025-03-02"},
        "versions": {"model_version": "3", "config_fingerprint": "abc"},
        "warnings": [f"A table is named {ESCAPE}"],
    }
    return cast("Recommended", Recommended(**known))


def record(
    today: dict[str, dict[str, float]],
    recommended: dict[str, dict[str, float]],
    day: date = date(2025, 1, 1),
    **changed: Any,
) -> RecommendationRecord:
    """Make a record of given weights."""
    known: dict[str, Any] = {
        "made_at": datetime(day.year, day.month, day.day, 9),
        "outcome": "main",
        "outcome_settings": {"kind": "churn"},
        "model_version": "1",
        "config_fingerprint": "abc",
        "learnt_until": day,
        "measures": {name: [name] for name in next(iter(recommended.values()))},
        "today": today,
        "recommended": recommended,
        "intervals": {
            place: dict.fromkeys(row, (0.0, 100.0)) for place, row in recommended.items()
        },
        "cuts": {TODAY: Cuts(30.0, 60.0), RECOMMENDED: Cuts(31.0, 61.0)},
    }
    return RecommendationRecord(**known | changed)
