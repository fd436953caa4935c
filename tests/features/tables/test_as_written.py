"""Tables as people have them, on every engine: read as if they had been clean, or refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd
import pytest

from features.errors import DataError
from features.sources.source import Source
from features.tables.company import Company, clean_tables, load_company
from features.tables.mapping.mapping import TablesSettings

CompanyOf = Callable[..., Company]
Load = Callable[..., Source]
DAY, LATER = datetime(2023, 3, 28), datetime(2024, 1, 23, 18, 41)
NEVER = [pd.NaT, pd.NaT]
# The ids of a company that writes them like numbers, times and days.
IDS = ["1E4", "00:07", "02-01-24"]
RIGHT = {
    "accounts": pd.DataFrame({"account_id": IDS, "created_at": [DAY] * 3}),
    "subscriptions": pd.DataFrame({
        "account_id": IDS,
        "started_at": [DAY] * 3,
        "ended_at": [datetime(2024, 12, 31), *NEVER],
        "mrr": [1250.5, 68.09, 7.0],
    }),
    "invoices": pd.DataFrame({
        "account_id": IDS[:2],
        "issued_at": [LATER] * 2,
        "due_at": [LATER] * 2,
        "paid_at": [LATER, pd.NaT],
        "amount": [10.0, 20.0],
    }),
    "tickets": pd.DataFrame({"ticket_id": ["T1"], "account_id": IDS[:1], "opened_at": [LATER]}),
}  # fmt: skip
EVENING = "01/23/2024 06:41 PM"
WRITTEN = {
    "accounts": pd.DataFrame({"account_id": IDS, "created_at": ["03/28/2023"] * 3}),
    # Open ends as a word, as nothing and as a year that never comes; amounts with commas.
    "subscriptions": pd.DataFrame({
        "account_id": IDS,
        "started_at": ["03/28/2023"] * 3,
        "ended_at": ["12/31/2024", "NULL", "12/31/9999"],
        "mrr": ["1.250,50", "68,09", "7"],
    }),
    # A credit note, a void invoice, and hours of half a day.
    "invoices": pd.DataFrame({
        "account_id": [*IDS[:2], IDS[0], IDS[1]],
        "issued_at": [EVENING] * 4,
        "due_at": [EVENING] * 4,
        "paid_at": [EVENING, None, None, "-"],
        "amount": [10.0, 20.0, -10.0, 99.0],
        "status": ["paid", "open", "open", "Void"],
    }),
    # One export appended to another, in the time of another zone.
    "tickets": pd.DataFrame({
        "ticket_id": ["T1"] * 2,
        "account_id": IDS[:1] * 2,
        "opened_at": ["2024-01-23 13:41:00 -0500"] * 2,
    }),
}  # fmt: skip
KEEP = {"invoices": {"keep": [{"column": "status", "not_in": ["void"]}]}}


def frames(company: Company) -> dict[str, list[list[Any]]]:
    """Return every table's values, of columns that are there in both companies."""
    listed = {}
    for name, columns in RIGHT.items():
        rows = company.tables[name].cleaned.select(*columns.columns).to_pyarrow().to_pylist()
        plain = [
            [each.replace(tzinfo=None) if isinstance(each, datetime) else each
             for each in row.values()]
            for row in rows
        ]  # fmt: skip
        listed[name] = sorted(plain, key=str)
    return listed


def test_what_is_written_otherwise_is_read_as_what_it_says(
    company_on: CompanyOf, company_of: CompanyOf
) -> None:
    written = company_on(WRITTEN, {name: {} for name in WRITTEN} | KEEP)
    assert frames(written) == frames(company_of(RIGHT))
    codes = {each.code for quality in written.quality.values() for each in quality.findings}
    assert {"credit-notes", "rows-left-out", "copies-left-out"} <= codes


# Per column what can be read in two ways, its twin that cannot, and what is said of the first.
CASES = [
    ("accounts", "created_at", "03/04/2023", "03/28/2023", "cannot be told apart"),
    ("accounts", "created_at", "28/03/23", "28/03/2023", "holds years of two digits"),
    ("accounts", "created_at", 45_013, "2023-03-28", 'numbers_as_times = "excel"'),
    ("accounts", "created_at", 1_679_990_400, 20230328, 'numbers_as_times = "unix"'),
    ("subscriptions", "mrr", "1.250", "1.250,00", "may be thousands or a fraction"),
    ("subscriptions", "account_id", "1E04", "1E4", "No row of table 'wrong_5' belongs"),
]


def test_what_can_be_read_in_two_ways_is_refused_and_its_twin_is_read(load_on: Load) -> None:
    """All are tables of one source, of which each case reads its own."""
    few = {name: RIGHT[name].head(1) for name in ("accounts", "subscriptions")}
    tables = dict(few)
    for number, (table, column, *values, _) in enumerate(CASES):
        for name, value in zip(("wrong", "right"), values, strict=True):
            rows = few[table].drop(columns=column).assign(**{column: [value]})
            # Of few strangers nobody knows whether they are a mistake.
            again = 12 if column == "account_id" else 1
            tables[f"{name}_{number}"] = pd.concat([rows] * again, ignore_index=True)
    source = load_on(tables)
    for number, (table, column, _, right, said) in enumerate(CASES):
        of_case = {name: TablesSettings.model_validate({
            "accounts": {}, "subscriptions": {}, table: {"from": f"{name}_{number}"},
        }) for name in ("wrong", "right")}  # fmt: skip
        with pytest.raises(DataError) as caught:
            load_company(source, of_case["wrong"])
        assert said in str(caught.value), said
        cleaned = clean_tables(source, of_case["right"], may_have_copies=False)[table].cleaned
        read = cleaned[column].to_pyarrow().to_pylist()[0]
        expected = few[table][column].tolist()[0]
        if isinstance(expected, datetime):
            read = read.replace(tzinfo=None)
        assert read == (1250.0 if column == "mrr" else expected), right
