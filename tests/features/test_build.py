"""Every signal against a plain recomputation, row by row, that shares no code with the builders."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.build import build_features, signals_of
from features.builder import SignalsSettings
from features.company import Company
from features.errors import SettingsError
from features.outcomes import OutcomeSettings

Row = dict[str, Any]
# A failure names the account and the column; shrinking rows made by chance would tell no more.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
DATES = (date(2024, 3, 1), date(2024, 4, 1))
KEY_FEATURE = "Übung 'x'; --"
SIGNALS = SignalsSettings(key_features=("a", KEY_FEATURE))
STEMS = {"a": "feature_a", KEY_FEATURE: "feature_bung_x"}


NO_CHURN = pd.DataFrame(
    {"account_id": ["Z"], "churned_at": pd.to_datetime(["2024-01-05"]).astype("datetime64[us]")}
)


def days(later: datetime, earlier: datetime) -> float:
    return (later - earlier) / timedelta(days=1)


def mean(numbers: list[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


def change(now: float, before: float) -> float | None:
    return (now - before) / before if before > 0 else None


def known_rows(world: Any, table: str, own: str, account: str, day: datetime) -> list[Row]:
    found = []
    for row in world.rows[table]:
        recorded = row.get("recorded_at") or row[own]
        if row["account_id"] == account and row[own] < day and recorded < day:
            found.append(row)
    return found


def moment_known(row: Row, column: str, day: datetime) -> datetime | None:
    value = row.get(column)
    return value if value is not None and value < day else None


def running_terms(world: Any, account: str, day: datetime) -> tuple[list[Row], datetime | None]:
    rows = known_rows(world, "subscriptions", "started_at", account, day)
    latest = max((row["started_at"] for row in rows), default=None)
    running = []
    for row in rows:
        renewal = row.get("renewal_at")
        if moment_known(row, "ended_at", day) is not None:
            continue
        if renewal is not None and row["started_at"] < latest and renewal <= latest:
            continue
        running.append(row)
    return running, latest


def churn_moments(world: Any, account: str, grace: timedelta) -> list[datetime]:
    if "churn_events" in world.columns:
        rows = world.rows["churn_events"]
        return [row["churned_at"] for row in rows if row["account_id"] == account]
    if not world.has("subscriptions", "ended_at"):
        return []
    rows = [row for row in world.rows["subscriptions"] if row["account_id"] == account]
    spans = []
    for row in rows:
        end = row["ended_at"]
        if end is None and row.get("renewal_at") is not None:
            later = [other["started_at"] for other in rows]
            later = [at for at in later if at >= row["renewal_at"] and at > row["started_at"]]
            end = min(later, default=None)
        if end is None or end >= row["started_at"]:
            spans.append((row["started_at"], end or datetime.max))
    # A moment is a churn when a term ends on it and no other carries on over the grace period.
    return [
        end
        for _, end in spans
        if end != datetime.max
        and not any(other > end and start <= end + grace for start, other in spans)
    ]


def usage(world: Any, account: str, day: datetime, seats: float | None) -> Row:
    rows = known_rows(world, "usage_events", "occurred_at", account, day)

    def inside(first: int, last: int) -> list[Row]:
        start, end = day - timedelta(days=last), day - timedelta(days=first)
        return [row for row in rows if start <= row["occurred_at"] < end]

    def volume(chosen: list[Row]) -> float:
        return float(sum(row["quantity"] or 0 if "quantity" in row else 1 for row in chosen))

    def distinct(chosen: list[Row], column: str) -> float:
        return float(len({row[column] for row in chosen if row[column] is not None}))

    recent, before, long = inside(0, 28), inside(28, 56), inside(0, 90)
    found: Row = {
        "usage_28d": volume(recent),
        "usage_90d": volume(long),
        "usage_change": change(volume(recent), volume(before)),
        "active_days_28d": float(len({row["occurred_at"].date() for row in recent})),
        "days_since_use": min((days(day, row["occurred_at"]) for row in long), default=90.0),
    }
    if world.has("usage_events", "user_id"):
        users = distinct(recent, "user_id")
        found["active_users_28d"] = users
        found["active_users_change"] = change(users, distinct(before, "user_id"))
        if world.has("subscriptions", "seats"):
            found["seat_utilisation"] = users / seats if seats else None
    if world.has("usage_events", "feature"):
        used = distinct(recent, "feature")
        found["features_used_28d"] = used
        found["features_used_change"] = change(used, distinct(before, "feature"))
        for feature, stem in STEMS.items():
            for chosen, length in ((recent, 28), (long, 90)):
                of_feature = [row for row in chosen if row["feature"] == feature]
                found[f"{stem}_{length}d"] = volume(of_feature)
    return found


def support(world: Any, account: str, day: datetime) -> Row:
    rows = known_rows(world, "tickets", "opened_at", account, day)
    found: Row = {
        "tickets_opened_90d": float(sum(days(day, row["opened_at"]) <= 90 for row in rows))
    }
    if not world.has("tickets", "closed_at"):
        return found
    still_open = [row for row in rows if moment_known(row, "closed_at", day) is None]
    closed = [row for row in rows if row not in still_open]
    closed = [row for row in closed if days(day, row["closed_at"]) <= 180]
    found["tickets_open"] = float(len(still_open))
    ages = [days(day, row["opened_at"]) for row in still_open]
    found["oldest_open_ticket"] = max(ages, default=0.0)
    found["days_to_close_180d"] = mean([days(r["closed_at"], r["opened_at"]) for r in closed])
    if world.has("tickets", "first_response_at"):
        answered = [
            days(row["first_response_at"], row["opened_at"])
            for row in rows
            if moment_known(row, "first_response_at", day) and days(day, row["opened_at"]) <= 180
        ]
        found["first_response_180d"] = mean(answered)
    if world.has("tickets", "escalated"):
        found["escalated_180d"] = float(sum(row["escalated"] is True for row in closed))
    if world.has("tickets", "csat"):
        found["ticket_csat_180d"] = mean([r["csat"] for r in closed if r["csat"] is not None])
    return found


def invoices(world: Any, account: str, day: datetime) -> Row:
    rows = known_rows(world, "invoices", "issued_at", account, day)
    due = [row for row in rows if row["due_at"] is not None]
    unpaid = [r for r in due if r["due_at"] < day and moment_known(r, "paid_at", day) is None]
    delays = [
        max(days(moment_known(row, "paid_at", day) or day, row["due_at"]), 0.0)
        for row in due
        if 0 < days(day, row["due_at"]) <= 180
    ]
    found: Row = {
        "overdue_invoices": float(len(unpaid)),
        "overdue_days": max((days(day, row["due_at"]) for row in unpaid), default=0.0),
        "days_late_180d": mean(delays),
    }
    if world.has("invoices", "amount"):
        found["overdue_amount"] = float(sum(row["amount"] or 0 for row in unpaid))
    if world.has("invoices", "failed_attempts"):
        tried = [
            r for r in due if moment_known(r, "paid_at", day) and days(day, r["due_at"]) <= 180
        ]
        found["failed_payments_180d"] = float(sum(row["failed_attempts"] or 0 for row in tried))
    if world.has("invoices", "refunded_at"):
        moments = [moment_known(row, "refunded_at", day) for row in rows]
        found["refunds_180d"] = float(sum(m is not None and days(day, m) <= 180 for m in moments))
    return found


def contract_state(world: Any, running: list[Row], day: datetime) -> Row:
    newest = [r for r in running if r["started_at"] == max(x["started_at"] for x in running)]

    def given(rows: list[Row], column: str) -> list[Any]:
        return [row[column] for row in rows if row[column] is not None]

    found: Row = {}
    for column in (
        "mrr",
        "seats",
        "discount",
        "renewal_at",
        "plan",
        "billing_period",
        "auto_renew",
    ):
        if not world.has("subscriptions", column):
            continue
        numbers = given(running, column)
        if column in ("mrr", "seats"):
            found[column] = sum(numbers) if numbers else None
        elif column == "discount":
            found[column] = mean(numbers)
        elif column == "renewal_at":
            coming = [days(at, day) for at in numbers if at >= day]
            found["days_to_renewal"] = min(coming, default=None)
        elif column == "auto_renew":
            found[column] = min((float(flag) for flag in given(newest, column)), default=None)
        else:
            found[column] = max(given(newest, column), default=None)
    return found


def expected_row(world: Any, account: Row, day: datetime, outcome: OutcomeSettings) -> Row | None:
    """Return the signals of one account on one day and its label; None when it is not active."""
    name, created = account["account_id"], account["created_at"]
    if any(m is not None and m >= day for m in (created, account.get("recorded_at"))):
        return None
    running, latest = [], created
    if "subscriptions" in world.columns:
        running, latest = running_terms(world, name, day)
        if not running:
            return None
    if latest is None:
        return None
    if "churn_events" in world.columns:
        churns = known_rows(world, "churn_events", "churned_at", name, day)
        if any(row["churned_at"] > latest for row in churns):
            return None
    found = contract_state(world, running, day)
    if "usage_events" in world.columns:
        found |= usage(world, name, day, found.get("seats"))
    if "tickets" in world.columns:
        found |= support(world, name, day)
    if world.has("invoices", "paid_at"):
        found |= invoices(world, name, day)
    if "referrals" in world.columns:
        rows = known_rows(world, "referrals", "referred_at", name, day)
        rows = [row for row in rows if days(day, row["referred_at"]) <= 365]
        found["referrals_365d"] = float(len(rows))
        ages = [days(day, row["referred_at"]) for row in rows]
        found["days_since_referral"] = min(ages, default=365.0)
        if world.has("referrals", "converted_at"):
            converted = [row for row in rows if moment_known(row, "converted_at", day)]
            found["referrals_converted_365d"] = float(len(converted))
    found["tenure_days"] = days(day, created) if created else None
    found |= {name: account[name] for name in ("industry", "employees")}
    grace = timedelta(days=outcome.grace_days)
    coming = [at for at in churn_moments(world, name, grace) if at > latest]
    opens = day + timedelta(days=outcome.lead_days)
    gone = any(at < opens for at in coming)
    churned = any(at < opens + timedelta(days=outcome.horizon_days) for at in coming)
    return found | {"churned": None if gone else int(churned)}


def same(actual: Any, expected: Any) -> bool:
    if expected is None:
        return actual is None or (isinstance(actual, float) and math.isnan(actual))
    if isinstance(expected, str):
        return bool(actual == expected)
    return math.isclose(actual, expected, rel_tol=1e-9, abs_tol=1e-9)


def assert_equal(frame: pd.DataFrame, expected: dict[tuple[str, date], Row]) -> None:
    rows = {
        (row.pop("account_id"), row.pop("observation_date").date()): row
        for row in frame.to_dict("records")
    }
    assert list(rows) == sorted(expected, key=lambda key: (key[1], key[0]))
    for key, wanted in expected.items():
        assert set(rows[key]) == set(wanted)
        wrong = {n: (rows[key][n], v) for n, v in wanted.items() if not same(rows[key][n], v)}
        assert not wrong, (key, wrong)


@settings(
    max_examples=10,
    deadline=None,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data(), lead=st.sampled_from((0, 7)), grace=st.sampled_from((0, 7)))
def test_every_signal_and_label_equals_the_plain_recomputation(
    data: st.DataObject,
    lead: int,
    grace: int,
    worlds: st.SearchStrategy[Any],
    company_of_world: Callable[[Any], Company],
) -> None:
    world = data.draw(worlds)
    outcome = OutcomeSettings(lead_days=lead, grace_days=grace)
    company = company_of_world(world)
    expected = {}
    for account in world.rows["accounts"]:
        for day in DATES:
            midnight = datetime(day.year, day.month, day.day)
            row = expected_row(world, account, midnight, outcome)
            if row is not None:
                expected[account["account_id"], day] = row
    plain = {
        key: {name: value for name, value in row.items() if name != "churned"}
        for key, row in expected.items()
    }
    assert_equal(build_features(company, DATES, outcome, SIGNALS, labelled=False), plain)
    kept = {key: row for key, row in expected.items() if row["churned"] is not None}
    assert_equal(build_features(company, DATES, outcome, SIGNALS, labelled=True), kept)


def test_every_signal_takes_a_value_in_a_full_world(
    full_world: Any, company_of_world: Callable[[Any], Company]
) -> None:
    company = company_of_world(full_world)
    frame = build_features(company, DATES, OutcomeSettings(), SIGNALS, labelled=True)
    names = [signal.name for signal in signals_of(company, SIGNALS)]
    assert [name for name in names if frame[name].nunique() < 2] == []
    assert set(frame.churned) == {0, 1}
    assert frame.dtypes[names].map(str).isin(["float64", "object"]).all()


def test_one_account_is_built_as_among_all_others(
    full_world: Any, company_of_world: Callable[[Any], Company]
) -> None:
    company = company_of_world(full_world)
    frame = build_features(company, DATES, OutcomeSettings(), SIGNALS, labelled=False)
    name = frame.account_id[0]
    alone = build_features(
        company, DATES, OutcomeSettings(), SIGNALS, labelled=False, account_id=name
    )
    wanted = frame[frame.account_id == name].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, wanted)


def test_progress_is_told_of_each_step_once(
    full_world: Any, company_of_world: Callable[[Any], Company]
) -> None:
    company, told = company_of_world(full_world), []
    off = SignalsSettings(groups_off=("usage", "adoption", "support", "referrals", "payments"))
    frame = build_features(
        company,
        DATES,
        OutcomeSettings(),
        off,
        labelled=False,
        progress=lambda *step: told.append(step),
    )
    assert told == [
        ("finding active accounts", 1, 3),
        ("building profile signals", 2, 3),
        ("collecting the feature table", 3, 3),
    ]
    assert {"tenure_days", "plan", "seats", "mrr", "industry"} < set(frame.columns)
    assert "usage_28d" not in frame.columns


@pytest.mark.parametrize("attribute", ["churned", "Observation Date", "usage 28d", "Industry!"])
def test_an_attribute_may_not_take_the_name_of_another_column(
    attribute: str, company_of: Callable[..., Company]
) -> None:
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [datetime(2023, 1, 1)]})
    accounts = accounts.assign(industry="x", **{attribute: "y"})
    usage_events = pd.DataFrame({"account_id": ["A"], "occurred_at": [datetime(2024, 1, 1)]})
    company = company_of(
        {"accounts": accounts, "usage_events": usage_events, "churn_events": NO_CHURN},
        {
            "accounts": {"attributes": list(dict.fromkeys(["industry", attribute]))},
            "usage_events": {},
            "churn_events": {},
        },
    )
    name = attribute.lower().replace(" ", "_").strip("!")
    with pytest.raises(SettingsError) as caught:
        signals_of(company, SignalsSettings())
    assert str(caught.value) == (
        f"Each column of the feature table needs a name of its own, and '{name}' would be there"
        " twice; rename that column of accounts, or take it off [tables.accounts] attributes"
    )
