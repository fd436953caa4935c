"""``init`` on companies whose names say nothing, or something else than their values."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft
from pipelines.setup.guessing.words import by_core, core

Rows = dict[str, list[list[Any]]]
ROWS = 24


def day(number: int) -> str:
    return (date(2023, 1, 1) + timedelta(days=number)).isoformat()


def company() -> Rows:
    """Return accounts, contracts, events, tickets and invoices, each with its header first."""
    people = [(n, f"K{n:03}") for n in range(ROWS)]
    some = [(n, f"K{n % ROWS:03}") for n in range(ROWS * 6)]

    def unless(is_open: bool, number: int) -> str:
        return "" if is_open else day(number)

    return {
        "accounts": [["who", "since"], *([k, day(n)] for n, k in people)],
        "contracts": [
            ["who", "a", "b"],
            *([k, day(n), unless(n % 3 == 0, n + 200)] for n, k in people),
        ],
        "events": [["who", "a", "what"], *([k, day(30 + n), "open"] for n, k in some)],
        "tickets": [
            ["who", "a", "b"],
            *([k, day(40 + n), unless(n % 4 == 0, 43 + n)] for n, k in people),
        ],
        "bills": [
            ["who", "a", "b", "c", "sum"],
            *([k, day(50 + n), day(80 + n), unless(n % 4 == 0, 70 + n), 9.5] for n, k in people),
        ],
    }


@pytest.fixture
def drafted(tmp_path: Path) -> Callable[[Rows], Any]:
    def draft(rows: Rows) -> Any:
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        for name, lines in rows.items():
            text = "\n".join(",".join(map(str, line)) for line in lines)
            (data / f"{name}.csv").write_text(text + "\n", encoding="utf-8")
        _, doubts = write_draft(data, tmp_path / "h.toml", force=True)
        return load_project(tmp_path / "h.toml").settings, doubts

    return draft


def test_tables_without_a_telling_name_are_known_by_their_rows(drafted) -> None:
    rows = company()
    settings, _ = drafted({f"t{n}": lines for n, lines in enumerate(rows.values())})
    tables = settings.tables
    assert tables.accounts.source == "t0"
    assert tables.accounts.columns == {"account_id": "who", "created_at": "since"}
    assert (tables.subscriptions.source, tables.usage_events.source) == ("t1", "t2")
    assert tables.subscriptions.columns["ended_at"] == "b"
    assert (tables.tickets.source, tables.tickets.columns["closed_at"]) == ("t3", "b")
    assert tables.invoices.source == "t4"
    assert [tables.invoices.columns[name] for name in ("issued_at", "due_at", "paid_at")] == [
        *"abc"
    ]


def test_a_key_of_another_name_is_found_by_its_values_and_through_a_table(drafted) -> None:
    rows = {"organizations": company()["accounts"], "subscriptions": company()["contracts"]}
    rows["organizations"][0] = ["id", "created_at"]
    rows["subscriptions"][0] = ["organization_id", "started_at", "ended_at"]
    rows["users"] = [["id", "organization_id"], *([f"U{n}", f"K{n % ROWS:03}"] for n in range(50))]
    rows["events"] = [["user_id", "created_at"], *([f"U{n % 50}", day(n)] for n in range(300))]
    tables = drafted(rows)[0].tables
    assert tables.accounts.columns["account_id"] == "id"
    assert tables.subscriptions.columns["account_id"] == "organization_id"
    via = tables.usage_events.account_via
    assert (via.table, via.key, via.own, via.account_id) == (
        "users", "id", "user_id", "organization_id"
    )  # fmt: skip


def test_small_numbers_point_at_nothing_without_a_name(drafted) -> None:
    rows = company()
    rows["accounts"] = [["id", "created_at"], *([n, day(n)] for n in range(ROWS))]
    rows["contracts"] = [["id", "seats", "started_at", "ended_at"],
                         *([n, n, day(n), ""] for n in range(ROWS))]  # fmt: skip
    rows |= {"churn_events": [["account_id", "churned_at"], [1, day(9)]]}
    _, doubts = drafted({name: rows[name] for name in ("accounts", "contracts", "churn_events")})
    assert "contracts has no column that looks like account_id" in doubts


def test_a_table_that_is_called_so_and_that_nobody_leaves_gives_way(drafted) -> None:
    rows = {"accounts": company()["accounts"], "deals": company()["contracts"]}
    rows["memberships"] = [["who", "created"], *([f"K{n:03}", day(n)] for n in range(ROWS))]
    assert drafted(rows)[0].tables.subscriptions.source == "deals"


def test_one_table_may_say_who_and_until_when(drafted) -> None:
    rows = [["Customer", "Signed up", "Contract start", "Churn date"]]
    rows += [[f"K{n:03}", day(n), day(n + 3), day(n + 90) if n % 2 else ""] for n in range(ROWS)]
    tables = drafted({"export": rows})[0].tables
    assert tables.accounts.source == tables.subscriptions.source == "export"
    assert tables.accounts.columns["created_at"] == "Signed up"
    assert tables.subscriptions.columns["ended_at"] == "Churn date"


def test_contracts_alone_make_their_accounts(drafted, tmp_path, run) -> None:
    lines = company()["contracts"]
    lines[0] = ["customer_id", "started_at", "ended_at"]
    settings, doubts = drafted({"subscriptions": lines})
    assert settings.tables.accounts.source == "accounts_of_contracts"
    assert "GROUP BY" in settings.views["accounts_of_contracts"].sql
    assert any("no table holds the accounts" in doubt for doubt in doubts)
    assert run("check", "-c", tmp_path / "h.toml").code == 0


def test_a_list_of_those_who_left_tells_of_churn(drafted) -> None:
    rows = {"companies": company()["accounts"]}
    rows["cancelled"] = [["who", "cancel_date"], *([f"K{n:03}", day(99 + n)] for n in range(21))]
    assert drafted(rows)[0].tables.churn_events.columns["churned_at"] == "cancel_date"


def test_amounts_that_would_be_wrong_are_left_out_and_named(drafted) -> None:
    rows = {"accounts": company()["accounts"], "subscriptions": company()["contracts"]}
    rows["subscriptions"] = [[*line, extra] for line, extra in zip(
        rows["subscriptions"], ["price", *[900] * ROWS], strict=True)]  # fmt: skip
    settings, doubts = drafted(rows)
    assert "mrr" not in settings.tables.subscriptions.columns
    assert any("price in subscriptions may be the amount of a month or" in each for each in doubts)
    rows["subscriptions"] = [[*line[:3], *extra] for line, extra in zip(
        rows["subscriptions"], [["mrr", "currency"], *[[9, "usd"], [9, "eur"]] * 12],
        strict=True)]  # fmt: skip
    settings, doubts = drafted(rows)
    assert settings.tables.subscriptions.columns["mrr"] == ""
    assert any("mrr is in several currencies, eur, usd, and is left out" in each for each in doubts)


@pytest.mark.parametrize(
    ("column", "gone"), [("_fivetran_deleted", "true"), ("_ab_cdc_deleted_at", "2024-01-01")]
)
def test_rows_that_a_loader_marks_as_gone_are_left_out(
    drafted, tmp_path, run, column: str, gone: str
) -> None:
    rows = {"accounts": company()["accounts"], "subscriptions": company()["contracts"]}
    rows["subscriptions"] = [[*line, column if n == 0 else gone if n < 5 else
                              "false" if gone == "true" else ""]
                             for n, line in enumerate(rows["subscriptions"])]  # fmt: skip
    drafted(rows)
    answer = run("check", "-c", tmp_path / "h.toml", "--json").answer
    assert answer["tables"]["subscriptions"]["rows"] == ROWS - 4
    assert "4 rows are left out by keep" in json.dumps(answer)


def test_epochs_of_any_name_are_times(drafted) -> None:
    rows = {"customers": [["id", "createdAt"], *([f"K{n:03}", 1_672_531_200_000 + n * 86_400_000]
                                                 for n in range(ROWS))]}  # fmt: skip
    rows["plans"] = [["customerId", "startAt", "endAt"],
                     *([f"K{n:03}", 1_672_531_200_000 + n * 86_400_000,
                        1_692_531_200_000 if n % 2 else ""] for n in range(ROWS))]  # fmt: skip
    settings, _ = drafted(rows)
    assert settings.reading.numbers_as_times == "unix"
    assert settings.tables.subscriptions.columns["ended_at"] == "endAt"


def test_words_around_what_a_column_says_are_no_obstacle() -> None:
    alike = ("Subscription Start (UTC)", "start_date", "Contract Start Date", "start_date_key")
    assert {core(name, "time", {"subscription", "contract"}) for name in alike} == {("start",)}
    assert by_core(["MRR ($)", "seats"], ["mrr"], "number", ()) == "MRR ($)"
    assert by_core(["opened at", "Opened (UTC)"], ["opened_at"], "time", ()) is None


def test_a_list_of_people_is_no_contract_and_leads_to_the_account(drafted) -> None:
    rows = {"orgs": company()["accounts"], "org_subscriptions": company()["contracts"]}
    rows["orgs"][0] = ["id", "created_at"]
    rows["org_subscriptions"][0] = ["org", "started_on", "ended_on"]
    people = range(60)
    rows["users"] = [["id", "created_at"], *([f"user-{n}", day(n)] for n in people)]
    rows["memberships"] = [
        ["user_id", "org", "joined_at", "left_at"],
        *([f"user-{n}", f"K{n % ROWS:03}", day(n), day(300) if n % 2 else ""] for n in people),
    ]
    uses = [(f"user-{n % 60}", f"2023-04-{1 + n // 60:02}T10:00:0") for n in range(600)]
    rows["tracks"] = [
        ["userId", "event", "timestamp", "receivedAt"],
        *([user, "open", f"{time}{n % 5}", f"{time}{n % 5 + 2}"]
          for n, (user, time) in enumerate(uses)),
    ]  # fmt: skip
    settings, doubts = drafted(rows)
    tables = settings.tables
    assert tables.subscriptions.source == "org_subscriptions"
    # What is received two seconds after it happened was opened and closed by nobody.
    assert (tables.usage_events.source, tables.tickets) == ("tracks", None)
    assert tables.usage_events.account_via.table == "memberships"
    assert not any("fit nothing" in doubt and "memberships" in doubt for doubt in doubts)


def test_a_plan_called_a_trial_is_no_contract(drafted) -> None:
    rows = {"accounts": company()["accounts"], "contracts": company()["contracts"]}
    rows["contracts"][0] = ["who", "start_date", "end_date", "plan", "mrr"]
    rows["contracts"][1:] = [[*row, "basic", 9] for row in rows["contracts"][1:]]
    rows["contracts"] += [[f"K{n:03}", day(n), day(n + 14), "Free Trial", 0] for n in range(ROWS)]
    settings, doubts = drafted(rows)
    (rule,) = settings.tables.subscriptions.keep
    assert (rule.column, rule.outside) == ("plan", ("free trial",))
    assert "contracts: rows whose plan is free trial are left out (else --trials)" in doubts


def test_a_notice_beside_an_end_and_bills_nobody_is_said_to_have_paid_are_known(drafted) -> None:
    rows = {"Clients": company()["accounts"]}
    rows["Contrats"] = [
        ["who", "Date de début", "Date de résiliation", "Date de fin"],
        *([f"K{n:03}", day(n), *(["", ""] if n % 3 else [day(n + 150), day(n + 200)])]
          for n in range(ROWS)),
    ]  # fmt: skip
    rows["Factures"] = [
        ["who", "Émission", "Échéance", "Montant TTC"],
        *([f"K{n % ROWS:03}", day(n), day(n + 30), 9.5] for n in range(ROWS * 6)),
    ]
    tables = drafted(rows)[0].tables
    assert tables.subscriptions.columns["ended_at"] == "Date de fin"
    assert tables.invoices.columns["due_at"] == "Échéance"
    assert tables.invoices.columns["amount"] == "Montant TTC"


def test_satisfaction_in_words_is_a_number(drafted) -> None:
    rows = company()
    words = ["Good", "bad", "offered"]
    rows["tickets"] = [
        ["who", "opened_at", "closed_at", "satisfaction"],
        *([*row, words[n % 3]] for n, row in enumerate(rows["tickets"][1:])),
    ]
    kept = {name: rows[name] for name in ("accounts", "contracts", "tickets")}
    settings, doubts = drafted(kept)
    assert settings.tables.tickets.columns["csat"] == "satisfaction_score"
    assert "tickets: satisfaction is satisfaction in words, of which bad is 1, good is 5" in doubts
