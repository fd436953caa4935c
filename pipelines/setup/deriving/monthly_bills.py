"""Bills of every month and no contract beside them: what is billed without a gap is a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.setup.guessing.evidence import first_times
from pipelines.setup.guessing.sql import day_of, in_language_of, literal, named, table_named

if TYPE_CHECKING:
    from features.sources.source import Source
    from pipelines.setup.guessing.columns import TableGuess

VIEW = "billed_subscriptions"
DAYS_OF_MONTH = (26, 33)
FEWEST_BILLS, FEWEST_ACCOUNTS, NEARLY_ALL = 3, 10, 0.9
LATE_DAYS = 10


def monthly_bills(guess: TableGuess | None, source: Source) -> tuple[str, str] | None:
    """Make contracts of bills, where nearly all accounts with several get one every month.

    A contract begins with its first bill, and ends with one of another amount or a month after its
    last, once the next one is late. Of several bills in a month the last tells their sum.

    Parameters
    ----------
    guess : TableGuess or None
        Of invoices.
    source : Source
        Where they are.

    Returns
    -------
    tuple of str or None
        The query, and what a person should check.
    """
    if guess is None or guess.missing or guess.account_via is not None:
        return None
    name = guess.made_from or guess.source
    table = source.tables[name]
    account, amount = guess.columns["account_id"], guess.columns.get("amount")
    issued = guess.columns["issued_at"]
    if amount is None or not {account, amount, issued} <= set(table.columns):
        return None
    day, kept = day_of(table, issued, source), _kept(guess)
    if day is None or kept is None or not table[amount].type().is_numeric():
        return None
    bills = first_times(table, [issued], account).dropna().sort_values(["account", issued])
    gap = bills.groupby("account")[issued].diff().dt.days
    usual = gap.groupby(bills["account"]).median()[bills["account"].value_counts() >= FEWEST_BILLS]
    if len(usual) < FEWEST_ACCOUNTS or usual.between(*DAYS_OF_MONTH).mean() < NEARLY_ALL:
        return None
    sql = (
        f"WITH bills_ AS (SELECT s.{named(account)} AS account_id, {day} AS day,"
        f" s.{named(amount)} AS amount FROM {table_named(name)} AS s{kept}),"
        " paid_ AS (SELECT account_id, MAX(day) AS day, SUM(amount) AS mrr,"
        " EXTRACT(YEAR FROM day) * 12 + EXTRACT(MONTH FROM day) AS place FROM bills_"
        " WHERE NOT day IS NULL GROUP BY account_id,"
        " EXTRACT(YEAR FROM day) * 12 + EXTRACT(MONTH FROM day)),"
        " runs_ AS (SELECT *, place - ROW_NUMBER() OVER (PARTITION BY account_id, mrr ORDER BY"
        " place) AS run FROM paid_ WHERE mrr > 0),"
        " spans_ AS (SELECT account_id, mrr, MIN(day) AS since, MAX(day) + INTERVAL 1 MONTH AS"
        " till, MIN(place) AS place, MAX(place) AS newest FROM runs_ GROUP BY account_id, mrr,"
        " run), followed_ AS (SELECT *, LEAD(since) OVER (PARTITION BY account_id ORDER BY place)"
        " AS next, LEAD(place) OVER (PARTITION BY account_id ORDER BY place) AS next_place"
        " FROM spans_)"
        " SELECT account_id, since AS started_at, CASE WHEN next_place = newest + 1"
        f" OR next <= till + INTERVAL {LATE_DAYS} DAY THEN next"
        f" WHEN NOT next IS NULL OR till + INTERVAL {LATE_DAYS} DAY <"
        " (SELECT MAX(day) FROM bills_) THEN till END AS ended_at,"
        " CAST(mrr AS DOUBLE PRECISION) AS mrr FROM followed_"
    )
    note = (
        f"no table holds contracts, and {name} bills {usual.between(*DAYS_OF_MONTH).mean():.0%} of"
        " the accounts every month: what was billed without a gap is a contract, and who was not"
        f" billed {LATE_DAYS} days after a month was over has left"
    )
    return in_language_of(source, sql), note


def _kept(guess: TableGuess) -> str | None:
    """Return which rows count, SQL; None where that cannot be said so simply."""
    tests = []
    for column, test, value in guess.keep:
        if test != "not_in" or not isinstance(value, list):
            return None
        words = ", ".join(map(literal, value))
        tests.append(f"NOT COALESCE(LOWER(TRIM(s.{named(column)})) IN ({words}), FALSE)")
    return f" WHERE {' AND '.join(tests)}" if tests else ""
