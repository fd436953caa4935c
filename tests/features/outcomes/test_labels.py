"""Churn dates read from subscriptions, the label's window, and which dates have matured."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from features.build import build_features
from features.builders.settings import SignalsSettings
from features.outcomes.churned import churn_dates
from features.outcomes.labels import OutcomeSettings, matured_dates
from features.tables.company import Company

CompanyOf = Callable[..., Company]
ACCOUNTS = pd.DataFrame({"account_id": ["A"], "created_at": [datetime(2022, 1, 1)]})
MARCH, APRIL = date(2024, 3, 1), date(2024, 4, 1)


def terms(*rows: tuple[str, str | None] | tuple[str, str | None, str | None]) -> pd.DataFrame:
    frame = pd.DataFrame(
        [(*row, None, None)[:3] for row in rows], columns=["started_at", "ended_at", "renewal_at"]
    )
    frame = frame.apply(pd.to_datetime).astype("datetime64[us]")
    return frame.assign(account_id="A")


def churns(company: Company, **settings: Any) -> list[str]:
    found = churn_dates(company, OutcomeSettings(**settings)).execute().churned_at
    return sorted(str(moment.date()) for moment in found)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("2023-01-01", None)], []),
        ([("2023-01-01", "2024-01-10")], ["2024-01-10"]),
        # A gap of exactly the seven days of grace is no churn; a day more is one, and a return.
        ([("2023-01-01", "2024-01-10"), ("2024-01-17", None)], []),
        ([("2023-01-01", "2024-01-10"), ("2024-01-18", None)], ["2024-01-10"]),
        # Overlap, containment and a term that never ends.
        ([("2023-01-01", "2024-01-10"), ("2023-06-01", "2023-07-01")], ["2024-01-10"]),
        ([("2023-01-01", None), ("2023-06-01", "2023-07-01")], []),
        ([("2023-01-01", "2023-02-01")] * 2, ["2023-02-01"]),
        (
            [("2023-01-01", "2023-02-01"), ("2023-05-01", "2023-06-01")],
            ["2023-02-01", "2023-06-01"],
        ),
        # A row that ends before it starts never ran.
        ([("2023-01-01", None), ("2023-03-01", "2023-01-15")], []),
        ([("2023-03-01", "2023-01-15")], []),
        # One row per billing period: a renewed term does not run for ever.
        (
            [("2023-01-01", None, "2023-02-01"), ("2023-02-01", "2023-03-15", "2023-03-01")],
            ["2023-03-15"],
        ),
        # The renewal came late: the term ran until then.
        ([("2023-01-01", None, "2023-02-01"), ("2023-05-01", "2023-06-01")], ["2023-06-01"]),
        # Open-ended by a date far away.
        ([("2023-01-01", "9999-12-31")], []),
    ],
)
def test_churns_are_the_ends_of_spells(
    rows: list[Any], expected: list[str], company_of: CompanyOf
) -> None:
    company = company_of({"accounts": ACCOUNTS, "subscriptions": terms(*rows)})
    assert churns(company) == expected


def test_without_grace_every_gap_is_a_churn(company_of: CompanyOf) -> None:
    touching = terms(("2023-01-01", "2023-02-01"), ("2023-02-01", "2023-03-01"))
    apart = terms(("2023-01-01", "2023-02-01"), ("2023-02-02", "2023-03-01"))
    company = company_of({"accounts": ACCOUNTS, "subscriptions": touching})
    assert churns(company, grace_days=0) == ["2023-03-01"]
    company = company_of({"accounts": ACCOUNTS, "subscriptions": apart})
    assert churns(company, grace_days=0) == ["2023-02-01", "2023-03-01"]


def test_churn_events_rule_over_subscriptions_and_count_once(company_of: CompanyOf) -> None:
    events = pd.DataFrame({"account_id": ["A", "A"], "churned_at": [datetime(2024, 2, 2)] * 2})
    tables = {
        "accounts": ACCOUNTS,
        "subscriptions": terms(("2023-01-01", "2024-01-10")),
        "churn_events": events,
    }
    assert churns(company_of(tables)) == ["2024-02-02"]


def label(company: Company, day: date, **settings: Any) -> int | None:
    frame = build_features(
        company, [day], OutcomeSettings(**settings), SignalsSettings(), labelled=True
    )
    return None if frame.empty else int(frame.happened[0])


@pytest.mark.parametrize(
    ("churned_at", "expected"),
    [
        ("2024-02-29 23:59:59", None),  # gone on the day
        ("2024-03-01", None),  # gone before the window opens
        ("2024-03-07 23:59:59", None),
        ("2024-03-08", 1),  # the window's first moment
        ("2024-04-06 23:59:59", 1),
        ("2024-04-07", 0),  # the moment after its last
        ("2025-01-01", 0),
    ],
)
def test_the_label_window_is_half_open(
    churned_at: str, expected: int | None, company_of: CompanyOf
) -> None:
    events = pd.DataFrame({"account_id": ["A"], "churned_at": pd.to_datetime([churned_at])})
    company = company_of({"accounts": ACCOUNTS, "churn_events": events})
    assert label(company, MARCH, lead_days=7, horizon_days=30) == expected


def test_a_churn_heard_of_too_late_keeps_the_account_but_not_its_label(
    company_of: CompanyOf,
) -> None:
    events = pd.DataFrame(
        {
            "account_id": ["A"],
            "churned_at": [datetime(2024, 2, 20)],
            "recorded_at": [datetime(2024, 3, 5)],
        }
    )
    company = company_of({"accounts": ACCOUNTS, "churn_events": events})
    scored = build_features(
        company, [MARCH, APRIL], OutcomeSettings(), SignalsSettings(), labelled=False
    )
    # On 1 March nobody could know: the account is scored. It never teaches that it stayed.
    assert [moment.date() for moment in scored.observation_date] == [MARCH]
    assert label(company, MARCH) is None


def test_an_account_may_churn_and_come_back(company_of: CompanyOf) -> None:
    rows = terms(("2023-01-01", "2024-01-10"), ("2024-03-10", None))
    company = company_of({"accounts": ACCOUNTS, "subscriptions": rows})
    days = [date(2024, 1, 1), date(2024, 2, 1), MARCH, APRIL]
    frame = build_features(company, days, OutcomeSettings(), SignalsSettings(), labelled=True)
    assert [moment.date() for moment in frame.observation_date] == [days[0], APRIL]
    assert frame.happened.tolist() == [1, 0]


@pytest.mark.parametrize("spacing", ["month", "week", 10])
def test_matured_dates_reach_to_the_last_closed_window(
    spacing: str | int, company_of: CompanyOf
) -> None:
    events = pd.DataFrame({"account_id": ["A"], "churned_at": [datetime(2023, 1, 1)]})
    usage = pd.DataFrame(
        {"account_id": ["A", "A"], "occurred_at": [datetime(2023, 1, 10), datetime(2024, 3, 4)]}
    )
    tables = {"accounts": ACCOUNTS, "churn_events": events, "usage_events": usage}
    company = company_of(tables)
    assert company.data_end == date(2024, 3, 5)
    outcome = OutcomeSettings(lead_days=5, horizon_days=25, spacing=spacing)
    last, first = date(2024, 3, 5) - timedelta(days=30), date(2023, 1, 10) + timedelta(days=56)
    every = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    wanted = {
        "month": [day for day in every if day.day == 1],
        "week": [day for day in every if day.isoweekday() == 1],
        10: [day for day in every if (last - day).days % 10 == 0],
    }[spacing]
    assert matured_dates(company, outcome) == wanted
    given = OutcomeSettings(dates=(last + timedelta(days=6), last, first, first), lead_days=0)
    assert matured_dates(company, given) == [first, last]


def test_a_churn_read_from_subscriptions_matures_after_the_grace_period(
    company_of: CompanyOf,
) -> None:
    company = company_of(
        {"accounts": ACCOUNTS, "subscriptions": terms(("2023-01-01", None))},
        known_until=date(2024, 3, 31),
    )
    days = (date(2024, 2, 23), date(2024, 2, 24))
    assert matured_dates(company, OutcomeSettings(dates=days, grace_days=7)) == [days[0]]


@pytest.mark.parametrize(
    "settings",
    [
        {"spacing": 0},
        {"spacing": -7},
        {"horizon_days": 0},
        {"lead_days": -1},
        {"kind": "love"},
        {"window": 3},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OutcomeSettings(**settings)
