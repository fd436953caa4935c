"""``init`` where accounts are closed or only fall silent: which of it is leaving, a person says."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from features.outcomes.churned import churn_dates
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft

ACCOUNTS, DAYS, FIRST = 30, 300, date(2023, 1, 1)


def until(account: int) -> int:
    """Return after how many days an account used nothing more: two in five leave, half silently."""
    return 120 + account if account % 5 < 2 else DAYS


def company(folder: Path) -> None:
    """Write accounts, daily consumption, keys that are taken back, and e-mails to contacts."""
    folder.mkdir()
    tables: dict[str, list[list[Any]]] = {
        "accounts": [["id", "created_at", "status", "closed_at"]],
        "daily_consumption": [["account_id", "usage_date", "units", "credits_burned"]],
        "api_keys": [["key_id", "account_id", "created_at", "revoked_at"]],
        "contacts": [["contact_id", "account_id"]],
        "email_events": [["contact_id", "sent_at", "opened_at"]],
    }
    for n in range(ACCOUNTS):
        closed = FIRST + timedelta(days=until(n) + 2) if n % 5 == 0 else ""
        name = f"acct_{n:05}"
        tables["accounts"].append([name, FIRST, "closed" if closed else "active", closed])
        tables["daily_consumption"] += [
            [name, FIRST + timedelta(days=day), 5 + n, 0.25] for day in range(until(n))
        ]
        for each in range(2):
            revoked = FIRST + timedelta(days=90 + n) if each else ""
            tables["api_keys"].append([f"key_{n:04}{each}", name, FIRST, revoked])
        tables["contacts"].append([f"contact_{n:04}", name])
        tables["email_events"] += [
            [f"contact_{n:04}", FIRST + timedelta(days=9 * each),
             FIRST + timedelta(days=9 * each + 1) if each % 2 else ""] for each in range(12)
        ]  # fmt: skip
    for table, rows in tables.items():
        text = "\n".join(",".join(map(str, row)) for row in rows) + "\n"
        (folder / f"{table}.csv").write_text(text, encoding="utf-8")


def churns(path: Path) -> dict[str, date]:
    project = load_project(path)
    with open_company(project) as opened:
        left = churn_dates(opened, project.settings.outcome).execute()
    return {row.account_id: row.churned_at.date() for row in left.itertuples()}


def test_who_was_closed_left_and_who_fell_silent_is_asked(tmp_path: Path) -> None:
    company(tmp_path / "data")
    text, doubts = write_draft(tmp_path / "data", tmp_path / "h.toml")
    tables = load_project(tmp_path / "h.toml").settings.tables
    # A key that is taken back is no contract, and an e-mail that is sent no use.
    assert tables.subscriptions.source == "accounts"
    assert "api_keys" not in text.split("# Not mapped")[0]
    used = {each.source for each in (tables.usage_events, tables.snapshots) if each is not None}
    assert used == {"daily_consumption"}
    assert "status" not in tables.accounts.attributes
    closed = {f"acct_{n:05}": FIRST + timedelta(days=until(n) + 2) for n in range(0, ACCOUNTS, 5)}
    assert churns(tmp_path / "h.toml") == closed
    assert (
        "6 of 24 accounts that closed_at does not call gone have had no row of daily_consumption"
        " for 60 days, and count as staying: if silence means that they left, take the marks off"
        " [views.left_or_silent] in the draft"
    ) in doubts
    # With the marks taken off, as the sentence says, silence is leaving once it has lasted.
    before, mark, after = text.partition("# [views.left_or_silent]")
    block, rest = (mark + after).split("\n\n", 1)
    bare = "\n".join(line.removeprefix("# ") for line in block.splitlines())
    (tmp_path / "h.toml").write_text(f"{before}{bare}\n\n{rest}", encoding="utf-8")
    silent = {
        f"acct_{n:05}": FIRST + timedelta(days=until(n) - 1 + 60) for n in range(1, ACCOUNTS, 5)
    }
    assert churns(tmp_path / "h.toml") == closed | silent


def test_silence_is_asked_where_some_ids_are_no_numbers(tmp_path: Path) -> None:
    company(tmp_path / "data")
    for file in (tmp_path / "data").glob("*.csv"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("acct_00", "100"), encoding="utf-8")
    accounts = tmp_path / "data" / "accounts.csv"
    first, *rows = accounts.read_text(encoding="utf-8").splitlines()
    strange = rows[-1].replace(rows[-1].split(",")[0], "new_one")
    accounts.write_text("\n".join([first, *rows, strange, ""]), encoding="utf-8")
    _, doubts = write_draft(tmp_path / "data", tmp_path / "h.toml")
    assert any("does not call gone have had no row" in doubt for doubt in doubts)
