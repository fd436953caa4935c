"""Fiscal quarters: the periods that finance counts in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from models.scoring.timing.retention.quarters import Span

MONTHS = 3


@dataclass(frozen=True)
class Period:
    """A fiscal quarter, or what is left of one.

    Parameters
    ----------
    label : str
        Such as "Q2 FY2027".
    opens, closes : date
        Its first day, and the first day after it.
    is_rest : bool
        Whether part of the quarter was over when the forecast was made.
    """

    label: str
    opens: date
    closes: date
    is_rest: bool = False

    def span(self, day: date) -> Span:
        """Return it as days from a date."""
        return Span((self.opens - day).days, (self.closes - day).days)


def quarter_of(day: date, year_start: int) -> Period:
    """Return the fiscal quarter a day lies in.

    Examples
    --------
    >>> quarter_of(date(2026, 1, 31), 2)
    Period(label='Q4 FY2026', opens=datetime.date(2025, 11, 1), closes=datetime.date(2026, 2, 1), \
is_rest=False)
    >>> quarter_of(date(2026, 1, 31), 1).label
    'Q1 FY2026'
    """
    since = (day.month - year_start) % 12
    number = since // MONTHS
    opens = _month(day.year, day.month - since % MONTHS)
    begins = _month(day.year, day.month - since)
    # A year that begins in January ends in the same calendar year.
    year = begins.year + (year_start > 1)
    return Period(f"Q{number + 1} FY{year}", opens, _month(opens.year, opens.month + MONTHS))


def periods_after(day: date, year_start: int, quarters: int) -> list[Period]:
    """List the rest of the running quarter, if part of it is over, and whole quarters after it.

    Examples
    --------
    >>> [each.label for each in periods_after(date(2026, 3, 15), 2, 2)]
    ['rest of Q1 FY2027', 'Q2 FY2027', 'Q3 FY2027']
    >>> [each.label for each in periods_after(date(2026, 5, 1), 2, 2)]
    ['Q2 FY2027', 'Q3 FY2027']
    """
    running = quarter_of(day, year_start)
    periods = []
    if running.opens < day:
        periods.append(Period(f"rest of {running.label}", day, running.closes, is_rest=True))
        running = quarter_of(running.closes, year_start)
    for _ in range(quarters):
        periods.append(running)
        running = quarter_of(running.closes, year_start)
    return periods


def _month(year: int, month: int) -> date:
    """First of a month, which may lie before January or after December."""
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)
