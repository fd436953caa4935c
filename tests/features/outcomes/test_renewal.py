"""What comes of renewals, by hand: early, late, by itself, in part, and dates that mean nothing."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from features.build import build_features
from features.errors import SettingsError
from features.observations import active_accounts
from features.outcomes.labels import (
    candidates,
    days_to_label,
    matured_dates,
    why_no_row,
)
from features.outcomes.renewal import came_of_renewals
from features.outcomes.settings import OutcomeSettings
from pipelines.project.settings.score import with_inherited
from tests.features.outcomes.test_kinds import END, MARCH, NO_SIGNALS, CompanyOf, accounts, dated

OUTCOME = OutcomeSettings(kind="renewal", days_before=(180, 90, 30))
# Looked at on 1 March, 75 days before the renewal of 15 May.
RENEWS, OLD = "2024-05-15", "2023-05-15"
Term = tuple[str, str | None, str | None, float | None]
CASES: dict[str, tuple[list[Term], str]] = {
    "lost": ([(OLD, RENEWS, RENEWS, 100)], "lost"),
    "left before": ([(OLD, "2024-04-01", RENEWS, 100)], "lost"),
    "by itself": ([(OLD, None, RENEWS, 100)], "same"),
    "signed early": (
        [(OLD, "2024-04-20", RENEWS, 100), ("2024-04-20", None, "2025-04-20", 100)],
        "same",
    ),
    "signed late": (
        [(OLD, RENEWS, RENEWS, 100), ("2024-05-20", None, "2025-05-20", 100)],
        "same",
    ),
    "signed too late": (
        [(OLD, RENEWS, RENEWS, 100), ("2024-06-10", None, "2025-06-10", 100)],
        "lost",
    ),
    "smaller": ([(OLD, RENEWS, RENEWS, 100), (RENEWS, None, "2025-05-15", 89)], "smaller"),
    "hardly smaller": ([(OLD, RENEWS, RENEWS, 100), (RENEWS, None, "2025-05-15", 91)], "same"),
    "larger": ([(OLD, RENEWS, RENEWS, 100), (RENEWS, None, "2025-05-15", 110)], "larger"),
    "three years": ([("2021-05-15", None, RENEWS, 100)], "same"),
    "two end together, one is kept": (
        [(OLD, RENEWS, RENEWS, 60), (OLD, None, RENEWS, 40)],
        "smaller",
    ),
    "beside a longer one": (
        [(OLD, RENEWS, RENEWS, 60), ("2022-01-01", None, "2025-12-01", 40)],
        "smaller",
    ),
    "merged into another": (
        [
            (OLD, RENEWS, RENEWS, 60),
            ("2022-01-01", "2024-05-01", "2025-12-01", 40),
            ("2024-05-01", None, "2026-05-01", 100),
        ],
        "same",
    ),
    "price not known": ([(OLD, None, RENEWS, None)], "not known"),
    # Nothing to ask before.
    "already past": ([("2022-05-15", None, "2023-05-15", 100)], "no row"),
    "no date": ([(OLD, None, None, 100)], "no row"),
    "no length": ([("2023-05-15", None, "2023-05-15", 100)], "no row"),
    "ten years": ([("2021-05-15", None, "2031-05-15", 100)], "no row"),
    "put off for years": ([(OLD, None, "2026-05-15", 100)], "no row"),
    "not at a distance": ([("2023-07-15", None, "2024-07-15", 100)], "no row"),
}


@pytest.fixture
def company(company_of: CompanyOf) -> Any:
    terms = [(name, *term) for name, (given, _) in CASES.items() for term in given]
    return company_of(
        {
            "accounts": accounts(*CASES),
            "subscriptions": dated(terms, "started_at", "ended_at", "renewal_at", "mrr"),
        },
        known_until=END,
    )


def test_renewals_by_hand(company: Any) -> None:
    observed = candidates(active_accounts(company, [MARCH]), company, OUTCOME, [MARCH])
    rows = came_of_renewals(observed, company, OUTCOME, [MARCH]).execute()
    came = dict.fromkeys(CASES, "no row") | dict(
        zip(rows.account_id, rows.came.fillna("not known"), strict=True)
    )
    assert came == {name: expected for name, (_, expected) in CASES.items()}
    frame = build_features(company, [MARCH], OUTCOME, NO_SIGNALS, labelled=True)
    happened = dict(zip(frame.account_id, frame.happened, strict=True))
    assert happened == {
        name: int(expected == "lost")
        for name, (_, expected) in CASES.items()
        if expected != "no row"
    }


def test_each_renewal_is_asked_once_for_each_distance(company_of: CompanyOf) -> None:
    company = company_of(
        {
            "accounts": accounts("A"),
            "subscriptions": dated(
                [("A", "2023-06-10", None, "2024-06-10", 10)],
                *("started_at", "ended_at", "renewal_at", "mrr"),
            ),
        },
        known_until=date(2025, 6, 1),
    )
    days = [date(2023 + month // 12, month % 12 + 1, 1) for month in range(6, 18)]
    frame = build_features(company, days, OUTCOME, NO_SIGNALS, labelled=True)
    # 180, 90 and 30 days before 10 June lie on 13 December, 12 March and 11 May.
    seen = [moment.date() for moment in frame.observation_date]
    assert seen == [date(2024, 1, 1), date(2024, 4, 1), date(2024, 6, 1)]
    with_notice = OUTCOME.model_copy(update={"notice_days": 60})
    asked = build_features(company, days, with_notice, NO_SIGNALS, labelled=True)
    assert [moment.date() for moment in asked.observation_date] == seen[:2]
    # Whoever is scored may stand at any distance.
    scored = build_features(company, days, OUTCOME, NO_SIGNALS, labelled=False)
    assert len(scored) == 6


def test_labels_are_certain_when_the_furthest_renewal_is_over(company: Any) -> None:
    assert days_to_label(company, OUTCOME) == 180 + 7 + 1
    assert OUTCOME.maturity_days == 180
    assert max(matured_dates(company, OUTCOME)) <= date(2024, 1, 26)
    assert why_no_row(company, OUTCOME, [MARCH]).startswith(
        "No contract renewed within 180 days of the 1 observation dates from 2024-03-01"
    )


def test_without_renewal_dates_nothing_can_be_asked(company_of: CompanyOf) -> None:
    tables = {
        "accounts": accounts("A"),
        "subscriptions": dated([("A", OLD, None)], "started_at", "ended_at"),
    }
    company = company_of(tables, known_until=END)
    with pytest.raises(SettingsError, match="read from column renewal_at of table subscriptions"):
        matured_dates(company, OUTCOME)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon_days": 30}, 'horizon_days has no meaning for kind = "renewal"'),
        ({"lead_days": 14}, 'lead_days has no meaning for kind = "renewal"'),
        ({"days_before": ()}, "days_before must name at least one distance, and is empty"),
        (
            {"days_before": (90, 30), "notice_days": 90},
            "notice_days must be below the largest of days_before, and 90 is not below 90",
        ),
        ({"kind": "churn", "notice_days": 30}, 'notice_days belongs to kind = "renewal"'),
        ({"kind": "churn", "days_before": (30,)}, 'days_before belongs to kind = "renewal"'),
    ],
)
def test_settings_that_contradict_a_renewal(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        OutcomeSettings(**{"kind": "renewal", **settings})
    assert message in str(caught.value)


def test_a_further_renewal_outcome_has_its_own_window() -> None:
    raw = {
        "outcome": {"horizon_days": 31, "lead_days": 14, "grace_days": 3},
        "outcomes": {"renewal": {"kind": "renewal"}},
    }
    filled = with_inherited(raw)["outcomes"]["renewal"]
    outcome = OutcomeSettings(**filled)
    assert (outcome.horizon_days, outcome.lead_days, outcome.grace_days) == (365, 0, 3)
    # What was filled in is taken for what it is.
    assert OutcomeSettings(**outcome.model_dump(exclude_defaults=True)) == outcome
