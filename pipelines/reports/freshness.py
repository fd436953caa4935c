"""Freshness: how old scores are by the calendar, said on every page and report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from pipelines.reports.wording import day, plural

if TYPE_CHECKING:
    from features.outcomes.settings import OutcomeSettings

GRACE_DAYS = 7
"""So many days a run may be late before anybody is told."""
MONTH, WEEK = 31, 7


def today() -> date:
    """Return the day it is, in UTC; the one place that asks the clock."""
    return datetime.now(tz=UTC).date()


@dataclass(frozen=True)
class Freshness:
    """Scores of a date, beside the calendar.

    Parameters
    ----------
    as_of : date
        Date of the scores: the first day of which nothing was known.
    closes : date
        The first day after the outcome window.
    usual_days : int
        Days from one run to the next.
    today : date
        The day it is.
    """

    as_of: date
    closes: date
    usual_days: int
    today: date

    @property
    def days_old(self) -> int:
        """Days since the newest that is known; 0 where the clock stands before it."""
        return max((self.today - self.as_of).days, 0)

    @property
    def is_over(self) -> bool:
        """Whether the outcome window is over: nothing of it is still to be expected."""
        return self.today >= self.closes

    @property
    def is_late(self) -> bool:
        """Whether newer scores are overdue."""
        return self.days_old > self.usual_days + GRACE_DAYS

    @property
    def note(self) -> str | None:
        """Say what is wrong, in a sentence without a full stop; None where nothing is.

        Examples
        --------
        >>> old = Freshness(date(2025, 1, 1), date(2025, 2, 14), 31, date(2025, 3, 1))
        >>> old.note
        'These scores are 59 days old: ..., and what they predict was to come by 13 February...'
        >>> Freshness(date(2025, 1, 1), date(2025, 2, 14), 31, date(2025, 1, 20)).note is None
        True
        """
        if not (self.is_over or self.is_late):
            return None
        newest = day(self.as_of - timedelta(days=1))
        old = plural(self.days_old, "day")
        said = f"These scores are {old} old: nothing after {newest} is in them"
        if self.is_over:
            last = day(self.closes - timedelta(days=1))
            said += f", and what they predict was to come by {last}"
        return f"{said}; load newer data and score again"


def freshness_of(outcome: OutcomeSettings, as_of: date) -> Freshness:
    """Hold the scores of a date against the clock.

    Parameters
    ----------
    outcome : OutcomeSettings
        Its window, and how far apart its observation dates are.
    as_of : date
        Date of the scores.
    """
    spacing = outcome.spacing
    usual = {"month": MONTH, "week": WEEK}.get(str(spacing), spacing)
    closes = as_of + timedelta(days=outcome.lead_days + outcome.horizon_days)
    return Freshness(as_of, closes, int(usual), today())


def ended_note(end: date) -> str | None:
    """Say that data ended long ago, in a sentence without a full stop; None where they did not.

    Parameters
    ----------
    end : date
        The first day of which nothing is known.
    """
    late = (today() - end).days
    if late <= MONTH + GRACE_DAYS:
        return None
    newest = day(end - timedelta(days=1))
    return f"The data end on {newest}, {plural(late, 'day')} ago: nothing later was learnt from"
