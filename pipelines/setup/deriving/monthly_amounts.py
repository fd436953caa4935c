"""What an account pays is told again every month and no contract beside it: that is its contract.

All accounts are told on the same days. Who is told no more, or pays nothing, has left; it is known
with the first day that does not tell it, so that is the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.setup.guessing.evidence import first_times, time_columns
from pipelines.setup.guessing.keys import SURELY_INCLUDED, Keys
from pipelines.setup.guessing.sql import day_of, in_language_of, named, table_named
from pipelines.setup.guessing.words import words_of

if TYPE_CHECKING:
    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

VIEW = "contracts_of_months"
DAYS_OF_MONTH, NEARLY_ALL, ALONE = (26, 33), 0.9, 0.98
FEWEST_MONTHS, FEWEST_ACCOUNTS = 3, 10
_MONTHS_OF = {"mrr": 1, "arr": 12}
"""Over how many months an amount runs, by what it is called."""


def monthly_amounts(accounts: TableGuess | None, source: Source) -> tuple[str, str, str] | None:
    """Make contracts of a table that tells each month what each account pays.

    Parameters
    ----------
    accounts : TableGuess or None
        Who they are.
    source : Source
        The tables.

    Returns
    -------
    tuple of str or None
        The table, the query of contracts, and what a person should check.
    """
    key = None if accounts is None else accounts.columns.get("account_id")
    if accounts is None or key is None or accounts.view is not None:
        return None
    amounts = {name: found for name in source.tables if (found := _amount(name, source))}
    keys = Keys({name: source.tables[name] for name in [accounts.source, *amounts]})
    for name, (amount, months) in amounts.items():
        pointing = [each.column for each in keys.between(name, accounts.source) if each.key == key
                    and each.share >= SURELY_INCLUDED]  # fmt: skip
        day = _told_on(name, pointing[0], source) if pointing and name != accounts.source else None
        if day is not None:
            sql = _contracts(table_named(name), named(pointing[0]), day, named(amount), months)
            note = (
                f"no table holds contracts, and {name} tells every month what each account pays:"
                f" as long as {amount} is above nothing is a contract, which ends with the first"
                " month that does not tell it"
            )
            return name, in_language_of(source, sql), note
    return None


def _amount(name: str, source: Source) -> tuple[str, int] | None:
    """Return the only column of what recurs, and over how many months."""
    table = source.tables[name]
    found = [(column, _MONTHS_OF[word]) for column in table.columns
             for word in words_of(column) if word in _MONTHS_OF
             and table[column].type().is_numeric()]  # fmt: skip
    return found[0] if len(found) == 1 else None


def _told_on(name: str, account: str, source: Source) -> str | None:
    """Return the day of each row, SQL, where all accounts are told on the same day of a month."""
    table = source.tables[name]
    times = [each for each in time_columns(table) if each != account]
    if len(times) != 1:
        return None
    who, day = table[account].cast("string"), table[times[0]].cast("string")
    facts = table.aggregate(
        rows=table.count(),
        alone=who.concat("\x1f", day).nunique(),
        accounts=table[account].nunique(),
    ).execute().iloc[0]  # fmt: skip
    days = first_times(table.select(times[0]).distinct(), times)[times[0]].dropna().sort_values()
    gaps = days.diff().dt.days.dropna()
    if (
        len(days) < FEWEST_MONTHS
        or int(facts["accounts"]) < FEWEST_ACCOUNTS
        or int(facts["alone"]) < ALONE * int(facts["rows"])
        or gaps.between(*DAYS_OF_MONTH).mean() < NEARLY_ALL
    ):
        return None
    return day_of(table, times[0], source)


def _contracts(table: str, account: str, day: str, amount: str, months: int) -> str:
    return (
        f"WITH told_ AS (SELECT s.{account} AS account_id, {day} AS day, SUM(s.{amount}) /"
        f" {months}.0 AS mrr FROM {table} AS s GROUP BY s.{account}, {day}),"
        " days_ AS (SELECT day, LEAD(day) OVER (ORDER BY day) AS next_day, ROW_NUMBER()"
        " OVER (ORDER BY day) AS place FROM (SELECT DISTINCT day FROM told_ WHERE NOT day IS NULL)"
        " AS d), runs_ AS (SELECT t.account_id, t.mrr, d.day, d.next_day, d.place - ROW_NUMBER()"
        " OVER (PARTITION BY t.account_id, t.mrr ORDER BY d.place) AS run FROM told_ AS t JOIN"
        " days_ AS d ON t.day = d.day WHERE t.mrr > 0)"
        " SELECT account_id, MIN(day) AS started_at, CASE WHEN COUNT(next_day) = COUNT(*) THEN"
        " MAX(next_day) END AS ended_at, CAST(mrr AS DOUBLE PRECISION) AS mrr FROM runs_"
        " GROUP BY account_id, mrr, run"
    )
