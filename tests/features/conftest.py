"""Small random companies, and the way into the engine that every test here shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from features.company import Company, load_company
from features.mapping import TablesSettings
from features.sources import Source

Row = dict[str, Any]
CompanyOf = Callable[..., Company]

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
    },
    "tickets": {
        "opened_at": "time",
        "first_response_at": "time",
        "closed_at": "time",
        "escalated": "flag",
        "csat": "number",
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
    "churn_events": {"churned_at": "time"},
}
OPTIONAL = ("usage_events", "tickets", "invoices", "referrals")
NEVER_DROPPED = {"created_at", "industry", "employees", "due_at"}
CHOICES: dict[str, tuple[Any, ...]] = {
    "text": (None, "a", "b", "Übung 'x'; --"),
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


def random_value(chance: Random, kind: str) -> Any:
    if kind == "time":
        return None if chance.random() < 0.3 else random_moment(chance)
    return chance.choice(CHOICES[kind])


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

    The engine takes as long to plan for one account as for twenty.
    """
    outcome = draw(st.sampled_from(("subscriptions", "churn_events", "both")))
    left_out = draw(st.sets(st.sampled_from(OPTIONAL), max_size=1))
    left_out |= {"subscriptions", "churn_events"} - {outcome} if outcome != "both" else set()
    columns: dict[str, dict[str, str]] = {}
    for table, layout in LAYOUT.items():
        if table not in left_out:
            droppable = [name for name in list(layout)[1:] if name not in NEVER_DROPPED]
            dropped = draw(st.sets(st.sampled_from(droppable), max_size=1)) if droppable else ()
            columns[table] = {name: kind for name, kind in layout.items() if name not in dropped}
            if draw(st.booleans()):
                columns[table]["recorded_at"] = "time"
    names = [f"account {number}" for number in range(draw(st.integers(8, 40)))]
    return filled_world(columns, names, Random(draw(st.integers(0, 2**32))))


def filled_world(columns: dict[str, dict[str, str]], names: list[str], chance: Random) -> World:
    rows: dict[str, list[Row]] = {}
    for table, layout in columns.items():
        own = next(iter(layout))
        count = {"churn_events": 1, "subscriptions": 2}.get(table, 6)
        rows[table] = [
            {"account_id": name}
            | {column: random_value(chance, kind) for column, kind in layout.items()}
            | {own: random_moment(chance)}
            for name in [*names, "ghost"]
            for _ in range(chance.randint(0, count))
        ]
    rows["accounts"] = [
        {"account_id": name}
        | {column: random_value(chance, kind) for column, kind in columns["accounts"].items()}
        | chance.choice(({}, {"created_at": datetime(2022, 5, 6, 7)}))
        for name in names
    ]
    if "subscriptions" in rows:
        for name in names:
            term = {
                column: random_value(chance, kind)
                for column, kind in columns["subscriptions"].items()
            }
            start = datetime(2023, 6, chance.randint(1, 3))
            term |= {"account_id": name, "started_at": start}
            runs_on = {column for column in ("ended_at", "recorded_at") if column in term}
            if chance.random() < 0.7:
                term |= dict.fromkeys(runs_on)
            rows["subscriptions"].append(term)
    return World(rows, columns)


@pytest.fixture(scope="session")
def worlds() -> st.SearchStrategy[World]:
    return random_worlds()


@pytest.fixture(scope="session")
def full_world() -> World:
    """Return a company with every table and column, and sixty accounts."""
    columns = {table: layout | {"recorded_at": "time"} for table, layout in LAYOUT.items()}
    return filled_world(columns, [f"account {number}" for number in range(60)], Random(7))


@pytest.fixture(scope="session")
def value_by_chance() -> Callable[[Random, str], Any]:
    """Return the function that draws a value for a column of a type."""
    return random_value


@pytest.fixture(scope="session")
def connection() -> Iterator[Backend]:
    backend = ibis.duckdb.connect()
    backend.raw_sql("SET TimeZone = 'UTC'")
    yield backend
    backend.disconnect()


@pytest.fixture(scope="session")
def company_of(connection: Backend) -> CompanyOf:
    """Return a function that maps tables, under their contract names, to a company."""

    def load(
        tables: Mapping[str, Any],
        mapping: Mapping[str, Any] | None = None,
        known_until: date | None = None,
    ) -> Company:
        held = {}
        for name, rows in tables.items():
            unique = ibis.util.gen_name(name)
            connection.con.register(unique, rows)
            held[name] = connection.table(unique)
        source = Source(connection, held, "memory")
        settings = TablesSettings.model_validate(mapping or {name: {} for name in tables})
        return load_company(source, settings, known_until=known_until)

    return load


@pytest.fixture(scope="session")
def company_of_world(company_of: CompanyOf) -> Callable[[World], Company]:
    def load(world: World) -> Company:
        mapping: dict[str, Any] = {name: {} for name in world.columns}
        mapping["accounts"] = {"attributes": ["industry", "employees"]}
        return company_of(world.arrow(), mapping, known_until=date(2024, 7, 1))

    return load


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Return a function that writes CSV files and returns their folder."""

    def write(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
        return tmp_path

    return write
