"""What past quarters teach of a book: what was lost in one, what shrank, grew, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from models.arrays import Floats
from models.scoring.timing.retention.changes import Factors, change_of, learn_factors
from models.scoring.timing.retention.quarters import KINDS, QUARTER, RENEWS, Span, contract_kinds
from models.scoring.timing.retention.rates import YOUNG_DAYS, QuarterRates, learn_rates
from models.scoring.timing.retention.shocks import Shock, learn_shock
from models.scoring.timing.retention.tilt import Tilt, learn_tilt

NEVER = -30.0
"""Log-odds of what does not happen."""


@dataclass(frozen=True)
class Course:
    """One thing that may come in a quarter: its rates, and how far quarters stray from them."""

    rates: QuarterRates
    shock: Shock


@dataclass(frozen=True)
class LearntBook:
    """What past quarters teach.

    Parameters
    ----------
    lost, smaller, larger : Course
        Accounts that left; of those that stayed, the ones that pay less, and more.
    shrunk, grown : Factors
        By what factor.
    tilt : Tilt
        What a score adds.
    quarters, rows, losses : int
        What it was learnt from.
    """

    lost: Course
    smaller: Course
    larger: Course
    shrunk: Factors
    grown: Factors
    tilt: Tilt
    quarters: int
    rows: int
    losses: int

    def risk(self, accounts: pd.DataFrame, span: Span, quarter: int) -> Floats:
        """Log-odds that an account which is there when a period opens is gone when it closes.

        Parameters
        ----------
        accounts : DataFrame of n rows
            ``segment``, ``arr``, ``tenure``, ``log_odds`` and the contract's days.
        span : Span
            The period.
        quarter : int
            0 for the first one to come.

        Returns
        -------
        ndarray of shape (n,)
        """
        rows = with_traits(accounts, span)
        rate = self.lost.rates.log_odds(rows)
        tilted = rate + self.tilt.adds(rows, rate, quarter)
        return np.asarray(tilted + np.log(share_of_quarter(rows, span)))


def share_of_quarter(rows: pd.DataFrame, span: Span) -> Floats:
    """Tell how many quarters a period counts for: (n,); a renewal in it comes once, however long.

    Parameters
    ----------
    rows : DataFrame of n rows
        ``kind`` in the period.
    span : Span
        The period.
    """
    return np.where(rows["kind"].to_numpy() == RENEWS, 1.0, span.days / QUARTER)


def with_traits(rows: pd.DataFrame, span: Span) -> pd.DataFrame:
    """Add ``kind`` and ``young`` of a period."""
    tenure = rows["tenure"].to_numpy(dtype=float) + span.opens
    return rows.assign(kind=contract_kinds(rows, span), young=tenure < YOUNG_DAYS)


def learn_book(history: pd.DataFrame, earlier: pd.DataFrame) -> LearntBook:
    """Learn from past quarters.

    Parameters
    ----------
    history : DataFrame of n rows
        An account at the beginning of a quarter that is over: ``account_id``, ``day``, ``segment``,
        ``arr``, ``tenure``, the contract's days, ``lost`` (0 or 1) and ``arr_after`` (NaN where it
        was lost or is not known).
    earlier : DataFrame of m rows
        Scores of earlier dates: the same columns, ``lost`` being NaN where it is not known yet, and
        ``log_odds``.
    """
    quarter = Span(0, QUARTER)
    rows = with_traits(history, quarter).reset_index(drop=True)
    lost = rows["lost"].to_numpy(dtype=float)
    course = _course(rows, lost)
    stayed = rows[(lost == 0) & rows["arr"].notna() & rows["arr_after"].notna()]
    before, after = (stayed[name].to_numpy(dtype=float) for name in ("arr", "arr_after"))
    less, more = change_of(before, after)
    known = with_traits(earlier, quarter)
    rated = known.assign(rate=course.rates.log_odds(known)) if len(known) else known
    return LearntBook(
        lost=course,
        smaller=_course(stayed, less),
        larger=_course(stayed, more),
        shrunk=_factors(stayed, before, after, less),
        grown=_factors(stayed, before, after, more),
        tilt=learn_tilt(rated),
        quarters=int(rows["day"].nunique()),
        rows=len(rows),
        losses=int(lost.sum()),
    )


def _course(rows: pd.DataFrame, happened: Floats) -> Course:
    if rows.empty:
        # Where no MRR is known nothing is seen to move, and nothing is taken to.
        return Course(QuarterRates(NEVER, (0.0,) * len(KINDS)), Shock(0.0, 0.0, 1))
    rates = learn_rates(rows, happened)
    shock = learn_shock(happened, rates.log_odds(rows), rows["account_id"], rows["day"])
    return Course(rates, shock)


def _factors(rows: pd.DataFrame, before: Floats, after: Floats, moved: Floats) -> Factors:
    own = moved > 0
    return learn_factors(before[own], after[own], rows["segment"][own])
