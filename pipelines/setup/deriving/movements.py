"""Ledgers of recurring revenue: a row for each movement, whose amounts add up to what is paid.

What an account pays from one movement to the next is a contract; after a churn it pays nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipelines.setup.guessing.evidence import time_columns
from pipelines.setup.guessing.names import COLUMN_NAMES
from pipelines.setup.guessing.sql import day_of, in_language_of, literal, named, table_named
from pipelines.setup.guessing.words import by_name, words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source

VIEW = "moved_subscriptions"
MOST_KINDS = 12
MOST_ROWS = 100_000
ADD_UP, NOTHING = 0.9, 0.01
"""Of the churns, how many must take away all that was paid, but for so much of it."""
_KIND = re.compile("(^|_)(type|kind|movement|category|change|reason|event)(_|$)")
_MONEY = re.compile("(^|_)(mrr|arr|amount|delta|change|value|movement|revenue)(_|$)")
_YEARLY = re.compile("(^|_)(arr|annual)(_|$)")
_NEW = re.compile("new|reactivat|resurrect|return|win_?back|initial|start")
_MORE = re.compile("expan|upgrade|upsell|cross|increase|growth")
_LESS = re.compile("contract|downgrade|downsell|decrease|reduc")
_GONE = re.compile("churn|cancel|lost|terminat|left")


def contracts_of_movements(source: Source) -> tuple[str, str, str] | None:
    """Find the only ledger of movements whose churns take away what was paid until then.

    Returns
    -------
    tuple of str or None
        The table, the query of its contracts, and what a person should check.
    """
    found = [each for name in source.tables if (each := _contracts(name, source)) is not None]
    return found[0] if len(found) == 1 else None


def _contracts(name: str, source: Source) -> tuple[str, str, str] | None:
    table = source.tables[name]
    account = by_name(table.columns, ("account_id", *COLUMN_NAMES["account_id"], *_WHO))
    times = time_columns(table)
    kinds = [each for each in table.columns if table[each].type().is_string()
             and each != account and _KIND.search(_parted(each))]  # fmt: skip
    money = [each for each in table.columns if table[each].type().is_numeric()
             and each not in (account, *times) and _MONEY.search(_parted(each))]  # fmt: skip
    if account is None or len(times) != 1 or len(kinds) != 1 or len(money) != 1:
        return None
    words = _words(table, kinds[0])
    day = day_of(table, times[0], source)
    if words is None or day is None:
        return None
    new, gone, less = words
    columns = account, times[0], kinds[0], money[0]
    if not _adds_up(table, columns, gone, less):
        return None
    word = f"LOWER(TRIM(s.{named(kinds[0])}))"
    amount = f"CAST(s.{named(money[0])} AS DOUBLE PRECISION)"
    amount = f"{amount} / 12" if _YEARLY.search(_parted(money[0])) else amount
    sql = (
        f"WITH moves_ AS (SELECT s.{named(account)} AS account_id, {day} AS day,"
        f" CASE WHEN {word} IN ({_listed(gone)}) THEN 1 ELSE 0 END AS gone,"
        f" CASE WHEN {word} IN ({_listed(new)}) THEN 1 ELSE 0 END AS new,"
        f" CASE WHEN {word} IN ({_listed([*gone, *less])}) THEN -ABS({amount})"
        f" ELSE ABS({amount}) END AS delta FROM {table_named(name)} AS s"
        f" WHERE NOT s.{named(money[0])} IS NULL),"
        # Who leaves and begins on one day has changed a plan.
        " days_ AS (SELECT account_id, day, CASE WHEN MAX(new) = 1 THEN 0 ELSE MAX(gone) END AS"
        " gone, SUM(delta) AS delta FROM moves_ WHERE NOT day IS NULL GROUP BY account_id, day),"
        " runs_ AS (SELECT *, SUM(gone) OVER (PARTITION BY account_id ORDER BY day) AS run,"
        " LEAD(day) OVER (PARTITION BY account_id ORDER BY day) AS following FROM days_),"
        " spans_ AS (SELECT account_id, day AS started_at, following AS ended_at,"
        " SUM(CASE WHEN gone = 1 THEN 0 ELSE delta END) OVER (PARTITION BY account_id, run ORDER BY"
        " day) AS mrr FROM runs_)"
        " SELECT account_id, started_at, ended_at, ROUND(CAST(mrr AS DECIMAL(18, 4)), 2) AS mrr"
        " FROM spans_ WHERE mrr >= 0.005"
    )
    note = (
        f"{name} holds movements of recurring revenue ({new[0]}, {gone[0]} and others):"
        f" what {money[0]} adds up to from one movement to the next is a contract, and who"
        " churns has left"
    )
    return name, in_language_of(source, sql), note


_WHO = ("customer", "account", "company", "client", "organization")


def _words(table: ir.Table, kind: str) -> tuple[list[str], list[str], list[str]] | None:
    """Sort the kinds of movements: those that begin, end and lessen; None where one is unknown."""
    word = table[kind].strip().lower()
    rows = table.select(w=word).filter(lambda t: t.w.notnull()).distinct().limit(MOST_KINDS + 1)
    words = sorted(str(each) for each in rows.execute()["w"])
    if len(words) > MOST_KINDS:
        return None
    # Contraction is no contract that was made.
    gone = [each for each in words if _GONE.search(each)]
    less = [each for each in words if _LESS.search(each) and each not in gone]
    more = [each for each in words if _MORE.search(each) and each not in (*gone, *less)]
    new = [each for each in words if _NEW.search(each) and each not in (*gone, *less, *more)]
    known = {*gone, *less, *more, *new}
    return (new, gone, less) if gone and new and known == {*words} else None


def _adds_up(
    table: ir.Table, columns: tuple[str, str, str, str], gone: list[str], less: list[str]
) -> bool:
    """Whether most churns take away what the movements before them added up to."""
    import pandas as pd

    taken = {name: table[each].cast("string") for name, each in
             zip(("account", "time", "kind", "money"), columns, strict=True)}  # fmt: skip
    rows = table.select(**taken).limit(MOST_ROWS).execute()
    is_year_first = rows["time"].str.match(r"\d{4}").any()
    rows["time"] = pd.to_datetime(
        rows["time"], errors="coerce", format="mixed", dayfirst=not is_year_first, utc=True
    )
    rows["kind"] = rows["kind"].str.strip().str.lower()
    rows["money"] = pd.to_numeric(rows["money"], errors="coerce").abs()
    rows = rows.dropna().sort_values(["account", "time"], kind="stable")
    is_gone = rows["kind"].isin(gone)
    signed = rows["money"].where(~rows["kind"].isin([*gone, *less]), -rows["money"])
    total = signed.groupby(rows["account"]).cumsum()
    # A churn that takes nothing tells nothing of what was paid.
    takes_all = (total.abs() <= NOTHING * rows["money"]) & (rows["money"] > 0)
    is_nothing = takes_all[is_gone]
    return len(is_nothing) > 0 and float(is_nothing.mean()) >= ADD_UP


def _listed(words: list[str]) -> str:
    return ", ".join(map(literal, words))


def _parted(name: str) -> str:
    return "_".join(words_of(name))
