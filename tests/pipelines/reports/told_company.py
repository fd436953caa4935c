"""Recommendations for pages to tell: learnt from a small company by the code that does it."""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from typing import Any, cast

import numpy as np
import pandas as pd

from features.catalog import Signal, Unit
from features.outcomes.settings import WORDS
from models.backtest.lead_time import lead_time
from models.backtest.signal_evidence import Alone
from models.measures.estimate import Estimate
from models.measures.fairness_audit import fairness_audit
from models.measures.metrics import calibration_table, evaluate
from models.scorecard.behaviour_points import behaviour_points
from models.scorecard.grading import GradedSignal, Grading, Measure
from models.scorecard.replay import replay
from models.scorecard.scorecard import Cuts, Scorecard, whole_percentages
from models.scoring.health_model import HealthModel
from models.scoring.scale import ScoreScale
from models.training.holdout import band_table
from pipelines.weights.evidence import Evidence
from pipelines.weights.evidence_ratings import RatingEvidence
from pipelines.weights.recommend import MeasureNote, Recommended, effects
from pipelines.weights.rows import FULL_MODEL, RECOMMENDED, TODAY, advice_from

SCRIPT = "<script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://evil.example","click")'
RTL = "\u202eRTL עברית"
LONG = "L" * 300
MARKUP = "</title></svg><img src=x onerror=alert(2)> & 50 % {{ 7 * 7 }} $x^2$"
HOSTILE = (SCRIPT, FORMULA, RTL, LONG, MARKUP)
UNITS: tuple[Unit, ...] = ("count", "share", "days", "change", "flag", "money")
HORIZON = 30


@cache
def told_company(
    segments: tuple[str, ...] = ("small", "medium", "large"),
    measures: tuple[str, ...] = ("usage", "support", "payments", "surveys"),
    kind: str = "churn",
    *,
    arr: bool = True,
    foretells: bool = True,
    count: int = 2400,
) -> Recommended:
    """Recommend weights for a company whose first measures matter and whose last do not.

    The last measure has no data. Nothing is stood in for but the model itself, of which pages read
    the signals and the days until an outcome is certain.
    """
    good = kind == "expansion"
    frame, probability, signals = _rows(segments, measures, good, count)
    if not arr:
        frame = frame.assign(arr=np.nan)
    lines = tuple(
        Measure(name, (GradedSignal(signal.name, True),) if place < len(measures) - 1 else ())
        for place, (name, signal) in enumerate(zip(measures, signals, strict=True))
    )
    grading = Grading.fit(lines, frame, frame["segment"])
    even = whole_percentages(dict.fromkeys(measures, 1.0))
    today = {"all": np.array(list(even.values()), dtype=float)}
    advice = advice_from(frame, grading, today, foretells, good=good, seed=0)
    segment = frame["segment"].to_numpy(dtype=object)
    scorecard = Scorecard(grading, {name: found.weights for name, found in advice.items()})
    equal = {"all": dict(zip(grading.names, today["all"].tolist(), strict=True))}
    scores = {
        TODAY: Scorecard(grading, equal).score(frame, segment),
        RECOMMENDED: scorecard.score(frame, segment),
        FULL_MODEL: 100 * (probability if good else 1 - probability),
    }
    cuts = {name: Cuts.with_shares(score, 0.2, 0.5) for name, score in scores.items()}
    events = _events(frame)
    replayed = replay(
        frame, scores, cuts, TODAY, events=None if good else events, good=good, resamples=20
    )
    scale = ScoreScale(0.2, at_risk_from=0.35, watch_from=0.15, good=good)
    happened = frame["happened"].to_numpy(dtype=float)
    model = {"signals": signals, "scale": scale, "maturity_days": HORIZON + 14}
    absent = dict.fromkeys(set(HealthModel.__dataclass_fields__) - set(model) - {"shap"})
    return Recommended(
        outcome="main",
        words=WORDS[cast("Any", kind)],
        good=good,
        made_at=datetime(2025, 6, 1, 12, 30),
        model=HealthModel(**cast("dict[str, Any]", model | absent)),
        version="3",
        created_at="2025-05-01T00:00:00+00:00",
        foretells=foretells,
        advice=advice,
        measures=tuple(
            MeasureNote(line.name, (signal,) if line.signals else (), 0.5)
            for line, signal in zip(lines, signals, strict=True)
        ),
        is_assumed=False,
        scorecard=scorecard,
        replayed=replayed,
        effects=effects(replayed, frame, HORIZON),
        taught_until=date(2024, 12, 1),
        replayed_from=date(2025, 1, 1),
        replayed_until=date(2025, 3, 2),
        behaviours=behaviour_points(frame, signals, happened, good=good) if foretells else [],
        evidence=_evidence(frame, probability, signals, scale, good),
        counts={
            "rows": len(frame),
            "accounts": int(frame["account_id"].nunique()),
            "positives": int(happened.sum()),
            "dates": 3,
            "first_date": "2025-01-01",
            "last_date": "2025-03-02",
        },
        versions={
            "model_version": "3",
            "run_id": "0123456789abcdef",
            "config_fingerprint": "c" * 64,
            "data_fingerprint": "d" * 64,
            "healthscore": "0.1.0",
        },
        warnings=[f"A table is named {measures[0]}", "MRR moved"],
    )


def _rows(
    segments: tuple[str, ...], measures: tuple[str, ...], good: bool, count: int
) -> tuple[pd.DataFrame, Any, tuple[Signal, ...]]:
    random = np.random.default_rng(7)
    accounts = count // 3
    size = len(measures)
    values = random.normal(size=(count, size))
    pull = np.where(np.arange(size) < 2, 1.0, 0.05)
    margin = -1.8 + (values @ pull if good else -(values @ pull))
    probability = 1 / (1 + np.exp(-margin))
    number = np.arange(count) % accounts
    frame = pd.DataFrame(
        {
            "account_id": [f"A{each}" for each in number],
            "observation_date": pd.to_datetime("2025-01-01")
            + pd.to_timedelta(30 * (np.arange(count) // accounts), unit="D"),
            "segment": np.array(segments, dtype=object)[number % len(segments)],
            "happened": (random.random(count) < probability).astype(int),
            "arr": np.where(random.random(count) < 0.2, np.nan, 1200.0 + number),
        }
    )
    signals = tuple(
        Signal(
            f"signal_{place}", "usage", UNITS[place % 6], "higher", f"{name} told", 28, "{value}"
        )
        for place, name in enumerate(measures)
    )
    for place, signal in enumerate(signals):
        known = (values[:, place] > 0).astype(float) if signal.unit == "flag" else values[:, place]
        frame[signal.name] = np.where(random.random(count) < 0.1, np.nan, known)
    return frame, probability, signals


def _events(frame: pd.DataFrame) -> pd.DataFrame:
    gone = frame[frame["happened"] == 1]
    return pd.DataFrame(
        {
            "account_id": gone["account_id"],
            "happened_at": gone["observation_date"] + pd.Timedelta(days=35),
        }
    )


def _evidence(
    frame: pd.DataFrame,
    probability: Any,
    signals: tuple[Signal, ...],
    scale: ScoreScale,
    good: bool,
) -> Evidence:
    rows = frame.assign(
        probability=probability,
        score=scale.score(np.log(probability / (1 - probability))),
        band=scale.band(probability),
    )
    parts = {"all": rows, **{str(name): part for name, part in rows.groupby("segment")}}
    levels = np.array([*HOSTILE, None], dtype=object)[np.arange(len(rows)) % (len(HOSTILE) + 1)]
    carriers = [
        {"segment": segment, "group": "usage", "signal": signal.name, "label": signal.label}
        | {"weight": 100.0 * (1 + (place + shift) % len(signals)) / 50}
        for shift, segment in enumerate(parts)
        for place, signal in enumerate(signals[:5])
    ]
    alone = Alone(900, 300, 200, 0.61, 0.55, 0.66)
    shared = {"rows": 800, "accounts": 280, "positives": 180, "auc": 0.6, "low": 0.5, "high": 0.7}
    return Evidence(
        metrics=_metrics(rows),
        segment_metrics={name: _metrics(part) for name, part in parts.items() if name != "all"},
        calibration={
            name: calibration_table(
                part["happened"], part["probability"], 5, accounts=part["account_id"]
            )
            for name, part in parts.items()
        },
        bands=band_table(rows, scale),
        lead=lead_time(rows, _events(frame).iloc[: 0 if good else None]),
        directions=pd.DataFrame(
            [
                {"signal": signal.name, "label": signal.label, "group": "usage"}
                | {"declared": "higher", "learnt": learnt, "agrees": agrees}
                | {"weight": 20.0 - place, "low": 2.0, "high": 25.5}
                for place, (signal, (learnt, agrees)) in enumerate(
                    zip(
                        signals,
                        [("lower", False), ("higher", True), ("not enough evidence", None)]
                        + [("higher", True)] * (len(signals) - 3),
                        strict=True,
                    )
                )
            ]
        ),
        carriers=pd.DataFrame(carriers).sort_values(
            ["segment", "weight"], ascending=[True, False], kind="stable"
        ),
        ratings=RatingEvidence(
            **{"raters": 4, "ratings": 220, "accounts": 90, "as_of": date(2025, 3, 2)},
            **{"rated_share": 0.4, "spread": 0.31, "share_of_variance": 0.12},
            **{"strictest": -0.6, "most_lenient": 0.5, "lowest": 1.0, "highest": 5.0},
            **{"rating": alone, "objective": "usage"},
            measured=Alone(900, 300, 200, 0.7, 0.6, 0.8),
            ahead=Estimate(-0.09, -0.15, -0.02),
            sentence=f"Four people rated, one of them {HOSTILE[0]}.",
        ),
        referrals_vs_nps=[
            {"signal": signals[place].name, "label": HOSTILE[place], "group": group}
            | {"direction": "higher", "declared": True}
            | {"rows": 900, "accounts": 300, "positives": 200, "auc": 0.58, "low": 0.5, "high": 0.6}
            | {f"shared_{key}": value for key, value in shared.items()}
            | {"other": "other", "other_label": HOSTILE[1 - place]}
            | {"other_auc": 0.64, "other_low": 0.6, "other_high": 0.68}
            | {"ahead": -0.04, "ahead_low": -0.07, "ahead_high": -0.01}
            for place, group in enumerate(("referrals", "surveys"))
        ],
        audit=fairness_audit(
            pd.DataFrame({HOSTILE[4]: levels}),
            rows["happened"],
            rows["probability"],
            rows["band"] == scale.bands[0],
            rows["account_id"],
        ),
        backtest={
            "run_id": "ff00",
            "logged_at": datetime(2025, 5, 2, 8, 0),
            "champion": "3",
            "origins": 4,
            "tested_from": "2024-06-01",
            "tested_until": "2025-02-01",
            "measures": [
                {"contender": contender, "rows": 4000, "positives": 300}
                | {"auc": auc, "auc_low": auc - 0.02, "auc_high": auc + 0.02}
                | {"log_loss": loss, "log_loss_low": loss - 0.01, "log_loss_high": loss + 0.01}
                for contender, auc, loss in (
                    ("healthscore", 0.83, 0.21),
                    (HOSTILE[0], 0.79, 0.23),
                    ("base rate", 0.5, 0.27),
                )
            ],
            "versus": [
                {"contender": contender, "difference": -0.02, "low": -0.03, "high": -0.01}
                | {"verdict": "better"}
                for contender in (HOSTILE[0], "base rate")
            ],
        },
        quality=[
            {"table": HOSTILE[3], "rows": 12, "accounts": 3, "first": None, "last": None}
            | {"problems": [f"A column is named {HOSTILE[3]}", "Rows were left out"]},
            {"table": "accounts", "rows": 800, "accounts": 800, "problems": []}
            | {"first": datetime(2024, 1, 1), "last": datetime(2025, 3, 2)},
        ],
        notes=[f"The segment {HOSTILE[2]} is too small to show"],
    )


def _metrics(part: pd.DataFrame) -> Any:
    return evaluate(
        part["happened"], part["probability"], part["account_id"], base_rate=0.2, resamples=20
    )
