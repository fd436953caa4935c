"""``init`` where a state lies in a file for each month, and where accounts were merged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.sources.opening import open_source
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft

MONTHS, ROWS = 6, 24
Draft = Callable[[dict[str, list[list[Any]]]], tuple[Any, list[str]]]


@pytest.fixture
def drafted(tmp_path: Path) -> Draft:
    def draft(tables: dict[str, list[list[Any]]]) -> tuple[Any, list[str]]:
        data = tmp_path / "data"
        data.mkdir()
        for name, lines in tables.items():
            text = "\n".join(",".join(map(str, line)) for line in lines)
            (data / f"{name}.csv").write_text(text + "\n", encoding="utf-8")
        _, doubts = write_draft(data, tmp_path / "h.toml")
        return load_project(tmp_path / "h.toml"), doubts

    return draft


def test_states_of_files_are_signals_over_time_and_the_first_describes(drafted: Draft) -> None:
    tables: dict[str, list[list[Any]]] = {
        f"accounts_2024-{month:02}": [
            ["ref", "signup_date", "plan", "seats", "health", "status"],
            *([f"K{n:03}", "2023-01-01", "big" if month > 1 else "small", 10 + n + month, 50, "on"]
              for n in range(ROWS)),
        ]
        for month in range(1, MONTHS + 1)
    }  # fmt: skip
    tables["churned_customers"] = [
        ["ref", "churn_date", "reason"],
        *([f"K{n:03}", f"2024-0{1 + n % 5}-15", "price"] for n in range(ROWS - 2)),
    ]
    tables["bills_2024-01"] = [["no", "ref", "issued_at", "amount"], ["1", "K000", "2024-01-02", 1]]
    tables["bills_2024-02"] = [["no", "ref", "issued_at", "amount"], ["2", "K000", "2024-02-02", 1]]
    project, doubts = drafted(tables)
    mapped = project.settings.tables
    # The list of those who left names each once, and is still no list of accounts.
    assert mapped.churn_events.source == "churned_customers"
    assert mapped.invoices.source == "bills"
    assert mapped.accounts.attributes == ("plan",)
    assert {"accounts_seats", "health"} <= {*project.settings.signals.own}
    assert doubts[0] == (
        "accounts has a file for each time, each of which tells all of ref again: of each the first"
        " row is read, and numbers of every file count from the day its time was over"
    )
    with open_company(project) as company:
        plans = company.tables["accounts"].cleaned.execute()
        assert (len(plans), set(plans["plan"])) == (ROWS, {"small"})
        told = company.tables["snapshots"].cleaned.execute()
        first = told[told["account_id"] == "K000"].sort_values("observed_at").iloc[0]
        assert (f"{first['observed_at']:%Y-%m-%d}", first["accounts_seats"]) == ("2024-02-01", 11)


def test_rows_of_merged_accounts_count_for_the_one_that_was_kept(drafted: Draft) -> None:
    ids = [f"K{n:03}" for n in range(ROWS)]
    into = {"K001": "K002", "K002": "K003"}
    project, doubts = drafted({
        "accounts": [["account_id", "created_at", "merged_into"],
                     *([each, "2023-01-01", into.get(each, "")] for each in ids)],
        "subscriptions": [["account_id", "started_at", "ended_at"],
                          *([each, "2023-01-01", "2023-06-01" if each in into else ""]
                            for each in ids)],
    })  # fmt: skip
    assert doubts == [
        "accounts: merged_into says which account one was merged into, whose rows then count for"
        " that one"
    ]
    with open_company(project) as company:
        assert company.tables["accounts"].cleaned.count().execute() == ROWS - 2
        of_kept = company.tables["subscriptions"].cleaned
        assert of_kept.filter(of_kept.account_id == "K003").count().execute() == 3


def test_a_folder_that_holds_a_database_says_how_to_read_it(tmp_path: Path) -> None:
    (tmp_path / "lake.duckdb").write_bytes(b"")
    with (
        pytest.raises(Exception, match=r"name the file itself, '.*lake\.duckdb'"),
        open_source(str(tmp_path), Path()),
    ):
        pass
