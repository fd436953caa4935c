"""Adoption signals whose answer a person sees at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from features.build import build_features
from features.builders.settings import SignalsSettings
from features.outcomes.labels import OutcomeSettings
from features.tables.company import Company

CompanyOf = Callable[..., Company]
MARCH, JULY = date(2024, 3, 1), date(2024, 7, 1)
START = datetime(2024, 1, 1)
KEYS = SignalsSettings(key_features=("export", "api"))


@pytest.fixture
def features_of(company_of: CompanyOf) -> Callable[..., pd.DataFrame]:
    """Return a function that builds accounts A (January), B (later) and OLD (long before)."""

    def build(events: list[tuple[Any, ...]], settings: SignalsSettings = KEYS) -> pd.DataFrame:
        columns = ["account_id", "occurred_at", "feature", "quantity", "recorded_at"]
        rows = [(*event, *(None,) * (5 - len(event))) for event in events]
        usage = pd.DataFrame(rows, columns=columns).astype({"quantity": "float64"})
        if usage.recorded_at.isna().all():
            usage = usage.drop(columns="recorded_at")
        created = [START + timedelta(hours=8), datetime(2024, 2, 10), datetime(2020, 1, 1)]
        accounts = pd.DataFrame({"account_id": ["A", "B", "OLD"], "created_at": created})
        churns = pd.DataFrame({"account_id": ["Z"], "churned_at": [datetime(2023, 1, 5)]})
        company = company_of({"accounts": accounts, "usage_events": usage, "churn_events": churns})
        frame = build_features(company, [MARCH, JULY], OutcomeSettings(), settings, labelled=False)
        return frame.set_index(["observation_date", "account_id"])

    return build


def first_value(frame: pd.DataFrame, day: date, account: str) -> float:
    return float(frame.days_to_first_value[pd.Timestamp(day), account])


def test_first_value_is_the_first_use_of_a_key_feature_once_it_is_known(features_of: Any) -> None:
    frame = features_of(
        [
            ("OLD", START, "other", 1.0),
            ("A", START + timedelta(days=2), "other", 1.0),
            ("A", START + timedelta(days=10, hours=8), "export", 1.0),
            ("A", START + timedelta(days=30), "api", 1.0),
            ("B", datetime(2024, 3, 1), "api", 1.0),
        ]
    )
    assert first_value(frame, MARCH, "A") == first_value(frame, JULY, "A") == 10
    assert pd.isna(first_value(frame, MARCH, "B"))
    assert first_value(frame, JULY, "B") == 20


def test_without_key_features_any_use_counts(features_of: Any) -> None:
    events = [("A", START, None, 1.0), ("A", START + timedelta(days=2, hours=8), "other", 1.0)]
    assert first_value(features_of(events, SignalsSettings()), MARCH, "A") == 2


def test_the_first_value_of_accounts_older_than_the_record_is_unknown(features_of: Any) -> None:
    frame = features_of([("OLD", START + timedelta(hours=9), "api", 1.0)])
    assert pd.isna(first_value(frame, MARCH, "OLD"))


def test_a_use_before_the_account_was_created_is_no_negative_wait(features_of: Any) -> None:
    assert first_value(features_of([("A", START, "api", 1.0)]), MARCH, "A") == 0


def test_a_first_use_recorded_late_changes_later_dates_only(features_of: Any) -> None:
    frame = features_of(
        [
            ("A", START + timedelta(days=1, hours=8), "api", 1.0, datetime(2024, 5, 1)),
            ("A", START + timedelta(days=5, hours=8), "api", 1.0, None),
            ("OLD", START, "other", 1.0, None),
        ]
    )
    assert first_value(frame, MARCH, "A") == 5
    assert first_value(frame, JULY, "A") == 1


def test_the_beginning_of_the_record_is_what_was_known_of_it(features_of: Any) -> None:
    """Until May nobody could know that the record reaches back to January."""
    frame = features_of(
        [
            ("OLD", START, "other", 1.0, datetime(2024, 5, 1)),
            ("A", datetime(2024, 2, 1, 8), "api", 1.0, None),
        ]
    )
    assert pd.isna(first_value(frame, MARCH, "A"))
    assert first_value(frame, JULY, "A") == 31


def test_depth_is_volume_per_feature_that_was_used(features_of: Any) -> None:
    day = datetime(2024, 2, 20)
    events = [("A", day, "api", 6.0), ("A", day, "export", 3.0), ("A", day, None, 50.0)]
    row = features_of(events).loc[(pd.Timestamp(MARCH), "A")]
    assert row.features_used_28d == 2
    assert row.uses_per_feature_28d == 4.5
    assert row.key_features_used_90d == 1
    nothing = features_of(events).loc[(pd.Timestamp(MARCH), "B")]
    assert pd.isna(nothing.uses_per_feature_28d)
    assert nothing.key_features_used_90d == nothing.features_used_28d == 0


def test_the_rarest_feature_is_ranked_by_the_accounts_known_by_then(features_of: Any) -> None:
    day, late = datetime(2024, 2, 20), datetime(2024, 5, 1)
    events = [(account, day, "common", None, None) for account in ("OLD", "A", "Z")]
    events += [("OLD", day, "known", None, None), ("Z", day, "known", None, None)]
    events += [("A", datetime(2024, 1, 10), "rare", None, None)] * 9 + [
        ("B", day, "rare", None, late)
    ]
    events += [("Z", day, "rare", None, late), ("OLD", day, "rare", None, late)]
    rows = features_of(events)
    of_march = rows.loc[(pd.Timestamp(MARCH), "A")]
    assert of_march.rarest_feature_28d == 1
    assert of_march.rarest_feature_90d == of_march.rarest_feature_180d == 3
    assert pd.isna(rows.rarest_feature_28d[pd.Timestamp(MARCH), "B"])
    # In July four accounts are known to have used what one was known to use in March.
    assert rows.rarest_feature_180d[pd.Timestamp(JULY), "A"] == 2
    assert rows.rarest_feature_180d[pd.Timestamp(JULY), "OLD"] == 3
    assert rows.rarest_feature_180d[pd.Timestamp(JULY), "B"] == 1


def test_key_features_used_is_a_share_of_those_configured(features_of: Any) -> None:
    frame = features_of([("A", datetime(2024, 2, 1), "api", 1.0)])
    assert frame.key_features_used_90d[pd.Timestamp(MARCH), "A"] == 0.5
    assert frame.key_features_used_90d[pd.Timestamp(JULY), "A"] == 0
    without = features_of([("A", datetime(2024, 2, 1), "api", 1.0)], SignalsSettings())
    assert "key_features_used_90d" not in without
