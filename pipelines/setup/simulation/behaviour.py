"""What accounts do in a month, driven by health factors that nobody records.

Five hidden factors wander month by month as AR(1) processes. Every written row follows from them,
so the signal groups move together and can still be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.setup.simulation.company import (
    DAY,
    NEVER,
    PLANS,
    Accounts,
    Bools,
    Floats,
    Ints,
    of_plan,
)
from pipelines.setup.simulation.ledger import FEATURES, MOST_USERS, RATERS, Records, Usage, leniency

PRIORITIES = ("low", "normal", "high", "urgent")
CATEGORIES = ("how-to", "bug", "billing", "performance", "feature request")
COURSES = ("getting started", "administration", "reporting", "automation", "best practice")
DIMENSIONS = ("sponsor", "value", "responsiveness")
PLAYS = ("check-in call", "executive review", "training offer", "adoption workshop", "discount")
SURVEY_KINDS = ("nps", "csat", "ces")

FACTORS = ("engagement", "fit", "pain", "stress", "advocacy")
_PERSISTENCE = np.array([0.90, 0.94, 0.80, 0.88, 0.95])
_CORRELATION = np.array(
    [
        [1.00, 0.45, -0.20, -0.10, 0.25],
        [0.45, 1.00, -0.15, -0.05, 0.35],
        [-0.20, -0.15, 1.00, 0.10, -0.25],
        [-0.10, -0.05, 0.10, 1.00, -0.05],
        [0.25, 0.35, -0.25, -0.05, 1.00],
    ]
)
_WEEKEND = 0.25
_SEASON = np.array([1, 1, 1, 1, 1, 0.97, 0.93, 0.84, 1, 1.02, 1, 0.80])


@dataclass(frozen=True)
class Drift:
    """A lasting change from a day on.

    Parameters
    ----------
    kind : str
        ``none``, ``payment-crisis`` or ``usage-collapse``.
    day : int
        First day of the change, in days since 1970.
    """

    kind: str
    day: int

    COLLAPSED_PLAN = PLANS[1].name
    USAGE_LEFT = 0.35
    STRESS_ADDED = 2.0

    def stress(self, issued_at: Ints) -> Floats:
        """Financial stress added to invoices issued at these seconds."""
        late = (issued_at >= self.day * DAY) & (self.kind == "payment-crisis")
        return np.where(late, self.STRESS_ADDED, 0.0)

    def keeps(self, plan: Ints, occurred_at: Ints, rng: np.random.Generator) -> Bools:
        """Which usage rows still happen; thinning leaves everything before the day untouched."""
        collapsed = [each.name for each in PLANS].index(self.COLLAPSED_PLAN)
        hit = (plan == collapsed) & (occurred_at >= self.day * DAY)
        if self.kind != "usage-collapse":
            return np.ones(len(plan), dtype=bool)
        kept: Bools = ~hit | (rng.random(len(plan)) < self.USAGE_LEFT)
        return kept


class Month:
    """One month in the life of a chunk of accounts.

    Attributes
    ----------
    low, high : ndarray of shape (n,)
        First second the account can do something, and the first it no longer can.
    """

    def __init__(self, accounts: Accounts, index: int):
        firsts = accounts.calendar.firsts
        self.index = index
        self.first, self.following = int(firsts[index]), int(firsts[index + 1])
        low = np.clip(accounts.stint_start, self.first, self.following)
        high = np.maximum(np.minimum(accounts.churn_day, self.following), low)
        self.low, self.high = low * DAY, high * DAY
        self.share = (self.high - self.low) / (DAY * 30.4)
        self.tenure = np.maximum(self.first - accounts.stint_start, 0)
        self.leaving = accounts.churn_day != NEVER
        self.of_year = (accounts.calendar.first_month + index) % 12


class Behaviour:
    """The hidden factors of a chunk and the rows they cause.

    Parameters
    ----------
    accounts : Accounts
        The chunk.
    records : Records
        Where rows are kept.
    drift : Drift
        The change to simulate, if any.
    rng, drift_rng : numpy.random.Generator
        Sources of chance; the second is drawn from by the drift only, so that a run with drift
        equals one without up to its day.
    """

    def __init__(
        self,
        accounts: Accounts,
        records: Records,
        drift: Drift,
        rng: np.random.Generator,
        drift_rng: np.random.Generator,
    ):
        self.accounts, self.records, self.drift = accounts, records, drift
        self.rng, self.drift_rng = rng, drift_rng
        count = accounts.count
        self._mixing = np.linalg.cholesky(_CORRELATION)
        self.factors = rng.standard_normal((count, len(FACTORS))) @ self._mixing.T
        self.volume = np.exp(0.3 * rng.standard_normal(count) - 0.045)
        self.taste = np.argsort(
            np.arange(len(FEATURES)) * 0.25 + rng.random((count, len(FEATURES))), axis=1
        )
        self.manager = rng.integers(RATERS, size=count)

    def factor(self, name: str) -> Floats:
        """Return one hidden factor of every account: (n,)."""
        return self.factors[:, FACTORS.index(name)]

    def step(self) -> None:
        """Let the factors wander on by a month."""
        shock = self.rng.standard_normal(self.factors.shape) @ self._mixing.T
        self.factors = _PERSISTENCE * self.factors + np.sqrt(1 - _PERSISTENCE**2) * shock

    def recover(self, who: Ints) -> None:
        """Give accounts that come back a fresh and somewhat better start."""
        fresh = self.rng.standard_normal((len(who), len(FACTORS))) @ self._mixing.T
        self.factors[who] = fresh + np.array([0.4, 0.3, -0.3, -0.3, 0.0])

    def _moments(self, month: Month, rate: Floats) -> tuple[Ints, Ints]:
        """Draw Poisson moments at a monthly rate within each account's time: accounts, seconds."""
        counts = self.rng.poisson(rate * month.share)
        account = np.repeat(np.arange(self.accounts.count), counts)
        span = (month.high - month.low)[account]
        return account, month.low[account] + (self.rng.random(len(account)) * span).astype(np.int64)

    def act(self, month: Month) -> Usage:
        """Write the month's rows of every table and return its usage."""
        self._open_tickets(month)
        self._bill(month)
        self._refer(month)
        self._answer(month)
        self._train(month)
        self._rate(month)
        usage = self._use(month)
        self.records.add_usage(usage)
        return usage

    def _use(self, month: Month) -> Usage:
        accounts, rng = self.accounts, self.rng
        engagement, fit = self.factor("engagement"), self.factor("fit")
        ramp = np.minimum(0.35 + month.tenure / 120, 1.0)
        rate = of_plan("events_per_month", accounts.plan) * self.volume * ramp
        rate *= np.exp(0.65 * engagement - 0.2) * _SEASON[month.of_year]
        rate *= np.where(month.leaving, 0.8, 1.0)
        days = np.arange(month.first, month.following)
        weights = np.where((days + 3) % 7 >= 5, _WEEKEND, 1.0)  # day 0 was a Thursday
        passed = np.concatenate([[0.0], np.cumsum(weights)]) / weights.sum()
        low, high = (passed[side // DAY - month.first] for side in (month.low, month.high))
        counts = rng.poisson(rate * (high - low))
        account = np.repeat(np.arange(accounts.count), counts)
        where = low[account] + rng.random(len(account)) * (high - low)[account]
        day = np.searchsorted(passed, where, side="right") - 1
        last = (month.high // DAY)[account] - month.first - 1
        first = (month.low // DAY)[account] - month.first
        moment = days[np.clip(day, first, last)] * DAY + rng.integers(
            7 * 3600, 20 * 3600, len(account)
        )
        breadth = len(FEATURES) * _logistic(0.9 * fit - 0.9 + 0.5 * accounts.plan)
        rank = (np.maximum(breadth, 1.0)[account] * rng.random(len(account)) ** 1.3).astype(int)
        pool = np.clip(
            accounts.seats * _logistic(0.8 * engagement + 0.4 * fit + 0.5), 1, MOST_USERS
        )
        user = (pool[account] * rng.random(len(account)) ** 1.2).astype(np.int64)
        quantity = rng.geometric(0.35, len(account))
        happens = self.drift.keeps(accounts.plan[account], moment, self.drift_rng)
        return Usage(
            account[happens],
            moment[happens],
            self.taste[account, rank][happens],
            user[happens],
            quantity[happens],
        )

    def _open_tickets(self, month: Month) -> None:
        rng, pain = self.rng, self.factor("pain")
        rate = of_plan("tickets_per_month", self.accounts.plan) * np.exp(0.8 * pain - 0.3)
        account, opened = self._moments(month, rate * np.where(month.tenure < 90, 1.6, 1.0))
        rows, pain = len(account), pain[account]
        stop = (self.accounts.churn_day * DAY)[account]
        priority = np.clip(np.floor(1 + 0.6 * pain + rng.standard_normal(rows)), 0, 3)
        first = opened + (3600 * np.exp(1.2 + 0.3 * pain + 0.9 * rng.standard_normal(rows))).astype(
            np.int64
        )
        closed = first + (DAY * np.exp(1.1 + 0.7 * pain + rng.standard_normal(rows))).astype(
            np.int64
        )
        asked = rng.random(rows) < 0.4
        csat = np.clip(np.round(4.0 - 0.7 * pain + 0.8 * rng.standard_normal(rows)), 1, 5)
        self.records.tickets.append(
            account=account,
            opened_at=opened,
            first_response_at=np.where(first < stop, first, NEVER),
            closed_at=np.where(closed < stop, closed, NEVER),
            priority=priority.astype(np.int64),
            category=rng.integers(len(CATEGORIES), size=rows),
            escalated=(rng.random(rows) < _logistic(1.0 * pain - 2.3)).astype(np.int64),
            reopened=(rng.random(rows) < _logistic(0.6 * pain - 2.5)).astype(np.int64),
            csat=np.where(asked, csat, np.nan),
            sentiment=np.round(
                np.clip(0.1 - 0.3 * pain + 0.3 * rng.standard_normal(rows), -1, 1), 2
            ),
        )

    def _bill(self, month: Month) -> None:
        """Invoice monthly contracts every month and annual ones in quarterly instalments."""
        accounts, rng = self.accounts, self.rng
        issued = (month.first + accounts.day_of_month - 1) * DAY
        since = accounts.calendar.first_month + month.index - accounts.stint_month
        billed = (issued >= month.low) & (issued < month.high)
        billed &= ~accounts.annual | (since % 3 == 0)
        who = np.flatnonzero(billed)
        issued, rows, annual = issued[who], len(who), accounts.annual[who]
        stop = accounts.churn_day[who] * DAY
        stress = self.factor("stress")[who] + self.drift.stress(issued)
        due = issued + np.where(annual, 21, 14) * DAY
        # Inverse transforms use as many random numbers under every stress, so a drift in the
        # middle of a month leaves the rows before it as they are.
        failing = _logistic(1.0 * stress - 2.4)
        failed = np.minimum(np.log(rng.random(rows)) / np.log(failing), 4).astype(np.int64)
        late = rng.random(rows) < _logistic(1.3 * stress - 1.4)
        delay = np.exp(2.3 + 0.5 * stress + 0.7 * rng.standard_normal(rows)) + 2.0 * failed
        early = rng.random(rows) * (due - issued)
        paid = np.where(late | (failed > 0), due + (delay * DAY).astype(np.int64), due - early)
        lost = rng.random(rows) < 0.004 * np.exp(0.8 * stress)
        paid = np.where(lost, NEVER, paid).astype(np.int64)
        back = (rng.random(rows) < 0.01) & ~lost
        refunded = np.where(back, paid + rng.integers(1, 21, rows) * DAY, NEVER)
        self.records.invoices.append(
            account=who,
            issued_at=issued,
            due_at=due,
            paid_at=np.where(paid < stop, paid, NEVER),
            amount=np.round(accounts.mrr[who] * np.where(annual, 3, 1), 2),
            failed_attempts=np.where(due < stop, failed, 0),
            refunded_at=np.where(refunded < stop, refunded, NEVER),
        )

    def _refer(self, month: Month) -> None:
        rate = 0.055 * (1 + 0.5 * self.accounts.plan) * np.exp(1.0 * self.factor("advocacy") - 0.5)
        account, referred = self._moments(month, rate * np.minimum(0.3 + month.tenure / 180, 1.0))
        converted = referred + (self.rng.integers(10, 120, len(account)) * DAY)
        won = self.rng.random(len(account)) < 0.35
        stop = (self.accounts.churn_day * DAY)[account]
        self.records.referrals.append(
            account=account,
            referred_at=referred,
            converted_at=np.where(won & (converted < stop), converted, NEVER),
        )

    def _answer(self, month: Month) -> None:
        """Send each kind of survey in turn to every account each quarter; most stay silent."""
        rng, count = self.rng, self.accounts.count
        turn = (np.arange(count) + month.index) % 3
        engagement, fit, pain, advocacy = (
            self.factor(name) for name in ("engagement", "fit", "pain", "advocacy")
        )
        noise = rng.standard_normal(count)
        scores = (
            np.clip(np.round(7.3 + 1.0 * advocacy + 0.7 * fit - 0.7 * pain + 1.3 * noise), 0, 10),
            np.clip(np.round(3.9 - 0.7 * pain + 0.8 * noise), 1, 5),
            np.clip(np.round(4.8 + 0.6 * fit - 0.5 * pain + noise), 1, 7),
        )
        sent = month.low + (rng.random(count) * (month.high - month.low)).astype(np.int64)
        answered = sent + (DAY * (0.05 + 4 * rng.exponential(size=count))).astype(np.int64)
        answers = rng.random(count) < _logistic(0.4 * engagement + 0.3 * advocacy - 0.9)
        answers &= answered < self.accounts.churn_day * DAY
        who = np.flatnonzero(month.high > month.low)
        self.records.surveys.append(
            account=who,
            responded_at=np.where(answers, answered, NEVER)[who],
            kind=turn[who],
            score=np.choose(turn, scores)[who],
            sent_at=sent[who],
        )

    def _train(self, month: Month) -> None:
        rate = of_plan("trainings_per_month", self.accounts.plan) * np.where(
            month.tenure < 90, 3, 1
        )
        account, attended = self._moments(month, rate * np.exp(0.5 * self.factor("engagement")))
        rows = len(account)
        self.records.trainings.append(
            account=account,
            attended_at=attended,
            course=self.rng.integers(len(COURSES), size=rows),
            completed=(self.rng.random(rows) < 0.8).astype(np.int64),
        )

    def _rate(self, month: Month) -> None:
        """Let the account's manager, or now and then a colleague, rate all dimensions at once."""
        rng, count = self.rng, self.accounts.count
        moment = month.low + (rng.random(count) * (month.high - month.low)).astype(np.int64)
        rated = rng.random(count) < of_plan("rated_per_month", self.accounts.plan) * month.share
        rater = np.where(rng.random(count) < 0.85, self.manager, rng.integers(RATERS, size=count))
        warmth = 0.4 * self.factor("advocacy") + 0.3 * self.factor("fit")
        warmth += 0.2 * self.factor("engagement") - 0.4 * self.factor("pain")
        level = 3.0 + warmth + leniency()[rater]
        who = np.flatnonzero(rated & (month.high > month.low))
        for dimension in range(len(DIMENSIONS)):
            noise = 0.5 * rng.standard_normal(len(who))
            self.records.ratings.append(
                account=who,
                rated_at=moment[who],
                rater=rater[who],
                dimension=np.full(len(who), dimension),
                rating=np.clip(np.round(level[who] + noise), 1, 5).astype(np.int64),
            )

    def intervene(self, month: Month, log_odds: Floats) -> None:
        """Let managers act on accounts they worry about; a play helps a little.

        Parameters
        ----------
        month : Month
            The month it happens in.
        log_odds : ndarray of shape (n,)
            True churn log-odds on the first of the month, NaN where there are none.
        """
        rng, count = self.rng, self.accounts.count
        worry = np.where(np.isnan(log_odds), -9.0, log_odds) + rng.standard_normal(count)
        treated = (rng.random(count) < _logistic(0.9 * worry - 1.2)) & (month.high > month.low)
        moment = month.low + (rng.random(count) * (month.high - month.low)).astype(np.int64)
        play = rng.integers(len(PLAYS), size=count)
        who = np.flatnonzero(treated)
        self.records.interventions.append(account=who, occurred_at=moment[who], play=play[who])
        self.factors[who] += np.array([0.25, 0.10, -0.25, 0.0, 0.10])


def _logistic(x: Floats) -> Floats:
    """Return the logistic function of every element."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)))
