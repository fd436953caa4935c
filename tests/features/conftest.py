"""Small random companies, and the way into the engine that every test here shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
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
AGES = (-46, -45, -31, -30, -29, -8, -7, -1, 0, 1, 2, 3, 7, 8, 14, 21, 27, 28, 29, 40, 55, 56, 57)
AGES += (70, 89, 90, 91, 120, 179, 180, 181, 200, 364, 365, 366)
NUDGES = (
    timedelta(0),
    timedelta(0),
    timedelta(microseconds=-1),
    timedelta(seconds=1),
    timedelta(hours=12),
)
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
NEVER_DROPPED = {"created_at", "industry", "employees", "due_at"}
TYPES = {
    "time": pa.timestamp("us"),
    "text": pa.string(),
    "number": pa.float64(),
    "flag": pa.bool_(),
}
moments = st.builds(
    lambda day, age, nudge: day - timedelta(days=age) + nudge,
    st.sampled_from((FIRST, SECOND)),
    st.sampled_from(AGES),
    st.sampled_from(NUDGES),
)
VALUES = {
    "time": st.one_of(st.none(), moments),
    "text": st.sampled_from((None, "a", "b", "Übung 'x'; --")),
    "number": st.sampled_from((None, 0.0, 0.5, 1.0, 2.0, 3.25)),
    "flag": st.sampled_from((None, True, False)),
}


def pytest_configure(config: pytest.Config) -> None:
    # Ibis still calls what DuckDB 2 has renamed.
    config.addinivalue_line("filterwarnings", "ignore:fetch_arrow_table:DeprecationWarning")


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
    outcome = draw(st.sampled_from(({"subscriptions"}, {"churn_events"}, set(LAYOUT))))
    optional = [name for name in LAYOUT if name not in ("accounts", "subscriptions")]
    left_out = draw(st.sets(st.sampled_from(optional), max_size=2)) | (
        {"subscriptions", "churn_events"} - outcome
    )
    left_out -= outcome if len(outcome) == 1 else {"subscriptions"}
    columns: dict[str, dict[str, str]] = {}
    rows: dict[str, list[Row]] = {}
    for table, layout in LAYOUT.items():
        if table in left_out:
            continue
        own, *others = layout
        droppable = [name for name in others if name not in NEVER_DROPPED]
        dropped = draw(st.sets(st.sampled_from(droppable), max_size=2)) if droppable else set()
        columns[table] = {name: kind for name, kind in layout.items() if name not in dropped}
        if draw(st.booleans()):
            columns[table]["recorded_at"] = "time"
        row = st.fixed_dictionaries(
            {
                "account_id": st.sampled_from(("A", "A", "B", "C", "ghost")),
                **{name: VALUES[kind] for name, kind in columns[table].items()},
                own: moments,
            }
        )
        rows[table] = draw(st.lists(row, max_size=3 if table == "churn_events" else 9))
    names = "ABC"[: draw(st.integers(1, 3))]
    rows["accounts"] = [
        {
            **{name: draw(VALUES[kind]) for name, kind in columns["accounts"].items()},
            "account_id": name,
            "created_at": draw(st.one_of(st.just(datetime(2022, 5, 6, 7)), VALUES["time"])),
        }
        for name in names
    ]
    if "subscriptions" in rows:
        steady = dict.fromkeys(columns["subscriptions"]) | {"started_at": datetime(2023, 6, 1)}
        rows["subscriptions"] += [
            steady | {"account_id": name, **({"seats": 4.0} if "seats" in steady else {})}
            for name in names
            if draw(st.booleans())
        ]
    return World(rows, columns)


@pytest.fixture(scope="session")
def worlds() -> st.SearchStrategy[World]:
    return random_worlds()


@pytest.fixture(scope="session")
def later_moments() -> st.SearchStrategy[datetime]:
    """Return moments on or after the first observation date."""
    return moments.filter(lambda moment: moment >= FIRST)


@pytest.fixture(scope="session")
def values() -> dict[str, st.SearchStrategy[Any]]:
    """Return the values a column of each type may take."""
    return VALUES


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
