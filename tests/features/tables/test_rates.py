"""Amounts in several currencies: each at the rate of its own day, or a refusal that names it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from features.errors import DataError
from features.sources.source import Source
from features.tables.company import Company, load_company
from features.tables.mapping.mapping import TablesSettings
from features.tables.mapping.reading_settings import RatesSettings, ReadingSettings

Load = Callable[..., Source]
DAY = datetime(2024, 1, 10)
FX = pd.DataFrame(
    {
        "date": [datetime(2024, 1, 1), datetime(2024, 1, 10), datetime(2024, 2, 1)],
        "currency": ["EUR", "eur ", "JPY"],
        "rate": [2.0, 3.0, 0.01],
    }
)
CODES = ["eur", "EUR", "usd", None, "eur"]
STARTS = [datetime(2024, 1, 9), DAY, DAY, DAY, datetime(2024, 2, 9)]


@pytest.fixture(scope="session", params=["duckdb", "postgres"])
def load(request: pytest.FixtureRequest) -> Load:
    loaded: Load = request.getfixturevalue(f"load_{request.param}")
    return loaded


def company(
    load: Load,
    rates: Any = None,
    codes: Any = CODES,
    starts: Any = STARTS,
    fx: pd.DataFrame = FX,
) -> Company:
    accounts = [f"A{n}" for n in range(len(codes))]
    tables = {
        "accounts": pd.DataFrame({"account_id": accounts, "created_at": DAY}),
        "subscriptions": pd.DataFrame(
            {"account_id": accounts, "started_at": starts, "mrr": 10.0, "ccy": codes}
        ),
        "fx": fx,
    }
    settings = TablesSettings.model_validate({"accounts": {}, "subscriptions": {"currency": "ccy"}})
    reading = ReadingSettings(rates=rates and RatesSettings.model_validate(rates))
    return load_company(load(tables), settings, reading=reading)


def amounts(loaded: Company) -> list[Any]:
    rows = loaded.tables["subscriptions"].cleaned.order_by("account_id")
    listed: list[Any] = rows.mrr.to_pyarrow().to_pylist()
    return listed


def test_an_amount_has_the_newest_rate_that_is_not_after_its_day(load: Load) -> None:
    rates = {"currency": "USD", "from": "fx"}
    assert amounts(company(load, rates)) == [20.0, 30.0, 10.0, 10.0, 30.0]


def test_fixed_rates_go_before_dated_ones(load: Load) -> None:
    rates = {"currency": "usd", "from": "fx", "fixed": {"EUR": 1.5}}
    assert amounts(company(load, rates)) == [15.0, 15.0, 10.0, 10.0, 15.0]


@pytest.mark.parametrize(
    ("codes", "starts", "rates", "said"),
    [
        (["eur"], [datetime(2023, 12, 31)], {}, "no rate of 'eur' to usd on 2023-12-31"),
        (["jpy"], [DAY], {}, "no rate of 'jpy' to usd on 2024-01-10 (or in the 31 days before)"),
        (["eur"], [datetime(2024, 2, 10)], {}, "no rate of 'eur' to usd on 2024-02-10"),
        (["chf"], [DAY], {"fixed": {"eur": 2.0}, "from": None}, "in [rates] fixed, and 1 rows of"),
        (["eur"], [DAY], {"rate": "rat"}, "no column 'rat', named by [rates] rate; did you mean"),
        (["eur"], [DAY], {"from": "fxs"}, "Table 'fxs', mapped to [rates], is not in the source"),
    ],
)
def test_a_missing_rate_is_refused_with_its_currency_and_day(
    load: Load, codes: Any, starts: Any, rates: Any, said: str
) -> None:
    with pytest.raises(DataError) as caught:
        company(load, {"currency": "usd", "from": "fx"} | rates, codes, starts)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_currencies_without_rates_are_refused_and_one_is_not(load: Load) -> None:
    with pytest.raises(DataError) as caught:
        company(load)
    assert str(caught.value) == (
        "Table 'subscriptions' holds mrr in several currencies, 'eur', 'usd', and their sum means"
        " nothing; give their rates under [rates], keep one of them with keep, or set currency ="
        ' "" under [tables.subscriptions] if mrr is in one already'
    )
    assert amounts(company(load, codes=["eur", "EUR"], starts=[DAY, DAY])) == [10.0, 10.0]


def test_rates_need_a_table_or_rates() -> None:
    with pytest.raises(ValidationError, match="needs a table of rates, from, or fixed rates"):
        RatesSettings(currency="usd")


def test_two_rates_of_one_day_are_refused_and_one_written_twice_is_not(load: Load) -> None:
    rates = {"currency": "USD", "from": "fx"}
    again = FX.iloc[[1]]
    assert amounts(company(load, rates, fx=pd.concat([FX, again]))) == amounts(company(load, rates))
    message = (
        "Table 'fx', named by [rates], holds two rates of 'eur' on 2024-01-10, 3 and 4; keep one of"
        " a currency and day"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        company(load, rates, fx=pd.concat([FX, again.assign(rate=4.0)]))
