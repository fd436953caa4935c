"""``init`` where contracts do not say alone who left, or who paid."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.tables.mapping.keep import Condition
from pipelines.project.project import load_project
from pipelines.setup.check import check_data
from pipelines.setup.draft import write_draft

Lines = list[list[Any]]
Draft = Callable[[dict[str, Lines]], Any]
ROWS = 30


def day(number: int) -> str:
    return (date(2023, 1, 1) + timedelta(days=number)).isoformat()


def people(**columns: Callable[[int], object]) -> Lines:
    """Return accounts K000 to K029, with further columns."""
    head = ["customer_id", "signup_date", *columns]
    return [head, *([f"K{n:03}", day(n), *(f(n) for f in columns.values())] for n in range(ROWS))]


def contracts(**columns: Callable[[int], object]) -> Lines:
    """Return one contract of each account, by its id."""
    head = ["subscription_id", "customer_id", "start_date", *columns]
    return [
        head,
        *([f"S{n:03}", f"K{n:03}", day(n), *(f(n) for f in columns.values())] for n in range(ROWS)),
    ]


def left(n: int) -> bool:
    return n % 3 == 0


def ended(n: int) -> str:
    return day(n + 100) if left(n) else ""


@pytest.fixture
def drafted(tmp_path: Path) -> Draft:
    def draft(rows: dict[str, Lines]) -> Any:
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        for name, lines in rows.items():
            text = "\n".join(",".join(map(str, line)) for line in lines)
            (data / f"{name}.csv").write_text(text + "\n", encoding="utf-8")
        _, doubts = write_draft(data, tmp_path / "h.toml", force=True)
        return load_project(tmp_path / "h.toml").settings, doubts

    return draft


@pytest.mark.parametrize("status", ["last_payment_status", "payment_status", "health_status"])
def test_who_has_not_paid_is_not_left_out(drafted: Draft, status: str) -> None:
    settings, _ = drafted({
        "customers": people(),
        "subscriptions": contracts(
            end_date=ended, **{status: lambda n: "pending" if left(n) else "draft"}
        ),
    })  # fmt: skip
    assert settings.tables.subscriptions.keep == ()


def test_a_contract_that_is_over_is_no_older_version(drafted: Draft) -> None:
    settings, _ = drafted({
        "customers": people(),
        "subscriptions": contracts(end_date=ended, is_current=lambda n: not left(n)),
    })  # fmt: skip
    assert settings.tables.subscriptions.keep == ()


def test_churn_is_read_from_a_date_and_a_flag_of_the_accounts(drafted: Draft) -> None:
    settings, doubts = drafted({
        "customers": people(
            churned=left, churned_date=ended, pre_churn_flag=left, health_score=lambda n: n
        ),
        "subscriptions": contracts(end_date=lambda n: day(n + 360)),
    })  # fmt: skip
    churns = settings.tables.churn_events
    assert (churns.source, churns.columns["churned_at"]) == ("customers", "churned_date")
    assert churns.keep == (Condition.model_validate({"column": "churned", "is": True}),)
    assert settings.tables.subscriptions.columns["renewal_at"] == "end_date"
    assert settings.tables.accounts.attributes == ()
    assert not any("ever leaves" in doubt for doubt in doubts)


def test_an_end_that_is_the_day_an_account_left_is_no_renewal(drafted: Draft) -> None:
    settings, doubts = drafted({
        "customers": people(churned_date=ended),
        "subscriptions": contracts(end_date=lambda n: ended(n) or day(n + 360)),
    })  # fmt: skip
    assert settings.tables.churn_events.keep[0].missing is False
    assert "renewal_at" not in settings.tables.subscriptions.columns
    assert any("is no renewal agreed beforehand" in doubt for doubt in doubts)


@pytest.mark.parametrize("end", ["end_date", "current_period_end"])
def test_a_status_says_which_ends_are_ends(drafted: Draft, end: str) -> None:
    settings, doubts = drafted({
        "customers": people(),
        "subscriptions": contracts(**{
            end: lambda n: ended(n) or day(n + 360),
            "status": lambda n: "cancelled" if left(n) else "active",
        }),
    })  # fmt: skip
    assert settings.tables.subscriptions.columns["ended_at"] == "ended_when_over"
    assert not settings.tables.subscriptions.columns.get("renewal_at")
    (view,) = settings.views.values()
    assert "IN ('cancelled')" in view.sql
    assert any(f"{end} ends those contracts that status calls over" in each for each in doubts)


def test_nobody_who_leaves_is_said(drafted: Draft) -> None:
    rows = {"customers": people(), "subscriptions": contracts(end_date=lambda n: "")}
    _, doubts = drafted(rows)
    assert any("No account ever leaves in subscriptions" in doubt for doubt in doubts)
    rows["subscriptions"] = contracts(end_date=lambda n: day(n + 360))
    _, doubts = drafted(rows)
    assert any("No account ever leaves in subscriptions" in doubt for doubt in doubts)


def test_tables_of_a_contract_find_its_account_although_rows_are_copied(drafted: Draft) -> None:
    paid = contracts(renewal_date=lambda n: day(n + 360))
    settings, _ = drafted({
        "customers": people(),
        "subscriptions": [*paid, paid[-1]],
        "cancellations": [
            ["cancellation_id", "subscription_id", "cancellation_date"],
            *([f"C{n:03}", f"S{n:03}", ended(n)] for n in range(ROWS) if left(n)),
        ],
        "support_contacts": [
            ["contact_id", "subscription_id", "contact_date"],
            *([f"T{n:03}", f"S{n % ROWS:03}", day(n)] for n in range(3 * ROWS)),
        ],
    })  # fmt: skip
    for table in (settings.tables.churn_events, settings.tables.tickets):
        assert (table.account_via.table, table.account_via.key) == (
            "subscriptions",
            "subscription_id",
        )


def test_trials_that_cost_nothing_are_left_out_although_nobody_ended_them(drafted: Draft) -> None:
    settings, _ = drafted({
        "customers": people(),
        "subscriptions": contracts(
            end_date=ended, monthly_price=lambda n: 0 if n % 2 else 49, is_trial=lambda n: n % 2
        ),
    })  # fmt: skip
    assert [rule.column for rule in settings.tables.subscriptions.keep] == ["is_trial"]


def payments(name: str, date_column: str, status: str) -> dict[str, Lines]:
    return {
        "customers": people(),
        "subscriptions": contracts(end_date=ended),
        name: [
            ["number", "customer_id", date_column, "amount", status],
            *(
                [f"P{n:04}", f"K{n % ROWS:03}", day(n), 20 + n, "Failed" if n % 9 == 0 else "Paid"]
                for n in range(6 * ROWS)
            ),
        ],
    }


def test_a_payment_that_failed_did_so_on_its_day(drafted: Draft, tmp_path: Path) -> None:
    settings, doubts = drafted(payments("payments", "payment_date", "status"))
    invoices = settings.tables.invoices
    assert invoices.columns["issued_at"] == "payment_date"
    assert invoices.columns["failed"] == "payment_failed"
    assert "paid_at" not in invoices.columns
    assert any("a payment whose status is failed failed on the day" in each for each in doubts)
    assert any("so nothing is said of overdue ones" in doubt for doubt in doubts)
    report = check_data(load_project(tmp_path / "h.toml"))
    texts = {each.code: each.text for table in report.tables for each in table.findings}
    assert texts["no-due-date"].startswith("no column is mapped as due_at, so signals of overdue")


def test_what_an_invoice_became_is_so_today(drafted: Draft) -> None:
    settings, doubts = drafted(payments("invoices", "invoice_date", "payment_status"))
    assert settings.tables.invoices.columns["amount"] == "amount"
    assert "failed" not in settings.tables.invoices.columns
    assert any("payment_status says how an invoice stands today" in doubt for doubt in doubts)


def test_a_sum_of_a_month_is_known_when_it_is_over(drafted: Draft) -> None:
    rows = payments("invoices", "billing_month", "state")
    head, *lines = rows["invoices"]
    firsts = [f"2024-{1 + n // ROWS:02}-01" for n in range(len(lines))]
    dated = [[*line[:2], first, *line[3:]] for line, first in zip(lines, firsts, strict=True)]
    settings, doubts = drafted(rows | {"invoices": [head, *dated]})
    assert settings.tables.invoices.covers == "month"
    assert any("billing_month stands for a whole month" in doubt for doubt in doubts)
    settings, _ = drafted(rows)
    assert settings.tables.invoices.covers is None
    head[2] = "invoice_date"
    settings, _ = drafted(rows | {"invoices": [head, *dated]})
    assert settings.tables.invoices.covers is None


def test_what_an_account_pays_today_is_no_amount_of_its_past(drafted: Draft) -> None:
    settings, doubts = drafted({
        "customers": people(mrr=lambda n: 50 + n),
        "subscriptions": contracts(end_date=ended),
    })  # fmt: skip
    assert "mrr" not in settings.tables.subscriptions.columns
    assert any("is so today and says nothing of past dates: map mrr" in each for each in doubts)


def test_an_account_leaves_with_the_last_of_its_contracts(drafted: Draft) -> None:
    settings, doubts = drafted({
        "customers": people(),
        "subscriptions": contracts(end_date=ended),
        "cancellations": [
            ["cancellation_id", "subscription_id", "cancellation_date"],
            *([f"C{n:03}", f"S{n:03}", ended(n)] for n in range(ROWS) if left(n)),
        ],
    })  # fmt: skip
    assert settings.tables.churn_events is None
    assert any("cancellations says when single contracts ended" in doubt for doubt in doubts)


def test_an_end_of_every_contract_that_is_written_for_none_is_said(drafted: Draft) -> None:
    _, doubts = drafted({
        "customers": people(),
        "subscriptions": contracts(end_date=lambda n: "9999-12-31"),
    })  # fmt: skip
    assert any("No account ever leaves in subscriptions" in doubt for doubt in doubts)


def test_contracts_that_have_all_ended_are_said(drafted: Draft) -> None:
    _, doubts = drafted({
        "customers": people(),
        "subscriptions": contracts(
            end_date=lambda n: day(n + 300), renewal_date=lambda n: day(n + 360)
        ),
    })  # fmt: skip
    assert any("Every contract in subscriptions has ended by end_date" in each for each in doubts)
