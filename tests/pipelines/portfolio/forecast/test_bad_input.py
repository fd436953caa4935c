"""Contracts that mean little or nothing: each has a forecast that adds up and says what it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import DataError
from models.churn.segments import SegmentAssignment, SegmentSettings
from models.scoring.timing.retention.book import LearntBook, learn_book
from models.scoring.timing.retention.draws import draw_futures
from pipelines.portfolio.forecast.data import _doubts
from pipelines.portfolio.forecast.fiscal import periods_after
from pipelines.portfolio.forecast.history import Past, read_past
from pipelines.portfolio.forecast.sums import PartForecast, part_of
from pipelines.project.company import open_company
from pipelines.project.project import load_project

DAY, ACCOUNTS = date(2025, 1, 1), 120
CONFIG = """[source]
url = "data"
data_end = 2025-01-01
[tables.accounts]
[tables.subscriptions]
[tables.tickets]
"""
Terms = Callable[[int], list[dict[str, Any]]]


def annual(number: int) -> list[dict[str, Any]]:
    """Write a term for each year; every tenth account leaves at its second renewal."""
    month, rows = number % 12 + 1, []
    for year in (2022, 2023, 2024):
        start, end = f"{year}-{month:02d}-01", f"{year + 1}-{month:02d}-01"
        over = year < 2024 and end <= "2025-01-01"
        rows.append(
            {"started_at": start, "ended_at": end if over else None, "renewal_at": end, "mrr": 50.0}
        )
        if number % 10 == 0 and year == 2023:
            break
    return rows


def changed(**columns: Any) -> Terms:
    return lambda number: [{**term, **columns} for term in annual(number)]


def without(*columns: str) -> Terms:
    return lambda number: [
        {name: value for name, value in term.items() if name not in columns}
        for term in annual(number)
    ]


def nested(number: int) -> list[dict[str, Any]]:
    inner = {"started_at": "2022-07-01", "ended_at": None, "renewal_at": "2026-07-01", "mrr": 5.0}
    return [*annual(number), inner]


def overwritten(number: int) -> list[dict[str, Any]]:
    """Keep one row for all years, whose renewal date is always that of the current one."""
    terms = annual(number)
    return [{**terms[-1], "started_at": terms[0]["started_at"]}]


CASES: dict[str, Terms] = {
    "as they should be": annual,
    "no renewal dates": without("renewal_at"),
    "past renewals of running contracts": changed(renewal_at="2022-06-01", ended_at=None),
    "terms of no days": lambda number: [
        {**term, "renewal_at": term["started_at"]} for term in annual(number)
    ],
    "ten years": changed(renewal_at="2034-01-01"),
    "overlapping and nested": nested,
    "extended after the fact": changed(renewal_at="2027-01-01"),
    "overwritten renewal dates": overwritten,
    "no money": without("mrr"),
    "money of some": lambda number: [
        {**term, "mrr": None if number % 3 else 50.0} for term in annual(number)
    ],
    "nobody leaves": lambda number: annual(number or 1) if number % 10 else annual(number + 1),
}


@pytest.fixture
def foretold(tmp_path: Path) -> Callable[[Terms], tuple[Past, LearntBook, PartForecast, list[str]]]:
    def make(terms: Terms) -> tuple[Past, LearntBook, PartForecast, list[str]]:
        (tmp_path / "data").mkdir()
        names = [f"C{number}" for number in range(ACCOUNTS)]
        rows = [
            {"account_id": name, **term}
            for number, name in enumerate(names)
            for term in terms(number)
        ]
        tables = {
            "accounts": pd.DataFrame({"account_id": names, "created_at": "2021-12-01"}),
            "subscriptions": pd.DataFrame(rows),
            "tickets": pd.DataFrame({"account_id": names, "opened_at": "2022-10-01"}),
        }
        for name, table in tables.items():
            table.to_csv(tmp_path / "data" / f"{name}.csv", index=False)
        (tmp_path / "healthscore.toml").write_text(CONFIG, encoding="utf-8")
        project = load_project(tmp_path / "healthscore.toml")
        periods = periods_after(DAY, 1, 4)
        with open_company(project) as company:
            everybody = SegmentAssignment(SegmentSettings(), ("all",), ())
            past = read_past(project, company, everybody, None, DAY)
            book = learn_book(past.history, past.earlier)
            accounts = past.now.assign(log_odds=0.0)
            futures = draw_futures(
                book,
                accounts,
                [each.span(DAY) for each in periods],
                [np.zeros(len(accounts), dtype=np.intp)],
            )
            has_money = bool((accounts["arr"] > 0).any())
            whole = part_of("all", futures, 0, periods, has_money=has_money)
            told: Any = SimpleNamespace(accounts=accounts, book=book, whole=whole)
            return past, book, whole, _doubts(company, told)

    return make


@pytest.mark.parametrize("case", CASES)
def test_every_book_has_a_forecast_that_adds_up(case: str, foretold: Any) -> None:
    past, book, whole, doubts = foretold(CASES[case])
    assert book.quarters > 0
    assert whole.accounts == len(past.now) > 0
    for one in whole.periods:
        kept = one.retention.accounts
        assert 0 <= kept.low <= kept.expected <= kept.high <= 1
        if whole.arr is not None:
            assert np.isfinite([each.expected for each in one.money.values()]).all()
    said = " ".join(doubts)
    assert ("No MRR is known" in said) == (case == "no money")
    assert ("The MRR of 75 of" in said or "accounts is not known: sums" in said) == (
        case == "money of some"
    )
    undated = (*("no renewal dates", "past renewals of running contracts", "terms of no days"),)
    assert ("No contract has a renewal date to come" in said) == (case in undated)
    assert "hardly more than a guess" in said


def test_two_currencies_are_refused_before_they_are_summed(foretold: Any) -> None:
    def paid(number: int) -> list[dict[str, Any]]:
        return [{**term, "currency": "EUR" if number % 2 else "USD"} for term in annual(number)]

    with pytest.raises(DataError, match="in several currencies, 'eur', 'usd'"):
        foretold(paid)


def test_a_lapse_within_the_grace_is_no_loss(foretold: Any) -> None:
    def lapsing(number: int) -> list[dict[str, Any]]:
        first, second, *rest = annual(number)
        again = first["renewal_at"][:-2] + "05"
        return [first, {**second, "started_at": again}, *rest]

    past, book, _, _ = foretold(lapsing)
    left = {f"C{number}" for number in range(0, ACCOUNTS, 10)}
    lost = past.history[past.history["lost"] == 1]
    assert set(lost["account_id"]) <= left
    assert book.losses == len(lost)
