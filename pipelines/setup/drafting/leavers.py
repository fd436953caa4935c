"""Which columns of the accounts tell who has left: in whatever language, by who has.

A status of today is no attribute. Its name may say nothing to a reader of English, but all accounts
with one of its values have left, and that no industry or country does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipelines.setup.guessing.evidence import first_times

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

MOST_ACCOUNTS = 1000
FEWEST, SURELY, MUCH, NOT_ALL = 5, 0.98, 0.2, 0.8
"""Accounts with a value, their share that has left, of all that left, and of all accounts."""


def told_by_leaving(
    names: Sequence[str], guesses: Mapping[str, TableGuess], source: Source
) -> list[str]:
    """List the columns with a value that nearly none but accounts that left have, and note it."""
    accounts = guesses["accounts"]
    key, table = accounts.columns.get("account_id"), source.tables[accounts.source]
    told = guesses.get("churn_events") or guesses.get("subscriptions")
    if not names or key is None or told is None or told.missing or told.account_via is not None:
        return []
    listed = [table[name].cast("string").name(f"c{n}") for n, name in enumerate([key, *names])]
    rows = table.select(listed).limit(MOST_ACCOUNTS).execute()
    rows.columns = ["account", *names]
    left = _left(told, rows["account"], source)
    if not FEWEST <= len(left) <= NOT_ALL * len(rows):
        return []
    has_left = rows["account"].isin(left)
    found = []
    for name in names:
        facts = has_left.groupby(rows[name].str.strip()).agg(["sum", "count", "mean"])
        telling = facts[(facts["mean"] >= SURELY) & (facts["sum"] >= max(FEWEST, MUCH * len(left)))]
        if len(telling):
            found.append(name)
            accounts.notes.append(
                f"{name} says who has left, as with {str(telling.index[0])!r}: it is of today and"
                " is left out"
            )
    return found


def _left(told: TableGuess, accounts: pd.Series[str], source: Source) -> set[str]:
    """Return which of some accounts have left: of several contracts with the last."""
    table: ir.Table = source.tables[told.source]
    moment = told.columns.get("churned_at" if told.name == "churn_events" else "ended_at")
    account = told.columns["account_id"]
    if not moment:
        return set()
    for column, test, words in told.keep:
        if test == "in" and isinstance(words, list):
            table = table.filter(table[column].strip().lower().isin(words))
    table = table.filter(table[account].cast("string").isin(accounts.dropna().tolist()))
    start = told.columns.get("started_at") or moment
    times = first_times(table, list(dict.fromkeys((start, moment))), account)
    is_over = times[moment].notna() & times[moment].dt.year.between(1971, 2089)
    if told.a_row_a_term:
        # A term that runs has an end as well.
        is_over &= times[moment] <= times[start].max()
    over = is_over.groupby(times["account"].astype("string")).all()
    return {str(each) for each in over[over].index}
