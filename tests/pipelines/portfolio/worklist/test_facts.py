"""Facts by name, as they were known on the date and not later."""

from __future__ import annotations

import csv
from datetime import date

import pytest

from pipelines.portfolio.worklist.facts import account_facts
from pipelines.project.project import load_project

DAY = date(2025, 3, 1)
CONFIG = """\
[source]
url = "data"
data_end = 2025-06-01
[tables.accounts]
[tables.subscriptions]
[tables.tickets]
ticket_id = "ticket_id"
closed_at = "closed_at"
category = "category"
[tables.invoices]
paid_at = "paid_at"
due_at = "due_at"
amount = "amount"
[tables.usage_events]
feature = "feature"
"""
TABLES = {
    "accounts": [["account_id", "created_at"], ["A", "2024-01-01"], ["B", "2024-01-01"]],
    "subscriptions": [["account_id", "started_at"], ["A", "2024-01-01"], ["B", "2024-01-01"]],
    "tickets": [
        ["account_id", "opened_at", "ticket_id", "closed_at", "category"],
        ["A", "2025-02-18", "T-2", "", "bug"],
        # Closed after the date: on it, it was open.
        ["A", "2025-01-20 12:00:00", "T-1", "2025-03-05", "=1+1"],
        ["A", "2025-02-01", "T-3", "2025-02-03", "bug"],
        ["A", "2025-02-27", "T-4", "", ""],
        # Opened after the date.
        ["B", "2025-03-02", "T-5", "", "bug"],
    ],
    "invoices": [
        ["account_id", "issued_at", "due_at", "paid_at", "amount"],
        ["A", "2025-01-02", "2025-02-01", "", "1234.4"],
        # Paid after the date.
        ["B", "2025-01-02", "2025-02-19", "2025-03-04", "70"],
        ["B", "2025-02-02", "2025-03-04", "", "71"],
    ],
    "usage_events": [
        ["account_id", "occurred_at", "feature"],
        *[["A", f"2025-01-{day:02d}", "exports"] for day in range(1, 8)],
        ["A", "2025-02-20", "search"],
        ["A", "2025-01-20", "search"],
        ["A", "2025-01-21", "<b>api</b>"],
        # Taken up again after the date, and used too long ago.
        ["A", "2025-03-02", "exports"],
        ["B", "2024-06-01", "mobile"],
    ],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("facts")
    (folder / "data").mkdir()
    for name, rows in TABLES.items():
        with (folder / "data" / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    path = folder / "healthscore.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return load_project(path)


def test_facts_are_those_that_were_known_on_the_date(project) -> None:
    facts, failures = account_facts(project, DAY, ["A", "B", "nobody"])
    assert failures == []
    assert set(facts) == {"A", "B"}
    assert facts["A"].tickets == "T-1 (=1+1), open 40 days; T-2 (bug), open 11 days; 1 more ticket"
    assert facts["A"].invoices == "the invoice of 1,234 from 2 January 2025, 28 days overdue"
    assert facts["A"].features == (
        "not used in 28 days: exports (7 times in the 90 days before); <b>api</b> (1 time)"
    )
    assert facts["B"].tickets == facts["B"].features == ""
    assert facts["B"].invoices == "the invoice of 70 from 2 January 2025, 10 days overdue"


def test_nothing_is_read_for_nobody(project) -> None:
    assert account_facts(project, DAY, []) == ({}, [])


def test_tables_that_cannot_be_read_are_said_and_stop_nothing(project, tmp_path) -> None:
    path = tmp_path / "healthscore.toml"
    path.write_text(CONFIG, encoding="utf-8")
    facts, (failure,) = account_facts(load_project(path), DAY, ["A"])
    assert facts == {}
    assert "data" in str(failure)
