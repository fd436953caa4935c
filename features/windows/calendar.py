"""Where the panes lie: the calendar that a grid of observation dates and windows cuts out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import ibis
import ibis.expr.types as ir
import pandas as pd

BITS = 63
"""Bits of a word: a signed 64-bit integer that stays positive."""


@dataclass(frozen=True)
class Window:
    """A run of whole days before an observation date.

    Parameters
    ----------
    name : str
        Suffix of the result's columns.
    days : int
        Length in days.
    ends_days_before : int
        Days between the window's end (exclusive) and the observation date.

    Examples
    --------
    >>> Window("before", 28, ends_days_before=28).bounds(date(2024, 3, 1))
    (datetime.date(2024, 1, 5), datetime.date(2024, 2, 2))
    """

    name: str
    days: int
    ends_days_before: int = 0

    def bounds(self, observation: date) -> tuple[date, date]:
        """Return the first day of the window and the day after its last."""
        end = observation - timedelta(days=self.ends_days_before)
        return end - timedelta(days=self.days), end


class PaneCalendar:
    """Panes of a grid of observation dates and windows.

    Parameters
    ----------
    dates : sequence of date
        Observation dates, at least one.
    windows : sequence of Window
        Lookback windows, at least one.
    days_are_sets : bool
        Whether no pane may be longer than a word, so that a bit stands for each of its days.

    Attributes
    ----------
    words : int
        How many words of :data:`BITS` bits hold a bit per pane.
    is_one_pane : bool
        Whether all that is in reach lies in one, and no day of it is asked for.

    Examples
    --------
    >>> grid = PaneCalendar([date(2024, 3, 1)], [Window("week", 7), Window("month", 28)])
    >>> [str(edge) for edge in grid.edges]
    ['2024-02-02', '2024-02-23', '2024-03-01']
    """

    def __init__(
        self, dates: Sequence[date], windows: Sequence[Window], *, days_are_sets: bool = False
    ) -> None:
        self.dates = sorted(set(dates))
        self.windows = tuple(windows)
        ends = {end for day in self.dates for window in windows for end in window.bounds(day)}
        if days_are_sets:
            first, length = min(ends), timedelta(days=BITS)
            ends |= {first + step * length for step in range((max(ends) - first) // length + 1)}
        self.edges = sorted(ends)
        self.words = -(-(len(self.edges) - 1) // BITS)
        self.is_one_pane = len(self.edges) == 2 and not days_are_sets

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """The first moment of the first window and the end of the last."""
        return _midnight(self.edges[0]), _midnight(self.edges[-1])

    def days(self) -> ir.Table:
        """Return every ``day``, its ``pane``, the first date after it, its bit and its pane's.

        ``seen_from`` numbers observation dates from 1. Days after the last window, on which an
        event may still become known, lie in a pane of their own.
        """
        calendar = pd.date_range(self.edges[0], self.dates[-1], inclusive="left")
        rows = []
        for moment in calendar:
            day = moment.date()
            pane = bisect_right(self.edges, day) - 1
            seen_from = bisect_right(self.dates, day) + 1
            day_bit = 1 << ((day - self.edges[pane]).days % BITS)
            rows.append((moment, pane, seen_from, day_bit, *self._bits({pane})))
        bits = (f"bit_{word}" for word in range(self.words))
        names = ["day", "pane", "seen_from", "day_bit", *bits]
        return _table(rows, names)

    def members(self) -> ir.Table:
        """Return each date's panes; per window, whether the pane lies in it.

        ``in_WINDOW`` is 1.0 or 0.0, and ``mask_WINDOW`` has all bits set or none.
        """
        rows = []
        for number, day in enumerate(self.dates, start=1):
            inside = {window: self._panes(day, window) for window in self.windows}
            for pane in sorted(set().union(*inside.values())):
                flags = [pane in inside[window] for window in self.windows]
                masks = (-1 if flag else 0 for flag in flags)
                rows.append((pane, pd.Timestamp(day), number, *map(float, flags), *masks))
        names = [f"{kind}_{window.name}" for kind in ("in", "mask") for window in self.windows]
        return _table(rows, ["pane", "observation_date", "observation_number", *names])

    def masks(self) -> ir.Table:
        """Return a row per date with the bits of each window's panes in each word."""
        rows = [
            (
                pd.Timestamp(day),
                number,
                *(bits for w in self.windows for bits in self._bits(self._panes(day, w))),
            )
            for number, day in enumerate(self.dates, start=1)
        ]
        names = [f"mask_{w.name}_{word}" for w in self.windows for word in range(self.words)]
        return _table(rows, ["observation_date", "observation_number", *names])

    def _panes(self, day: date, window: Window) -> set[int]:
        first, end = window.bounds(day)
        return set(range(bisect_left(self.edges, first), bisect_left(self.edges, end)))

    def _bits(self, panes: set[int]) -> list[int]:
        words = [0] * self.words
        for pane in panes:
            if pane // BITS < self.words:
                words[pane // BITS] |= 1 << (pane % BITS)
        return words


def case_of_bits(
    value: ir.Value, listed: Sequence[str], name: str, words: int
) -> dict[str, ir.Value]:
    """Return the same bits as :func:`bits_of`, asked of a value; missing for any other value."""
    return {
        f"{name}_bit_{word}": ibis.cases(
            *((value == each, _bit(number, word)) for number, each in enumerate(listed)),
            else_=ibis.null("int64"),
        )
        for word in range(words)
    }


def _bit(number: int, word: int) -> int:
    """Return the bit of a value in one of the words: all others hold none of it."""
    return 1 << (number % BITS) if number // BITS == word else 0


def bits_of(values: Iterable[str], name: str, words: int) -> ir.Table:
    """Return ``NAME_of``, each value, and its own bit in the words ``NAME_bit_0`` and on."""
    rows = [
        (value, *(_bit(number, word) for word in range(words)))
        for number, value in enumerate(values)
    ]
    return _table(rows, [f"{name}_of", *(f"{name}_bit_{word}" for word in range(words))])


def _table(rows: Sequence[tuple[object, ...]], names: list[str]) -> ir.Table:
    frame = pd.DataFrame(rows, columns=names)
    moments = frame.columns.intersection(["day", "observation_date"])
    return ibis.memtable(frame.astype(dict.fromkeys(moments, "datetime64[us]")))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min)
