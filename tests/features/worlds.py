"""Small random companies: which tables and columns there are, and rows made by chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

Row = dict[str, Any]

FIRST, SECOND = datetime(2024, 3, 1), datetime(2024, 4, 1)
# Days before an observation date: both sides of every window's edge, and the label's window ahead.
AGES = (-46, -8, -7, -1, 0, 1, 8, 27, 28, 29, 55, 56, 57, 90, 90, 91, 180, 180, 181, 365, 366)
NUDGES = (timedelta(0), timedelta(0), timedelta(microseconds=-1), timedelta(hours=12))
# Every table a builder or a label reads: its own time, then each column and its type.
LAYOUT: dict[str, dict[str, str]] = {
    "accounts": {"created_at": "time", "industry": "text", "employees": "number"},
    "subscriptions": {
        "started_at": "time",
        "ended_at": "time",
        "renewal_at": "time",
        "mrr": "number",
        "seats": "number",
        "plan": "text",
        "billing_period": "text",
        "auto_renew": "flag",
        "discount": "number",
    },
    "usage_events": {
        "occurred_at": "time",
        "feature": "text",
        "user_id": "text",
        "quantity": "number",
        "errors": "number",
    },
    "tickets": {
        "opened_at": "time",
        "first_response_at": "time",
        "closed_at": "time",
        "priority": "text",
        "category": "text",
        "escalated": "flag",
        "reopened": "flag",
        "csat": "number",
        "sentiment": "number",
    },
    "invoices": {
        "issued_at": "time",
        "due_at": "time",
        "paid_at": "time",
        "amount": "number",
        "failed_attempts": "number",
        "refunded_at": "time",
    },
    "referrals": {"referred_at": "time", "converted_at": "time"},
    "surveys": {"sent_at": "time", "responded_at": "time", "kind": "text", "score": "number"},
    "trainings": {
        "attended_at": "time",
        "user_id": "text",
        "course": "text",
        "completed": "flag",
    },
    "ratings": {"rated_at": "time", "rater": "text", "dimension": "text", "rating": "number"},
    "snapshots": {"observed_at": "time", "own_number": "number", "own_text": "text"},
    "churn_events": {"churned_at": "time"},
}
OPTIONAL = (
    "usage_events",
    "tickets",
    "invoices",
    "referrals",
    "surveys",
    "trainings",
    "ratings",
    "snapshots",
)
NEVER_DROPPED = {
    *("created_at", "industry", "employees", "due_at", "responded_at", "kind", "score"),
    *("rater", "dimension", "rating", "own_number", "own_text"),
}
# Another time stands for the row's own where that is missing.
MAY_LACK_TIME = ("surveys",)
CHOICES: dict[str, tuple[Any, ...]] = {
    "text": (None, "a", "b", "Übung 'x'; --"),
    "kind": ("nps", "NPS", "csat", "ces", None),
    "rating": (1.0, 2.0, 3.0, 4.0, 5.0, None),
    "priority": ("urgent", "High", "low", None),
    "category": ("bug", "How-To", "feature request", "billing", None),
    "number": (None, 0.0, 0.5, 1.0, 2.0, 3.25),
    "flag": (None, True, False),
}
TYPES = {
    "time": pa.timestamp("us"),
    "text": pa.string(),
    "number": pa.float64(),
    "flag": pa.bool_(),
}


def random_moment(chance: Random) -> datetime:
    age = timedelta(days=chance.choice(AGES))
    return chance.choice((FIRST, SECOND)) - age + chance.choice(NUDGES)


def random_value(chance: Random, kind: str, column: str = "") -> Any:
    if kind == "time":
        return None if chance.random() < 0.3 else random_moment(chance)
    return chance.choice(CHOICES.get(column, CHOICES[kind]))


@dataclass
class World:
    """The rows of a small company and the columns its tables have."""

    rows: dict[str, list[Row]]
    columns: dict[str, dict[str, str]] = field(default_factory=dict)

    def has(self, table: str, *columns: str) -> bool:
        return table in self.columns and all(name in self.columns[table] for name in columns)

    def arrow(self) -> dict[str, pa.Table]:
        return {
            table: pa.table(
                {
                    name: pa.array([row[name] for row in self.rows[table]], TYPES[kind])
                    for name, kind in {"account_id": "text", **columns}.items()
                }
            )
            for table, columns in self.columns.items()
        }


@st.composite
def random_worlds(draw: st.DrawFn) -> World:
    """Draw which tables and columns there are; fill them by chance, many accounts at a time.

    The engine takes as long to plan for one account as for sixty.
    """
    outcome = draw(st.sampled_from(("subscriptions", "churn_events", "both")))
    left_out = draw(st.sets(st.sampled_from(OPTIONAL), max_size=1))
    left_out |= {"subscriptions", "churn_events"} - {outcome} if outcome != "both" else set()
    columns: dict[str, dict[str, str]] = {}
    for table, layout in LAYOUT.items():
        if table not in left_out:
            droppable = [name for name in list(layout)[1:] if name not in NEVER_DROPPED]
            dropped = draw(st.sampled_from((None, *droppable)))
            columns[table] = {name: kind for name, kind in layout.items() if name != dropped}
            if draw(st.booleans()):
                columns[table]["recorded_at"] = "time"
    names = [f"account {number}" for number in range(draw(st.integers(40, 80)))]
    return filled_world(columns, names, Random(draw(st.integers(0, 2**32))))


def filled_world(columns: dict[str, dict[str, str]], names: list[str], chance: Random) -> World:
    rows: dict[str, list[Row]] = {}
    for table, layout in columns.items():
        own = next(iter(layout))
        count = {"churn_events": 1, "subscriptions": 2}.get(table, 6)
        rows[table] = [
            {"account_id": name}
            | {column: random_value(chance, kind, column) for column, kind in layout.items()}
            | ({} if table in MAY_LACK_TIME else {own: random_moment(chance)})
            for name in [*names, "ghost"]
            for _ in range(chance.randint(0, count))
        ]
    rows["accounts"] = [
        {"account_id": name}
        | {
            column: random_value(chance, kind, column)
            for column, kind in columns["accounts"].items()
        }
        | chance.choice(({}, {"created_at": datetime(2022, 5, 6, 7)}))
        for name in names
    ]
    if "subscriptions" in rows:
        for name in names:
            term = {
                column: random_value(chance, kind, column)
                for column, kind in columns["subscriptions"].items()
            }
            start = datetime(2023, 6, chance.randint(1, 3))
            term |= {"account_id": name, "started_at": start}
            runs_on = {column for column in ("ended_at", "recorded_at") if column in term}
            if chance.random() < 0.7:
                term |= dict.fromkeys(runs_on)
            rows["subscriptions"].append(term)
    return World(rows, columns)
