"""Tables with a column for every month: what an account paid in each becomes its contracts.

Where the columns count use, each becomes a row of its month, which measures the account.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

from features.tables.mapping.mapped import TOTAL_ROW
from features.tables.mapping.month_names import NUMBERS
from pipelines.setup.guessing.keys import Keys
from pipelines.setup.guessing.sql import in_language_of, literal, named, table_named, view_named
from pipelines.setup.guessing.words import words_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.packs.views import View
    from features.sources.source import Source

VIEW = "monthly_subscriptions"
FEWEST_MONTHS = 4
MONTH = "month"
_OF_USE = re.compile(
    r"login|logon|sign_?in|session|usage|(^|_)(use|uses|used|users|mau|dau|wau)(_|$)|event|activ"
    r"|visit|view|call|request|seat|message|ticket|score|nps|health"
)
_OF_MONEY = re.compile(
    r"mrr|arr|revenue|umsatz|paid|pay|bill|invoic|(^|_)fees?(_|$)|amount|spend|price|sales"
)
_YEAR_FIRST = re.compile(r"(?:.*[^0-9])?((?:19|20)\d{2})[-_./ ]?(0[1-9]|1[0-2])(?:[-_./ ]?01)?")
_YEAR_LAST = re.compile(r"(?:.*[^0-9])?(0?[1-9]|1[0-2])[-_./ ]((?:19|20)\d{2})")
_WORD = re.compile(r"(?:.*[-_ ])?([a-zäéû]+)[.]?[-_ ]?((?:19|20)\d{2})")


@dataclass(frozen=True)
class MonthColumns:
    """A table with a column for every month.

    Parameters
    ----------
    table, account : str
        The table, and the column that names each of its rows.
    months : dict of str to date
        Columns and the first day of their month, in the order of time.
    empty : frozenset of str
        Those without any value.
    """

    table: str
    account: str
    months: dict[str, date]
    empty: frozenset[str]

    @property
    def counts_use(self) -> bool:
        """Whether its names tell of use, and none of them of money."""
        told = "_".join(word for name in (self.table, *self.months) for word in words_of(name))
        return bool(_OF_USE.search(told)) and not _OF_MONEY.search(told)

    @property
    def measure(self) -> str:
        """What the months measure, by the table's name."""
        name = "_".join(words_of(self.table)) or "value"
        return f"{name}_value" if name in (MONTH, self.account.casefold()) else name

    def rows(self, source: Source) -> str:
        """Write the query of the months' values, a row each; a blank is of no customer yet."""
        account = f"LOWER(TRIM(CAST({named(self.account)} AS TEXT)))"
        each = [
            f"SELECT {named(self.account)} AS {named(self.account)}, DATE '{first}' AS {MONTH},"
            f" CAST({named(name)} AS DOUBLE PRECISION) AS {named(self.measure)}"
            f" FROM {table_named(self.table)} WHERE NOT {named(name)} IS NULL"
            f" AND NOT {named(self.account)} IS NULL AND NOT REGEXP_MATCHES({account},"
            f" {literal(TOTAL_ROW)})"
            for name, first in self.months.items()
            if name not in self.empty
        ]
        return in_language_of(source, " UNION ALL ".join(each))

    def contracts(self, source: Source) -> str:
        """Write the query of contracts: an amount over the months that it was paid without a gap.

        A contract ends with the month after the last that was paid; what was paid in the newest
        month still runs.
        """
        each = [
            f"SELECT {named(self.account)} AS account_id, {place} AS place, DATE '{first}' AS"
            f" month, DATE '{_after(first)}' AS following,"
            f" CAST({'NULL' if name in self.empty else named(name)} AS DOUBLE PRECISION) AS mrr"
            f" FROM {table_named(self.table)}"
            for place, (name, first) in enumerate(self.months.items())
        ]
        sql = (
            f"WITH paid_ AS ({' UNION ALL '.join(each)}), runs_ AS (SELECT *, place - ROW_NUMBER()"
            " OVER (PARTITION BY account_id, mrr ORDER BY place) AS run FROM paid_ WHERE mrr > 0)"
            " SELECT account_id, MIN(month) AS started_at, CASE WHEN MAX(place) <"
            f" {len(self.months) - 1} THEN MAX(following) END AS ended_at, mrr FROM runs_"
            " GROUP BY account_id, mrr, run"
        )
        return in_language_of(source, sql)


def month_of(name: str) -> date | None:
    """Return the first day of the month that a column is called by.

    Examples
    --------
    >>> month_of("mrr_2024_03"), month_of("Mar 2024"), month_of("2024")
    (datetime.date(2024, 3, 1), datetime.date(2024, 3, 1), None)
    """
    bare = name.strip().lower()
    if found := _YEAR_FIRST.fullmatch(bare):
        return date(int(found[1]), int(found[2]), 1)
    if found := _YEAR_LAST.fullmatch(bare):
        return date(int(found[2]), int(found[1]), 1)
    if found := _WORD.fullmatch(bare):
        number = next((NUMBERS[word] for word in NUMBERS if found[1].startswith(word)), None)
        return None if number is None else date(int(found[2]), int(number), 1)
    return None


def month_columns(source: Source) -> MonthColumns | None:
    """Find the only table whose columns are called by months and say what was paid."""
    found = [each for each in _tables_of_months(source) if not each.counts_use]
    return found[0] if len(found) == 1 else None


def measured_months(source: Source) -> tuple[dict[str, str], dict[str, View], list[str]]:
    """Make rows of the tables whose columns count use in months.

    Returns
    -------
    dict of str to str
        Views by the tables that they stand for.
    dict of str to View
        The views.
    list of str
        What a person should check.
    """
    from features.packs.views import View

    stands: dict[str, str] = {}
    views: dict[str, View] = {}
    notes: list[str] = []
    for found in _tables_of_months(source):
        view = view_named(f"{found.measure}_by_month", [*source.tables, *views])
        if not found.counts_use or len(found.empty) == len(found.months):
            continue
        stands[found.table], views[view] = view, View(sql=found.rows(source))
        notes.append(
            f"{found.table} has a column for every month, which by its name counts use and not"
            " money: each becomes a row of its month, known once the month is over"
        )
    return stands, views, notes


def _tables_of_months(source: Source) -> list[MonthColumns]:
    """List the tables whose columns are called by months that follow one another."""
    found = []
    for name, table in source.tables.items():
        months = {each: day for each in table.columns if (day := month_of(each)) is not None}
        months = dict(sorted(months.items(), key=lambda item: item[1]))
        days = list(months.values())
        follow = all(_after(one) == other for one, other in pairwise(days))
        if len(days) < FEWEST_MONTHS or not follow:
            continue
        texts = [each for each in months if not table[each].type().is_numeric()]
        if any(bool(_is_filled(table[each]).any().execute()) for each in texts):
            continue
        keys = [key for key in Keys({name: table}).keys[name] if key not in months]
        if keys:
            found.append(MonthColumns(name, keys[0], months, frozenset(texts)))
    return found


def _is_filled(value: ir.Value) -> ir.BooleanValue:
    return (value.cast("string").strip() != "").fill_null(False)


def _after(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
