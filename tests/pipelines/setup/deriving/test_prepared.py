"""``init`` on tables that are read in another form first: names, months of use, movements."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from features.outcomes.churned import churn_dates
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft

Lines = list[list[object]]
ROWS = 60


def day(n: int) -> date:
    return date(2024, 1, 1) + timedelta(days=n)


def company(n: int) -> str:
    return f"{'Nord Blue Iron'.split()[n % 3]} {chr(65 + n // 3)}works GmbH"


def accounts(**more: Callable[[int], object]) -> Lines:
    rows: Lines = [["Customer No", "Company", "Customer since", *more]]
    rows += [[f"K-{n:03}", company(n), day(n), *(each(n) for each in more.values())]
             for n in range(ROWS)]  # fmt: skip
    return rows


@pytest.fixture
def drafted(tmp_path: Path) -> Callable[[dict[str, Lines]], tuple[Path, list[str]]]:
    def of(tables: dict[str, Lines]) -> tuple[Path, list[str]]:
        for name, lines in tables.items():
            text = "\n".join(",".join(map(str, line)) for line in lines)
            (tmp_path / f"{name}.csv").write_text(text + "\n", encoding="utf-8")
        config = tmp_path / "h.toml"
        return config, write_draft(tmp_path, config)[1]

    return of


Drafted = Callable[[dict[str, Lines]], tuple[Path, list[str]]]


def churns_of(config: Path) -> dict[str, date]:
    project = load_project(config)
    with open_company(project) as opened:
        found = churn_dates(opened, project.settings.outcome).to_pyarrow().to_pylist()
    return {row["account_id"]: row["churned_at"].date() for row in found}


def test_names_in_other_spellings_are_those_of_accounts(drafted: Drafted) -> None:
    spelt = (str.upper, str.lower, lambda name: name.replace(" GmbH", ""))
    left: Lines = [["Company", "Churn date", "Lost ARR"]]
    left += [[spelt[n % 3](company(n)), (day(200 + n)).strftime("%d.%m.%Y"), 5]
             for n in range(0, ROWS, 2)]  # fmt: skip
    left.append(["Total", "", 150])
    config, doubts = drafted({"Accounts": [*accounts(), ["Total", "", ""]], "Churned": left})
    assert churns_of(config) == {company(n): day(200 + n) for n in range(0, ROWS, 2)}
    assert any("30 of 30 are those of one account" in doubt for doubt in doubts)


def test_a_name_that_two_accounts_share_is_of_neither(drafted: Drafted) -> None:
    rows = accounts()
    rows[1][1], rows[3][1] = "Twin Ltd", "Twin AG"
    left: Lines = [["Company", "Churn date"], ["twin", "2024-09-09"]]
    left += [[company(n).upper(), day(200 + n)] for n in range(10, ROWS)]
    config, doubts = drafted({"Accounts": rows, "Churned": left})
    assert churns_of(config) == {company(n): day(200 + n) for n in range(10, ROWS)}
    assert any("50 of 51 are those of one account" in doubt for doubt in doubts)


def test_months_of_use_measure_accounts_and_are_no_contracts(drafted: Drafted) -> None:
    months = [f"{name} 2024" for name in "Jan Feb Mar Apr May Jun Jul Aug".split()]
    wide: Lines = [["Customer No", *months]]
    wide += [[f"K-{n:03}", *([n + place for place in range(8)])] for n in range(ROWS)]
    wide.append(["Total", *([999] * 8)])
    churns: Lines = [["Customer No", "Churn date"]]
    churns += [[f"K-{n:03}", day(200 + n)] for n in range(0, ROWS, 2)]
    config, doubts = drafted({"Accounts": accounts(), "Logins": wide, "Churned": churns})
    assert any("counts use and not money" in doubt for doubt in doubts)
    assert churns_of(config) == {f"K-{n:03}": day(200 + n) for n in range(0, ROWS, 2)}
    project = load_project(config)
    assert project.settings.tables.subscriptions is None
    with open_company(project) as opened:
        rows = opened.tables["snapshots"].cleaned
        first = rows.filter(rows.account_id == "K-003").order_by("observed_at").limit(1)
        found = first.to_pyarrow().to_pylist()[0]
        # What a month sums up is dated by its end.
        assert (found["observed_at"], found["logins"]) == (datetime(2024, 1, 31), 3)
        assert int(rows.count().execute()) == 8 * ROWS


def test_movements_of_revenue_become_contracts(drafted: Drafted) -> None:
    moves: Lines = [["id", "customer", "date", "type", "amount"]]
    for n in range(ROWS):
        who = f"K-{n:03}"
        moves.append([f"N{n}", who, day(n), "new", 20])
        moves.append([f"U{n}", who, day(n + 30), "expansion", 5])
        moves.append([f"D{n}", who, day(n + 60), "contraction", -10])
        if n % 2:
            moves.append([f"C{n}", who, day(n + 200), "churn", -15])
        if n == 3:
            moves.append(["R", who, day(n + 300), "reactivation", 15])
    config, doubts = drafted({"companies": accounts(), "mrr_movements": moves})
    assert any("holds movements of recurring revenue" in doubt for doubt in doubts)
    assert churns_of(config) == {f"K-{n:03}": day(n + 200) for n in range(1, ROWS, 2)}
    with open_company(load_project(config)) as opened:
        rows = opened.tables["subscriptions"].cleaned
        found = rows.filter(rows.account_id == "K-003").order_by("started_at").to_pyarrow()
    assert found.column("mrr").to_pylist() == [20, 25, 15, 15]
    assert found.column("ended_at").to_pylist()[-1] is None


def test_invoices_by_another_systems_id_are_linked_by_the_accounts_that_have_one(
    drafted: Drafted,
) -> None:
    rows = accounts(stripe_customer_id=lambda n: f"cus_x{n:04}" if n % 3 else "")
    bills: Lines = [["id", "customer", "amount_due", "created", "due_date", "paid_at"]]
    bills += [
        [f"in_{n}_{k}", f"cus_x{n:04}", 20, day(n + 30 * k), day(n + 30 * k + 14), day(n + 30 * k)]
        for n in range(ROWS) if n % 3 for k in range(4)
    ]  # fmt: skip
    churns: Lines = [["Customer No", "Churn date"]]
    churns += [[f"K-{n:03}", day(200 + n)] for n in range(0, ROWS, 2)]
    config, _ = drafted({"Accounts": rows, "invoices": bills, "Churned": churns})
    with open_company(load_project(config)) as opened:
        assert opened.quality["invoices"].accounts == sum(1 for n in range(ROWS) if n % 3)


def test_months_of_a_table_called_as_its_key_or_in_other_letters_measure(drafted: Drafted) -> None:
    months = [f"Logins {name} 2024" for name in "Jan Feb Mar Apr May".split()]
    rows = [[f"K-{n:03}", *range(n, n + 5)] for n in range(ROWS)]
    churns = [["Customer No", "Churn date"], *([f"K-{n:03}", day(200 + n)] for n in range(30))]
    config, _ = drafted(
        {
            "Accounts": accounts(),
            "customer_no": [["customer_no", *months], *rows],
            "日本": [["Customer No", *months], *rows],
            "Blank": [["Customer No", *months], *([f"K-{n:03}", *[""] * 5] for n in range(ROWS))],
            "Churned": churns,
        }
    )
    text = config.read_text(encoding="utf-8")
    assert "[views.customer_no_value_by_month]" in text
    assert "[views.__by_month]" in text
    assert "[views.blank_by_month]" not in text
    assert len(churns_of(config)) == 30


def test_a_ledger_is_read_whatever_it_is_called(drafted: Drafted) -> None:
    moves: Lines = [["id", "customer", "date", "type", "amount"]]
    for n in range(ROWS):
        moves += [[f"N{n}", f"K-{n:03}", day(n), "new", 20]]
        moves += [[f"C{n}", f"K-{n:03}", day(n + 200), "churn", -20]] if n % 2 else []
    config, doubts = drafted({"companies": accounts(), "moves": moves})
    assert any("holds movements of recurring revenue" in doubt for doubt in doubts)
    assert len(churns_of(config)) == ROWS // 2


def test_what_takes_nothing_away_is_no_movement(drafted: Drafted) -> None:
    asked: Lines = [["id", "customer", "date", "type", "value"]]
    for n in range(ROWS):
        asked += [[f"A{n}", f"K-{n:03}", day(n), "new", 0]]
        asked += [[f"B{n}", f"K-{n:03}", day(n + 50), "churned", 0]]
    _, doubts = drafted({"companies": accounts(), "support": asked})
    assert not any("holds movements" in doubt for doubt in doubts)


def test_names_are_linked_in_a_table_whose_name_begins_with_a_number(drafted: Drafted) -> None:
    left: Lines = [["Company", "Churn date"]]
    left += [[company(n).upper(), day(200 + n)] for n in range(ROWS)]
    config, _ = drafted({"Accounts": accounts(), "2024 left": left})
    assert len(churns_of(config)) == ROWS
