"""Sensitive attributes of accounts: never signals, read only to audit what a model does."""

from __future__ import annotations

import pandas as pd

from features.builders.settings import SignalsSettings
from features.catalog import signal_name
from features.tables.company import Company


def sensitive_attributes(
    company: Company, settings: SignalsSettings, frame: pd.DataFrame
) -> pd.DataFrame | None:
    """Look up the attributes that ``[signals] sensitive`` names, as they are today.

    Parameters
    ----------
    company : Company
        The tables; names were checked when signals were listed.
    settings : SignalsSettings
        The names, in any spelling that gives the same signal name.
    frame : DataFrame of n rows
        ``account_id``.

    Returns
    -------
    DataFrame of n rows, or None
        The frame's index and a column per attribute, under the account table's own names; None
        where none is named.
    """
    accounts = company.tables["accounts"]
    named = {signal_name(name) for name in settings.sensitive}
    columns = [name for name in accounts.attributes if signal_name(name) in named]
    if not columns:
        return None
    table: pd.DataFrame = accounts.cleaned.select("account_id", *columns).execute()
    found = table.set_index("account_id").reindex(pd.Index(frame["account_id"]))
    return found.set_index(frame.index)
