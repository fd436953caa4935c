"""Values that can be read in two ways: decided over a column and a folder, or refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import DataError
from features.sources.source import Source
from features.tables.company import Company, clean_tables, load_company
from features.tables.mapping.mapping import TablesSettings
from features.tables.mapping.reading_settings import ReadingSettings

Load = Callable[..., Source]
DAY = datetime(2023, 1, 1)


@pytest.fixture(scope="session", params=["duckdb", "postgres"])
def load(request: pytest.FixtureRequest) -> Load:
    loaded: Load = request.getfixturevalue(f"load_{request.param}")
    return loaded


def loaded(load: Load, events: dict[str, Any], terms: Any) -> tuple[Source, TablesSettings]:
    rows = len(next(iter(events.values())))
    starts = [DAY] if terms is None else terms
    tables = {
        "accounts": pd.DataFrame({"account_id": ["A"], "created_at": [DAY]}),
        "subscriptions": pd.DataFrame({"account_id": "A", "started_at": starts}),
        "usage_events": pa.table({"account_id": ["A"] * rows, **events}),
    }
    return load(tables), TablesSettings.model_validate({name: {} for name in tables})


def company(load: Load, events: dict[str, Any], terms: Any = None, **reading: Any) -> Company:
    source, settings = loaded(load, events, terms)
    return load_company(source, settings, reading=ReadingSettings(**reading))


def listed(rows: ir.Table, column: str) -> list[Any]:
    return [
        each.replace(tzinfo=None) if isinstance(each, datetime) else each
        for each in rows.order_by("quantity")[column].to_pyarrow().to_pylist()
    ]


def values(found: Company, column: str) -> list[Any]:
    return listed(found.tables["usage_events"].cleaned, column)


def times(load: Load, *written: Any, terms: Any = None, **reading: Any) -> list[Any]:
    """Read times as a company does, without counting what it holds."""
    events = {"occurred_at": list(written), "quantity": [float(n) for n in range(len(written))]}
    source, settings = loaded(load, events, terms)
    given = ReadingSettings(**reading)
    rows = clean_tables(source, settings, given, may_have_copies=False)["usage_events"].cleaned
    return listed(rows, "occurred_at")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["03/01/2024", "12/31/2024"], [datetime(2024, 3, 1), datetime(2024, 12, 31)]),
        (["03/01/2024", "31/12/2024"], [datetime(2024, 1, 3), datetime(2024, 12, 31)]),
        (["3.1.2024", "4.2.2024"], [datetime(2024, 1, 3), datetime(2024, 2, 4)]),
        (
            ["01/31/2024 12:05 AM", "01/31/2024 12:05 PM", "1/31/2024 6:41 pm"],
            [
                datetime(2024, 1, 31, 0, 5),
                datetime(2024, 1, 31, 12, 5),
                datetime(2024, 1, 31, 18, 41),
            ],
        ),
        (["2024-01-03 21:36:07 -0500", "NULL"], [datetime(2024, 1, 4, 2, 36, 7)]),
        (["2024-01-23T13:41:43.5+0100"], [datetime(2024, 1, 23, 12, 41, 43, 500_000)]),
        (["20240131", "20240201"], [datetime(2024, 1, 31), datetime(2024, 2, 1)]),
        ([20240131, 20240201], [datetime(2024, 1, 31), datetime(2024, 2, 1)]),
        (
            ["2024-03-01", "13/01/2024", "Mar 2, 2024", "20240303", "01/02/2024 10:30 pm"],
            [
                datetime(2024, 3, 1),
                datetime(2024, 1, 13),
                datetime(2024, 3, 2),
                datetime(2024, 3, 3),
                datetime(2024, 2, 1, 22, 30),
            ],
        ),
        (
            ["2024-02", "03/2024", "April 2024", "2024Q2", "2023.12", "Q1 2024", "2024-05-06"],
            [
                datetime(2024, 2, 29),
                datetime(2024, 3, 31),
                datetime(2024, 4, 30),
                datetime(2024, 6, 30),
                datetime(2023, 12, 31),
                datetime(2024, 3, 31),
                datetime(2024, 5, 6),
            ],
        ),
        ([202402, 202312], [datetime(2024, 2, 29), datetime(2023, 12, 31)]),
        (
            [f"01/{month:02}/{2021 + month // 4}" for month in range(1, 10)],
            [datetime(2021 + month // 4, month, 1) for month in range(1, 10)],
        ),
        (
            [f"{month}/1/{2021 + month // 4}" for month in range(1, 10)],
            [datetime(2021 + month // 4, month, 1) for month in range(1, 10)],
        ),
    ],
)
def test_a_column_shows_how_it_is_read(load: Load, written: list[Any], read: list[Any]) -> None:
    assert times(load, *written) == read


def test_other_columns_show_the_order_of_one_that_leaves_it_open(load: Load) -> None:
    assert times(load, "03/01/2024", terms=["12/31/2022"]) == [datetime(2024, 3, 1)]
    assert times(load, "03/01/2024", terms=["31/12/2022"]) == [datetime(2024, 1, 3)]


def test_what_is_decided_is_told(load: Load) -> None:
    found = company(load, {"occurred_at": ["03/01/2024", "12/31/2024"]})
    assert found.quality["usage_events"].decided == (
        "occurred_at: 2 dates such as '12/31/2024' are read month-first",
    )


@pytest.mark.parametrize(
    ("written", "terms", "said"),
    [
        (["03/01/2024"], None, "cannot be told apart, and no other column shows their order; set"),
        ([f"01/{day:02}/2024" for day in range(1, 10)], None, "cannot be told apart"),
        (["31/01/2024", "01/31/2024"], None, "mixes dates with the day first and with the month"),
        (["28/03/23"], None, "holds years of two digits, such as '28/03/23'"),
        ([1_706_035_303], None, 'since 1970; set [reading] numbers_as_times = "unix"'),
        (
            ["2024-01-01"] * 9 + ["03/01/2024"] * 3,
            None,
            "cannot be told apart, and no other column shows",
        ),
        (
            ["2024-01-01"] * 9 + ["31/01/24"] * 3,
            None,
            "holds years of two digits, such as '31/01/24'",
        ),
        (
            ["2024-01-01"] * 9 + ["1706035303"] * 3,
            None,
            "numbers such as '1706035303', which look like",
        ),
        (["1706035303123"], None, 'since 1970; set [reading] numbers_as_times = "unix"'),
        ([45_013], None, 'calendar; set [reading] numbers_as_times = "excel"'),
    ],
)
def test_what_nothing_decides_is_refused(
    load: Load, written: list[Any], terms: Any, said: str
) -> None:
    with pytest.raises(DataError) as caught:
        times(load, *written, terms=terms)
    message = str(caught.value)
    assert message.startswith("Column occurred_at of table 'usage_events' ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("written", "reading", "read"),
    [
        (["03/01/2024"], {"dates": "day-first"}, datetime(2024, 1, 3)),
        (["03/01/2024"], {"dates": "month-first"}, datetime(2024, 3, 1)),
        (["28/03/23"], {"century": 2000}, datetime(2023, 3, 28)),
        ([1_706_035_303], {"numbers_as_times": "unix"}, datetime(2024, 1, 23, 18, 41, 43)),
        ([1_706_035_303_000], {"numbers_as_times": "unix"}, datetime(2024, 1, 23, 18, 41, 43)),
        (["1706035303"], {"numbers_as_times": "unix"}, datetime(2024, 1, 23, 18, 41, 43)),
        ([45_013.75], {"numbers_as_times": "excel"}, datetime(2023, 3, 28, 18)),
        (
            ["1706035303", "Jan 23, 2024"],
            {"numbers_as_times": "unix"},
            datetime(2024, 1, 23, 18, 41, 43),
        ),
    ],
)
def test_settings_decide(
    load: Load, written: list[Any], reading: dict[str, Any], read: datetime
) -> None:
    assert times(load, *written, **reading)[0] == read


def test_a_month_of_what_begins_is_its_first_day_and_of_what_ends_its_last(load: Load) -> None:
    tables = {
        "accounts": pd.DataFrame({"account_id": ["A"], "created_at": ["2023-01"]}),
        "subscriptions": pd.DataFrame(
            {"account_id": ["A"], "started_at": ["2023-02"], "ended_at": ["2023-12"]}
        ),
        "usage_events": pd.DataFrame({"account_id": ["A"], "occurred_at": ["2023-03"]}),
    }
    mapped = {"accounts": {}, "subscriptions": {}, "usage_events": {"covers": "quarter"}}
    found = load_company(load(tables), TablesSettings.model_validate(mapped))

    def day(table: str, column: str) -> Any:
        return found.tables[table].cleaned[column].to_pyarrow().to_pylist()[0].replace(tzinfo=None)

    assert day("accounts", "created_at") == datetime(2023, 1, 1)
    assert day("subscriptions", "started_at") == datetime(2023, 2, 1)
    assert day("subscriptions", "ended_at") == datetime(2023, 12, 31)
    # What a row sums up begins with the month that is written.
    assert day("usage_events", "occurred_at") == datetime(2023, 5, 31)
    assert found.quality["subscriptions"].decided == (
        "started_at: 1 months such as '2023-02' are read as their first day",
        "ended_at: 1 months such as '2023-12' are read as their last day",
    )


@pytest.mark.parametrize(
    ("written", "first"),
    [
        ("2024-W05", datetime(2024, 1, 29)),
        ("2024W05", datetime(2024, 1, 29)),
        ("2021-w01", datetime(2021, 1, 4)),
        ("2020-W53", datetime(2020, 12, 28)),
        ("KW 5/2024", datetime(2024, 1, 29)),
    ],
)
def test_a_week_is_read_as_its_last_day_and_of_what_begins_as_its_monday(
    load: Load, written: str, first: datetime
) -> None:
    tables = {
        "accounts": pd.DataFrame({"account_id": ["A"], "created_at": [written]}),
        "usage_events": pd.DataFrame({"account_id": ["A"], "occurred_at": [written]}),
        "churn_events": pd.DataFrame({"account_id": ["A"], "churned_at": [DAY]}),
    }
    found = load_company(load(tables), TablesSettings.model_validate({name: {} for name in tables}))
    own = (("accounts", "created_at"), ("usage_events", "occurred_at"))
    read = [found.tables[name].cleaned[column].to_pyarrow().to_pylist()[0] for name, column in own]
    days = [each.replace(tzinfo=None) for each in read]
    assert days == [first, first + timedelta(days=6)]
    assert found.quality["usage_events"].decided == (
        f"occurred_at: 1 weeks such as '{written}' are read as their last day",
    )


def test_a_key_of_no_day_is_no_value_beside_days_written_as_numbers(load: Load) -> None:
    keys = [20240105, 20240107, -1, 0, 99991231, -1]
    read = company(load, {"occurred_at": keys, "quantity": [float(n) for n in range(6)]})
    days = [each for each in values(read, "occurred_at") if each is not None]
    assert days == [datetime(2024, 1, 5), datetime(2024, 1, 7)]
    assert not any(
        each.code == "unreadable-values" for each in read.quality["usage_events"].findings
    )


def test_more_than_typing_errors_are_no_missing_values(load: Load) -> None:
    written = ["2024-01-05"] * 37 + ["soon", "later", "never mind"]

    def read(*written: str, **reading: float) -> list[Any]:
        events = {"occurred_at": list(written), "quantity": [float(n) for n in range(len(written))]}
        return values(company(load, events, **reading), "occurred_at")

    with pytest.raises(DataError) as caught:
        read(*written)
    assert str(caught.value) == (
        "Column occurred_at of table 'usage_events' must hold a date and 3 of 40 values (8%) cannot"
        " be read as one, such as 'later', 'soon'; correct [tables.usage_events] or the data, or"
        " set [reading] may_be_lost = 0.08"
    )
    assert len(read(*written, may_be_lost=0.08)) == 37
    # Two are typing errors, and so are forms that nothing settles.
    assert len(read(*(["2024-01-05"] * 10), "soon", "later")) == 10
    assert len(read(*(["2024-01-05"] * 40), "03/04/2024", "1706035303")) == 40


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.dates(datetime(1990, 1, 1).date(), datetime(2080, 1, 1).date()), min_size=1, max_size=4
    )
)
def test_no_order_of_day_and_month_is_guessed(load_duckdb: Load, days: list[Any]) -> None:
    """Whatever the days, they are read as written or not at all."""
    written = [f"{day:%m/%d/%Y}" for day in days]
    if all(day.day <= 12 for day in days):
        with pytest.raises(DataError, match="cannot be told apart"):
            times(load_duckdb, *written)
    else:
        read = times(load_duckdb, *written)
        assert read == [datetime(day.year, day.month, day.day) for day in days]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["68,09", "1.250,50", "7"], [68.09, 1250.5, 7.0]),
        (["1,250.00", "3,000", "7"], [1250.0, 3000.0, 7.0]),
        (["€1,250.50", "€ 7.5"], [1250.5, 7.5]),
        (["1 250,50", "N/A"], [1250.5, None]),
        (["-3.5e2", "1.250"], [-350.0, 1.25]),
        (["1.250.000", "1.250"], [1_250_000.0, 1250.0]),
    ],
)
def test_numbers_show_their_decimal_mark(
    load: Load, written: list[str], read: list[float | None]
) -> None:
    days = [datetime(2024, 1, day + 1) for day in range(len(written))]
    found = company(load, {"occurred_at": days, "errors": written, "quantity": written})
    rows = found.tables["usage_events"].cleaned.order_by("occurred_at")
    kept = [None if value is not None and value < 0 else value for value in read]
    assert rows["errors"].to_pyarrow().to_pylist() == kept


def test_thousands_that_may_be_fractions_are_refused_or_set(load: Load) -> None:
    days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    events = {"occurred_at": days, "quantity": ["147", "1.250"]}
    with pytest.raises(DataError) as caught:
        company(load, events)
    assert str(caught.value) == (
        "Column quantity of table 'usage_events' holds numbers such as '1.250', which may be"
        ' thousands or a fraction, and nothing shows which; set [reading] decimal = "." or ","'
    )
    assert values(company(load, events, decimal=","), "quantity") == [147.0, 1250.0]
    assert values(company(load, events, decimal="."), "quantity") == [1.25, 147.0]
    shown = {**events, "errors": ["0,5", "7"]}
    assert values(company(load, shown), "quantity") == [147.0, 1250.0]
