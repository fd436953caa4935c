"""``init`` on a warehouse: a row for each version of an account, keys of days, monthly amounts."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from features.outcomes.churned import churn_dates
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft

ACCOUNTS, MONTHS = 24, 12
LAST = date(9999, 12, 31)


def key(day: date) -> int:
    return int(f"{day:%Y%m%d}")


def version(account: int, day: date) -> int:
    """Return the surrogate key that was valid: odd accounts get a second version in July."""
    return 1000 + 2 * account + int(account % 2 == 1 and day >= date(2023, 7, 1))


def month_end(month: int) -> date:
    return date(2023 + month // 12, 1 + month % 12, 1) - timedelta(days=1)


def warehouse(folder: Path, amount: str = "arr_usd", factor: int = 12) -> None:
    """Write a star schema; one account in three pays no more from August on."""
    folder.mkdir()
    since = date(2023, 1, 1)
    versions, used, paid, asked = [], [], [], []
    for n in range(ACCOUNTS):
        changed = date(2023, 7, 1)
        name = (f"ACC-{n}", f"Company {n}")
        if n % 2:
            versions.append((1000 + 2 * n, *name, "Basic", since, changed, False))
            versions.append((1001 + 2 * n, *name, "Plus", changed, LAST, True))
        else:
            versions.append((1000 + 2 * n, *name, "Basic", since, LAST, True))
        for month in range(1, MONTHS + 1):
            day = month_end(month)
            gone = n % 3 == 0 and month >= 8
            if gone and n % 2:
                continue
            paid.append((version(n, day), key(day), 0.0 if gone else float(factor * (100 + n))))
            if not gone:
                used += [(version(n, each), key(each), 3 + n) for each in
                         (day - timedelta(days=d) for d in range(9))]  # fmt: skip
                closed = -1 if month % 3 == 0 else key(day)
                opened, agent = day - timedelta(days=4), 50_000 + len(asked) % ACCOUNTS
                asked.append((len(asked), version(n, day), agent, key(opened), closed))
    tables = {
        "dim_account": (versions, "account_sk account_nk account_name plan valid_from valid_to"
                        " is_current"),
        "fact_usage_daily": (used, "account_sk date_key event_count"),
        "fact_arr_snapshot": (paid, f"account_sk date_key {amount}"),
        "fact_ticket": (asked, "ticket_id account_sk agent_sk opened_date_key closed_date_key"),
        # Fewer tables point at it, and it is named first.
        "agent_dim": (
            [(50_000 + 2 * n + k, f"AGT-{n}", *((since, changed) if k == 0 else (changed, LAST)))
             for n in range(ACCOUNTS // 2) for k in range(2)],
            "agent_sk agent_nk valid_from valid_to",
        ),
    }  # fmt: skip
    for table, (rows, columns) in tables.items():
        pd.DataFrame(rows, columns=columns.split()).to_parquet(folder / f"{table}.parquet")


@pytest.mark.parametrize(("amount", "factor"), [("arr_usd", 12), ("mrr", 1)])
def test_facts_of_versions_are_of_the_account_and_amounts_of_months_its_contracts(
    tmp_path: Path, amount: str, factor: int
) -> None:
    warehouse(tmp_path / "data", amount, factor)
    _, doubts = write_draft(tmp_path / "data", tmp_path / "h.toml")
    project = load_project(tmp_path / "h.toml")
    with open_company(project) as company:
        rows = {name: company.tables[name].cleaned.execute() for name in
                ("accounts", "subscriptions", "snapshots", "tickets")}  # fmt: skip
        left = churn_dates(company, project.settings.outcome).execute()
    names = {f"ACC-{n}" for n in range(ACCOUNTS)}
    assert all(set(rows[name]["account_id"]) == names for name in rows)
    assert len(rows["accounts"]) == ACCOUNTS
    # A change of plan was not known before it: accounts are as they were first told.
    assert set(rows["accounts"]["plan"]) == {"Basic"}

    gone = {f"ACC-{n}": date(2023, 8, 31) for n in range(0, ACCOUNTS, 3)}
    assert {row.account_id: row.churned_at.date() for row in left.itertuples()} == gone
    contracts = rows["subscriptions"]
    assert len(contracts) == ACCOUNTS
    assert (contracts["mrr"] == 100 + contracts["account_id"].str[4:].astype(int)).all()
    # A key of -1 is no day, and no value that cannot be read.
    assert rows["tickets"]["closed_at"].isna().sum() == 4 * ACCOUNTS - 2 * len(gone)
    assert any("has a row for each version of account_nk" in doubt for doubt in doubts)
    assert any(f"as long as {amount} is above nothing" in doubt for doubt in doubts)


def test_a_table_of_versions_that_nothing_points_at_stays_as_it_is(tmp_path: Path) -> None:
    warehouse(tmp_path / "data")
    for name in ("fact_usage_daily", "fact_arr_snapshot", "fact_ticket"):
        (tmp_path / "data" / f"{name}.parquet").unlink()
    text, doubts = write_draft(tmp_path / "data", tmp_path / "h.toml")
    assert "first_dim_account" not in text
    assert not any("each version" in doubt for doubt in doubts)


def test_a_dimension_may_be_called_anything_and_hold_two_versions_of_one_day(
    tmp_path: Path,
) -> None:
    warehouse(tmp_path / "data")
    file = tmp_path / "data" / "dim_account.parquet"
    rows = pd.read_parquet(file)
    rows.loc[rows["account_nk"] == "ACC-5", ["valid_from", "valid_to"]] = date(2023, 1, 1)
    has_next = rows["account_nk"].duplicated(keep="last")
    rows["next_sk"] = (rows["account_sk"] + 1).where(has_next).astype("Int64")
    rows.to_parquet(tmp_path / "data" / "Dim Größe's.parquet")
    file.unlink()
    write_draft(tmp_path / "data", tmp_path / "h.toml")
    project = load_project(tmp_path / "h.toml")
    # That another version follows was not known.
    assert "next_sk" not in project.settings.tables.accounts.attributes
    with open_company(project) as company:
        accounts = company.tables["accounts"].cleaned.execute()
    assert sorted(accounts["account_id"]) == sorted(f"ACC-{n}" for n in range(ACCOUNTS))
    assert set(accounts["plan"]) == {"Basic"}


def test_contracts_that_say_when_they_are_valid_are_no_versions(tmp_path: Path) -> None:
    data, since = tmp_path / "data", date(2022, 1, 1)
    data.mkdir()
    terms = [
        (f"SUB-{n}-{k}", f"A-{n:03}", since + timedelta(days=n + 365 * k), 100)
        for n in range(40) for k in range(2 + n % 2)
    ]  # fmt: skip
    pd.DataFrame(
        [(*row[:3], row[2] + timedelta(days=365), row[3]) for row in terms],
        columns=["subscription_id", "account_id", "valid_from", "valid_to", "mrr"],
    ).to_csv(data / "subscriptions.csv", index=False)
    pd.DataFrame(
        [(f"INV-{n}", *row[::2], row[3]) for n, row in enumerate(terms)],
        columns=["invoice_id", "subscription_id", "issued_at", "amount"],
    ).to_csv(data / "invoices.csv", index=False)
    pd.DataFrame(
        [(f"A-{n:03}", f"Name {n}", since) for n in range(40)],
        columns=["account_id", "name", "created_at"],
    ).to_csv(data / "accounts.csv", index=False)
    _, doubts = write_draft(data, tmp_path / "h.toml")
    assert not any("each version" in doubt for doubt in doubts)
    with open_company(load_project(tmp_path / "h.toml")) as company:
        assert int(company.tables["subscriptions"].cleaned.count().execute()) == len(terms)
