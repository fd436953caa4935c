"""From raw columns to the contract: what is converted, what becomes missing, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import ibis
import ibis.expr.operations as ops
import pandas as pd
import pyarrow as pa
import pytest

from features.build import build_features
from features.builders.settings import SignalsSettings
from features.errors import DataError
from features.outcomes.labels import OutcomeSettings
from features.tables.cleaning import CleanTable
from features.tables.company import Company
from features.windows.panes import events_of

CompanyOf = Callable[..., Company]
Read = Callable[..., dict[str, CleanTable]]
DAY = date(2024, 3, 1)
ACCOUNTS = pd.DataFrame({"account_id": ["A", "B"], "created_at": [datetime(2023, 1, 1)] * 2})
CHURNS = pd.DataFrame({"account_id": ["A"], "churned_at": [datetime(2024, 6, 1)]})
SOME_TIME = datetime(2024, 2, 20)


@pytest.fixture(scope="session")
def company_of(company_quick: CompanyOf) -> CompanyOf:
    """Put every case below into DuckDB and PostgreSQL; test_engines.py asks Spark the same."""
    return company_quick


def company_with(
    company_of: CompanyOf, mapping: dict[str, Any] | None = None, **tables: Any
) -> Company:
    tables = {"accounts": ACCOUNTS, "churn_events": CHURNS} | tables
    return company_of(tables, {name: {} for name in tables} | (mapping or {}))


def values(found: Company | dict[str, CleanTable], table: str, column: str) -> list[Any]:
    tables = found.tables if isinstance(found, Company) else found
    listed = tables[table].cleaned[column].to_pyarrow().to_pylist()
    return [
        value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in listed
    ]


def refusal(company_of: CompanyOf, mapping: dict[str, Any] | None = None, **tables: Any) -> str:
    with pytest.raises(DataError) as caught:
        company_with(company_of, mapping, **tables)
    return str(caught.value)


@pytest.mark.parametrize(
    ("account_ids", "event_ids"),
    [
        (["7", "8"], pa.array([7, 8])),
        ([7, 8], pa.array([7.0, 8.0])),
        ([7, 8], pa.array(["7", "8"])),
        (["007", "7"], pa.array(["007", "7"])),
        (["1.5", "2"], pa.array([1.5, 2.0])),
        (["a'; DROP TABLE accounts; --", '名前 {value} "x"'],) * 2,
    ],
)
def test_ids_of_any_type_join(account_ids: list[Any], event_ids: Any, read_quick: Read) -> None:
    tables = {
        "accounts": ACCOUNTS.assign(account_id=account_ids),
        "churn_events": CHURNS,
        "usage_events": pa.table({"account_id": event_ids, "occurred_at": [SOME_TIME] * 2}),
    }
    read = read_quick(tables)
    for name in ("accounts", "usage_events"):
        assert values(read, name, "account_id") == list(map(str, account_ids)), name


def test_uuids_are_read_as_text(company_of: CompanyOf) -> None:
    ids = [UUID(int=1), UUID(int=2)]
    binary = pa.array([key.bytes for key in ids], pa.binary(16))
    accounts = pa.table(
        {
            "account_id": pa.ExtensionArray.from_storage(pa.uuid(), binary),
            "created_at": [datetime(2023, 1, 1)] * 2,
        }
    )
    usage = pd.DataFrame({"account_id": [str(ids[0])], "occurred_at": [SOME_TIME]})
    company = company_with(company_of, accounts=accounts, usage_events=usage)
    assert values(company, "accounts", "account_id") == [str(key) for key in ids]
    assert company.quality["usage_events"].problems == ()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2024-02-20", datetime(2024, 2, 20)),
        ("2024-02-20 10:30", datetime(2024, 2, 20, 10, 30)),
        ("2024-02-20T10:30:00Z", datetime(2024, 2, 20, 10, 30)),
        ("2024-02-20T10:30:00+02:00", datetime(2024, 2, 20, 8, 30)),
        ("2024-02-20T23:30:00-05", datetime(2024, 2, 21, 4, 30)),
        (" ", None),
        ("soon", None),
        ("infinity", None),
        ("20240-02-20", None),
        ("0044-03-15 (BC)", None),
        ("2024-02-30", None),
        ("13/1/24", None),
        ("1899-12-31", None),
        (None, None),
    ],
)
def test_written_times_are_read_in_utc(
    written: str | None, read: datetime | None, read_quick: Read
) -> None:
    closed = [written, *(["2024-01-01"] * 3)]
    table = pd.DataFrame({"account_id": "A", "opened_at": SOME_TIME, "closed_at": closed})
    found = read_quick({"accounts": ACCOUNTS, "churn_events": CHURNS, "tickets": table})
    assert values(found, "tickets", "closed_at")[0] == read


def test_times_with_a_zone_become_utc_and_dates_midnights(company_of: CompanyOf) -> None:
    zoned = pd.to_datetime(["2024-02-20 23:00"]).tz_localize("America/New_York")
    tickets = pd.DataFrame(
        {"account_id": ["A"], "opened_at": zoned, "closed_at": [date(2024, 2, 22)]}
    )
    company = company_with(company_of, tickets=tickets)
    assert values(company, "tickets", "opened_at") == [datetime(2024, 2, 21, 4)]
    assert values(company, "tickets", "closed_at") == [datetime(2024, 2, 22)]


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (["Yes", " no ", "TRUE", "f", "1", "0.0", "", "yes"], [1, 0, 1, 0, 1, 0, None, 1]),
        ([1, 0, 3], [1, 0, 1]),
        ([1.0, 0.0, float("nan")], [1, 0, None]),
        ([True, False], [1, 0]),
    ],
)
def test_flags_are_read_from_words_numbers_and_booleans(
    raw: list[Any], read: list[Any], read_quick: Read
) -> None:
    rows = len(raw)
    table = pa.table(
        {"account_id": ["A"] * rows, "opened_at": [SOME_TIME] * rows, "escalated": raw}
    )
    found = read_quick({"accounts": ACCOUNTS, "churn_events": CHURNS, "tickets": table})
    assert values(found, "tickets", "escalated") == [None if v is None else bool(v) for v in read]


@pytest.mark.parametrize("as_text", [False, True])
def test_impossible_numbers_become_missing(as_text: bool, company_of: CompanyOf) -> None:
    raw = [1.5, -2.0, float("inf"), float("-inf"), float("nan"), None, 0.0]
    written = [None if number is None else str(number) for number in raw] if as_text else raw
    table = pa.table({"account_id": ["A"] * 7, "occurred_at": [SOME_TIME] * 7, "quantity": written})
    company = company_with(company_of, usage_events=table)
    assert values(company, "usage_events", "quantity") == [1.5, None, None, None, None, None, 0.0]
    assert company.quality["usage_events"].problems == (
        "2 infinite values of quantity count as missing",
        "1 negative values of quantity are impossible and count as missing",
    )


@pytest.mark.parametrize(
    ("table", "column", "content", "wanted"),
    [
        ("usage_events", "quantity", pa.array([SOME_TIME]), "numbers"),
        ("tickets", "closed_at", pa.array([17]), "dates"),
        ("tickets", "closed_at", pa.array([True]), "dates"),
        ("tickets", "escalated", pa.array([SOME_TIME]), "yes/no values"),
        ("usage_events", "quantity", pa.array([[1.0]]), "numbers"),
    ],
)
def test_a_column_of_the_wrong_type_is_named(
    table: str, column: str, content: pa.Array, wanted: str, company_of: CompanyOf
) -> None:
    own = {"usage_events": "occurred_at", "tickets": "opened_at"}[table]
    rows = pa.table({"account_id": ["A"], own: [SOME_TIME], column: content})
    message = refusal(company_of, **{table: rows})
    assert message.startswith(f"Column '{column}' of table '{table}' must hold {wanted} and is of")
    assert message.endswith("; map another column or convert it")


def test_columns_that_are_null_throughout_are_missing(
    company_of: CompanyOf, read_quick: Read
) -> None:
    columns = ("closed_at", "escalated", "csat", "priority")

    def tickets(kind: pa.DataType) -> pa.Table:
        nothing = dict.fromkeys(columns, pa.nulls(1, kind))
        return pa.table({"account_id": ["A"], "opened_at": [SOME_TIME], **nothing})

    company = company_with(company_of, tickets=tickets(pa.null()))
    assert company.quality["tickets"].missing["closed_at"] == 1.0
    frame = build_features(company, [DAY], OutcomeSettings(), SignalsSettings(), labelled=False)
    assert frame.set_index("account_id").tickets_open.to_dict() == {"A": 1.0, "B": 0.0}
    for kind in (pa.null(), pa.int32(), pa.timestamp("us"), pa.list_(pa.int8())):
        tables = {"accounts": ACCOUNTS, "churn_events": CHURNS, "tickets": tickets(kind)}
        read = read_quick(tables)
        assert read["tickets"].cleaned.schema() == company.tables["tickets"].cleaned.schema(), kind
        assert all(values(read, "tickets", column) == [None] for column in columns), kind


def test_tables_without_rows_give_features(company_of: CompanyOf) -> None:
    usage = pa.table(
        {"account_id": pa.nulls(0), "occurred_at": pa.nulls(0), "feature": pa.nulls(0)}
    )
    company = company_with(company_of, usage_events=usage)
    assert company.quality["usage_events"].rows == 0
    assert company.quality["usage_events"].to_dict()["first"] is None
    settings = SignalsSettings(key_features=("x",))
    frame = build_features(company, [DAY], OutcomeSettings(), settings, labelled=True)
    assert frame.usage_28d.tolist() == frame.feature_x_90d.tolist() == [0.0, 0.0]
    assert frame.days_since_use.tolist() == [90.0, 90.0]
    assert frame.usage_change.isna().all()


def test_columns_are_found_by_name_whatever_their_case(company_of: CompanyOf) -> None:
    usage = pd.DataFrame({"ACCOUNT_ID": ["A"], "Occurred_At": [SOME_TIME], "QUANTITY": [3.0]})
    company = company_with(company_of, usage_events=usage)
    assert values(company, "usage_events", "quantity") == [3.0]


def test_a_missing_column_is_named_with_the_nearest(company_of: CompanyOf) -> None:
    misnamed = ACCOUNTS.rename(columns={"account_id": "acount_id"})
    assert refusal(company_of, accounts=misnamed) == (
        "Table 'accounts' has no column 'account_id', needed as accounts.account_id;"
        " did you mean 'acount_id'? (set it under [tables.accounts])"
    )
    assert refusal(company_of, {"accounts": {"created_at": "zzz"}}) == (
        "Table 'accounts' has no column 'zzz', needed as accounts.created_at; its columns are"
        " 'account_id', 'created_at' (set it under [tables.accounts])"
    )
    # An optional column that is mapped on purpose must be there too.
    usage = pd.DataFrame({"account_id": ["A"], "occurred_at": [SOME_TIME], "amount": [3.0]})
    mapping = {"usage_events": {"quantity": "amonut"}}
    assert refusal(company_of, mapping, usage_events=usage) == (
        "Table 'usage_events' has no column 'amonut', needed as usage_events.quantity;"
        " did you mean 'amount'? (set it under [tables.usage_events])"
    )


def test_an_empty_text_switches_a_column_off(company_of: CompanyOf) -> None:
    usage = pd.DataFrame({"account_id": ["A"], "occurred_at": [SOME_TIME], "quantity": [3.0]})
    company = company_with(company_of, {"usage_events": {"quantity": ""}}, usage_events=usage)
    assert not company.has("usage_events", "quantity")
    message = refusal(company_of, {"accounts": {"account_id": ""}})
    assert message.startswith("Table 'accounts' has no column 'account_id', needed as")


def test_attributes_that_are_not_there_are_named(company_of: CompanyOf) -> None:
    accounts = ACCOUNTS.assign(industry="x")
    message = refusal(company_of, {"accounts": {"attributes": ["industri"]}}, accounts=accounts)
    assert message == (
        "Table 'accounts' has no column 'industri', listed in [tables.accounts] attributes;"
        " did you mean 'industry'?"
    )
    message = refusal(company_of, {"accounts": {"attributes": ["created_at"]}})
    assert message == (
        "Column 'created_at' of table 'accounts' is a contract column and cannot be an attribute"
        " too; take it off [tables.accounts] attributes"
    )


VIA = {"account_via": {"table": "subscriptions", "key": "sub", "account_id": "owner"}}


def test_linking_tries_no_pair_of_rows(company_of: CompanyOf) -> None:
    subscriptions = pd.DataFrame(
        {"owner": ["A"], "sub": ["s1"], "started_at": [datetime(2023, 1, 1)]}
    )
    usage = pd.DataFrame({"sub": ["s1", "-"], "occurred_at": SOME_TIME})
    mapping = {"subscriptions": {"account_id": "owner"}, "usage_events": VIA}
    company = company_with(company_of, mapping, subscriptions=subscriptions, usage_events=usage)
    if company.engine.name == "DuckDB":
        sql = ibis.to_sql(company.tables["usage_events"].cleaned)
        plan = company.engine.connection.con.execute(f"explain {sql}").fetchall()[0][1].lower()
        assert "hash join" in plan.replace("_", " ")
        assert "cross" not in plan
        assert "nested" not in plan


def test_the_account_is_found_through_another_table(company_of: CompanyOf) -> None:
    subscriptions = pd.DataFrame(
        {
            "owner": ["A", "B", "A", "B"],
            "sub": ["1", "2", "3", "3"],
            "started_at": [datetime(2023, 1, 1)] * 4,
        }
    )
    usage = pd.DataFrame({"sub": [1.0, 1.0, 2.0, 3.0, 4.0], "occurred_at": SOME_TIME})
    mapping = {"subscriptions": {"account_id": "owner"}, "usage_events": VIA}
    company = company_with(company_of, mapping, subscriptions=subscriptions, usage_events=usage)
    assert sorted(values(company, "usage_events", "account_id")) == ["A", "A", "B"]
    # Subscription 3 belongs to two accounts and 4 to none: neither row is guessed a home.
    assert company.quality["usage_events"].problems == ("2 rows without an account_id are ignored",)
    missing = {"account_via": {**VIA["account_via"], "key": "subs"}}
    message = refusal(
        company_of,
        {**mapping, "usage_events": missing},
        subscriptions=subscriptions,
        usage_events=usage,
    )
    assert message == (
        "Table 'usage_events' has no column 'subs', needed by [tables.usage_events] account_via;"
        " did you mean 'sub'?"
    )


def test_a_stretch_of_time_is_asked_of_the_source(company_of: CompanyOf) -> None:
    """Edges and rows without a time count as they do where only what was cleaned is asked."""
    first, end, tick = datetime(2024, 2, 1), datetime(2024, 3, 1), timedelta(microseconds=1)
    moments = [None, first - tick, first, first + tick, end - tick, end, datetime(1, 1, 1)]
    used = pd.DataFrame({"account_id": ["A"] * 7, "occurred_at": pa.array(moments).to_pylist()})
    used["occurred_at"] = used["occurred_at"].astype("datetime64[us]")
    table = company_with(company_of, usage_events=used).tables["usage_events"]
    within = [first, first + tick, end - tick]
    asked = {"moment": (events_of(table).between(first, end), within)}
    asked["occurred_at"] = (table.since(first).cleaned, [*within, end])
    for own, (rows, expected) in asked.items():
        narrowed = [each.parent for each in rows.op().find(ops.Filter)]
        assert table.raw.op() in narrowed, own
        assert sorted(rows[own].to_pyarrow().to_pylist()) == expected
