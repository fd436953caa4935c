"""Invoices and contracts whose signals a person sees at once."""

from __future__ import annotations

from typing import Any

import pytest

from features.catalog import GROUPS
from tests.features.by_hand import MICROSECOND, MIDNIGHT, CompanyOf, ago, signals_by_account

Row = dict[str, Any]

# Contract terms are context, and so belong to the profile.
AND_CONTEXT = {"groups_off": [name for name in GROUPS if name not in ("payments", "profile")]}


def invoice(due: float, paid: float | None = None, **other: object) -> Row:
    return {
        "issued_at": ago(max(due, 0) + 30),
        "due_at": ago(due),
        "paid_at": None if paid is None else ago(paid),
        "amount": 100.0,
        **other,
    }


def test_an_invoice_is_overdue_until_its_payment_is_known(company_of: CompanyOf) -> None:
    found = signals_by_account(
        company_of,
        "payments",
        invoices={
            "due on the day": [{**invoice(1), "due_at": MIDNIGHT}],
            "due just before": [{**invoice(1), "due_at": MIDNIGHT - MICROSECOND}],
            "paid on the day": [invoice(10, paid=0)],
            "paid late": [invoice(10, paid=4)],
            "paid early": [invoice(10, paid=14)],
            "paid early and late": [invoice(10, paid=14), invoice(20, paid=12)],
            "due 180 days ago": [invoice(180, paid=170), invoice(181, paid=100)],
            "due long ago": [invoice(400, amount=40.0), invoice(5, amount=None)],
            "never due": [{**invoice(1), "due_at": None}],
            "recorded late": [invoice(10, recorded_at=MIDNIGHT)],
            "none": [],
        },
    )
    names = ("overdue_invoices", "overdue_days", "overdue_amount", "days_late_180d")
    tiny = pytest.approx(0, abs=1e-9)
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "due on the day": (0, 0, 0, None),
        "due just before": (1, tiny, 100, tiny),
        "paid on the day": (1, 10, 100, 10),
        "paid late": (0, 0, 0, 6),
        "paid early": (0, 0, 0, 0),
        "paid early and late": (0, 0, 0, 4),
        "due 180 days ago": (0, 0, 0, 10),
        "due long ago": (2, 400, 40, 5),
        "never due": (0, 0, 0, None),
        "recorded late": (0, 0, 0, None),
        "none": (0, 0, 0, None),
    }


def test_failures_and_refunds_count_when_they_became_known(company_of: CompanyOf) -> None:
    found = signals_by_account(
        company_of,
        "payments",
        invoices={
            "failed twice": [invoice(10, paid=5, failed_attempts=2.0)],
            "still failing": [invoice(10, failed_attempts=9.0)],
            "paid long ago": [invoice(200, paid=181, failed_attempts=3.0)],
            "due long ago, paid now": [invoice(200, paid=180, failed_attempts=3.0)],
            "refunded": [
                invoice(10, paid=9, refunded_at=ago(1), amount=30.0),
                invoice(10, paid=9, refunded_at=ago(180), amount=None),
                invoice(10, paid=9, refunded_at=MIDNIGHT, amount=50.0),
            ],
            "refund recorded late": [invoice(10, refunded_at=ago(1), recorded_at=MIDNIGHT)],
        },
    )
    names = ("failed_payments_180d", "refunds_180d", "refunded_amount_180d")
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "failed twice": (2, 0, 0),
        "still failing": (0, 0, 0),
        "paid long ago": (0, 0, 0),
        "due long ago, paid now": (3, 0, 0),
        "refunded": (0, 2, 30),
        "refund recorded late": (0, 0, 0),
    }


def test_mrr_and_price_are_compared_with_the_contract_known_then(company_of: CompanyOf) -> None:
    def term(start: float, end: float | None, mrr: float, seats: float, **other: object) -> Row:
        ended = None if end is None else ago(end)
        return {"started_at": ago(start), "ended_at": ended, "mrr": mrr, "seats": seats, **other}

    found = signals_by_account(
        company_of,
        "payments",
        subscriptions={
            "steady": [term(500, None, 100, 10)],
            "grew": [term(500, 100, 100, 10), term(100, None, 150, 20)],
            "bought more": [term(500, None, 100, 10), term(30, None, 50, 10)],
            "new": [term(120, None, 100, 10)],
            "began that day": [term(180, None, 100, 10)],
            "began just before": [
                {**term(180, None, 100, 10), "started_at": ago(180) - MICROSECOND}
            ],
            "told late": [term(500, None, 100, 10, recorded_at=ago(100))],
            "was free": [term(500, 100, 0, 10), term(100, None, 150, 10)],
            "no seats": [term(500, 100, 100, 0), term(100, None, 150, 10)],
            "paused": [term(500, 200, 100, 10), term(95, None, 50, 10)],
        },
    )
    names = ("mrr_change_90d", "mrr_change_180d", "price_change_180d")
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "steady": (0, 0, 0),
        "grew": (0, 0.5, -0.25),
        "bought more": (0.5, 0.5, pytest.approx(-0.25)),
        "new": (0, None, None),
        "began that day": (0, None, None),
        "began just before": (0, 0, 0),
        "told late": (0, None, None),
        "was free": (0, None, None),
        "no seats": (0, 0.5, None),
        "paused": (0, None, None),
    }


def test_the_term_is_that_of_the_contract_that_renews_next(company_of: CompanyOf) -> None:
    def term(start: float, renewal: float | None, **other: object) -> Row:
        renews = None if renewal is None else ago(renewal)
        return {"started_at": ago(start), "renewal_at": renews, "ended_at": None, **other}

    found = signals_by_account(
        company_of,
        "payments",
        AND_CONTEXT,
        subscriptions={
            "a year": [term(65, -300)],
            "renews today": [term(365, 0)],
            "month beside year": [term(65, -300), term(10, -20)],
            "two end together": [term(65, -35), term(165, -35)],
            "one of two ended": [term(65, -35, ended_at=ago(1)), term(165, -35)],
            "ended one": [term(65, -300), term(10, -20, ended_at=ago(1))],
            "ends later": [term(10, -20, ended_at=MIDNIGHT)],
            "ran over": [term(400, 35)],
            "no renewal": [term(400, None)],
        },
    )
    names = ("days_to_renewal", "term_days", "renewal_due")
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "a year": (300, 365, 0),
        "renews today": (0, 365, 1),
        "month beside year": (20, 30, 1),
        "two end together": (35, 150, 0),
        "one of two ended": (35, 200, 0),
        "ended one": (300, 365, 0),
        "ends later": (20, 30, 1),
        "ran over": (None, None, None),
        "no renewal": (None, None, None),
    }


def test_contract_facts_are_those_of_the_newest_term(company_of: CompanyOf) -> None:
    def term(start: float, period: str | None, auto: bool | None, discount: float | None) -> Row:
        return {
            "started_at": ago(start),
            "billing_period": period,
            "auto_renew": auto,
            "discount": discount,
        }

    found = signals_by_account(
        company_of,
        "payments",
        AND_CONTEXT,
        subscriptions={
            "one": [term(10, "monthly", True, 0.2)],
            "two": [term(100, "monthly", True, 0.2), term(10, "annual", False, None)],
            "tie": [term(10, "annual", True, 0.1), term(10, "monthly", False, 0.3)],
            "unknown": [term(10, None, None, None)],
        },
    )
    names = ("billing_period", "auto_renew", "discount")
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "one": ("monthly", 1, 0.2),
        "two": ("annual", 0, 0.2),
        "tie": ("monthly", 0, pytest.approx(0.2)),
        "unknown": (None, None, None),
    }
    assert "mrr_change_90d" not in found["one"]


def test_without_a_due_date_amounts_and_failures_count_by_the_day_of_the_row(
    company_of: CompanyOf,
) -> None:
    def paid(days: float, amount: float, failed: bool = False, **other: object) -> Row:
        return {"issued_at": ago(days), "amount": amount, "failed": failed, **other}

    found = signals_by_account(
        company_of,
        "payments",
        invoices={
            "less": [paid(10, 30.0), paid(60, 20.0), paid(100, 100.0), paid(200, 900.0)],
            "failed": [paid(10, 30.0, failed=True), paid(100, 60.0, failed=True), paid(20, 5.0)],
            "on the day": [{**paid(0, 9.0), "issued_at": MIDNIGHT}],
            "recorded late": [paid(10, 9.0, failed=True, recorded_at=MIDNIGHT)],
            "none": [],
        },
    )
    names = ("invoiced_90d", "invoiced_change_90d", "payments_failed_90d")
    assert {account: tuple(row[name] for name in names) for account, row in found.items()} == {
        "less": (50, pytest.approx(-0.5), 0),
        "failed": (5, None, 1),
        "on the day": (0, None, 0),
        "recorded late": (0, None, 0),
        "none": (0, None, 0),
    }
    assert "overdue_invoices" not in found["none"]
