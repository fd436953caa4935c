"""What is counted, what is refused, and in which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from features.build import build_features
from features.builders.settings import SignalsSettings
from features.errors import DataError
from features.outcomes.labels import OutcomeSettings
from features.tables.company import Company

CompanyOf = Callable[..., Company]
ACCOUNTS = pd.DataFrame({"account_id": ["A", "B"], "created_at": [datetime(2023, 1, 1, 9)] * 2})
CHURNS = pd.DataFrame({"account_id": ["A"], "churned_at": [datetime(2024, 6, 1)]})


@pytest.fixture(scope="session")
def company_of(company_quick: CompanyOf) -> CompanyOf:
    """Put every case below into DuckDB and PostgreSQL; test_engines.py asks Spark the same."""
    return company_quick


def company_with(
    company_of: CompanyOf, mapping: dict[str, Any] | None = None, **tables: Any
) -> Company:
    tables = {"accounts": ACCOUNTS, "churn_events": CHURNS} | tables
    return company_of(tables, {name: {} for name in tables} | (mapping or {}))


def usage(*occurred: Any, account_id: Any = "A", **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"account_id": account_id, "occurred_at": list(occurred), **columns})


def problems(company: Company, table: str = "usage_events") -> tuple[str, ...]:
    return company.quality[table].problems


GOOD = "2024-01-05"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (usage(GOOD), ()),
        (
            usage(GOOD, "13/1/24", "", GOOD),
            (
                "1 rows without occurred_at are ignored",
                "1 values of occurred_at cannot be read, such as '13/1/24', and count as missing",
            ),
        ),
        (usage(GOOD, None), ("1 rows without occurred_at are ignored",)),
        (
            usage(GOOD, GOOD, GOOD, account_id=["A", None, " "]),
            ("2 rows without an account_id are ignored",),
        ),
        (
            usage(GOOD, GOOD, GOOD, account_id=["A", "Z'; --", "Y"]),
            ("2 rows belong to accounts that are not in accounts, such as 'Y', and are ignored",),
        ),
        (
            usage("2022-12-31 23:59", "2023-01-01 00:00"),
            ("1 rows have occurred_at before the account's created_at",),
        ),
        (
            usage("2024-01-05T10:00:00+02:00", "2024-01-05 10:00"),
            ("1 values of occurred_at carry no time zone where others do; they are read as UTC",),
        ),
        (
            usage(GOOD, GOOD, GOOD, quantity=["1", "2", "ten"]),
            ("1 values of quantity cannot be read, such as 'ten', and count as missing",),
        ),
    ],
)
def test_dirt_is_counted(
    table: pd.DataFrame, expected: tuple[str, ...], company_of: CompanyOf
) -> None:
    assert problems(company_with(company_of, usage_events=table)) == expected


def test_the_future_is_counted_where_it_is_not_planned(company_of: CompanyOf) -> None:
    tomorrow = datetime.now(tz=UTC).replace(tzinfo=None) + timedelta(days=1)
    company = company_with(company_of, usage_events=usage(datetime(2024, 1, 5), tomorrow))
    assert problems(company) == (
        "1 values of occurred_at lie in the future; they count when it comes",
    )
    # Nothing that lies ahead moves the end of what is known.
    assert company.data_end == date(2024, 6, 2)
    invoices = pd.DataFrame(
        {"account_id": ["A"], "issued_at": [datetime(2024, 1, 5)], "due_at": [tomorrow]}
    )
    assert problems(company_with(company_of, invoices=invoices), "invoices") == ()


def test_a_value_before_its_row_is_counted(company_of: CompanyOf) -> None:
    tickets = pd.DataFrame(
        {
            "account_id": ["A", "A"],
            "opened_at": [datetime(2024, 1, 5)] * 2,
            "closed_at": [datetime(2024, 1, 4), datetime(2024, 1, 6)],
        }
    )
    company = company_with(company_of, tickets=tickets)
    assert problems(company, "tickets") == ("1 values of closed_at lie before opened_at",)


@pytest.mark.parametrize(
    ("table", "column", "wanted", "count", "example"),
    [
        (
            usage("the 13th", "soon", GOOD),
            "occurred_at",
            "a date",
            "2 of 3 values (67%)",
            "soon', 'the 13th",
        ),
        (usage("x" * 10_000), "occurred_at", "a date", "1 of 1 values (100%)", "x" * 60),
        (
            usage(GOOD, GOOD, quantity=["many", ""]),
            "quantity",
            "a number",
            "1 of 1 values (100%)",
            "many",
        ),
    ],
)
def test_a_column_that_is_mostly_unreadable_is_refused(
    table: pd.DataFrame, column: str, wanted: str, count: str, example: str, company_of: CompanyOf
) -> None:
    with pytest.raises(DataError) as caught:
        company_with(company_of, usage_events=table)
    assert str(caught.value) == (
        f"Column {column} of table 'usage_events' must hold {wanted} and {count} cannot be"
        f" read as one, such as '{example}'; correct [tables.usage_events] or the data"
    )


def test_half_unreadable_is_counted_and_not_refused(company_of: CompanyOf) -> None:
    company = company_with(company_of, usage_events=usage(GOOD, "soon"))
    assert problems(company) == (
        "1 values of occurred_at cannot be read, such as 'soon', and count as missing",
    )


def test_negative_amounts_written_as_text_are_no_reading_error(company_of: CompanyOf) -> None:
    table = usage(GOOD, GOOD, GOOD, quantity=["-1", "-2", "3"])
    assert problems(company_with(company_of, usage_events=table)) == (
        "2 negative values of quantity are impossible and count as missing",
    )


def test_terms_of_nothing_and_of_ten_years_are_counted(company_of: CompanyOf) -> None:
    renewals = ["2024-01-01", "2023-12-01", "2034-01-01", "2034-06-01", "2025-01-01", None]
    contracts = pd.DataFrame(
        {"account_id": "A", "started_at": "2024-01-01", "renewal_at": renewals}
    )
    assert problems(company_with(company_of, subscriptions=contracts), "subscriptions") == (
        "2 contracts renew on the day they begin or before: accounts count as free to leave at any "
        "time; correct renewal_at or leave it empty",
        "2 contracts run for ten years or more: accounts count as bound until then; correct "
        "renewal_at or leave it empty",
    )
    usual = contracts.iloc[4:].reset_index(drop=True)
    assert problems(company_with(company_of, subscriptions=usual), "subscriptions") == ()


@pytest.mark.parametrize(
    ("lately", "due"), [(0, "2024-03-01"), (0, "2024-11-01"), (1, "2024-03-01")]
)
def test_renewals_that_are_moved_on_are_doubted(
    company_of: CompanyOf, lately: int, due: str
) -> None:
    """Ten contracts renew after years, all within one of the last row: unless one was so agreed."""
    began = pd.to_datetime(["2021-03-01"] * 5 + ["2022-03-01"] * 5 + ["2023-06-01"] * (20 - lately))
    renewals = pd.to_datetime([due] * 10 + ["2024-06-01"] * (20 - lately))
    contracts = pd.DataFrame({"account_id": "A", "started_at": began, "renewal_at": renewals})
    agreed = pd.DataFrame(
        {"account_id": ["A"], "started_at": ["2023-06-01"], "renewal_at": ["2026-06-01"]}
    )
    rows = pd.concat([contracts, agreed.astype(contracts.dtypes)][: 1 + lately])
    company = company_with(company_of, subscriptions=rows, usage_events=usage("2023-12-01"))
    said = problems(company, "subscriptions")
    doubt = (
        "10 contracts renew several terms after they began, and none more than one term ahead: a "
        "renewal that is moved on whenever it has come tells the past who has stayed; leave "
        "renewal_at out, or list each term as a row"
    )
    assert (doubt in said) is not bool(lately)


def test_a_renewal_typed_wrongly_hides_none_that_are_moved_on(company_of: CompanyOf) -> None:
    began = ["2021-03-01"] * 60 + ["2023-06-01"] * 20
    renewals = ["2024-03-01"] * 59 + ["2031-01-01"] + ["2024-06-01"] * 20
    # Prices tell that they are no copies.
    contracts = pd.DataFrame(
        {"account_id": "A", "started_at": began, "renewal_at": renewals, "mrr": range(80)}
    )
    said = problems(company_with(company_of, subscriptions=contracts), "subscriptions")
    told = "60 contracts renew several terms after they began, and 1 more than one term ahead: a "
    assert any(each.startswith(told) for each in said)


def test_accounts_twice_are_refused(company_of: CompanyOf) -> None:
    ids = ["A", "B", "C", "D", "E"] * 2
    days = [datetime(2023, 1, 1)] * 5 + [datetime(2023, 1, 2)] * 5
    accounts = pd.DataFrame({"account_id": ids, "created_at": days})
    with pytest.raises(DataError) as caught:
        company_with(company_of, accounts=accounts)
    assert str(caught.value) == (
        "Table 'accounts' must hold each account once and repeats 'A', 'B', 'C' and 2 more;"
        " remove the copies"
    )


def test_an_account_without_created_at_lives_by_its_subscriptions(company_of: CompanyOf) -> None:
    accounts = ACCOUNTS.assign(created_at=pd.to_datetime(["2023-01-01", None]))
    terms = pd.DataFrame({"account_id": ["A", "B"], "started_at": datetime(2023, 5, 1)})
    day, outcome, settings = date(2024, 3, 1), OutcomeSettings(), SignalsSettings()
    company = company_with(company_of, accounts=accounts, subscriptions=terms)
    assert problems(company, "accounts") == ("1 rows without created_at have an unknown tenure",)
    assert problems(company, "subscriptions") == ()
    frame = build_features(company, [day], outcome, settings, labelled=False)
    assert frame.account_id.tolist() == ["A", "B"]
    assert frame.tenure_days.isna().tolist() == [False, True]
    company = company_with(company_of, accounts=accounts)
    frame = build_features(company, [day], outcome, settings, labelled=False)
    assert frame.account_id.tolist() == ["A"]


def test_an_attribute_with_a_value_for_almost_every_account_is_counted(
    company_of: CompanyOf,
) -> None:
    ids = [str(number) for number in range(101)]
    accounts = pd.DataFrame({"account_id": ids, "created_at": datetime(2023, 1, 1), "city's": ids})
    mapping = {"accounts": {"attributes": ["city's"]}}
    company = company_with(company_of, mapping, accounts=accounts)
    assert problems(company, "accounts") == (
        '101 different values of attribute "city\'s" are too many to learn from: only the most'
        " frequent are told apart",
    )
    company = company_with(company_of, mapping, accounts=accounts[:100])
    assert problems(company, "accounts") == ()


def test_counts_ranges_and_missing_shares_are_plain_json(company_of: CompanyOf) -> None:
    table = usage(GOOD, "2024-02-01T12:00:00", quantity=[None, 2.0])
    quality = company_with(company_of, usage_events=table).quality["usage_events"]
    assert json.loads(json.dumps(quality.to_dict())) == {
        "name": "usage_events",
        "source_name": quality.source_name,
        "rows": 2,
        "accounts": 1,
        "first": "2024-01-05T00:00:00",
        "last": "2024-02-01T12:00:00",
        "missing": {"quantity": 0.5},
        "findings": [],
        "problems": [],
        "decided": [],
    }


def test_a_source_without_any_readable_time_is_refused(company_of: CompanyOf) -> None:
    accounts = ACCOUNTS.assign(created_at=pd.Series([None, None], dtype="datetime64[us]"))
    with pytest.raises(DataError) as caught:
        company_with(company_of, accounts=accounts, churn_events=CHURNS[:0])
    assert str(caught.value) == ("The source holds no row with a readable time; check source.url")
