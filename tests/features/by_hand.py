"""Companies written by hand: a few rows whose signals a person sees at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from features.build import build_features
from features.builders.settings import SignalsSettings
from features.catalog import GROUPS, Group
from features.outcomes.labels import OutcomeSettings
from features.tables.company import Company
from features.tables.mapping.contract import CONTRACT

Row = dict[str, Any]
RowsByAccount = Mapping[str, list[Row]]
CompanyOf = Callable[..., Company]

MIDNIGHT = datetime(2024, 3, 1)
MICROSECOND = timedelta(microseconds=1)
TYPES = {
    "id": pa.string(),
    "time": pa.timestamp("us"),
    "text": pa.string(),
    "number": pa.float64(),
    "flag": pa.bool_(),
}


def ago(days: float) -> datetime:
    """Return the moment so many days before the observation date."""
    return MIDNIGHT - timedelta(days=days)


def company_by_hand(company_of: CompanyOf, tables: Mapping[str, RowsByAccount]) -> Company:
    """Return a company of the accounts that any table names; nobody of them churns."""
    names = sorted({account for rows in tables.values() for account in rows})
    loaded = {
        "accounts": _arrow("accounts", {name: [{"created_at": ago(1000)}] for name in names}),
        "churn_events": _arrow("churn_events", {"nobody": [{"churned_at": ago(1000)}]}),
    }
    loaded |= {table: _arrow(table, rows) for table, rows in tables.items()}
    return company_of(loaded, known_until=date(2024, 6, 1))


def signals_by_account(
    company_of: CompanyOf,
    group: Group,
    settings: Mapping[str, Any] | None = None,
    **tables: RowsByAccount,
) -> dict[str, Row]:
    """Return one group's signals of each account on the observation date, None for unknown."""
    others = tuple(name for name in GROUPS if name != group)
    chosen = SignalsSettings.model_validate({"groups_off": others, **(settings or {})})
    company = company_by_hand(company_of, tables)
    frame = build_features(company, [MIDNIGHT.date()], OutcomeSettings(), chosen, labelled=False)
    rows = frame.drop(columns="observation_date").to_dict("records")
    return {
        row["account_id"]: {name: _or_none(value) for name, value in row.items()} for row in rows
    }


def _arrow(table: str, by_account: RowsByAccount) -> pa.Table:
    """Type columns by the contract; a column that no row has is not there."""
    rows = [{"account_id": account} | row for account, rows in by_account.items() for row in rows]
    names = dict.fromkeys(name for row in rows for name in row)
    kinds = {name: CONTRACT[table].column(name).kind for name in names}
    return pa.table(
        {
            name: pa.array([row.get(name) for row in rows], TYPES[kind])
            for name, kind in kinds.items()
        }
    )


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
