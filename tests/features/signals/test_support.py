"""Tickets whose signals a person sees at once, and those that try to mislead."""

from __future__ import annotations

import pytest

from features.build import signals_of
from features.builders.settings import SignalsSettings
from tests.features.by_hand import (
    MICROSECOND,
    MIDNIGHT,
    CompanyOf,
    ago,
    company_by_hand,
    signals_by_account,
)


def test_tickets_count_from_the_first_moment_of_a_window_to_the_midnight(
    company_of: CompanyOf,
) -> None:
    found = signals_by_account(
        company_of,
        "support",
        tickets={
            "edges": [
                {"opened_at": at}
                for at in (
                    MIDNIGHT,
                    MIDNIGHT - MICROSECOND,
                    ago(30),
                    ago(30) - MICROSECOND,
                    ago(90),
                    ago(90) - MICROSECOND,
                    ago(90.5),
                    ago(180),
                    ago(180) - MICROSECOND,
                )
            ],
            "nothing before": [{"opened_at": ago(1)}],
            "fell silent": [{"opened_at": ago(100)}],
            "quiet": [{"opened_at": ago(-1)}],
        },
    )
    names = ("tickets_opened_30d", "tickets_opened_90d", "tickets_opened_change")
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "edges": (2, 4, pytest.approx(1 / 3)),
        "nothing before": (1, 1, None),
        "fell silent": (0, 0, -1.0),
        "quiet": (0, 0, None),
    }


def test_a_ticket_is_open_until_its_closing_is_known(company_of: CompanyOf) -> None:
    found = signals_by_account(
        company_of,
        "support",
        tickets={
            "closed on the day": [
                {"opened_at": ago(4), "closed_at": MIDNIGHT, "escalated": True, "csat": 1.0}
            ],
            "closed just before": [
                {
                    "opened_at": ago(4),
                    "closed_at": MIDNIGHT - MICROSECOND,
                    "escalated": True,
                    "reopened": True,
                    "csat": 2.0,
                    "sentiment": -0.5,
                }
            ],
            "recorded late": [{"opened_at": ago(4), "closed_at": ago(2), "recorded_at": MIDNIGHT}],
            "two open": [{"opened_at": ago(400)}, {"opened_at": ago(3)}],
            "closed long ago": [{"opened_at": ago(300), "closed_at": ago(181), "csat": 5.0}],
        },
    )
    names = ("tickets_open", "oldest_open_ticket", "escalated_180d", "reopened_180d")
    states = {account: tuple(row[name] for name in names) for account, row in found.items()}
    assert states == {
        "closed on the day": (1, 4, 0, 0),
        "closed just before": (0, 0, 1, 1),
        "recorded late": (0, 0, 0, 0),
        "two open": (2, 400, 0, 0),
        "closed long ago": (0, 0, 0, 0),
    }
    means = ("ticket_csat_180d", "ticket_sentiment_180d")
    assert [found["closed just before"][name] for name in means] == [2.0, -0.5]
    for account in ("closed on the day", "recorded late", "two open", "closed long ago"):
        assert [found[account][name] for name in means] == [None, None]


def test_times_to_answer_and_to_close_leave_out_what_cannot_be(company_of: CompanyOf) -> None:
    found = signals_by_account(
        company_of,
        "support",
        tickets={
            "two": [
                {"opened_at": ago(10), "first_response_at": ago(9), "closed_at": ago(4)},
                {"opened_at": ago(200), "first_response_at": ago(181), "closed_at": ago(180)},
            ],
            "answered, still open": [{"opened_at": ago(2), "first_response_at": ago(1.5)}],
            "answered on the day": [{"opened_at": ago(2), "first_response_at": MIDNIGHT}],
            "at once": [{"opened_at": ago(2), "first_response_at": ago(2), "closed_at": ago(2)}],
            "closed before it was opened": [
                {"opened_at": ago(5), "first_response_at": ago(7), "closed_at": ago(6)}
            ],
        },
    )
    names = ("first_response_180d", "days_to_close_180d")
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "two": (1.0, 13.0),
        "answered, still open": (0.5, None),
        "answered on the day": (None, None),
        "at once": (0.0, 0.0),
        "closed before it was opened": (None, None),
    }


def test_words_sort_tickets_whatever_their_case(company_of: CompanyOf) -> None:
    found = signals_by_account(
        company_of,
        "support",
        {"tickets": {"severe": ["ÜBEL", "P1"], "bug": ["Défaut"], "how_to": []}},
        tickets={
            "words": [
                {"opened_at": ago(1), "priority": "übel ", "category": "DÉFAUT"},
                {"opened_at": ago(2), "priority": "p1", "category": " défaut"},
                {"opened_at": ago(3), "priority": "P2", "category": "Question"},
                {"opened_at": ago(4), "priority": "p", "category": "Feature Request"},
                {"opened_at": ago(5), "priority": None, "category": None},
                {"opened_at": ago(91), "priority": "P1", "category": "défaut"},
            ],
            "unsorted": [{"opened_at": ago(1), "priority": None, "category": "  "}],
        },
    )
    names = (
        "severe_share_90d",
        "bug_share_180d",
        "how_to_share_180d",
        "feature_request_share_180d",
        "repeat_tickets_90d",
    )
    assert [found["words"][name] for name in names] == [0.5, 0.6, 0.0, 0.2, 1.0]
    assert [found["unsorted"][name] for name in names] == [None, None, None, None, 0.0]


def test_columns_decide_which_signals_there_are(company_of: CompanyOf) -> None:
    def names(**columns: object) -> set[str]:
        company = company_by_hand(company_of, {"tickets": {"A": [{"opened_at": ago(1)} | columns]}})
        return {s.name for s in signals_of(company, SignalsSettings()) if s.group == "support"}

    bare = {f"tickets_opened_{when}" for when in ("14d", "30d", "90d", "180d", "change")}
    assert names() == bare
    # What is known at the closing tells nothing where closings are not recorded.
    assert names(escalated=True, csat=1.0) == bare
    assert names(first_response_at=None) == bare | {"first_response_180d"}
    assert names(closed_at=None, reopened=None) == bare | {
        "tickets_open",
        "oldest_open_ticket",
        "days_to_close_180d",
        "reopened_180d",
    }
