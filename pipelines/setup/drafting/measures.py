"""Tables that measure an account again and again: a row for each week or month, a column a measure.

Such a table is neither a list of events nor one of contracts. Its columns become signals over time
(``[signals.own]``), and a row counts once the time it sums up is over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlglot.expressions as sge

from features.builders.owners import names_owner
from features.catalog import Direction, Group, signal_name
from features.sources.files.periods import KNOWN_FROM
from features.tables.mapping.ends import Period
from pipelines.setup.drafting.attributes import taken_names
from pipelines.setup.drafting.toml_text import quoted
from pipelines.setup.guessing.columns import TableGuess
from pipelines.setup.guessing.evidence import FEWEST_EVENTS, FEWEST_ROWS, earliest, first_times
from pipelines.setup.guessing.evidence import time_columns as times_of
from pipelines.setup.guessing.names import COLUMN_NAMES, MUTABLE_WORDS, OUTCOME_WORDS
from pipelines.setup.guessing.words import NUMBERS, plain, words_of

if TYPE_CHECKING:
    import pandas as pd

    from features.sources.source import Source

MOST_MEASURES = 40
ALONE = 0.98
"""Of the rows, how many must be the only one of an account and time."""
WITHOUT_GAPS = 0.9
"""Of the times from an account's first row to its last, how many have a row if none is left out."""
FEWEST_TIMES = 3
LENGTHS: Mapping[Period, tuple[int, int]] = {"week": (7, 7), "month": (28, 31), "quarter": (89, 92)}
"""Days from one row of an account to the next."""
VIEW = "measures"
_WORSE = re.compile(
    r"ticket|error|bug|complain|fail|escalat|refund|late|delay|overdue|outage|downtime|incident"
)
_SUPPORT = re.compile(r"ticket|support|case|complain|escalat|incident")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ROLES = ("usage_events", "snapshots")


@dataclass(frozen=True)
class Measuring:
    """A table of measures.

    Parameters
    ----------
    source, account, time : str
        The table, whom a row is about, and when.
    columns : tuple of str
        What is measured.
    covers : {"week", "month", "quarter"} or None
        What a row sums up, from its time on.
    has_gaps : bool
        Whether rows are left out where nothing happened.
    """

    source: str
    account: str
    time: str
    columns: tuple[str, ...]
    covers: Period | None
    has_gaps: bool


def draft_measures(
    guesses: list[TableGuess], left: list[str], source: Source
) -> tuple[list[TableGuess], list[str], str]:
    """Map tables of measures as snapshots, and name their columns under ``[signals.own]``.

    Parameters
    ----------
    guesses : list of TableGuess
        What the tables seem to be; of events, a table of measures without gaps is taken off.
    left : list of str
        Tables that fit nothing.
    source : Source
        The tables.

    Returns
    -------
    list of TableGuess
        The guesses, with ``snapshots``.
    list of str
        Tables that still fit nothing.
    str
        Entries of ``[signals.own]``.
    """
    accounts = next((each for each in guesses if each.name == "accounts"), None)
    if accounts is None or "account_id" not in accounts.columns:
        return guesses, left, ""
    known = {each.source: each for each in guesses if each.name in _ROLES}
    names = [accounts.columns["account_id"], *COLUMN_NAMES["account_id"]]
    looked_at = [_measuring(source, table, known.get(table), names) for table in [*known, *left]]
    found = [each for each in looked_at if each is not None]
    if not found:
        return guesses, left, ""
    chosen = [each for each in found if each.covers == found[0].covers]
    guess = _mapped(chosen)
    # What has a row for every week or month says nothing by having one.
    dropped = {each.source for each in found if not each.has_gaps}
    rest = [each for each in guesses if each.name != "snapshots"]
    rest = [each for each in rest if each.name != "usage_events" or each.source not in dropped]
    for each in rest:
        if each.name == "usage_events" and each.source in {one.source for one in found}:
            each.covers = next(one.covers for one in found if one.source == each.source)
    taken = {each.source for each in chosen}
    # What is told again and again says it better than an attribute.
    measured = {name for each in chosen for name in each.columns}
    accounts.unused = [name for name in accounts.unused if name not in measured]
    return [*rest, guess], [name for name in left if name not in taken], _entries(chosen)


def _measuring(
    source: Source, name: str, guess: TableGuess | None, accounts: Sequence[str]
) -> Measuring | None:
    """Look whether a table measures accounts: one row for an account and time, and numbers."""
    table = source.tables[name]
    if guess is not None and {"feature", "user_id"} & set(guess.columns):
        return None
    wanted = [guess.columns.get("account_id")] if guess is not None else []
    account = next((each for each in [*wanted, *accounts] if each in table.columns), None)
    is_state = KNOWN_FROM in table.columns
    times = [KNOWN_FROM] if is_state else times_of(table) if account is not None else []
    if account is None or len(times) != 1:
        return None
    rows = first_times(table, times, account)
    columns = [each for each in table.columns if each not in (account, *times)]
    columns = [each for each in columns if _is_measure(source, name, each, is_state)]
    if len(rows) < FEWEST_ROWS or rows[times[0]].isna().any() or not columns:
        return None
    alone = 1 - rows.duplicated([times[0], "account"]).mean()
    if len(rows) / rows["account"].nunique() < FEWEST_EVENTS or alone < ALONE:
        return None
    began = earliest(rows, times)
    covers = None if is_state or "end" in "_".join(words_of(began)) else _period(rows, began)
    gaps = _has_gaps(rows, began)
    return Measuring(name, account, began, tuple(columns[:MOST_MEASURES]), covers, gaps)


def _is_measure(source: Source, table: str, column: str, is_state: bool) -> bool:
    kind = source.tables[table][column].type()
    words = words_of(column)
    if not kind.is_numeric() or kind.is_boolean() or NUMBERS & set(words) or names_owner(column):
        return False
    if is_state:
        # A file that was written then knew nothing of how it ended.
        return plain(column) != "id"
    # Of an account "active" tells how it ended; of users and days it is what is measured.
    told = "_".join(word for word in words if word != "active" or len(words) == 1)
    return not (OUTCOME_WORDS.search(told) or MUTABLE_WORDS.search(told) or plain(column) == "id")


def _period(rows: pd.DataFrame, time: str) -> Period | None:
    """Say what a row sums up, by the days from one row of an account to the next.

    None also where the days are last ones of a month: such a row is dated by its end already.
    """
    days = rows[time].dt.tz_localize(None).dt.normalize()
    if days.nunique() < FEWEST_TIMES or days.dt.is_month_end.all():
        return None
    ordered = days.groupby(rows["account"]).apply(lambda own: own.sort_values().diff())
    between = ordered.dt.days.median()
    return next((name for name, (low, high) in LENGTHS.items() if low <= between <= high), None)


def _has_gaps(rows: pd.DataFrame, time: str) -> bool:
    """Whether accounts lack rows at times at which others have one."""
    places = rows[time].rank(method="dense")
    spans = places.groupby(rows["account"]).agg(["min", "max", "nunique"])
    between = spans["max"] - spans["min"] + 1
    return float(spans["nunique"].sum() / between.sum()) < WITHOUT_GAPS


def _mapped(tables: Sequence[Measuring]) -> TableGuess:
    """Map one table as it is, and several through a view of all their rows."""
    first = tables[0]
    guess = TableGuess("snapshots", first.source, covers=first.covers)
    guess.columns = {"account_id": first.account, "observed_at": first.time}
    if len(tables) > 1 or _named(tables, first) != [*first.columns]:
        guess.source, guess.view = VIEW, _view(tables)
        guess.columns = {"account_id": "account_id", "observed_at": "observed_at"}
    listed = " and of ".join(each.source for each in tables)
    guess.notes.append(
        f"a row of {listed} tells of one account and {first.covers or 'day'}, so the numbers in it"
        " are signals over time, [signals.own]"
    )
    return guess


def _view(tables: Sequence[Measuring]) -> str:
    """Write the rows of several tables under each other, each with the columns of all."""
    names = [name for table in tables for name in _named(tables, table)]
    parts = []
    for table in tables:
        own = dict(zip(_named(tables, table), table.columns, strict=True))
        columns = [f"{_sql(table.account)} AS account_id", f"{_sql(table.time)} AS observed_at"]
        columns += [
            f"CAST({_sql(own[name]) if name in own else 'NULL'} AS DOUBLE PRECISION)"
            f" AS {_sql(name)}"
            for name in names
        ]
        parts.append(f"SELECT {', '.join(columns)} FROM {_sql(table.source)}")
    return " UNION ALL ".join(parts)


def _named(tables: Sequence[Measuring], table: Measuring) -> list[str]:
    """Call a column as its table does, or by the table too where two are called alike."""
    others = {signal_name(name) for other in tables if other is not table for name in other.columns}
    others |= taken_names()
    return [
        f"{table.source}_{name}" if signal_name(name) in others else name for name in table.columns
    ]


def _sql(name: str) -> str:
    return sge.to_identifier(name, quoted=True).sql()


def _entries(tables: Sequence[Measuring]) -> str:
    entries: dict[str, str] = {}
    for table in tables:
        for name in _named(tables, table):
            group, healthy = _meaning(f"{table.source}_{name}", name)
            key = name if _BARE.fullmatch(name) else quoted(name)
            entries[name] = (
                f"\n[signals.own.{key}]\ngroup = {quoted(group)}  # check\n"
                f"healthy = {quoted(healthy)}  # check\nover_time = true\n"
            )
    return "".join(entries.values())


def _meaning(told: str, column: str) -> tuple[Group, Direction]:
    """Guess what a measure is of, and which way is healthy; of support, neither way is sure."""
    if _SUPPORT.search("_".join(words_of(told))):
        return "support", "none"
    return "usage", "lower" if _WORSE.search("_".join(words_of(column))) else "higher"
