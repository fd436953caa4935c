"""``init`` where no table holds contracts: bills of every month stand for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.outcomes.churned import churn_dates
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft
from tests.features.servers import PostgresServer, running_postgres

ACCOUNTS, MONTHS = 18, 14
CUSTOMERS = [
    ["customer_id", "signup_date"],
    *([f"K{n}", date(2023, 1, 1) + timedelta(days=n)] for n in range(ACCOUNTS)),
]


def bills(months: int = 1) -> list[list[Any]]:
    """Return a bill each month, or each so many; one account in three gets none after eight."""
    rows: list[list[Any]] = [["invoice", "customer_id", "invoice_date", "amount", "status"]]
    for account in range(ACCOUNTS):
        until = 8 if account % 3 == 0 else MONTHS
        for month in range(0, until, months):
            day = date(2023 + month // 12, 1 + month % 12, 1 + account)
            rows.append([len(rows), f"K{account}", day, 50 + account, "paid"])
    rows.append([len(rows), "K1", date(2023, 3, 20), 999, "void"])
    return rows


def draft(folder: Path, rows: list[list[Any]]) -> list[str]:
    (folder / "data").mkdir()
    for name, lines in {"customers": CUSTOMERS, "invoices": rows}.items():
        text = "\n".join(",".join(map(str, line)) for line in lines) + "\n"
        (folder / "data" / f"{name}.csv").write_text(text, encoding="utf-8")
    _, doubts = write_draft(folder / "data", folder / "h.toml")
    return doubts


def test_who_is_billed_no_more_has_left(tmp_path: Path) -> None:
    doubts = draft(tmp_path, bills())
    project = load_project(tmp_path / "h.toml")
    with open_company(project) as company:
        left = churn_dates(company, project.settings.outcome).execute()
        contracts = company.tables["subscriptions"].cleaned.execute()
    ends = {f"K{n}": date(2023, 9, 1 + n) for n in range(0, ACCOUNTS, 3)}
    assert {row.account_id: row.churned_at.date() for row in left.itertuples()} == ends
    assert len(contracts) == ACCOUNTS
    assert (contracts["mrr"] == 50 + contracts["account_id"].str[1:].astype(int)).all()
    assert any("invoices bills 100% of the accounts every month" in doubt for doubt in doubts)


def test_an_amount_counts_from_the_day_that_tells_it_and_never_beside_another(
    tmp_path: Path,
) -> None:
    rows = bills()
    newest = max(row[2] for row in rows[1:])
    # K1 pays more in one month, by a second bill; K16 by its newest.
    rows.append([len(rows), "K1", date(2023, 5, 20), 7, "paid"])
    for row in rows[1:]:
        row[3] += 5 if row[1] == "K16" and row[2] > newest - timedelta(days=20) else 0
    draft(tmp_path, rows)
    with open_company(load_project(tmp_path / "h.toml")) as company:
        held = company.tables["subscriptions"].cleaned.execute().sort_values("started_at")
    told = [
        (row.started_at.date(), row.mrr) for row in held[held["account_id"] == "K1"].itertuples()
    ]
    assert told == [
        (date(2023, 1, 2), 51), (date(2023, 5, 20), 58), (date(2023, 6, 2), 51)
    ]  # fmt: skip
    for account in ("K1", "K16"):
        own = held[held["account_id"] == account]
        assert own["ended_at"].tolist()[:-1] == own["started_at"].tolist()[1:]
        assert own["ended_at"].isna().tolist() == [False] * (len(own) - 1) + [True]


@pytest.mark.parametrize("months", [3, 12])
def test_bills_of_longer_terms_are_left_to_a_person(tmp_path: Path, months: int) -> None:
    doubts = draft(tmp_path, bills(months))
    assert any("No table tells of churn" in doubt for doubt in doubts)


def terms() -> list[list[Any]]:
    """Return a term a year of each account, of which one in three signs no third."""
    rows: list[list[Any]] = [["number", "customer_id", "start_date", "end_date"]]
    for account in range(ACCOUNTS):
        for year in range(2 if account % 3 == 0 else 4):
            start = date(2020 + year, 1, 1 + account)
            rows.append([len(rows), f"K{account}", start, start.replace(year=start.year + 1)])
    return rows


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with running_postgres() as found:
        yield found


@pytest.mark.postgres
@pytest.mark.xdist_group("postgres")
def test_a_server_computes_the_same_contracts(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for schema, name, rows in (("bills", "invoices", bills()), ("terms", "contracts", terms())):
        with server.connect() as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
            for table, lines in (("customers", CUSTOMERS), (name, rows)):
                head, *values = lines
                kinds = [{int: "integer", date: "date"}.get(type(v), "text") for v in values[0]]
                columns = ", ".join(f"{c} {k}" for c, k in zip(head, kinds, strict=True))
                connection.execute(f"CREATE TABLE {schema}.{table} ({columns})")
                marks = ", ".join(["%s"] * len(head))
                connection.cursor().executemany(
                    f"INSERT INTO {schema}.{table} VALUES ({marks})", values
                )
        monkeypatch.setenv("CRM", server.url(schema=schema))
        config = tmp_path / f"{schema}.toml"
        write_draft("${CRM}", config)
        project = load_project(config)
        with open_company(project) as company:
            left = churn_dates(company, project.settings.outcome).execute()
            contracts = company.tables["subscriptions"].cleaned.execute()
        gone = {account for account in left["account_id"] if int(account[1:]) % 3 == 0}
        assert gone == {f"K{n}" for n in range(0, ACCOUNTS, 3)}, schema
        if schema == "terms":
            years = contracts["renewal_at"].dt.year - contracts["started_at"].dt.year
            assert (years == 1).all()
        else:
            assert set(contracts["mrr"]) == {50 + n for n in range(ACCOUNTS)}
            assert len(left) == len(gone)
