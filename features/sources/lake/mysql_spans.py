"""Spans of a column of a MySQL table, and a digest of the rows in each, as the server computes it.

Spans are months and days, or a million and a tenth of a million of whole numbers: short ones where
rows still come, long ones before, so that there are few files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from features.errors import SettingsError
from features.sources.lake.watermarks import Span

LONG, SHORT = 1_000_000, 100_000
FIRST = date(1, 2, 1)
"""Before it there is no earlier month."""
WITHOUT = "none"
"""The span of rows without a watermark."""
AHEAD = "ahead"
"""The span of stamps that are still to come, of which clocks that go wrong may make any number."""
_ROW_DIGEST = "CAST(CONV(LEFT(MD5({}), 15), 16, 10) AS UNSIGNED)"
_UNTOLD = 10**30
"""Stands for the digest of a row too long for the server to write out: more than all others are
together. Its span is brought every night."""


@dataclass(frozen=True)
class Column:
    """A column of plain values.

    Parameters
    ----------
    name : str
        Its name.
    kind : pyarrow DataType
        What its values are read as.
    """

    name: str
    kind: pa.DataType


class Spans:
    """The spans of a table.

    Parameters
    ----------
    ask : callable
        Returns the rows that a statement selects.
    table : str
        The table, quoted.
    columns : sequence of Column
        What is read of it.
    watermark : Column
        One of them.

    Raises
    ------
    SettingsError
        When the watermark is no time, date or whole number.
    """

    def __init__(
        self,
        ask: Callable[[str], list[tuple[object, ...]]],
        table: str,
        columns: Sequence[Column],
        watermark: Column,
    ) -> None:
        self._ask, self._table, self._columns = ask, table, columns
        self._column = quoted(watermark.name)
        self._is_time = pa.types.is_temporal(watermark.kind)
        if not self._is_time and not pa.types.is_integer(watermark.kind):
            raise SettingsError(
                f"Column '{watermark.name}', the watermark of {table}, holds"
                f" {'texts' if pa.types.is_string(watermark.kind) else watermark.kind} and must"
                " hold times, dates or whole numbers; name another column"
            )
        self._now = _moment().isoformat()
        self._ahead = _moment().date() + timedelta(days=2)
        ((newest,),) = ask(f"SELECT MAX({self._column}) FROM {table}")
        self._short_from = _months_back(newest) if self._is_time else _blocks_back(newest)

    def listed(self, names: Collection[str] = ()) -> list[Span]:
        """Have the server count the rows of every span, or of some, and take a digest of them."""
        rows = f"IFNULL({_ROW_DIGEST.format(self._text())}, {_UNTOLD})"
        found = self._ask(
            f"SELECT {self._span()}, COUNT(*), SUM({rows}) FROM {self._table}"
            f"{self._only(names) if names else ''} GROUP BY 1 ORDER BY 1"
        )
        return [
            Span(_text(name), int(str(count)), self._told(int(str(total))))
            for name, count, total in found
        ]

    def _told(self, total: int) -> str:
        return str(total) if total < _UNTOLD else f"{total}|{self._now}"

    def statement(self, names: Collection[str]) -> str:
        """Select the rows of some spans: their columns, and the span."""
        columns = ", ".join(quoted(column.name) for column in self._columns)
        return f"SELECT {columns}, {self._span()} FROM {self._table}{self._only(names)}"

    def _only(self, names: Collection[str]) -> str:
        listed = ", ".join(f"'{name}'" for name in sorted(names))
        return f" WHERE {self._since(names)}{self._span()} IN ({listed})"

    def _since(self, names: Collection[str]) -> str:
        """Let an index find the first of the short spans, where no others are asked for."""
        first = min(names)
        if self._is_time:
            is_short = all(len(name) == len("2024-01-01") for name in names)
            return f"{self._column} >= '{first}' AND " if is_short else ""
        blocks = [int(name[1:]) for name in names if name.startswith("s")]
        is_short = len(blocks) == len(names)
        # The server cuts towards zero: a block below it ends with its number.
        return f"{self._column} > {min(blocks) * SHORT - SHORT} AND " if is_short else ""

    def _span(self) -> str:
        column, start = self._column, self._short_from
        if self._is_time:
            short, long = (f"DATE_FORMAT({column}, '{form}')" for form in ("%Y-%m-%d", "%Y-%m"))
        else:
            short, long = (
                f"CONCAT('{letter}', {column} DIV {size})"
                for letter, size in (("s", SHORT), ("l", LONG))
            )
        cut = f"IF({column} >= {start}, {short}, {long})"
        if self._is_time:
            cut = f"IF({column} >= '{self._ahead}', '{AHEAD}', {cut})"
        return f"IFNULL({cut}, '{WITHOUT}')"

    def _text(self) -> str:
        """Write a row as one text, which no other row has."""
        names = [quoted(column.name) for column in self._columns]
        gaps = ", ".join(f"ISNULL({name})" for name in names)
        # The server puts no texts of two alphabets together.
        texts = {
            quoted(each.name): f"CONVERT({quoted(each.name)} USING utf8mb4)"
            for each in self._columns
            if pa.types.is_string(each.kind)
        }
        values = ", ".join(texts.get(name, name) for name in names)
        lengths = "".join(f", LENGTH({name})" for name in texts)
        return f"CONCAT_WS('#', {values}, CONCAT({gaps}){lengths})"


def quoted(name: str) -> str:
    """Quote a name.

    Examples
    --------
    >>> quoted("a`b")
    '`a``b`'
    """
    return "`" + name.replace("`", "``") + "`"


def _months_back(newest: object) -> str:
    """Write the first day of the month before the newest row's; a clock ahead is not believed."""
    today = _moment().date()
    own = newest.date() if isinstance(newest, datetime) else newest
    own = max(min(own, today), FIRST) if isinstance(own, date) else today
    return f"'{(own.replace(day=1) - timedelta(days=1)).replace(day=1)}'"


def _blocks_back(newest: object) -> str:
    return str((int(_text(newest)) // LONG - 1) * LONG if newest is not None else 0)


def _moment() -> datetime:
    return datetime.now(tz=UTC).replace(tzinfo=None)


def _text(name: object) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
