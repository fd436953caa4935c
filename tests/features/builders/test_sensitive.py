"""Sensitive attributes stand beside the rows, and nowhere else."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from features.builders.sensitive import sensitive_attributes
from features.builders.settings import SignalsSettings

NAMES = ["B", "A", "C"]


@pytest.fixture(scope="module")
def company(company_quick):
    accounts = pd.DataFrame(
        {
            "account_id": NAMES,
            "created_at": datetime(2023, 1, 1),
            "Gender": ["f", " ", "<b>m</b>"],
            "age": [31.0, None, 64.0],
            "region": ["n", "s", "n"],
        }
    )
    terms = pd.DataFrame({"account_id": NAMES, "started_at": datetime(2023, 1, 1)})
    mapping = {"accounts": {"attributes": ["Gender", "age", "region"]}, "subscriptions": {}}
    return company_quick({"accounts": accounts, "subscriptions": terms}, mapping)


def test_each_row_gets_what_its_account_says(company) -> None:
    frame = pd.DataFrame({"account_id": ["C", "A", "C", "gone"]}, index=[9, 4, 4, 1])
    found = sensitive_attributes(company, SignalsSettings(sensitive=("age", "GENDER")), frame)
    assert found is not None
    assert found.index.tolist() == [9, 4, 4, 1]
    assert list(found.columns) == ["Gender", "age"]
    assert found["age"].fillna(-1).tolist() == [64, -1, 64, -1]
    assert found["Gender"].fillna("?").tolist() == ["<b>m</b>", "?", "<b>m</b>", "?"]


def test_nothing_is_read_where_nothing_is_named(company) -> None:
    assert sensitive_attributes(company, SignalsSettings(), pd.DataFrame()) is None
