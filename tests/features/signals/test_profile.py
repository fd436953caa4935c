"""Attributes and key features with hostile names, and attributes that must never be inputs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pandas as pd
import pytest

from features.build import build_features, signals_of
from features.builders.owners import owner_attributes
from features.builders.settings import SignalsSettings
from features.catalog import Signal, signal_name
from features.errors import SettingsError
from features.outcomes.labels import OutcomeSettings
from features.tables.company import Company

CompanyOf = Callable[..., Company]
DAY, OUTCOME = date(2024, 3, 1), OutcomeSettings()
HOSTILE = [
    'it\'s "quoted"',
    "x'; DROP TABLE accounts; --",
    "{value} {0} %s",
    "業種",
    "名前",
    "copy_right",
    "n" * 10_000,
]


@pytest.fixture
def company(company_of: CompanyOf) -> Company:
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [datetime(2023, 1, 1)]})
    columns = {name: ["a level"] for name in [*HOSTILE[:-1], "Gender", "plan"]}
    accounts = accounts.assign(**columns, size=[12])
    usage = pd.DataFrame(
        {"account_id": "A", "occurred_at": datetime(2024, 2, 20), "feature": HOSTILE}
    )
    terms = pd.DataFrame(
        {"account_id": ["A"], "started_at": [datetime(2023, 1, 1)], "plan": ["pro"]}
    )
    mapping: dict[str, Any] = {"usage_events": {}, "subscriptions": {}}
    mapping["accounts"] = {"attributes": [*columns, "size"]}
    tables = {"accounts": accounts, "usage_events": usage, "subscriptions": terms}
    return company_of(tables, mapping)


def test_hostile_names_become_plain_columns_and_readable_sentences(company: Company) -> None:
    settings = SignalsSettings(key_features=tuple(HOSTILE))
    signals = signals_of(company, settings)
    frame = build_features(company, [DAY], OUTCOME, settings, labelled=False)
    for name in HOSTILE:
        assert frame[f"feature_{signal_name(name)}_28d"].tolist() == [1.0]
    for name in HOSTILE[:-1]:
        assert frame[signal_name(name)].tolist() == ["a level"]
    assert frame["size"].tolist() == [12.0]
    for signal in signals:
        assert signal.name.replace("_", "").isalnum()
        assert signal.name.isascii()
        assert len(signal.name) <= 80
        assert "7" in signal.sentence.format(value=7, s="s")
        assert len(signal.sentence) <= 130
        assert Signal.from_dict(signal.to_dict()) == signal


def test_the_plan_known_on_the_day_wins_over_the_attribute(company: Company) -> None:
    frame = build_features(company, [DAY], OUTCOME, SignalsSettings(), labelled=False)
    assert frame["plan"].tolist() == ["pro"]


@pytest.mark.parametrize("written", ["Gender", "gender", "GENDER"])
def test_a_sensitive_attribute_is_no_input_however_it_is_written(
    written: str, company: Company
) -> None:
    settings = SignalsSettings(sensitive=(written,))
    assert "gender" not in {signal.name for signal in signals_of(company, settings)}
    assert "gender" not in build_features(company, [DAY], OUTCOME, settings, labelled=False)


def test_a_sensitive_name_that_is_no_attribute_is_refused(company: Company) -> None:
    with pytest.raises(SettingsError) as caught:
        signals_of(company, SignalsSettings(sensitive=("gendre",)))
    assert str(caught.value) == (
        "[signals] sensitive names 'gendre', which is not among [tables.accounts] attributes;"
        " did you mean 'gender'?; correct it or take it off"
    )


def test_key_features_that_read_alike_are_refused(company: Company) -> None:
    with pytest.raises(SettingsError) as caught:
        signals_of(company, SignalsSettings(key_features=("Export (CSV)", "export csv")))
    assert str(caught.value) == (
        "[signals] key_features needs names that differ in letters or digits, and 'export csv'"
        " reads like another one; take one of them off the list"
    )


@pytest.mark.parametrize(
    ("created", "renewal", "stage"),
    [
        (datetime(2023, 12, 3), datetime(2024, 3, 2), "onboarding"),
        (datetime(2023, 12, 2), datetime(2024, 3, 2), "renewal"),
        (datetime(2023, 12, 2), datetime(2024, 5, 30), "renewal"),
        (datetime(2023, 12, 2), datetime(2024, 5, 30, 0, 0, 1), "established"),
        (datetime(2023, 12, 2), datetime(2024, 2, 20), "established"),
        (datetime(2023, 12, 2), None, "established"),
        (None, datetime(2024, 3, 2), None),
    ],
)
def test_the_lifecycle_stage_follows_tenure_and_then_renewal(
    created: datetime | None, renewal: datetime | None, stage: str | None, company_of: CompanyOf
) -> None:
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [created]})
    terms = pd.DataFrame(
        {"account_id": ["A"], "started_at": [datetime(2023, 12, 2)], "renewal_at": [renewal]}
    )
    company = company_of(
        {
            "accounts": accounts.astype({"created_at": "datetime64[us]"}),
            "subscriptions": terms.astype({"renewal_at": "datetime64[us]"}),
        }
    )
    frame = build_features(company, [DAY], OUTCOME, SignalsSettings(), labelled=False)
    assert frame.lifecycle_stage.tolist() == [stage]


def test_the_ends_of_lifecycle_stages_are_settings(company_of: CompanyOf) -> None:
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [datetime(2023, 3, 1)]})
    terms = pd.DataFrame(
        {
            "account_id": ["A"],
            "started_at": [datetime(2023, 3, 1)],
            "renewal_at": [datetime(2024, 3, 20)],
        }
    )
    company = company_of({"accounts": accounts, "subscriptions": terms})
    for lifecycle, stage in (
        ({"onboarding_days": 367}, "onboarding"),
        ({"onboarding_days": 366}, "renewal"),
        ({"renewal_days": 18}, "established"),
    ):
        settings = SignalsSettings.model_validate({"lifecycle": lifecycle})
        frame = build_features(company, [DAY], OUTCOME, settings, labelled=False)
        assert frame.lifecycle_stage.tolist() == [stage]


@pytest.mark.parametrize("name", ["account_id_right", "observation_date_right", "Account ID right"])
def test_an_attribute_may_be_called_like_the_second_copy_of_a_key(
    company_of: CompanyOf, name: str
) -> None:
    accounts = pd.DataFrame(
        {"account_id": ["A", "B"], "created_at": datetime(2023, 1, 1), name: ["left", "right"]}
    )
    terms = pd.DataFrame({"account_id": ["A", "B"], "started_at": datetime(2023, 1, 1)})
    tables = {"accounts": accounts, "subscriptions": terms}
    company = company_of(tables, {"accounts": {"attributes": [name]}, "subscriptions": {}})
    frame = build_features(company, [DAY], OUTCOME, SignalsSettings(), labelled=False)
    assert dict(zip(frame["account_id"], frame[signal_name(name)], strict=True)) == {
        "A": "left",
        "B": "right",
    }


def test_owners_of_accounts_are_never_signals(company_of: CompanyOf) -> None:
    owners = ["csm", "Account Manager", "owner_email", "looked_after_by"]
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [datetime(2023, 1, 1)]})
    accounts = accounts.assign(**dict.fromkeys([*owners, "ownership"], "Ana Lima"))
    mapping: dict[str, Any] = {"accounts": {"attributes": [*owners, "ownership"]}}
    churn = pd.DataFrame({"account_id": ["A"], "churned_at": [datetime(2024, 2, 1)]})
    mapping["churn_events"] = {}
    company = company_of({"accounts": accounts, "churn_events": churn}, mapping)
    settings = SignalsSettings(owners=("looked_after_by",))
    names = {signal.name for signal in signals_of(company, settings)}
    assert names == {"tenure_days", "lifecycle_stage", "ownership"}
    assert owner_attributes(company, settings) == owners
