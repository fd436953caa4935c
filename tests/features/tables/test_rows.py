"""Rows that are no business: left out by rule, counted, and nothing else touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from features.build import build_features
from features.builders.settings import SignalsSettings
from features.errors import DataError
from features.outcomes.labels import OutcomeSettings
from features.tables.cleaning import CleanTable
from features.tables.company import Company
from features.tables.mapping.mapping import TablesSettings

CompanyOf = Callable[..., Company]
Read = Callable[..., dict[str, CleanTable]]
DAY = datetime(2023, 1, 1)
ACCOUNTS = pd.DataFrame({"account_id": ["A", "B"], "created_at": [DAY] * 2})
TERMS = pd.DataFrame({"account_id": ["A", "B"], "started_at": [DAY] * 2})


@pytest.fixture(scope="session")
def company_of(company_quick: CompanyOf) -> CompanyOf:
    return company_quick


def company(company_of: CompanyOf, mapping: dict[str, Any] | None = None, **tables: Any) -> Company:
    tables = {"accounts": ACCOUNTS, "subscriptions": TERMS} | tables
    return company_of(tables, {name: {} for name in tables} | (mapping or {}))


def invoices(**columns: Any) -> pd.DataFrame:
    due = [datetime(2024, 1, 1), datetime(2024, 1, 2), datetime(2024, 1, 3)]
    paid = pd.Series([None, None, None], dtype="datetime64[us]")
    rows = {"account_id": "A", "issued_at": due, "due_at": due, "paid_at": paid}
    return pd.DataFrame({**rows, **columns})


def overdue(found: Company) -> float:
    frame = build_features(
        found, [date(2024, 3, 1)], OutcomeSettings(), SignalsSettings(), labelled=False
    )
    return float(frame.set_index("account_id").overdue_invoices["A"])


def test_credit_notes_are_never_overdue(company_of: CompanyOf) -> None:
    found = company(company_of, invoices=invoices(amount=[10.0, -10.0, 5.0]))
    assert found.quality["invoices"].problems == (
        "1 invoices of a negative amount are credit notes and are left out",
    )
    assert overdue(found) == 2.0


def test_void_invoices_are_named_and_left_out_by_keep(company_of: CompanyOf) -> None:
    table = invoices(amount=[1.0, 2.0, 3.0], status=["open", "Void ", None])
    found = company(company_of, invoices=table)
    assert found.quality["invoices"].problems == (
        "invoices whose status is 'void' count as open; leave them out with keep ="
        ' [{ column = "status", not_in = ["void"] }] under [tables.invoices]',
    )
    assert overdue(found) == 3.0
    kept = {"invoices": {"keep": [{"column": "status", "not_in": ["void"]}]}}
    found = company(company_of, kept, invoices=table)
    assert found.quality["invoices"].problems == (
        "1 rows are left out by keep: status not in 'void'",
    )
    assert overdue(found) == 2.0


def test_the_first_of_a_month_may_stand_for_the_month(company_of: CompanyOf) -> None:
    firsts = [datetime(2024, month, 1) for month in range(1, 7)]
    table = pd.DataFrame({"account_id": "A", "issued_at": firsts, "amount": [5.0, 7, 3, 9, 4, 8]})
    problems = company(company_of, invoices=table).quality["invoices"].problems
    said = [text for text in problems if "first of a month" in text]
    assert len(said) == 1
    assert said[0].startswith("all 6 invoices are dated by the first of a month and their amounts")
    assert said[0].endswith('set covers = "month" under [tables.invoices]')
    settled = {"invoices": {"covers": "month"}}
    due = table.assign(due_at=table.issued_at + timedelta(14))
    for mapping, right in (
        ({}, table.assign(amount=5.0)),
        ({}, table.assign(issued_at=table.issued_at + timedelta(1))),
        ({}, due),
        (settled, table),
    ):
        found = company(company_of, mapping, invoices=right)
        assert not any("first of a month" in each for each in found.quality["invoices"].problems)
        last = found.tables["invoices"].cleaned.issued_at.max().execute()
        assert (last.to_pydatetime().replace(tzinfo=None) == datetime(2024, 6, 30)) == bool(mapping)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ({"column": "status", "is": "OPEN"}, 1),
        ({"column": "status", "is_not": "open"}, 2),
        ({"column": "status", "in": ["open", "paid"]}, 2),
        ({"column": "status", "missing": True}, 1),
        ({"column": "status", "missing": False}, 2),
        ({"column": "live", "is": True}, 2),
        ({"column": "live", "is": False}, 1),
        ({"column": "size", "at_least": 2}, 2),
        ({"column": "size", "at_most": 2}, 2),
        ({"column": "size", "in": [1, 3.0]}, 2),
        ({"column": "issued_at", "at_least": date(2024, 1, 2)}, 2),
    ],
)
def test_conditions(read_quick: Read, condition: dict[str, Any], rows: int) -> None:
    table = invoices(status=["open", "paid", None], live=[True, False, True], size=[1, 2, 3])
    mapping = {"accounts": {}, "subscriptions": {}, "invoices": {"keep": [condition]}}
    found = read_quick({"accounts": ACCOUNTS, "subscriptions": TERMS, "invoices": table}, mapping)
    assert found["invoices"].cleaned.count().execute() == rows


def test_a_condition_that_cannot_be_is_refused(company_of: CompanyOf) -> None:
    with pytest.raises(DataError, match=r"has no column 'statuz', named in \[tables.invoices\]"):
        company(
            company_of,
            {"invoices": {"keep": [{"column": "statuz", "is": "x"}]}},
            invoices=invoices(status=["a", "b", "c"]),
        )
    for wrong in ({"column": "a"}, {"column": "a", "is": 1, "in": [2]}):
        with pytest.raises(ValueError, match="needs one test"):
            TablesSettings.model_validate({"subscriptions": {"keep": [wrong]}})
    with pytest.raises(ValueError, match="Extra inputs"):
        TablesSettings.model_validate({"subscriptions": {"keep": [{"column": "a", "sql": "1"}]}})


def test_copies_with_a_key_count_once(company_of: CompanyOf) -> None:
    tickets = pd.DataFrame(
        {
            "account_id": ["A", "A", "A", "B"],
            "ticket_id": ["1", "1", "2", "1"],
            "opened_at": [datetime(2024, 1, 1)] * 2 + [datetime(2024, 1, 2)] * 2,
        }
    )
    found = company(company_of, tickets=tickets)
    assert found.quality["tickets"].rows == 3
    assert "1 rows" in found.quality["tickets"].problems[0]
    kept = company(company_of, {"tickets": {"copies": "keep"}}, tickets=tickets)
    assert kept.quality["tickets"].rows == 4


def test_of_one_ticket_the_latest_version_counts(company_of: CompanyOf) -> None:
    tickets = pd.DataFrame(
        {
            "account_id": ["A", "A"],
            "ticket_id": ["1", "1"],
            "opened_at": [datetime(2024, 1, 1)] * 2,
            "closed_at": pd.Series([None, datetime(2024, 1, 5)], dtype="datetime64[us]"),
        }
    )
    found = company(company_of, tickets=tickets)
    assert found.quality["tickets"].problems == (
        "1 rows repeat the ticket_id of another row, and of each the latest counts",
    )
    assert found.tables["tickets"].cleaned.closed_at.notnull().all().execute()


def test_copies_without_a_key_are_told_and_an_appended_export_counts_once(
    company_of: CompanyOf,
) -> None:
    twice = pd.concat([TERMS, TERMS.head(1)])
    found = company(company_of, subscriptions=twice)
    assert found.quality["subscriptions"].rows == 3
    assert found.quality["subscriptions"].problems[0].startswith("1 rows are exact copies of")
    many = pd.DataFrame({"account_id": "A", "started_at": [DAY + timedelta(n) for n in range(30)]})
    found = company(company_of, subscriptions=pd.concat([many, many]))
    assert found.quality["subscriptions"].rows == 30
    accounts = pd.concat([ACCOUNTS, ACCOUNTS])
    assert company(company_of, accounts=accounts).quality["accounts"].rows == 2


def test_use_that_is_there_twice_as_a_whole_counts_once(company_of: CompanyOf) -> None:
    times = [DAY + timedelta(n) for n in range(30)]
    # One thing was done twice at a time.
    once = pd.DataFrame({"account_id": "A", "occurred_at": [*times, DAY]})
    twice = company(company_of, usage_events=pd.concat([once, once]))
    assert twice.quality["usage_events"].rows == 31
    assert twice.quality["usage_events"].problems == (
        "31 rows are exact copies of another, as every row is there twice, and are left out; set"
        ' copies = "keep" if they are none',
    )
    more = company(company_of, usage_events=pd.concat([once, once, once.tail(1)]))
    assert more.quality["usage_events"].rows == 63
    assert more.quality["usage_events"].problems == (
        "52% of the rows of the first accounts are exact copies of another and count; if the export"
        ' holds them twice, set copies = "drop"',
    )


@pytest.mark.parametrize("none", ["9999-12-31", "1970-01-01", "2099-12-31", "NULL", "-", "N/A"])
def test_an_end_that_is_none_is_open(read_quick: Read, none: str) -> None:
    terms = TERMS.assign(ended_at=[none, "2024-01-01"])
    found = read_quick({"accounts": ACCOUNTS, "subscriptions": terms})
    assert found["subscriptions"].cleaned.ended_at.isnull().sum().execute() == 1


def test_ends_of_the_last_day_are_shown_by_contracts_that_follow(company_of: CompanyOf) -> None:
    ids = [str(number) for number in range(6)]
    accounts = pd.DataFrame({"account_id": ids, "created_at": DAY})
    first = pd.DataFrame(
        {"account_id": ids, "started_at": DAY, "ended_at": pd.Timestamp("2023-12-31")}
    )
    second = first.assign(
        started_at=pd.Timestamp("2024-01-01"), ended_at=pd.Timestamp("2024-12-31")
    )
    day = [date(2024, 1, 1)]
    for days, after in ((0, True), (2, False)):
        again = second.assign(started_at=second.started_at + timedelta(days))
        found = company(company_of, accounts=accounts, subscriptions=pd.concat([first, again]))
        assert bool(found.quality["subscriptions"].decided) == after
        frame = build_features(found, day, OutcomeSettings(), SignalsSettings(), labelled=False)
        assert len(frame) == (6 if after else 0)


@pytest.mark.parametrize(
    ("ids", "others", "hint"),
    [
        (["7", "8"], {}, "2 of 2 such ids differ by leading zeros"),
        (["cus_0007", "cus_0008"], {}, "2 of 2 such ids differ by a prefix"),
        (["0007.0", "0008.0"], {}, "2 of 2 such ids differ by '.0' at their end"),
        (
            ["x", "y"],
            {"kunde": ["0007", "0008"] * 6},
            "column 'kunde' of table 'usage_events' holds 2 of the ids of 'accounts'",
        ),
        (
            ["x", "y"],
            {},
            "leading zeros, case, blanks, prefixes, '.0' and other columns were tried",
        ),
    ],
)
def test_a_table_of_strangers_is_refused_with_the_cause(
    company_of: CompanyOf, ids: list[str], others: dict[str, list[str]], hint: str
) -> None:
    accounts = ACCOUNTS.assign(account_id=["0007", "0008"])
    terms = TERMS.assign(account_id=["0007", "0008"])
    when = datetime(2024, 1, 1)
    events = pd.DataFrame({"account_id": ids * 6, "occurred_at": when, **others})
    with pytest.raises(DataError) as caught:
        company(company_of, accounts=accounts, subscriptions=terms, usage_events=events)
    assert str(caught.value) == (
        f"No row of table 'usage_events' belongs to an account: its account_id, such as '{ids[0]}',"
        f" is in none of 12 rows one of table 'accounts' ({hint}); correct account_id under"
        " [tables.usage_events] or the data, or take [tables.usage_events] out: its signals are"
        " then off"
    )


@pytest.mark.parametrize("name", ["accounts", "subscriptions"])
def test_a_table_without_rows_that_must_have_some_is_refused(
    company_of: CompanyOf, name: str
) -> None:
    empty = {"accounts": ACCOUNTS[:0], "subscriptions": TERMS[:0]}[name]
    with pytest.raises(DataError, match=f"Table '.*' holds no row that can be used.*{name}"):
        company(company_of, **{name: empty})


def test_several_currencies_are_named(company_of: CompanyOf) -> None:
    terms = TERMS.assign(mrr=[1.0, 2.0], ccy=["EUR", "usd"])
    assert company(company_of, subscriptions=terms).quality["subscriptions"].problems == (
        "column 'ccy' holds several currencies, 'EUR', 'USD', and sums of mrr mix them;"
        " map it as currency and give [rates], or keep one currency",
    )
    one = terms.assign(ccy="EUR")
    assert company(company_of, subscriptions=one).quality["subscriptions"].problems == ()


def test_accounts_are_left_out_by_id_name_and_domain(company_of: CompanyOf) -> None:
    accounts = pd.DataFrame(
        {
            "account_id": ["A", "B", "C", "D"],
            "created_at": [DAY] * 4,
            "name": ["Acme", "Test Inc", "Beta", None],
            "email": ["x@acme.com", "y@acme.com", "qa@OURS.com", None],
        }
    )
    mapping = {"accounts": {"leave_out": ["ours.com", "test inc ", "D", "nobody"]}}
    found = company(company_of, mapping, accounts=accounts)
    assert found.tables["accounts"].cleaned.execute()["account_id"].tolist() == ["A"]
    assert found.quality["accounts"].problems[:3] == (
        "1 rows are left out by leave_out: 'ours.com'",
        "1 rows are left out by leave_out: 'test inc '",
        "1 rows are left out by leave_out: 'D'",
    )


def test_a_stray_row_does_not_move_the_end(company_of: CompanyOf) -> None:
    days = [datetime(2024, 1, 1) + timedelta(hours=n) for n in range(600)]
    events = pd.DataFrame({"account_id": "A", "occurred_at": [*days, datetime(2024, 9, 1)]})
    found = company(company_of, usage_events=events)
    assert found.data_end == date(2024, 1, 26)
    assert "do not move the data's end, 2024-01-25" in found.quality["usage_events"].problems[0]


def test_one_column_has_one_role(company_of: CompanyOf) -> None:
    mapping = {"subscriptions": {"renewal_at": "ended_at"}}
    with pytest.raises(DataError, match="cannot be both ended_at and renewal_at of subscriptions"):
        company(company_of, mapping, subscriptions=TERMS.assign(ended_at=DAY))
