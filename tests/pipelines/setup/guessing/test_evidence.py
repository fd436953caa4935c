"""``init`` by evidence: what values show where names say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.project.project import load_project

OTHER = {
    "people": "acct,joined,town\n" + "".join(f"K{n},2023-01-0{n},x\n" for n in range(1, 7)),
    "contracts": "acct,begin,finish\n"
    + "".join(
        f"K{n},2023-01-0{n},{'2024-01-01' if n < 3 else ''}\n" for n in (1, 2, 3, 4, 5, 6, 1)
    ),
    "logins": "acct,when\n" + "".join(f"K{n},2023-06-0{n}\n" for n in (1, 1, 2, 3, 4)),
}


@pytest.fixture
def folder(tmp_path: Path):
    def write(tables: dict[str, str]) -> Path:
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        for name, text in tables.items():
            (data / f"{name}.csv").write_text(text, encoding="utf-8")
        return data

    return write


def test_keys_and_times_of_any_name_are_found(folder, tmp_path, run) -> None:
    assert run("init", folder(OTHER), "-c", tmp_path / "h.toml").code == 0
    tables = load_project(tmp_path / "h.toml").settings.tables
    assert tables.accounts.source == "people"
    assert tables.accounts.columns["account_id"] == "acct"
    assert tables.accounts.columns["created_at"] == "joined"
    assert tables.subscriptions.columns["started_at"] == "begin"
    assert tables.subscriptions.columns["ended_at"] == "finish"
    assert tables.usage_events.columns == {"account_id": "acct", "occurred_at": "when"}
    assert run("check", "-c", tmp_path / "h.toml").code == 0


def test_a_column_of_a_known_name_that_is_left_out_is_named(folder, tmp_path, run) -> None:
    tables = {
        "accounts": "account_id,created_at\nA,2023-01-01\n",
        "subscriptions": "account_id,started_at,end_date,mrr\nA,2023-01-01,someday,cheap\n",
    }
    doubts = run("init", folder(tables), "-c", tmp_path / "h.toml", "--json").answer["doubts"]
    assert doubts == [
        "subscriptions: column 'end_date' is there for ended_at, and its values, such as 'someday',"
        " cannot be read as times",
        "subscriptions: column 'mrr' is there for mrr, and its values, such as 'cheap', cannot be"
        " read as numbers",
    ]


def test_what_is_so_today_is_no_renewal_and_no_attribute(folder, tmp_path, run) -> None:
    tables = {
        "accounts": "account_id,created_at,updated_at,rating\nA,2023-01-01,2024-01-01,hot\n",
        "subscriptions": "account_id,started_at,canceled_at,current_period_end\n"
        "A,2023-01-01,2024-01-01,2024-02-01\nB,2023-01-01,,2024-02-01\n",
    }
    answer = run("init", folder(tables), "-c", tmp_path / "h.toml", "--json").answer
    settings = load_project(tmp_path / "h.toml").settings.tables
    assert settings.accounts.attributes == ()
    assert "renewal_at" not in settings.subscriptions.columns
    assert any("is no renewal of the past" in doubt for doubt in answer["doubts"])
    assert any("may be the day of the request" in doubt for doubt in answer["doubts"])


def test_an_open_end_stays_an_end_and_no_column_fills_two_roles(folder, tmp_path, run) -> None:
    accounts = "account_id,created_at\nA,2023-01-01\nB,2023-01-01\n"
    for end, roles in (("9999-12-31", ("ended_at", "")), ("2025-01-01", ("", "ended_at"))):
        text = f"account_id,started_at,ended_at\nA,2023-01-01,2024-01-01\nB,2023-01-01,{end}\n"
        data = folder({"accounts": accounts, "subscriptions": text})
        assert run("init", data, "-c", tmp_path / "h.toml", "--force").code == 0
        columns = load_project(tmp_path / "h.toml").settings.tables.subscriptions.columns
        assert (columns["ended_at"], columns.get("renewal_at", "")) == roles
        run("check", "-c", tmp_path / "h.toml")


def test_void_invoices_are_left_out_and_epochs_are_read(folder, tmp_path, run) -> None:
    tables = {
        "accounts": "account_id,created_at\nA,2023-01-01\n",
        "subscriptions": "account_id,started_at,ended_at\nA,2023-01-01,\n",
        "invoices": "account_id,issued_at,due_at,status\nA,1700000000,1700100000,void\n"
        "A,1700000000,1700100000,paid\n",
    }
    assert run("init", folder(tables), "-c", tmp_path / "h.toml").code == 0
    settings = load_project(tmp_path / "h.toml").settings
    assert settings.reading.numbers_as_times == "unix"
    assert [str(each) for each in settings.tables.invoices.keep] == ["status not in 'void'"]
    assert run("check", "-c", tmp_path / "h.toml").code == 0


def test_two_tables_own_keys_are_never_joined(folder, tmp_path, run) -> None:
    tables = {
        "accounts": "account_id,id,created_at\nA,1,2023-01-01\nB,2,2023-01-01\n",
        "subscriptions": "account_id,started_at,ended_at\nA,2023-01-01,\n",
        "tickets": "id,opened_at\n1,2023-05-01\n2,2023-05-01\n",
    }
    doubts = run("init", folder(tables), "-c", tmp_path / "h.toml", "--json").answer["doubts"]
    assert "tickets has no column that looks like account_id" in doubts
