"""Nothing that came after an observation date may change what was known on it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import ibis
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.build import build_features
from features.builders.settings import OwnSignal, SignalsSettings
from features.observations import dates_table
from features.outcomes.labels import OutcomeSettings
from features.tables.company import Company, rows_known
from features.tables.mapping.contract import CONTRACT
from tests.costly import costly

Row = dict[str, Any]
Value = Callable[..., Any]
DAY = date(2024, 3, 1)
MIDNIGHT = datetime(2024, 3, 1)
RUBRIC = {"a": {"5": "Calls us first"}, "b": {"1": "Does not call back"}}
SIGNALS = SignalsSettings(key_features=("a", "Übung 'x'; --"), rubric=RUBRIC)
OWN = {"own_number": OwnSignal(group="usage"), "own_text": OwnSignal(group="profile")}
# The moment from which each later-filled value is known, written out from the table contract.
KNOWN_AT = {
    "subscriptions": {"ended_at": "ended_at"},
    "tickets": {
        "first_response_at": "first_response_at",
        "closed_at": "closed_at",
        "escalated": "closed_at",
        "reopened": "closed_at",
        "csat": "closed_at",
        "sentiment": "closed_at",
    },
    "invoices": {
        "paid_at": "paid_at",
        "failed_attempts": "paid_at",
        "refunded_at": "refunded_at",
    },
    "referrals": {"converted_at": "converted_at"},
    "surveys": {"responded_at": "responded_at", "score": "responded_at"},
}
# What stands for a row's own time where that is missing.
OWN_TIME_ELSE = {"surveys": "responded_at", "snapshots": "recorded_at"}


def after(chance: Random) -> datetime:
    return MIDNIGHT + timedelta(days=chance.choice((0, 0, 1, 30, 400)), hours=chance.choice((0, 5)))


def is_later(moment: datetime | None) -> bool:
    return moment is None or moment >= MIDNIGHT


def unknown_row(row: Row, layout: dict[str, str], chance: Random, value: Value) -> Row:
    """Return another row that was as unknown on the day as this one."""
    own = next(iter(layout))
    changed = {name: value(chance, kind, name) for name, kind in layout.items()}
    changed |= {"account_id": row["account_id"], own: value(chance, "time") or after(chance)}
    if "recorded_at" in layout and chance.random() < 0.5:
        changed["recorded_at"] = after(chance)
    else:
        changed[own] = after(chance)
    return changed


def scrambled(world: Any, chance: Random, value: Value) -> Any:
    """Delete, change and add whatever was not known before the day, in every table."""
    changed = copy.deepcopy(world)
    for table, layout in world.columns.items():
        own = next(iter(layout))
        rows: list[Row] = []
        for row in changed.rows[table]:
            moment = row[own] or row.get(OWN_TIME_ELSE.get(table, own))
            recorded = row.get("recorded_at") or moment
            if moment is not None and (moment >= MIDNIGHT or recorded >= MIDNIGHT):
                if chance.random() < 0.5:
                    rows.append(unknown_row(row, layout, chance, value))
                continue
            known_at = KNOWN_AT.get(table, {})
            later = [name for name, at in known_at.items() if name in row and is_later(row.get(at))]
            for name in later:
                filled_in = known_at[name] == name
                row[name] = (
                    chance.choice((None, after(chance)))
                    if filled_in
                    else value(chance, layout[name], name)
                )
            rows.append(row)
        if table != "accounts":
            rows += [
                unknown_row(row, layout, chance, value) for row in rows if chance.random() < 0.5
            ]
        changed.rows[table] = rows
    return changed


def features_on_the_day(company: Company) -> pd.DataFrame:
    own = OWN if company.has("snapshots") else {}
    chosen = SIGNALS.model_copy(update={"own": own})
    return build_features(company, [DAY], OutcomeSettings(), chosen, labelled=False)


@pytest.mark.slow
@costly(2)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_what_comes_later_changes_no_feature(
    data: st.DataObject,
    seed: int,
    worlds: st.SearchStrategy[Any],
    value_by_chance: Value,
    company_of_world: Callable[[Any], Company],
) -> None:
    world = data.draw(worlds)
    later = scrambled(world, Random(seed), value_by_chance)
    pd.testing.assert_frame_equal(
        features_on_the_day(company_of_world(world)), features_on_the_day(company_of_world(later))
    )


# Values that nobody has had, and the signals that must notice each.
SEEN: dict[str, dict[str, tuple[Any, set[str]]]] = {
    "usage_events": {
        "quantity": (99.0, {"usage_28d", "usage_90d", "usage_change_90d", "feature_a_90d"}),
        "errors": (99.0, {"error_rate_28d"}),
    },
    "ratings": {"rating": (99.0, {"rating_overall", "rating_a", "rating_b"})},
    "snapshots": {
        "own_number": (99.0, {"own_number"}),
        "own_text": ("zz", {"own_text"}),
    },
    "subscriptions": {"mrr": (99.0, {"mrr", "mrr_change_180d", "price_change_180d"})},
    "tickets": {
        "category": ("incident", {"bug_share_180d", "repeat_tickets_90d"}),
        "priority": ("urgent", {"severe_share_90d"}),
        "sentiment": (-9.0, {"ticket_sentiment_180d"}),
    },
    "invoices": {"amount": (99.0, {"overdue_amount", "refunded_amount_180d"})},
    "surveys": {
        "score": (99.0, {"nps_last", "csat_last", "ces_last", "nps_trend"}),
        "sent_at": (datetime(2024, 2, 29), {"surveys_unanswered_180d"}),
    },
    "trainings": {
        "course": ("welcome", {"courses_365d"}),
        "user_id": ("one and the same", {"users_trained_share"}),
    },
}


# The full world is read and counted by one worker.
@pytest.mark.xdist_group("full world")
def test_a_change_before_the_date_is_seen(
    full_world: Any, full_company: Company, company_of_world: Callable[[Any], Company]
) -> None:
    changed = copy.deepcopy(full_world)
    for table, columns in SEEN.items():
        for row in changed.rows[table]:
            row |= {column: value for column, (value, _) in columns.items()}
    before = features_on_the_day(full_company)
    differing = before.compare(features_on_the_day(company_of_world(changed)))
    noticing = set().union(*(names for columns in SEEN.values() for _, names in columns.values()))
    assert {name for name, _ in differing.columns} >= noticing


def test_the_contract_says_when_each_later_value_is_known() -> None:
    found = {
        name: {c.name: c.known_at for c in table.columns if c.known_at}
        for name, table in CONTRACT.items()
    }
    assert {name: columns for name, columns in found.items() if columns} == KNOWN_AT
    otherwise = {name: table.time_else for name, table in CONTRACT.items() if table.time_else}
    assert otherwise == OWN_TIME_ELSE


# Labels belong to data without dates, where nothing is later than anything else.
LATER_TABLES = [name for name in CONTRACT if name not in ("accounts", "churn_events", "labels")]


@pytest.mark.parametrize("table", LATER_TABLES)
def test_rows_known_hides_rows_and_values_of_every_table(
    table: str, company_of: Callable[..., Company]
) -> None:
    """Tables without a builder yet are held to the same rule."""
    contract = CONTRACT[table]
    types = {"id": "k", "text": "t", "number": 1.0, "flag": True, "time": datetime(2024, 1, 1)}

    def row(own: datetime, later: datetime, recorded: datetime | None) -> Row:
        values = {column.name: types[column.kind] for column in contract.columns}
        known_at = {column.known_at for column in contract.columns if column.known_at}
        return (
            {"account_id": "A"}
            | values
            | dict.fromkeys(known_at, later)
            | {contract.time: own, "recorded_at": recorded}
        )

    second = timedelta(seconds=1)
    early = datetime(2024, 1, 1)
    rows = pd.DataFrame(
        [
            row(early, MIDNIGHT - second, None),
            row(early + second, MIDNIGHT, MIDNIGHT - second),
            row(MIDNIGHT, MIDNIGHT, None),
            row(early, early, MIDNIGHT),
        ]
    ).astype({"recorded_at": "datetime64[us]"})
    created = pd.DataFrame({"account_id": ["A"], "created_at": [datetime(2023, 1, 1)]})
    churns = pd.DataFrame({"account_id": ["A"], "churned_at": [datetime(2025, 1, 1)]})
    company = company_of({"accounts": created, "churn_events": churns, table: rows})
    keys = dates_table([DAY]).mutate(account_id=ibis.literal("A"))
    known = rows_known(keys, company.tables[table]).order_by(contract.time).execute()
    assert len(known) == 2
    for column in contract.columns:
        hidden = [False, column.known_at is not None]
        assert known[column.name].isna().tolist() == hidden, column.name
