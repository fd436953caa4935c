"""``init`` on tables that measure accounts each week or month."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipelines.project.project import load_project
from pipelines.setup.draft import write_draft

WHO = [f"K{n:02}" for n in range(12)]
MONTHS = pd.date_range("2023-01-01", periods=14, freq="MS")
Draft = Callable[..., Any]


@pytest.fixture
def drafted(tmp_path: Path) -> Draft:
    def draft(**tables: pd.DataFrame) -> Any:
        data = tmp_path / "data"
        data.mkdir()
        people = pd.DataFrame({"client_id": WHO, "signup_date": "2022-05-01"})
        ends = ["2023-08-01" if n % 3 == 0 else None for n in range(len(WHO))]
        contracts = pd.DataFrame({"client_id": WHO, "start_date": "2022-06-01", "end_date": ends})
        for name, rows in {"clients": people, "contracts": contracts, **tables}.items():
            rows.to_csv(data / f"{name}.csv", index=False)
        text, doubts = write_draft(data, tmp_path / "h.toml", force=True)
        return load_project(tmp_path / "h.toml").settings, doubts, text

    return draft


def measured(times: pd.DatetimeIndex, **columns: Any) -> pd.DataFrame:
    rows = pd.DataFrame([(who, time) for who in WHO for time in times], columns=["client_id", "t"])
    values = {name: rows.index % 7 if value is None else value for name, value in columns.items()}
    return rows.assign(**values)


def test_tables_of_months_are_one_table_of_signals_over_time(drafted: Draft) -> None:
    usage = measured(MONTHS, active_users=None, api_calls=None, errors=None, churn_flag=0)
    support = measured(MONTHS, tickets=None, errors=None, csm_id=3).rename(columns={"t": "month"})
    settings, doubts, _ = drafted(usage_metrics=usage, support_costs=support)
    assert settings.tables.usage_events is None
    assert (settings.tables.snapshots.source, settings.tables.snapshots.covers) == (
        "measures",
        "month",
    )
    own = settings.signals.own
    assert {name: (each.group, each.healthy) for name, each in own.items()} == {
        "tickets": ("support", "none"),
        "support_costs_errors": ("support", "none"),
        "active_users": ("usage", "higher"),
        "api_calls": ("usage", "higher"),
        "usage_metrics_errors": ("usage", "lower"),
    }
    assert all(each.over_time for each in own.values())
    assert (
        "measures: a row of support_costs and of usage_metrics tells of one account and month, so"
        " the numbers in it are signals over time, [signals.own]"
    ) in doubts


def test_the_view_holds_every_row_and_opens(drafted: Draft, tmp_path: Path) -> None:
    usage = measured(MONTHS, api_calls=None)
    support = measured(MONTHS[:6], tickets=None)
    drafted(product_usage=usage, support_costs=support)
    project = load_project(tmp_path / "h.toml")
    from pipelines.project.company import open_company

    with open_company(project) as company:
        rows = company.tables["snapshots"].cleaned.to_pandas()
    assert len(rows) == len(usage) + len(support)
    assert rows.api_calls.sum() == usage.api_calls.sum()
    assert rows.tickets.notna().sum() == len(support)
    assert rows.observed_at.max().date() == date(2024, 2, 29)


def test_weeks_with_gaps_count_as_use_too(drafted: Draft) -> None:
    # Every account has weeks of its own, and most weeks have no row.
    weeks = pd.date_range("2023-01-02", periods=60, freq="7D")
    rows = measured(weeks, sessions=None)
    rows["t"] += pd.to_timedelta(rows.client_id.str[1:].astype(int) % 5, unit="D")
    rows = rows[rows.index % 5 < 2]
    every = measured(weeks[:3], sessions=None)
    settings, _, _ = drafted(usage=pd.concat([rows, every]).drop_duplicates(["client_id", "t"]))
    assert settings.tables.usage_events.source == settings.tables.snapshots.source == "usage"
    assert list(settings.signals.own) == ["sessions"]


@pytest.mark.parametrize(
    ("times", "covers"),
    [
        (pd.date_range("2023-01-01", periods=14, freq="ME"), None),
        (pd.date_range("2023-01-02", periods=14, freq="7D"), "week"),
        (pd.date_range("2020-01-01", periods=14, freq="QS"), "quarter"),
        (pd.date_range("2023-01-02", periods=40, freq="D"), None),
    ],
)
def test_what_a_row_sums_up_is_read_off_its_days(drafted: Draft, times, covers) -> None:
    settings, _, _ = drafted(product_usage=measured(times, sessions=None))
    assert settings.tables.snapshots.covers == covers


def test_events_with_a_name_or_a_person_are_none(drafted: Draft) -> None:
    rows = measured(MONTHS, quantity=None, feature="x", user_id=None)
    settings, _, text = drafted(usage=rows)
    assert settings.tables.usage_events is not None
    assert settings.tables.snapshots is None
    assert "over_time = true" not in text
