"""Records of recommendations: they survive JSON, and say whether they are news."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import RegistryError
from models.churn.segments import SegmentAssignment, SegmentSettings
from models.registry.recommendations import (
    RecommendationRecord,
    log_recommendation,
    recommendation_records,
    recorded_scorecard,
)
from models.scorecard.grading import Grading
from models.scorecard.scorecard import Cuts

GRADING = Grading((), {"all": {}}, {"all": []})
SEGMENTS = SegmentAssignment(SegmentSettings(), ("all",))
NAMES = st.text(min_size=1, max_size=300)
WEIGHTS = st.dictionaries(NAMES, st.floats(0, 100), min_size=1, max_size=4)


def record(weights, **changed):
    known = {
        "made_at": datetime(2025, 1, 1, 9, 30),
        "outcome": "main",
        "outcome_settings": {"kind": "churn", "dates": []},
        "model_version": "1",
        "config_fingerprint": "abc",
        "learnt_until": date(2024, 12, 1),
        "measures": {name: [name, "<script>"] for name in weights},
        "today": {"all": weights},
        "recommended": {"all": weights},
        "intervals": {"all": dict.fromkeys(weights, (1.5, 99.0))},
        "cuts": {"today": Cuts(30.0, 60.0), "recommended": Cuts(31.5, 61.0)},
    }
    return RecommendationRecord(**known | changed)


@given(WEIGHTS, st.datetimes(min_value=datetime(1970, 1, 1)), st.dates())
def test_a_record_survives_a_file(weights, moment, day) -> None:
    before = record(weights, made_at=moment, learnt_until=day)
    told = json.loads(json.dumps(before.to_dict(), allow_nan=False))
    after = RecommendationRecord.from_dict(told | {"run_id": ""})
    assert after == before
    assert after.says_the_same(before)


@given(WEIGHTS)
def test_what_is_news_and_what_is_not(weights) -> None:
    before = record(weights)
    later = replace(before, made_at=datetime(2026, 1, 1), config_fingerprint="d", run_id="r")
    assert later.says_the_same(before)
    assert not replace(before, model_version="2").says_the_same(before)
    name = next(iter(weights))
    for other in (
        {"all": weights | {name: weights[name] + 0.01}},
        {"all": weights, "plan=pro": weights},
        {"all": weights | {f"{name}!" * 301: 0.0}},
        {"all": {}},
    ):
        assert not replace(before, today=other).says_the_same(before)
        assert not replace(before, recommended=other).says_the_same(before)
    rounded = {"all": {key: weight + 1e-9 for key, weight in weights.items()}}
    assert replace(before, today=rounded).says_the_same(before)


def test_no_registry_is_made_by_asking(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "mlruns"
    for ask in (
        lambda: recommendation_records(folder, "health"),
        lambda: recorded_scorecard(folder, "health", "0" * 32),
        lambda: log_recommendation(
            record({"usage": 100.0}), GRADING, SEGMENTS, folder=folder, name="health"
        ),
    ):
        with pytest.raises(RegistryError, match=r"No champion of 'health' was found in the reg"):
            ask()
    assert not folder.exists()
