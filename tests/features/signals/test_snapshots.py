"""The user's own columns as signals, joined as of the observation date."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from features.build import build_features, signals_of
from features.builders.settings import SignalsSettings
from features.errors import DataError, SettingsError
from features.outcomes.labels import OutcomeSettings
from features.tables.company import Company

CompanyOf = Callable[..., Company]
MARCH, APRIL = date(2024, 3, 1), date(2024, 4, 1)
MIDNIGHT = datetime(2024, 3, 1)
Own = dict[str, dict[str, str]]
OWN: Own = {"Growth": {"group": "usage"}, "mood": {"group": "relationship"}}


def own(columns: Own, **others: Any) -> SignalsSettings:
    return SignalsSettings.model_validate({"own": columns, **others})


@pytest.fixture
def company_with(company_of: CompanyOf) -> Callable[..., Company]:
    def load(snapshots: pd.DataFrame | None) -> Company:
        accounts = pd.DataFrame({"account_id": ["A", "B"], "created_at": datetime(2020, 1, 1)})
        accounts = accounts.assign(gender="f", size=3)
        tables: dict[str, Any] = {
            "accounts": accounts,
            "churn_events": pd.DataFrame(
                {"account_id": ["Z"], "churned_at": [datetime(2023, 1, 5)]}
            ),
        }
        if snapshots is not None:
            tables["snapshots"] = snapshots
        mapping: dict[str, Any] = {name: {} for name in tables}
        return company_of(tables, mapping | {"accounts": {"attributes": ["gender", "size"]}})

    return load


def rows(*values: tuple[Any, ...], names: str = "observed_at Growth mood") -> pd.DataFrame:
    frame = pd.DataFrame([("A", *row) for row in values], columns=["account_id", *names.split()])
    moments = [name for name in frame if name.endswith("_at")]
    return frame.astype(dict.fromkeys(moments, "datetime64[us]"))


def built(company: Company, settings: SignalsSettings, account: str = "A") -> pd.DataFrame:
    frame = build_features(company, [MARCH, APRIL], OutcomeSettings(), settings, labelled=False)
    return frame[frame.account_id == account].set_index("observation_date")


def test_the_latest_snapshot_before_each_date_counts_whole(company_with: Any) -> None:
    company = company_with(
        rows(
            (MIDNIGHT - timedelta(days=200), 1.0, "calm"),
            (MIDNIGHT - timedelta(microseconds=1), 2.0, None),
            (MIDNIGHT, 3.0, "tense"),
        )
    )
    frame = built(company, own(OWN))
    assert frame.growth.tolist() == [2.0, 3.0]
    assert frame.mood.tolist() == [None, "tense"]
    other = built(company, own(OWN), "B")
    assert other.growth.isna().all()
    assert other.mood.tolist() == [None, None]
    groups = {signal.name: signal.group for signal in signals_of(company, own(OWN))}
    assert (groups["growth"], groups["mood"]) == ("usage", "relationship")


def test_snapshots_of_one_moment_give_a_mean_and_the_last_text(company_with: Any) -> None:
    moment = MIDNIGHT - timedelta(days=1)
    several = [(moment, 1.0, "b"), (moment, 4.0, "c"), (moment, None, "a")]
    for order in (several, several[::-1]):
        frame = built(company_with(rows(*order)), own(OWN))
        assert frame.growth.tolist() == [2.5, 2.5]
        assert frame.mood.tolist() == ["c", "c"]


def test_a_snapshot_recorded_late_counts_once_recorded(company_with: Any) -> None:
    names = "observed_at recorded_at Growth mood"
    early, late = MIDNIGHT - timedelta(days=9), MIDNIGHT - timedelta(days=1)
    company = company_with(
        rows(
            (early, None, 1.0, "x"), (late, MIDNIGHT, 2.0, "y"), (early, MIDNIGHT, 7.0, "z"),
            names=names,
        )
    )  # fmt: skip
    frame = built(company, own(OWN))
    assert frame.growth.tolist() == [1.0, 2.0]
    assert frame.mood.tolist() == ["x", "y"]


def test_recorded_at_stands_for_a_missing_observed_at(company_with: Any) -> None:
    company = company_with(rows((MIDNIGHT, 1.0, "x"), names="recorded_at Growth mood"))
    frame = built(company, own(OWN))
    assert frame.growth.isna().tolist() == [True, False]
    assert company.quality["snapshots"].problems == ()


def test_without_a_date_values_count_on_every_date_with_a_warning(company_with: Any) -> None:
    company = company_with(rows((2.0, "x"), (4.0, "y"), names="Growth mood"))
    frame = built(company, own(OWN))
    assert frame.growth.tolist() == [3.0, 3.0]
    assert frame.mood.tolist() == ["y", "y"]
    assert company.quality["snapshots"].first is None
    assert company.quality["snapshots"].problems == (
        "it has no observed_at: its values count on every date, as if they had never changed",
        "1 rows repeat an account and have no date: means of numbers count, and of texts the last"
        " in order",
    )


def test_undated_snapshots_do_not_move_the_ends_of_the_data(company_with: Any) -> None:
    with_them = company_with(rows((2.0, "x"), names="Growth mood"))
    without = company_with(None)
    assert with_them.data_end == without.data_end
    assert with_them.data_start == without.data_start


def test_units_are_read_off_the_column_and_can_be_said(company_with: Any) -> None:
    frame = rows((MIDNIGHT - timedelta(days=1), True, 7, 0.25, "t"), names="observed_at b i n t")
    columns: Own = {
        "b": {"group": "usage"},
        "i": {"group": "usage", "unit": "category"},
        "n": {"group": "usage", "unit": "share", "label": "N {x}", "sentence": "{value} of n"},
        "t": {"group": "profile", "healthy": "none"},
    }
    company = company_with(frame)
    signals = {signal.name: signal for signal in signals_of(company, own(columns))}
    assert [signals[name].unit for name in "bint"] == ["flag", "category", "share", "category"]
    assert (signals["n"].label, signals["n"].sentence) == ("N (x)", "{value} of n")
    assert signals["t"].sentence == "T is {value}"
    found = built(company, own(columns)).iloc[0]
    assert [found[name] for name in "bint"] == [1.0, "7", 0.25, "t"]


def test_a_group_that_is_off_takes_its_own_signals_with_it(company_with: Any) -> None:
    company = company_with(rows((MIDNIGHT, 1.0, "x")))
    names = {signal.name for signal in signals_of(company, own(OWN, groups_off=["usage"]))}
    assert "growth" not in names
    assert "mood" in names


def test_empty_snapshots_leave_signals_unknown(company_with: Any) -> None:
    frame = rows((MIDNIGHT, 1.0, "x")).iloc[:0].astype({"Growth": "float64"})
    assert built(company_with(frame), own(OWN)).growth.isna().all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"Grwth": {"group": "usage"}},
            "Table 'snapshots' has no column 'Grwth', named in [signals.own]; did you mean"
            " 'Growth'?",
        ),
        (
            {"zzzzz": {"group": "usage"}},
            "Table 'snapshots' has no column 'zzzzz', named in [signals.own]; take it off",
        ),
        (
            {"mood": {"group": "usage", "unit": "count"}},
            "Column 'mood' of table 'snapshots' is of type string, and unit 'count' needs numbers;"
            " correct [signals.own] or convert the column",
        ),
        (
            {"Growth": {"group": "usage", "unit": "category"}},
            "Column 'Growth' of table 'snapshots' is of type float64, and unit 'category' needs"
            " text; correct [signals.own] or convert the column",
        ),
    ],
)
def test_columns_that_cannot_be_signals_are_named(
    columns: Own, message: str, company_with: Any
) -> None:
    with pytest.raises(DataError) as caught:
        signals_of(company_with(rows((MIDNIGHT, 1.0, "x"))), own(columns))
    assert str(caught.value) == message


def test_settings_that_contradict_themselves_are_refused(company_with: Any) -> None:
    company = company_with(rows((MIDNIGHT, 1.0, "x"), names="observed_at gender GENDER!"))
    cases = [
        (
            company_with(None),
            own(OWN),
            "[signals.own] names 'Growth', a column of snapshots, and [tables] maps no snapshots;"
            " add [tables.snapshots]",
        ),
        (
            company,
            own({"gender": {"group": "usage"}}, sensitive=["Gender"]),
            "[signals.own] names 'gender', which [signals] sensitive keeps from being an input;"
            " take it off one of them",
        ),
        (
            company,
            own({"gender": {"group": "usage"}, "GENDER!": {"group": "usage"}}),
            "[signals.own] needs names that differ in letters or digits, and 'GENDER!' reads like"
            " another one; rename one of the columns",
        ),
        (
            company,
            own({"gender": {"group": "usage"}}),
            "Each column of the feature table needs a name of its own, and 'gender' would be there"
            " twice; rename the attribute, the column of snapshots or the signal of your own"
            " builder that takes it",
        ),
    ]
    for loaded, settings, message in cases:
        with pytest.raises(SettingsError) as caught:
            signals_of(loaded, settings)
        assert str(caught.value) == message
