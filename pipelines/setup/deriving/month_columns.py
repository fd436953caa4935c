"""Tables with a column for every month: what an account paid in each becomes its contracts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

from features.tables.mapping.month_names import NUMBERS
from pipelines.setup.guessing.keys import Keys
from pipelines.setup.guessing.sql import in_language_of, named, table_named

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source

VIEW = "monthly_subscriptions"
FEWEST_MONTHS = 4
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
            f"WITH paid AS ({' UNION ALL '.join(each)}), runs AS (SELECT *, place - ROW_NUMBER()"
            " OVER (PARTITION BY account_id, mrr ORDER BY place) AS run FROM paid WHERE mrr > 0)"
            " SELECT account_id, MIN(month) AS started_at, CASE WHEN MAX(place) <"
            f" {len(self.months) - 1} THEN MAX(following) END AS ended_at, mrr FROM runs"
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
    """Find the only table whose columns are called by months that follow one another."""
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
        key = next((key for key in Keys({name: table}).keys[name] if key not in months), None)
        if key is not None:
            found.append(MonthColumns(name, key, months, frozenset(texts)))
    return found[0] if len(found) == 1 else None


def _is_filled(value: ir.Value) -> ir.BooleanValue:
    return (value.cast("string").strip() != "").fill_null(False)


def _after(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
