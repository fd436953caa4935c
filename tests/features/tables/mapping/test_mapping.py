"""The [tables] section: what may stand in it, and what a wrong word is answered with."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from features.tables.mapping.mapping import TablesSettings

OUTCOMES: dict[str, Any] = {"accounts": {}, "churn_events": {}}


def refusal(section: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TablesSettings.model_validate(section)
    return str(caught.value)


def test_columns_may_stand_directly_under_the_table_or_under_columns() -> None:
    beside = {"from": "Cust", "account_id": "id", "attributes": ["plan"]}
    below = {"from": "Cust", "columns": {"account_id": "id"}, "attributes": ["plan"]}
    plain, nested = (
        TablesSettings.model_validate(OUTCOMES | {"accounts": node}) for node in (beside, below)
    )
    assert plain == nested
    assert plain.accounts.source == "Cust"
    assert plain.accounts.columns == {"account_id": "id"}
    assert list(plain.mapped()) == ["accounts", "churn_events"]


def test_settings_survive_a_round_trip() -> None:
    via = {"table": "subscriptions", "key": "sub_id"}
    section = OUTCOMES | {"tickets": {"opened_at": "t", "account_via": via}}
    settings = TablesSettings.model_validate(section)
    assert TablesSettings.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            OUTCOMES | {"accounts": {"acount_id": "id"}},
            "[tables.accounts] has no column or option 'acount_id'; did you mean 'account_id'?",
        ),
        (
            OUTCOMES | {"accounts": {"columns": {"acount_id": "id"}}},
            "[tables.accounts] has no column or option 'acount_id'; did you mean 'account_id'?",
        ),
        (
            OUTCOMES | {"referrals": {"zzz": "x"}},
            "[tables.referrals] has no column or option 'zzz'; known are account_id, referred_at,"
            " converted_at, recorded_at",
        ),
        (
            OUTCOMES | {"referrals": {"attributes": ["x"]}},
            "[tables.referrals] has no column or option 'attributes'",
        ),
        (
            {"accounts": {}},
            "[tables] needs one source of outcomes, subscriptions, churn_events or labels, and"
            " names none; map one of them",
        ),
        (OUTCOMES | {"ticket": {}}, "Extra inputs are not permitted"),
        (OUTCOMES | {"accounts": {"account_id": 7}}, "Input should be a valid string"),
        (OUTCOMES | {"accounts": {"columns": "id"}}, "Input should be a valid dictionary"),
        (OUTCOMES | {"tickets": {"account_via": {"table": "t"}}}, "Field required"),
        ("accounts", "Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_is_named(section: Any, message: str) -> None:
    assert message in refusal(section)
