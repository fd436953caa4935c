"""``init`` on what others publish: ledgers of changes, trials beside payers, accounts undated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from features.outcomes.churned import churn_dates
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft
from pipelines.setup.drafting.vendors import NO_ANSWERS, Answers
from tests.pipelines.setup.guessing.test_leaving import (
    ROWS,
    Lines,
    contracts,
    day,
    ended,
    left,
    people,
)

Read = Callable[..., tuple[int, int, list[str]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Draft tables, and count the accounts with contracts, the churns, and what is doubted."""

    def of(rows: dict[str, Lines], answers: Answers = NO_ANSWERS) -> tuple[int, int, list[str]]:
        for name, lines in rows.items():
            text = "\n".join(",".join(map(str, line)) for line in lines)
            (tmp_path / f"{name}.csv").write_text(text + "\n", encoding="utf-8")
        config = tmp_path / "h.toml"
        _, doubts = write_draft(tmp_path, config, force=True, answers=answers)
        project = load_project(config)
        with open_company(project) as company:
            table = company.tables.get("subscriptions", company.tables["accounts"])
            accounts = int(table.cleaned.account_id.nunique().execute())
            churns = int(churn_dates(company, project.settings.outcome).count().execute())
        return accounts, churns, doubts

    return of


CHURNS = sum(left(n) for n in range(ROWS))


def ledger(leaving: str) -> Lines:
    rows: Lines = [["id", "customer_id", "event_date", "event_type", "amount"]]
    for n in range(ROWS):
        rows.append([f"E{n}", f"K{n:03}", day(n), "new_subscription", 20])
        rows.append([f"U{n}", f"K{n:03}", day(n + 30), "upgrade", 40])
        if left(n):
            rows.append([f"C{n}", f"K{n:03}", ended(n), leaving, -40])
    return rows


def test_churn_is_read_from_a_ledger_of_changes(read: Read) -> None:
    accounts, churns, doubts = read({"customers": people(), "subscriptions": ledger("Churn")})
    assert (accounts, churns) == (ROWS, CHURNS)
    assert any("rows whose event_type is churn say when an account left" in d for d in doubts)


def test_an_event_that_is_no_accounts_last_is_no_churn(read: Read) -> None:
    rows = ledger("cancel_viewed")
    later = [["L", row[1], day(300), "login", 0] for row in rows if row[3] == "cancel_viewed"]
    _, churns, doubts = read({"customers": people(), "subscriptions": [*rows, *later]})
    assert churns == 0
    assert any("No account ever leaves" in doubt for doubt in doubts)


def paid(n: int) -> str:
    return day(n + 14) if left(n) or n % 2 else ""


def test_who_never_paid_has_nothing_to_leave(read: Read) -> None:
    rows = {"customers": people(), "subscriptions": contracts(end_date=ended, conversion_date=paid)}
    payers = sum(bool(paid(n)) for n in range(ROWS))
    accounts, churns, doubts = read(rows)
    assert (accounts, churns) == (payers, CHURNS)
    assert any("contracts begin on conversion_date, and the 33%" in doubt for doubt in doubts)
    assert read(rows, Answers(trials=True))[:2] == (ROWS, CHURNS)
    # Where some left who had not, it is no condition of leaving.
    rows["subscriptions"] = contracts(end_date=ended, conversion_date=lambda n: day(n) * (n % 2))
    assert read(rows)[:2] == (ROWS, CHURNS)


def test_an_account_without_a_date_begins_with_its_first_contract(read: Read) -> None:
    undated = [[row[0], "x"] for row in people()]
    undated[0][1] = "region"
    accounts, churns, doubts = read(
        {"customers": undated, "subscriptions": contracts(end_date=ended)}
    )
    assert (accounts, churns) == (ROWS, CHURNS)
    assert any("it begins with its first row of subscriptions" in doubt for doubt in doubts)


def test_a_persons_id_that_is_the_accounts_fills_one_role(read: Read, tmp_path: Path) -> None:
    users = [["user_id", "joined_on"], *([n, day(n)] for n in range(1, ROWS + 1))]
    terms = [["subscription_id", "user_id", "start_date", "end_date"]]
    terms += [[n, ROWS + 1 - n, day(n), ended(n)] for n in range(1, ROWS + 1)]
    events = [["event_id", "user_id", "event_date", "event_type"]]
    events += [[n, 1 + n % ROWS, day(n), "save"] for n in range(6 * ROWS)]
    found = [["found_id", "user_id", "found_on"], *([f"F{n}", n, day(n)] for n in range(1, ROWS))]
    found.append([f"F{ROWS}", ROWS, day(ROWS)])
    read({"ads": found, "app_users": users, "subscriptions": terms, "usage_events": events})
    tables = load_project(tmp_path / "h.toml").settings.tables
    assert tables.accounts.source == "app_users"
    assert tables.subscriptions.columns["account_id"] == "user_id"
    assert tables.usage_events.columns["account_id"] == "user_id"
    assert tables.usage_events.columns["user_id"] == ""


def test_what_was_billed_is_no_use(read: Read, tmp_path: Path) -> None:
    billed = [["event_id", "customer_id", "event_date", "event_type", "mrr"]]
    billed += [[n, f"K{n % ROWS:03}", day(n), "Recurring", 20] for n in range(8 * ROWS)]
    rows = {"customers": people(), "subscriptions": contracts(end_date=ended)}
    read(rows | {"revenue_events": billed})
    assert load_project(tmp_path / "h.toml").settings.tables.usage_events is None
    billed[0][-1] = "clicks"
    read(rows | {"revenue_events": billed})
    assert load_project(tmp_path / "h.toml").settings.tables.usage_events is not None
