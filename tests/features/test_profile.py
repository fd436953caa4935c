"""Attributes and key features with hostile names, and attributes that must never be inputs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pandas as pd
import pytest

from features.adoption import signal_name
from features.build import build_features, signals_of
from features.builder import SignalsSettings
from features.catalog import Signal
from features.company import Company
from features.errors import SettingsError
from features.outcomes import OutcomeSettings

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
