"""``init`` on contracts of strangers: who paid, and what a month of it is worth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.errors import SettingsError
from features.tables.company import clean_tables
from pipelines.project.company import open_project_source
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft
from pipelines.setup.drafting.vendors import NO_ANSWERS, Answers

Rows = dict[str, list[list[Any]]]
PAID, MONTH = 24, 50.0


def day(number: int) -> str:
    return (date(2023, 1, 1) + timedelta(days=number)).isoformat()


def ends(number: int) -> str:
    return "" if number % 3 else day(number + 200)


def company(header: list[str], more: Callable[[int], list[Any]]) -> Rows:
    """Return accounts and contracts of 50 a month; a third of them ended."""
    return {
        "accounts": [["id", "created_at"], *([f"K{n:03}", day(n)] for n in range(PAID + 6))],
        "contracts": [
            ["number", "account", "start_date", "end_date", *header],
            *([f"N{n:03}", f"K{n:03}", day(n), ends(n), *more(n)] for n in range(PAID)),
        ],
    }


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Any]:
    """Draft a company and return how many contracts, of which ended, and the running MRR."""

    def draft(rows: Rows, answers: Answers = NO_ANSWERS, **options: Any) -> Any:
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        for name, lines in rows.items():
            text = "\n".join(",".join(map(str, line)) for line in lines)
            (data / f"{name}.csv").write_text(text + "\n", encoding="utf-8")
        config = tmp_path / "h.toml"
        _, doubts = write_draft(data, config, force=True, answers=answers, **options)
        project = load_project(config)
        with open_project_source(project) as source:
            settings = project.settings
            table = clean_tables(source, settings.tables, settings.reading)["subscriptions"]
            contracts = table.cleaned.execute()
        running = contracts[contracts["ended_at"].isna()]
        money = None if not table.has("mrr") else round(float(running["mrr"].sum()), 6)
        return len(contracts), len(contracts) - len(running), money, doubts

    return draft


RUNNING = sum(1 for n in range(PAID) if ends(n) == "")
RIGHT = (PAID, PAID - RUNNING, RUNNING * MONTH)


@pytest.mark.parametrize(
    ("header", "more"),
    [
        (["mrr"], lambda n: [50]),
        (["arr"], lambda n: [600]),
        (["price_cents", "every"], lambda n: [5000, "month"] if n % 2 else [60000, "year"]),
        (["acv"], lambda n: [600]),
        (["unit_price", "seats", "billing"], lambda n: [n + 1, 50 / (n + 1), "monthly"]),
        (["price", "billing_frequency"], lambda n: [50 if n % 2 else 600, 1 if n % 2 else 12]),
        (["amount", "interval", "interval_count"], lambda n: [150, "month", 3]),
        (["unit_amount", "interval"], lambda n: [5000, "month"] if n % 2 else [60000, "year"]),
        (["importe_anual"], lambda n: [600]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_month_is_worked_out_of_the_contracts_own_row(read, header, more) -> None:
    assert read(company(header, more))[:3] == RIGHT


def test_a_month_is_worked_out_of_a_plan_and_of_items(read) -> None:
    plans = [["plan_id", "yearly_price"], ["gold", 600], ["lead", 600]]
    rows = company(["plan_id"], lambda n: ["gold" if n % 2 else "lead"])
    assert read(rows | {"plans": plans})[:3] == RIGHT
    lines = [["line", "number", "qty", "unit_price_month"]]
    lines += [[f"L{n}", f"N{n % PAID:03}", 5, 6 if n < PAID else 4] for n in range(2 * PAID)]
    assert read(company([], lambda n: []) | {"lines": lines})[:3] == RIGHT
    items = [["item", "number", "price_id", "quantity"]]
    items += [[f"L{n}", f"N{n % PAID:03}", f"P{n % PAID:03}", 1] for n in range(2 * PAID)]
    prices = [
        ["price_id", "unit_amount", "per"],
        *([f"P{n:03}", 2500, "month"] for n in range(PAID)),
    ]
    assert read(company([], lambda n: []) | {"items": items, "prices": prices})[:3] == RIGHT


def with_trials(rows: Rows, extra: list[Any]) -> Rows:
    for n in range(PAID, PAID + 6):
        values = [value(n) if callable(value) else value for value in extra]
        rows["contracts"].append([f"N{n:03}", f"K{n:03}", day(n), day(n + 14), *values])
    return rows


@pytest.mark.parametrize(
    ("header", "more", "extra"),
    [
        (["mrr", "trial_end"], lambda n: [50, ""], [50, lambda n: day(n + 14)]),
        (["mrr", "is_trial"], lambda n: [50, "false"], [50, "true"]),
        (["mrr", "status"], lambda n: [50, "active"], [50, "trial_ended"]),
        (["mrr", "livemode"], lambda n: [50, "true"], [50, "false"]),
        (["mrr", "test_mode"], lambda n: [50, "false"], [50, "true"]),
        (["mrr", "dbt_valid_to"], lambda n: [50, ""], [50, lambda n: day(n)]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_trials_tests_and_older_versions_are_nobodys_contract(read, header, more, extra) -> None:
    *figures, doubts = read(with_trials(company(header, more), extra))
    assert tuple(figures) == RIGHT
    assert any("left out" in doubt for doubt in doubts)


def test_a_flag_that_says_a_trial_was_had_leaves_nobody_out(read) -> None:
    rows = company(["mrr", "trial_period"], lambda n: [50, "true" if n % 2 else "false"])
    *figures, doubts = read(rows)
    assert tuple(figures) == RIGHT
    assert any("trial_period marks contracts of which" in doubt for doubt in doubts)


def test_trials_count_where_a_person_says_so_and_rates_are_asked_for(read) -> None:
    rows = company(["mrr", "trial_end"], lambda n: [50, ""])
    with_trials(rows, [50, lambda n: day(n + 14)])
    assert read(rows, Answers(trials=True))[0] == PAID + 6
    asked: list[str] = []

    def ask(question: str, default: str) -> str:
        asked.append(question)
        return "yes" if "trials" in question else "usd eur=2" if "currency" in question else "no"

    mixed = company(["unit_amount", "interval", "currency"],
                    lambda n: [5000, "month", "eur" if n % 2 else "usd"])  # fmt: skip
    *_, doubts = read(mixed)
    assert any("several currencies, eur, usd" in doubt for doubt in doubts)
    worth = sum((2 if n % 2 else 1) for n in range(PAID) if ends(n) == "")
    assert read(mixed, ask=ask)[2] == worth * MONTH
    assert read(rows, ask=ask)[0] == PAID + 6
    assert len(asked) <= 5


def test_the_latest_of_several_ends_is_the_end_and_todays_renewal_is_none(read, tmp_path) -> None:
    rows = company(["mrr", "renews_at"], lambda n: [50, day(400) if ends(n) == "" else ""])
    rows["contracts"][0][2:4] = ["created_at", "ends_at"]
    *figures, doubts = read(rows)
    assert tuple(figures) == RIGHT
    assert any("renews_at is known of running contracts alone" in doubt for doubt in doubts)
    assert '"renews_at"' not in (tmp_path / "h.toml").read_text()


def test_an_amount_of_an_unknown_period_is_named_and_not_taken(read, tmp_path, run) -> None:
    *figures, doubts = read(company(["price"], lambda n: [50]))
    assert figures[2] is None
    assert any(
        "price in contracts may be the amount of a month or of a year" in each for each in doubts
    )
    findings = run("check", "-c", tmp_path / "h.toml", "--json").answer["tables"]
    codes = {
        each["code"]: each["text"] for table in findings.values() for each in table["findings"]
    }
    assert codes["no-amount"].startswith("no column is mapped as mrr")
    assert codes["without-contract"].startswith("6 of 30 accounts have no contract")


def test_folders_beside_tables_are_named_and_too_many_tables_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name, lines in company(["mrr"], lambda n: [50]).items():
        data.mkdir(exist_ok=True)
        (data / f"{name}.csv").write_text("\n".join(",".join(map(str, each)) for each in lines))
    (data / "usage").mkdir()
    for number in range(2):
        (data / "usage" / f"part-{number}.csv").write_text("a,b\n1,2\n")
    _, doubts = write_draft(data, tmp_path / "h.toml")
    assert any(each.startswith("Folders that are not read: 'usage/'; name") for each in doubts)
    for number in range(1000):
        (data / f"log_{number}.csv").touch()
    with pytest.raises(SettingsError, match="holds 1,002 tables, such as 'accounts', 'contracts'"):
        write_draft(data, tmp_path / "h.toml", force=True)


def test_a_percent_is_no_amount(read, tmp_path, run) -> None:
    read(company(["mrr"], lambda n: [f"{n}%"]))
    refused = run("check", "-c", tmp_path / "h.toml")
    assert refused.sentence.startswith("Column mrr of table 'contracts' must hold a number and")
    assert read(company(["mrr", "discount"], lambda n: [50, "5%"]))[:3] == RIGHT


@pytest.mark.parametrize(("stranger", "tells"), [(False, False), (True, True)])
def test_winning_no_customer_is_no_early_end(tmp_path, run, stranger: bool, tells: bool) -> None:
    rows = company(["mrr"], lambda n: [50])
    ids = [f"K{n % PAID:03}" for n in range(700)] + (["K999"] if stranger else [])
    rows["events"] = [["account", "at"], *([each, day(n)] for n, each in enumerate(ids))]
    (tmp_path / "data").mkdir()
    for name, lines in rows.items():
        text = "\n".join(",".join(map(str, line)) for line in lines)
        (tmp_path / "data" / f"{name}.csv").write_text(text + "\n")
    write_draft(tmp_path / "data", tmp_path / "h.toml")
    tables = run("check", "-c", tmp_path / "h.toml", "--json").answer["tables"]
    codes = [each["code"] for each in tables["accounts"]["findings"]]
    assert ("table-ends-early" in codes) == tells


def test_a_time_that_is_called_no_end_is_none_where_the_start_is_known(read, tmp_path) -> None:
    rows = company(["mrr"], lambda n: [50])
    rows["contracts"][0][2:4] = ["start_date", "upgraded_at"]
    write = tmp_path / "data"
    write.mkdir()
    for name, lines in rows.items():
        text = "\n".join(",".join(map(str, line)) for line in lines)
        (write / f"{name}.csv").write_text(text + "\n")
    text, _ = write_draft(write, tmp_path / "h.toml")
    assert "upgraded_at" not in text.partition("[outcome]")[0]


def test_a_mark_of_what_runs_keeps_those_that_ended(read) -> None:
    rows = company(["mrr", "is_current"], lambda n: [50, "false" if ends(n) else "true"])
    assert read(rows)[:3] == RIGHT
