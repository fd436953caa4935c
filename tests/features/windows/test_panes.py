"""The windowed aggregation against the definition of each measure, one window at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from features.observations import dates_table
from features.tables.cleaning import CleanTable
from features.tables.mapping.contract import CONTRACT
from features.windows.panes import Measure, Window, aggregate_windows, events_of
from tests.costly import costly

Event = dict[str, Any]
MEASURES = {
    "rows": Measure("count"),
    "total": Measure("sum", "quantity"),
    "days": Measure("days"),
    "last": Measure("last"),
    "users": Measure("distinct", "user_id"),
    "features": Measure("distinct", "feature"),
    "kinds": Measure("distinct", "feature", few=True),
    "mean": Measure("mean", "quantity"),
    "most": Measure("max", "quantity"),
}
SCHEMA = pa.schema(
    {
        "account_id": pa.string(),
        "occurred_at": pa.timestamp("us"),
        "feature": pa.string(),
        "user_id": pa.string(),
        "quantity": pa.float64(),
        "recorded_at": pa.timestamp("us"),
    }
)


@pytest.fixture(scope="module")
def clean(connection: Backend) -> Callable[..., CleanTable]:
    def wrap(events: list[Event], *, recorded: bool = True) -> CleanTable:
        name = ibis.util.gen_name("events")
        connection.con.register(name, pa.Table.from_pylist(events, SCHEMA))
        table = connection.table(name)
        table = table if recorded else table.drop("recorded_at")
        return CleanTable(CONTRACT["usage_events"], "events", table, table)

    return wrap


def by_definition(
    events: list[Event], dates: list[date], windows: list[Window]
) -> dict[tuple[str, date], dict[str, Any]]:
    found: dict[tuple[str, date], dict[str, Any]] = {}
    for day in dates:
        midnight = datetime(day.year, day.month, day.day)
        known = [e for e in events if (e["recorded_at"] or e["occurred_at"]) < midnight]
        for window in windows:
            end = midnight - timedelta(days=window.ends_days_before)
            start = end - timedelta(days=window.days)
            inside = [event for event in known if start <= event["occurred_at"] < end]
            for account in {event["account_id"] for event in inside}:
                own = [event for event in inside if event["account_id"] == account]
                amounts = [e["quantity"] for e in own if e["quantity"] is not None]
                found.setdefault((account, day), {}).update(
                    {
                        f"rows_{window.name}": len(own),
                        f"total_{window.name}": sum(amounts),
                        f"mean_{window.name}": sum(amounts) / len(amounts) if amounts else None,
                        f"most_{window.name}": max(amounts, default=None),
                        f"days_{window.name}": len({e["occurred_at"].date() for e in own}),
                        f"last_{window.name}": max(e["occurred_at"] for e in own),
                        f"users_{window.name}": len({e["user_id"] for e in own} - {None}),
                        f"features_{window.name}": len({e["feature"] for e in own} - {None}),
                        f"kinds_{window.name}": len({e["feature"] for e in own} - {None}),
                    }
                )
    return found


def computed(table: CleanTable, dates: list[date], windows: list[Window]) -> dict[Any, Any]:
    columns = ("feature", "user_id", "quantity")
    events = events_of(table, **{name: table.cleaned[name] for name in columns})
    accounts = ibis.memtable(pd.DataFrame({"account_id": list("ABCZ")}))
    grid = accounts.cross_join(dates_table(dates))

    def keep(name: str, step: ir.Table) -> ir.Table:
        backend = table.cleaned.get_backend()
        return backend.create_table(ibis.util.gen_name(name), step, temp=True)

    rows = aggregate_windows(grid, dates, events, windows, MEASURES, keep).to_pyarrow().to_pylist()
    found = {(row.pop("account_id"), row.pop("observation_date").date()): row for row in rows}
    assert len(found) == len(rows) == 4 * len(set(dates))
    return found


def assert_same(actual: dict[Any, Any], expected: dict[Any, Any]) -> None:
    assert set(actual) >= set(expected)
    for key, row in actual.items():
        for column, value in row.items():
            missing = column.startswith(("last_", "mean_", "most_"))
            wanted = expected.get(key, {}).get(column, None if missing else 0)
            if isinstance(wanted, float):
                wanted = pytest.approx(wanted, rel=1e-12)
            assert value == wanted, (key, column)


DAYS = st.dates(date(2023, 1, 1), date(2024, 6, 1))
WINDOWS = st.lists(
    st.tuples(st.integers(1, 400), st.integers(0, 90)), min_size=1, max_size=4, unique=True
).map(lambda spans: [Window(f"w{n}", *span) for n, span in enumerate(spans)])


def random_events(chance: Random, dates: list[date], windows: list[Window]) -> list[Event]:
    """Draw events that crowd around the edges of the windows."""
    edges = [edge for day in dates for window in windows for edge in (day, *window.bounds(day))]
    nudges = (timedelta(0), timedelta(microseconds=-1), timedelta(days=1), timedelta(hours=30))

    def near_edge() -> datetime:
        edge = chance.choice(edges)
        return datetime(edge.year, edge.month, edge.day) + chance.choice(nudges)

    return [
        {
            "account_id": chance.choice("ABC"),
            "occurred_at": near_edge(),
            "feature": chance.choice((None, "x", "y")),
            "user_id": chance.choice((None, "u", "v", "w")),
            "quantity": chance.choice((None, 0.25, 1.0, 3.0)),
            "recorded_at": near_edge() if chance.random() < 0.6 else None,
        }
        for _ in range(chance.randint(0, 60))
    ]


@costly(8)
@given(
    dates=st.lists(DAYS, min_size=1, max_size=4, unique=True),
    windows=WINDOWS,
    seed=st.integers(0, 2**32),
    recorded=st.booleans(),
)
@example(
    dates=[date(2024, 3, 1), date(2024, 2, 29)],
    windows=[Window("w0", 1), Window("w1", 1, 1)],
    seed=3,
    recorded=True,
)
def test_windows_equal_their_definition(
    dates: list[date],
    windows: list[Window],
    seed: int,
    recorded: bool,
    clean: Callable[..., CleanTable],
) -> None:
    events = random_events(Random(seed), dates, windows)
    if not recorded:
        events = [event | {"recorded_at": None} for event in events]
    actual = computed(clean(events, recorded=recorded), dates, windows)
    assert_same(actual, by_definition(events, dates, windows))


def event(moment: datetime, recorded: datetime | None, **other: Any) -> Event:
    empty = {"feature": None, "user_id": None, "quantity": None}
    return {
        "account_id": "A",
        "occurred_at": moment,
        "recorded_at": recorded,
        **empty,
        **other,
    }


def test_a_day_whose_events_were_recorded_apart_counts_once(
    clean: Callable[..., CleanTable],
) -> None:
    morning, evening = datetime(2024, 2, 20, 8), datetime(2024, 2, 20, 20)
    late = datetime(2024, 2, 27)
    table = clean([event(morning, None), event(evening, late)])
    days = [date(2024, 2, 25), date(2024, 3, 1)]
    rows = computed(table, days, [Window("w", 28)])
    assert rows["A", days[0]]["days_w"] == 1
    assert (rows["A", days[1]]["days_w"], rows["A", days[1]]["rows_w"]) == (1, 2)


def test_a_row_recorded_on_the_observation_midnight_is_not_known_yet(
    clean: Callable[..., CleanTable],
) -> None:
    seen = event(datetime(2024, 2, 20), datetime(2024, 2, 29, 23, 59, 59))
    unseen = event(datetime(2024, 2, 20), datetime(2024, 3, 1))
    rows = computed(clean([seen, unseen]), [date(2024, 3, 1)], [Window("w", 28)])
    assert rows["A", date(2024, 3, 1)]["rows_w"] == 1


def test_without_events_counts_are_zero_and_the_rest_is_missing(
    clean: Callable[..., CleanTable],
) -> None:
    windows = [Window("a", 28), Window("b", 90)]
    rows = computed(clean([]), [date(2024, 3, 1)], windows)
    names = {f"{measure}_{window.name}" for measure in MEASURES for window in windows}
    assert set(rows["Z", date(2024, 3, 1)]) == names
    assert_same(rows, {})


@pytest.mark.parametrize("values", [24, 25, 62, 63, 64, 126, 127])
def test_few_values_and_many_are_counted_alike(
    values: int, clean: Callable[..., CleanTable]
) -> None:
    dates, windows = [date(2024, 3, 1), date(2024, 4, 1)], [Window("w", 40), Window("x", 10)]
    events = [
        event(datetime(2024, 1, 20) + timedelta(hours=13 * number), None, feature=f"f{number}")
        for number in range(values)
    ]
    assert_same(computed(clean(events), dates, windows), by_definition(events, dates, windows))


def test_more_panes_than_one_word_has_bits(clean: Callable[..., CleanTable]) -> None:
    dates = [date(2024, 1, 1) + timedelta(days=number) for number in range(150)]
    windows = [Window("w", 1), Window("x", 100), Window("y", 3, 64)]
    events = [
        event(datetime(2023, 11, 1) + timedelta(days=number), None, user_id=user, feature=user)
        for number in range(0, 200, 3)
        for user in ("u", "v" if number % 2 else "w")
    ]
    assert_same(computed(clean(events), dates, windows), by_definition(events, dates, windows))


def test_windows_of_leap_day_have_whole_days() -> None:
    assert Window("w", 1).bounds(date(2024, 3, 1)) == (date(2024, 2, 29), date(2024, 3, 1))
    assert Window("w", 365, 1).bounds(date(2024, 3, 1)) == (date(2023, 3, 1), date(2024, 2, 29))


def test_two_million_events_of_one_account(connection: Backend) -> None:
    connection.con.execute(
        "create or replace temp view two_million as select 'A' as account_id,"
        " timestamp '2024-02-24' + to_seconds(n // 4) as occurred_at, 'f' || (n % 9) as feature,"
        " 'u' || (n % 1000000) as user_id, 1.0 as quantity, null::timestamp as recorded_at"
        " from range(2000000) t(n)"
    )
    table = connection.table("two_million").drop("recorded_at")
    events = CleanTable(CONTRACT["usage_events"], "two_million", table, table)
    rows = computed(events, [date(2024, 3, 1)], [Window("w", 28), Window("x", 5)])
    found = rows["A", date(2024, 3, 1)]
    seconds = (datetime(2024, 2, 24) + timedelta(seconds=500_000)) - datetime(2024, 2, 25)
    recent = 4 * int(seconds.total_seconds())
    assert (found["rows_x"], found["total_x"], found["days_x"]) == (recent, recent, 5)
    assert (found["users_x"], found["features_x"], found["kinds_x"]) == (1_000_000, 9, 9)
