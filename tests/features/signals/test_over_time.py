"""What is measured again and again: means, changes, and nobody knowing a sum before it is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import pytest

from features.build import build_features, signals_of
from features.builders.settings import SignalsSettings
from features.errors import SettingsError
from features.outcomes.labels import OutcomeSettings
from features.tables.company import Company

CompanyOf = Callable[..., Company]
DATES = [date(2024, 3, 1), date(2024, 3, 14), date(2024, 4, 1), date(2024, 7, 31)]
OWN = {"calls": {"group": "usage", "healthy": "higher", "over_time": True}}
MONTHS = pd.date_range("2023-06-01", "2024-08-01", freq="MS")


def settings(**own: Any) -> SignalsSettings:
    return SignalsSettings.model_validate({"own": own or OWN})


def of(load: CompanyOf, snapshots: pd.DataFrame, **mapping: Any) -> Company:
    people = pd.DataFrame({"account_id": ["A", "B"], "created_at": pd.Timestamp("2020-01-01")})
    churns = pd.DataFrame({"account_id": ["Z"], "churned_at": [pd.Timestamp("2023-01-05")]})
    tables = {"accounts": people, "churn_events": churns, "snapshots": snapshots}
    return load(tables, {"accounts": {}, "churn_events": {}, "snapshots": mapping})


def monthly() -> pd.DataFrame:
    """Return a row a month, dated by its first day, for one account; one value is missing."""
    calls = [float(n * n % 17 + 1) for n in range(len(MONTHS))]
    calls[4] = float("nan")
    return pd.DataFrame({"account_id": "A", "observed_at": MONTHS, "calls": calls})


def expected(rows: pd.DataFrame, last_days: pd.Series, day: date) -> dict[str, float]:
    """Compute the four signals of a date in plain pandas."""
    ages = (pd.Timestamp(day) - last_days).dt.days

    def mean(youngest: int, oldest: int) -> float:
        return rows.calls[(ages > youngest) & (ages <= oldest)].mean()

    now, before = mean(0, 35), mean(35, 126)
    return {
        "calls": now,
        "calls_91d": mean(0, 91),
        "calls_182d": mean(0, 182),
        "calls_change": (now - before) / before if before > 0 else float("nan"),
    }


@pytest.mark.parametrize("covers", [None, "week", "month", "quarter"])
def test_means_and_changes_are_those_of_plain_pandas(company_quick: CompanyOf, covers) -> None:
    rows = monthly()
    company = of(company_quick, rows, **({"covers": covers} if covers else {}))
    frame = build_features(company, DATES, OutcomeSettings(), settings(), labelled=False)
    length = {
        None: pd.DateOffset(days=1),
        "week": pd.DateOffset(days=7),
        "month": pd.DateOffset(months=1),
        "quarter": pd.DateOffset(months=3),
    }[covers]
    last_days = rows.observed_at + length - pd.Timedelta(days=1)
    built = frame[frame.account_id == "A"].set_index("observation_date")
    for day in DATES:
        wanted = pd.Series(expected(rows, last_days, day))
        pd.testing.assert_series_equal(
            built.loc[pd.Timestamp(day), list(wanted.index)].astype(float),
            wanted,
            check_names=False,
        )
    assert frame[frame.account_id == "B"][[*wanted.index]].isna().all().all()


def test_a_sum_is_not_known_before_its_month_is_over(company_of: CompanyOf) -> None:
    later = monthly()
    later.loc[later.observed_at >= "2024-03-01", "calls"] *= 1000
    built = [
        build_features(of(company_of, rows, covers="month"), DATES[:3], OutcomeSettings(),
                       settings(), labelled=False)
        for rows in (monthly(), later)
    ]  # fmt: skip
    calls = [
        frame[frame.account_id == "A"].sort_values("observation_date").calls for frame in built
    ]
    same = (calls[0].to_numpy() == calls[1].to_numpy()).tolist()
    assert same == [True, True, False]


def test_words_of_signals_over_time(company_of: CompanyOf) -> None:
    company = of(company_of, monthly(), covers="month")
    signals = {each.name: each for each in signals_of(company, settings()) if "calls" in each.name}
    assert {name: (each.unit, each.window_days) for name, each in signals.items()} == {
        "calls": ("count", 35),
        "calls_91d": ("count", 91),
        "calls_182d": ("count", 182),
        "calls_change": ("change", 35),
    }
    assert signals["calls"].sentence == "Calls averaged {value} in 35 days"
    assert signals["calls_change"].sentence == "Calls {value} against the 91 days before"
    assert len({each.label for each in signals.values()}) == 4


def test_what_cannot_be_averaged_is_refused(company_of: CompanyOf) -> None:
    rows = monthly().assign(mood="calm", calls_change=1.0)
    mood = {"mood": {"group": "usage", "over_time": True}}
    with pytest.raises(SettingsError) as refused:
        signals_of(of(company_of, rows), settings(**mood))
    assert str(refused.value) == (
        "[signals.own] says over_time of 'mood', which needs numbers with the time they were"
        " measured at, and finds unit 'category'; take over_time off"
    )
    with pytest.raises(SettingsError, match="and finds rows without observed_at; take over_time"):
        signals_of(of(company_of, rows.drop(columns="observed_at")), settings())
    with pytest.raises(SettingsError) as doubled:
        signals_of(of(company_of, rows), settings(**OWN, calls_change={"group": "usage"}))
    assert str(doubled.value) == (
        "[signals.own] makes two signals called 'calls_change', one of them of over_time; rename"
        " one of the columns"
    )
