"""Usage signals whose answer a person sees at once."""

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
Built = Callable[..., dict[str, Any]]
DAY, MIDNIGHT = date(2024, 7, 1), datetime(2024, 7, 1)


def ago(days: float) -> datetime:
    return MIDNIGHT - timedelta(days=days)


@pytest.fixture
def built(company_of: CompanyOf) -> Built:
    """Return a function that builds the signals of one account with 4 seats from its events."""

    def build(**columns: list[Any]) -> dict[str, Any]:
        events = pd.DataFrame({"account_id": "A", **columns})
        account = {"account_id": ["A"], "created_at": [datetime(2020, 1, 1)]}
        terms = {"account_id": ["A"], "started_at": [datetime(2020, 1, 1)], "seats": [4]}
        tables = {
            "accounts": pd.DataFrame(account),
            "subscriptions": pd.DataFrame(terms),
            "usage_events": events.astype(
                {name: "datetime64[us]" for name in columns if name.endswith("_at")}
            ),
        }
        frame = build_features(
            company_of(tables), [DAY], OutcomeSettings(), SignalsSettings(), labelled=False
        )
        return dict(frame.iloc[0])

    return build


def volumes(built: Built, newest_first: list[float]) -> dict[str, Any]:
    days = [28.0 * month + 1 for month in range(len(newest_first))]
    return built(occurred_at=[ago(day) for day in days], quantity=newest_first)


@pytest.mark.parametrize(
    ("newest_first", "streak"),
    [
        ([5, 5, 5, 5, 5, 5], 0),
        ([4, 5, 5, 5, 5, 5], 1),
        ([1, 2, 3, 2, 1, 0], 2),
        ([1, 2, 3, 4, 5, 6], 5),
        ([1, 2, 3, 4, 5, 6, 7], 5),
        ([2, 1, 9, 9, 9, 9], 0),
        ([0, 0, 3, 4, 5, 6], 0),
        ([0, 3], 1),
    ],
)
def test_the_streak_counts_declines_from_the_newest_window_on(
    newest_first: list[float], streak: int, built: Built
) -> None:
    assert volumes(built, newest_first)["usage_decline_streak"] == streak


def test_equal_sums_in_another_order_are_no_decline(built: Built) -> None:
    days = [1, 2, 3, 29, 30, 31]
    found = built(occurred_at=[ago(day) for day in days], quantity=[0.1, 0.2, 0.3, 0.3, 0.2, 0.1])
    assert found["usage_decline_streak"] == 0
    assert found["usage_change"] == pytest.approx(0, abs=1e-12)


def test_windows_hold_their_first_midnight_and_not_the_date_itself(built: Built) -> None:
    found = built(
        occurred_at=[ago(0), ago(28), ago(28) - timedelta(microseconds=1), ago(90), ago(180)]
    )
    assert (found["usage_28d"], found["usage_90d"]) == (1, 3)
    assert found["usage_change"] == 0
    assert found["usage_change_90d"] == 2
    assert found["days_since_use"] == 28


def test_errors_are_set_against_the_uses_of_which_they_are_known(built: Built) -> None:
    found = built(
        occurred_at=[ago(1), ago(2), ago(3), ago(40)],
        quantity=[10.0, 30.0, 60.0, 5.0],
        errors=[1.0, 3.0, None, 5.0],
    )
    assert found["error_rate_28d"] == pytest.approx(4 / 40)


def test_without_quantity_errors_are_set_against_rows(built: Built) -> None:
    assert built(occurred_at=[ago(1), ago(2)], errors=[1.0, 0.0])["error_rate_28d"] == 0.5


def test_the_error_rate_of_no_known_use_is_unknown(built: Built) -> None:
    assert pd.isna(built(occurred_at=[ago(1)], errors=[None])["error_rate_28d"])
    assert pd.isna(built(occurred_at=[ago(40)], errors=[2.0])["error_rate_28d"])


def test_users_are_counted_once_and_set_against_seats(built: Built) -> None:
    found = built(occurred_at=[ago(1), ago(2), ago(3), ago(30)], user_id=["u", "u", "v", "w"])
    assert found["active_users_28d"] == 2
    assert found["active_users_change"] == 1
    assert found["uses_per_user_28d"] == 1.5
    assert found["seat_utilisation"] == 0.5


def test_what_was_recorded_late_does_not_count_yet(built: Built) -> None:
    found = built(occurred_at=[ago(1), ago(2)], recorded_at=[MIDNIGHT, ago(0.5)])
    assert (found["usage_28d"], found["days_since_use"]) == (1, 2)


def test_columns_without_a_value_leave_signals_unknown(built: Built) -> None:
    found = built(occurred_at=[ago(1)], quantity=[None], user_id=[None], errors=[None])
    assert found["usage_28d"] == found["active_users_28d"] == 0
    assert pd.isna(found["uses_per_user_28d"])
