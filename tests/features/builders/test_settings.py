"""Healthy directions of the user's own, in place of the catalogue's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from features.build import signals_of
from features.builders.settings import SignalsSettings
from features.catalog import Signal
from features.errors import SettingsError
from features.tables.company import Company


@pytest.fixture
def company(company_of: Callable[..., Company]) -> Company:
    day = [datetime(2024, 1, 1)]
    accounts = {"account_id": ["A"], "created_at": day}
    events = {"account_id": ["A"], "occurred_at": day}
    return company_of(
        {
            "accounts": pd.DataFrame(accounts),
            "usage_events": pd.DataFrame(events),
            "churn_events": pd.DataFrame({"account_id": ["A"], "churned_at": day}),
        }
    )


def signals(company: Company, **settings: Any) -> dict[str, Signal]:
    found = signals_of(company, SignalsSettings.model_validate(settings))
    return {signal.name: signal for signal in found}


def test_only_the_named_signals_change_and_only_in_their_direction(company: Company) -> None:
    built = signals(company)
    ways = {"usage_28d": "none", "days_since_use": "higher"}
    changed = signals(company, healthy=ways)
    assert built["usage_28d"].healthy == "higher"
    assert built["days_since_use"].healthy == "lower"
    assert list(changed) == list(built)
    for name, signal in built.items():
        described = signal.to_dict() | ({"healthy": ways[name]} if name in ways else {})
        assert changed[name].to_dict() == described


@pytest.mark.parametrize(
    ("healthy", "sentence"),
    [
        (
            {"usage_28": "none"},
            "[signals.healthy] names 'usage_28', which is no signal of this company; did you mean"
            " 'usage_28d'?",
        ),
        (
            {"lifecycle_stage": "higher"},
            '[signals.healthy] lifecycle_stage must be "none", for its values are names, and is'
            ' "higher"; take it off',
        ),
    ],
)
def test_what_no_signal_could_have_is_refused(company: Company, healthy, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        signals(company, healthy=healthy)
    assert str(refused.value) == sentence


def test_a_name_like_no_other_is_answered_with_the_signals_there_are(company: Company) -> None:
    with pytest.raises(SettingsError) as refused:
        signals(company, healthy={"q" * 500: "none"})
    said = str(refused.value)
    assert f"names '{'q' * 60}', which is no signal of this company; its signals are 'usage" in said
    assert len(said) < 500


def test_a_category_may_be_said_to_have_none(company: Company) -> None:
    assert (
        signals(company, healthy={"lifecycle_stage": "none"})["lifecycle_stage"].healthy == "none"
    )


def test_a_direction_is_one_of_three(company: Company) -> None:
    with pytest.raises(ValidationError, match="'higher', 'lower' or 'none'"):
        signals(company, healthy={"usage_28d": "up"})
