"""The whole catalogue: what could be built if every table and column of the contract were there."""

from __future__ import annotations

from datetime import date
from typing import Any

import ibis

from features.build import signals_of
from features.builders.settings import SignalsSettings
from features.catalog import Signal
from features.tables.cleaning import CleanTable
from features.tables.company import Company
from features.tables.mapping.contract import CONTRACT, Table
from features.tables.mapping.mapped import TYPES

NAMED_BY_USER = SignalsSettings(key_features=("NAME",), rubric={"NAME": {}})
"""Signals that a user's own names make appear once, with NAME in place of the name."""


def every_signal() -> tuple[Signal, ...]:
    """List every signal that the builders know, in catalogue order.

    Examples
    --------
    >>> [signal.name for signal in every_signal() if signal.group == "referrals"][0]
    'referrals_365d'
    """
    # Labels are for data without dates, in which there is no tenure.
    tables = {name: _empty(table) for name, table in CONTRACT.items() if name != "labels"}
    engine: Any = None
    company = Company(engine, tables, {}, date.today())
    return signals_of(company, NAMED_BY_USER)


def _empty(contract: Table) -> CleanTable:
    """Return a table of the contract that no engine holds."""
    columns = {column.name: TYPES[column.kind] for column in contract.all_columns()}
    table = ibis.table(columns, name=contract.name)
    return CleanTable(contract, contract.name, table, table)
