"""Who the demo company serves: its accounts and when their subscriptions start, change and end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DAY = 86_400
NEVER = 1 << 45
"""A day or second so late that nothing reaches it; it is written as null."""


@dataclass(frozen=True)
class Plan:
    """What distinguishes the accounts of one plan before anything happens to them."""

    name: str
    share: float
    seats: tuple[int, int]
    seat_price: float
    annual_share: float
    events_per_month: float
    tickets_per_month: float
    trainings_per_month: float
    rated_per_month: float


PLANS = (
    Plan("starter", 0.55, (2, 9), 29.0, 0.30, 22.0, 0.40, 0.07, 0.12),
    Plan("growth", 0.30, (6, 26), 49.0, 0.55, 46.0, 0.70, 0.12, 0.30),
    Plan("enterprise", 0.15, (18, 61), 89.0, 0.85, 100.0, 1.40, 0.25, 0.60),
)
YEARS = (0.7, 0.1, 0.2)
"""Shares of contracts for one, two and three years, of plans above the smallest."""
INDUSTRIES = ("software", "retail", "finance", "health", "manufacturing", "education", "logistics")
REGIONS = ("EMEA", "North America", "APAC", "LATAM")
SIZES = ("1-10", "11-50", "51-200", "201-1000", "1001+")
_FOUNDERS = (
    "Abbott", "Brandt", "Castillo", "Dubois", "Eriksen", "Fontaine", "Grünwald", "Hayashi",
    "Ivanova", "Jansen", "Kowalczyk", "Łukasz", "Müller", "Nakamura", "O'Brien", "Petrov",
    "Quintero", "Rossi", "Søndergaard", "Tanaka", "Usman", "Varga", "Whitfield", "Xu", "Yüksel",
    "Zamora",
)  # fmt: skip
_TRADES = (
    "Analytics", "Bakeries", "Clinics", "Data", "Energy", "Freight", "Goods", "Hotels", "Insurance",
    "Labs", "Media", "Networks", "Optics", "Power", "Robotics", "Systems", "Textiles", "Works",
)  # fmt: skip
_FORMS = ("", " GmbH", " Ltd", " Inc.", " & Sons", " S.A.", " Group")


@dataclass(frozen=True)
class Calendar:
    """The months of the simulation as days since 1970.

    Parameters
    ----------
    start : date
        First day of the first month.
    months : int
        Number of months.
    """

    start: date
    months: int

    @property
    def first_month(self) -> int:
        """Months since January 1970 at the start."""
        return (self.start.year - 1970) * 12 + self.start.month - 1

    @property
    def firsts(self) -> Ints:
        """First day of every month and, last, of the month after the end: (months + 1,)."""
        return first_of(np.arange(self.first_month, self.first_month + self.months + 1))


def first_of(months: Ints) -> Ints:
    """Turn months since January 1970 into the day each begins on."""
    return months.astype("M8[M]").astype("M8[D]").astype(np.int64)


def of_plan(field: str, plan: Ints) -> Floats:
    """Look a number of :class:`Plan` up for every account."""
    return np.array([getattr(each, field) for each in PLANS], dtype=np.float64)[plan]


class Accounts:
    """State of one chunk of accounts; every array is (n,) and every date a day since 1970.

    A *stint* is one unbroken time as a customer: an account that churns and returns has two.
    No stint or contract change falls on the first of a month, so whether an account is active on
    an observation date never hangs on an equality.

    Parameters
    ----------
    first : int
        Number of the chunk's first account within the company.
    count : int
        Accounts in the chunk.
    calendar : Calendar
        The months simulated.
    rng : numpy.random.Generator
        Source of chance.
    terms : numpy.random.Generator or None
        Where contracts are firm, the chance that decides for how many years they are signed.
    """

    def __init__(
        self,
        first: int,
        count: int,
        calendar: Calendar,
        rng: np.random.Generator,
        terms: np.random.Generator | None = None,
    ):
        self.count = count
        self.calendar = calendar
        self.plan = rng.choice(len(PLANS), size=count, p=[plan.share for plan in PLANS])
        self.ids = [f"A-{number + 1:05d}" for number in range(first, first + count)]
        self.attributes = _attributes(self.plan, rng)
        existing = rng.random(count) < 0.5
        offset = np.where(
            existing, rng.integers(-36, 0, count), rng.integers(0, calendar.months, count)
        )
        self.created = np.empty(count, dtype=np.int64)
        self.stint_start = np.full(count, NEVER)
        self.stint_month = np.zeros(count, dtype=np.int64)
        self.day_of_month = np.zeros(count, dtype=np.int64)
        self.churn_day = np.full(count, NEVER)
        self.annual = rng.random(count) < of_plan("annual_share", self.plan)
        self.are_firm = terms is not None
        self.term_months = np.full(count, 12)
        if terms is not None:
            years = terms.choice(len(YEARS), size=count, p=YEARS) + 1
            self.term_months = 12 * np.where(self.plan > 0, years, 1)
        low, high = (np.array([plan.seats[side] for plan in PLANS])[self.plan] for side in (0, 1))
        self.seats = rng.integers(low, high)
        self.discount = np.round(rng.choice([0.0, 0.0, 0.1, 0.2], size=count), 2)
        self.auto_renew = rng.random(count) < 0.8
        self.price = of_plan("seat_price", self.plan)
        self.row_start = np.full(count, NEVER)
        self.renewal = np.full(count, NEVER)
        self.subscriptions: list[dict[str, NDArray[np.generic]]] = []
        self._begin(np.arange(count), calendar.first_month + offset, rng)
        self.created[:] = self.stint_start
        self._renew_until(int(calendar.firsts[0]))

    @property
    def mrr(self) -> Floats:
        """Monthly recurring revenue on the current contract."""
        monthly: Floats = np.round(self.seats * self.price * (1 - self.discount), 2)
        return monthly

    def _begin(self, who: Ints, month: Ints, rng: np.random.Generator) -> None:
        self.stint_month[who] = month
        self.day_of_month[who] = rng.integers(2, 29, len(who))
        self.stint_start[who] = first_of(month) + self.day_of_month[who] - 1
        self.row_start[who] = self.stint_start[who]
        anniversary = first_of(month + self.term_months[who]) + self.day_of_month[who] - 1
        self.renewal[who] = np.where(self.annual[who], anniversary, NEVER)

    def _write(self, who: Ints, ended: Ints) -> None:
        """Write the running subscription row of some accounts, which ends on a day or NEVER."""
        self.subscriptions.append(
            {
                "account": who,
                "started_at": self.row_start[who] * DAY,
                "ended_at": np.where(ended == NEVER, NEVER, ended * DAY),
                "renewal_at": np.where(self.renewal[who] == NEVER, NEVER, self.renewal[who] * DAY),
                "mrr": self.mrr[who],
                "seats": self.seats[who],
                "plan": self.plan[who],
                "billing_period": self.annual[who].astype(np.int64),
                "auto_renew": self.auto_renew[who],
                "discount": self.discount[who],
            }
        )

    def _renew_until(self, day: int) -> None:
        """Renew contracts whose term ended before the records begin."""
        while len(due := np.flatnonzero(self.renewal < day)):
            self._renew(due)

    def _renew(self, who: Ints) -> None:
        self._write(who, self.renewal[who])
        self.row_start[who] = self.renewal[who]
        self.price[who] *= 1.03
        month = self.renewal[who].astype("M8[D]").astype("M8[M]").astype(np.int64)
        renewed = first_of(month + self.term_months[who])
        self.renewal[who] = renewed + self.day_of_month[who] - 1

    def active_on(self, day: int) -> Bools:
        """Which accounts are customers whose fate is still open when a day begins."""
        active: Bools = (self.stint_start < day) & (self.churn_day == NEVER)
        return active

    def come_back(self, month: int, rng: np.random.Generator) -> Ints:
        """Start a second stint for a few accounts that churned in an earlier month; return them."""
        left_by = first_of(np.array([month - 1]))[0]
        back = (self.churn_day < left_by) & (rng.random(self.count) < 0.02)
        who = np.flatnonzero(back)
        self.churn_day[who] = NEVER
        self._begin(who, np.full(len(who), month), rng)
        return who

    def change_contracts(
        self, first: int, following: int, mood: Floats, rng: np.random.Generator
    ) -> None:
        """Renew annual contracts that fall due in the month and add or drop seats.

        Parameters
        ----------
        first, following : int
            First day of the month and of the next one.
        mood : ndarray of shape (n,)
            Above zero where an account rather grows than shrinks.
        """
        day = first + rng.integers(1, following - first, self.count)
        grows = mood + rng.standard_normal(self.count) > 0
        changes = rng.random(self.count) < 0.05
        step = 1 + np.floor(self.seats * 0.25 * rng.random(self.count)).astype(np.int64)
        renews = (self.renewal >= first) & (self.renewal < following)
        renews &= self.churn_day > self.renewal
        self._renew(np.flatnonzero(renews))
        changes &= ~renews & (self.row_start < day) & (self.churn_day > day)
        seats = np.clip(self.seats + np.where(grows, step, -step), 1, 120)
        who = np.flatnonzero(changes & (seats != self.seats))
        self._write(who, day[who])
        self.row_start[who], self.seats[who] = day[who], seats[who]

    def end_stints(self, following: int) -> Ints:
        """Close the subscriptions of accounts whose churn day has come; return the accounts."""
        who = np.flatnonzero((self.churn_day < following) & (self.stint_start != NEVER))
        self._write(who, self.churn_day[who])
        self.stint_start[who] = NEVER
        self.renewal[who] = NEVER
        return who

    def write_running(self) -> None:
        """Write the subscription rows that are still open when the data end."""
        who = np.flatnonzero(self.stint_start != NEVER)
        self._write(who, np.full(len(who), NEVER))


def _attributes(plan: Ints, rng: np.random.Generator) -> dict[str, list[str]]:
    """Draw the descriptive columns of the accounts table."""
    count = len(plan)
    founder, trade, form, industry = (
        rng.integers(len(words), size=count) for words in (_FOUNDERS, _TRADES, _FORMS, INDUSTRIES)
    )
    region = rng.choice(len(REGIONS), size=count, p=[0.4, 0.35, 0.15, 0.1])
    size = np.clip(np.round(plan * 1.4 + rng.standard_normal(count) * 0.8 + 0.6), 0, 4).astype(int)
    return {
        "name": [
            f"{_FOUNDERS[f]} {_TRADES[t]}{_FORMS[o]}"
            for f, t, o in zip(founder, trade, form, strict=True)
        ],
        "plan": [PLANS[each].name for each in plan],
        "industry": [INDUSTRIES[each] for each in industry],
        "region": [REGIONS[each] for each in region],
        "company_size": [SIZES[each] for each in size],
    }
