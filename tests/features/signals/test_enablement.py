"""Trainings whose signals a person sees at once."""

from __future__ import annotations

import pytest

from tests.features.by_hand import MICROSECOND, MIDNIGHT, CompanyOf, ago, signals_by_account


def test_trainings_count_in_their_windows_and_courses_once(company_of: CompanyOf) -> None:
    found = signals_by_account(
        company_of,
        "enablement",
        trainings={
            "keen": [
                {"attended_at": ago(1), "course": "Onboarding", "completed": True},
                {"attended_at": ago(180), "course": " onboarding", "completed": False},
                {"attended_at": ago(180) - MICROSECOND, "course": "Übung", "completed": None},
                {"attended_at": ago(365), "course": None, "completed": True},
                {"attended_at": ago(365) - MICROSECOND, "course": "old", "completed": False},
                {"attended_at": MIDNIGHT, "course": "new", "completed": False},
            ],
            "recorded late": [{"attended_at": ago(3), "recorded_at": MIDNIGHT, "course": "x"}],
            "says not whether": [{"attended_at": ago(3), "course": "  ", "completed": None}],
        },
    )
    names = (
        "trainings_180d",
        "trainings_365d",
        "days_since_training",
        "courses_365d",
        "training_completion_365d",
    )
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "keen": (2, 4, 1, 2, pytest.approx(2 / 3, rel=1e-12)),
        "recorded late": (0, 0, 365, 0, None),
        "says not whether": (1, 1, 3, 0, None),
    }
    assert "users_trained_share" not in found["keen"]


def test_users_trained_are_set_against_users_seen(company_of: CompanyOf) -> None:
    def used(*users: str | None, days: float = 10) -> list[dict[str, object]]:
        return [{"occurred_at": ago(days), "user_id": user} for user in users]

    def trained(*users: str | None, days: float = 300) -> list[dict[str, object]]:
        return [{"attended_at": ago(days), "user_id": user} for user in users]

    found = signals_by_account(
        company_of,
        "enablement",
        trainings={
            "a quarter": trained("u1", "u1", None),
            "more than use it": trained("u1", "u2", "u3"),
            "nobody uses it": trained("u1"),
            "used too long ago": trained("u1"),
            "trained too long ago": trained("u1", days=366),
            "never trained": [],
        },
        usage_events={
            "a quarter": used("u1", "u2", "u3", "u4", "u4", None),
            "more than use it": used("u9"),
            "used too long ago": used("u1", days=91),
            "trained too long ago": used("u1"),
            "never trained": used("u1", "u2"),
        },
    )
    assert {account: row["users_trained_share"] for account, row in found.items()} == {
        "a quarter": 0.25,
        "more than use it": 1.0,
        "nobody uses it": None,
        "used too long ago": None,
        "trained too long ago": 0.0,
        "never trained": 0.0,
    }
    assert found["never trained"]["days_since_training"] == 365.0
