"""Every label of the outcomes beside churn against plain SQL, and the same on every engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pandas as pd
import pytest

from features.build import build_features
from features.builders.settings import SignalsSettings
from features.catalog import GROUPS
from features.outcomes.labels import OutcomeSettings
from features.outcomes.settings import AdoptionTarget
from features.tables.company import Company
from tests.features.sql_oracle import DAY, FOLDER, SqlOracle, microseconds
from tests.features.test_build import churn_moments, running_terms

DATES = (date(2024, 3, 1), date(2024, 4, 1))
NO_SIGNALS = SignalsSettings(groups_off=tuple(group for group in GROUPS if group != "profile"))
CONTRACTION = OutcomeSettings(kind="contraction", lead_days=8, horizon_days=60, change_share=0.5)
REVENUE = [
    OutcomeSettings(kind="contraction", horizon_days=30),
    CONTRACTION,
    OutcomeSettings(kind="expansion", lead_days=27, horizon_days=91, change_share=0.2),
    OutcomeSettings(kind="expansion", horizon_days=60),
]
USERS = AdoptionTarget(measure="users", at_least=2)
FEATURES = AdoptionTarget(measure="features", at_least=1)
OF_ONE = AdoptionTarget(measure="events", at_least=1, feature="Übung 'x'; --")
ADOPTION = [
    OutcomeSettings(kind="adoption", lead_days=7, horizon_days=90, target=USERS),
    OutcomeSettings(kind="adoption", lead_days=7, horizon_days=60, target=FEATURES),
    OutcomeSettings(kind="adoption", horizon_days=91, target=OF_ONE),
]
Tables = dict[str, list[dict[str, Any]]]


def changing_contracts(chance: Random) -> Tables:
    """Draw accounts whose MRR changes, is missing, ends, or is recorded late."""
    tables: Tables = {"accounts": [], "subscriptions": [], "churn_events": []}
    for number in range(150):
        account = {"account_id": f"account {number}"}
        tables["accounts"].append(account | {"created_at": datetime(2023, 1, 1)})
        for _ in range(chance.choice((1, 1, 2))):
            start = datetime(2023, 6, 1)
            for _ in range(chance.randint(1, 4)):
                end = start + timedelta(days=chance.randint(20, 250), hours=chance.choice((0, 5)))
                term = {"started_at": start, "ended_at": chance.choice((end, end, None))}
                renewal = chance.choice((None, None, end, start + timedelta(days=300)))
                mrr = chance.choice((0.0, 45.0, 50.0, 55.0, 100.0, 100.0, 110.0, 90.0))
                term |= {"renewal_at": renewal, "mrr": None if chance.random() < 0.03 else mrr}
                late = start + timedelta(days=chance.randint(0, 200))
                term["recorded_at"] = late if chance.random() < 0.1 else None
                tables["subscriptions"].append(account | term)
                start = end + timedelta(days=chance.choice((0, 0, 0, 3, 30)))
        if chance.random() < 0.15:
            churned = datetime(2024, 1, 1) + timedelta(days=chance.randint(0, 200))
            tables["churn_events"].append(account | {"churned_at": churned})
    return tables


def rows_of(company: Company, outcome: OutcomeSettings, *, labelled: bool) -> dict[Any, Any]:
    frame = build_features(company, DATES, outcome, NO_SIGNALS, labelled=labelled)
    values = frame["happened"] if labelled else [None] * len(frame)
    keys = zip(frame["account_id"], frame["observation_date"].dt.date, strict=True)
    return dict(zip(keys, values, strict=True))


@pytest.fixture(scope="module")
def company(full_company: Company) -> Company:
    return full_company


@pytest.fixture(scope="module")
def contracts() -> Tables:
    return changing_contracts(Random(7))


def as_company(company_of: Callable[..., Company], tables: Tables) -> Company:
    frames = {}
    for name, rows in tables.items():
        frame = pd.DataFrame(rows)
        times = [column for column in frame if str(column).endswith("_at")]
        frames[name] = frame.astype(dict.fromkeys(times, "datetime64[us]"))
    return company_of(frames, known_until=date(2024, 8, 1))


@pytest.fixture(scope="module")
def everybody(company: Company) -> dict[Any, Any]:
    return rows_of(company, OutcomeSettings(), labelled=False)


class Asked:
    """The oracle's queries over the rows of a company."""

    def __init__(self, rows: Tables, columns: dict[str, Any]) -> None:
        layout = {
            table: {name: kind for name, kind in names.items() if name != "recorded_at"}
            for table, names in columns.items()
        }
        self.connection = SqlOracle(rows, layout).connection

    def __call__(
        self, query: str, account: str, day: date, outcome: OutcomeSettings, **more: Any
    ) -> Any:
        parameters = {
            "account": account,
            "midnight": microseconds(datetime(day.year, day.month, day.day)),
            "day": DAY,
            "lead": outcome.lead_days,
            "horizon": outcome.horizon_days,
            **more,
        }
        text = (FOLDER / "outcomes" / f"{query}.sql").read_text("utf-8")
        (row,) = self.connection.execute(text, parameters).fetchall()
        return dict(row)


@pytest.mark.parametrize("outcome", REVENUE, ids=lambda o: f"{o.kind}-{o.horizon_days}")
def test_revenue_changes_are_those_of_plain_sql(
    outcome: OutcomeSettings, contracts: Tables, full_world: Any, company_of: Any
) -> None:
    company = as_company(company_of, contracts)
    ask = Asked(contracts, full_world.columns)
    sign = 1 if outcome.kind == "expansion" else -1
    everybody = rows_of(company, outcome, labelled=False)
    expected = {}
    for account, day in everybody:
        answer = ask("revenue", account, day, outcome, sign=sign, share=outcome.change_share)
        if answer["happened"] is not None:
            expected[account, day] = answer["happened"]
    assert rows_of(company, outcome, labelled=True) == expected
    counts = Counter(expected.values())
    assert counts[0] > 20
    assert counts[1] > 5
    assert len(expected) < len(everybody)


@pytest.mark.parametrize("outcome", ADOPTION, ids=lambda o: o.target.measure)
def test_targets_are_reached_as_in_plain_sql(
    outcome: OutcomeSettings, company: Company, full_world: Any, everybody: dict[Any, Any]
) -> None:
    target = outcome.target
    assert target is not None
    ask = Asked(full_world.rows, full_world.columns)
    open_to_it, expected = set(), {}
    for account, day in everybody:
        counts = ask("adoption", account, day, outcome, feature=target.feature)
        if counts[f"{target.measure}_before"] >= target.at_least:
            continue
        open_to_it.add((account, day))
        midnight = datetime(day.year, day.month, day.day)
        _, latest = running_terms(full_world, account, midnight)
        opens = midnight + timedelta(days=outcome.lead_days)
        moments = churn_moments(full_world, account, timedelta(days=outcome.grace_days))
        if not any(latest < moment < opens for moment in moments):
            expected[account, day] = int(counts[f"{target.measure}_within"] >= target.at_least)
    # Whoever had reached the target is no candidate, neither to learn from nor to score.
    assert set(rows_of(company, outcome, labelled=False)) == open_to_it
    assert len(open_to_it) < len(everybody)
    assert rows_of(company, outcome, labelled=True) == expected
    assert set(expected.values()) == {0, 1}


def test_every_engine_gives_the_same_outcomes(company: Company, full_computed: Company) -> None:
    """What is read into DuckDB from elsewhere is the same tables, as test_engines.py shows."""
    for outcome in (CONTRACTION, ADOPTION[0]):
        found = rows_of(full_computed, outcome, labelled=True)
        assert found == rows_of(company, outcome, labelled=True), outcome.kind
        assert set(found.values()) == {0, 1}, outcome.kind


def test_dated_labels_are_joined_alike_on_every_engine(company_on: Any) -> None:
    accounts = pd.DataFrame(
        {"account_id": ["A", "B", "C"], "created_at": [datetime(2023, 1, 1)] * 3}
    )
    labels = pd.DataFrame(
        {
            "account_id": ["A", "B", "A", "C", "C", "ghost"],
            "observed_at": [
                datetime(2024, 3, 1),
                datetime(2024, 3, 1, 17, 30),
                datetime(2024, 4, 1),
                datetime(2024, 4, 1),
                datetime(2024, 4, 1, 5),
                datetime(2024, 3, 1),
            ],
            "happened": ["yes", "No", None, "0", "no", "1"],
        }
    )
    company = company_on({"accounts": accounts, "labels": labels}, known_until=date(2024, 7, 1))
    outcome = OutcomeSettings(kind="label")
    assert rows_of(company, outcome, labelled=True) == {
        ("A", DATES[0]): 1,
        ("B", DATES[0]): 0,
        ("C", DATES[1]): 0,
    }
