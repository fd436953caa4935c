"""Rows written so far, and what they show about every account when a day begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.setup.simulation.company import DAY, NEVER, Accounts, Bools, Floats, Ints

FEATURES = (
    "dashboards", "reports", "search", "projects", "comments", "exports",
    "mobile", "automations", "integrations", "api", "forecasts", "audit_log",
)  # fmt: skip
STICKY_FEATURES = [FEATURES.index(name) for name in ("automations", "integrations", "api")]
"""Features that tie a product into a customer's own processes."""
MOST_USERS = 128
RATERS = 24


class Ledger:
    """Rows of one table of a chunk, grown month by month.

    Some columns hold moments that lie ahead when the row is written (a payment, a reply); they
    are taken back when the account leaves before they come.
    """

    def __init__(self, *names: str) -> None:
        self.columns: dict[str, NDArray[Any]] = {name: np.zeros(0, np.int64) for name in names}

    def append(self, **columns: NDArray[Any]) -> None:
        """Add rows; every call names all columns."""
        for name, known in self.columns.items():
            added = columns[name]
            self.columns[name] = np.concatenate([known, added]) if len(known) else added

    def ints(self, name: str) -> Ints:
        """Return one column of whole numbers: (rows,)."""
        return self.columns[name].astype(np.int64, copy=False)

    def floats(self, name: str) -> Floats:
        """Return one column of numbers: (rows,)."""
        return self.columns[name].astype(np.float64, copy=False)

    def forget_after(self, stop: Ints, *names: str) -> None:
        """Turn moments at or after the account's last second, of shape (n,), into NEVER."""
        late = stop[self.ints("account")]
        for name in names:
            moments = self.ints(name)
            self.columns[name] = np.where(moments >= late, NEVER, moments)

    def settle(self, who: Bools, moment: Ints, name: str) -> None:
        """Fill what stayed open for accounts that come back with the second of their return."""
        account, moments = self.ints("account"), self.ints(name)
        self.columns[name] = np.where((moments == NEVER) & who[account], moment[account], moments)


@dataclass(frozen=True)
class Usage:
    """Usage rows of one month; all arrays are (rows,), moments in seconds since 1970."""

    account: Ints
    occurred_at: Ints
    feature: Ints
    user: Ints
    quantity: Ints


@dataclass(frozen=True)
class Recorded:
    """What the written rows show when a day begins; every array is (n,).

    Attributes
    ----------
    exposure, exposure_before : ndarray
        Share of the last 28 days, and of the 28 before, in which the account could be seen.
    events, events_before : ndarray
        Usage rows in those windows.
    active_share : ndarray
        Distinct users in 28 days per seat.
    days_silent : ndarray
        Days since the last usage row, or since the account could first be seen.
    features, sticky : ndarray
        Distinct features, and distinct sticky features, used in 28 days.
    open_tickets, open_escalations, oldest_days, opened : ndarray
        Tickets open, escalated ones among them, age of the oldest in days, opened in 90 days.
    overdue, late_days, failed_attempts : ndarray
        Invoices unpaid past due; mean days late of those due in 180 days; failed charges in 90.
    renewal_days : ndarray
        Days to the renewal of an annual contract; infinite for monthly ones.
    annual : ndarray
        Whether the contract is annual.
    referrals, converted : ndarray
        Referrals made, and converted, in 365 days.
    nps : ndarray
        Last net promoter answer, NaN when there is none.
    trainings : ndarray
        Trainings attended in 180 days.
    rating : ndarray
        Mean of the last rating's dimensions less the rater's known leniency, NaN when never rated.
    tenure : ndarray
        Days since the current stint began.
    """

    exposure: Floats
    exposure_before: Floats
    events: Floats
    events_before: Floats
    active_share: Floats
    days_silent: Floats
    features: Floats
    sticky: Floats
    open_tickets: Floats
    open_escalations: Floats
    oldest_days: Floats
    opened: Floats
    overdue: Floats
    late_days: Floats
    failed_attempts: Floats
    renewal_days: Floats
    annual: Bools
    referrals: Floats
    converted: Floats
    nps: Floats
    trainings: Floats
    rating: Floats
    tenure: Floats


def leniency() -> Floats:
    """How far each rater's levels lie above a fair rater's, in levels: (RATERS,)."""
    return np.round(np.linspace(-0.8, 1.2, RATERS), 2)


class Records:
    """Everything written about a chunk of accounts."""

    def __init__(self, accounts: Accounts):
        self.accounts = accounts
        self.recent_usage: list[Usage] = []
        self.last_event = np.full(accounts.count, -NEVER)
        self.tickets = Ledger(
            "account", "opened_at", "first_response_at", "closed_at", "priority", "category",
            "escalated", "reopened", "csat", "sentiment",
        )  # fmt: skip
        self.invoices = Ledger(
            "account", "issued_at", "due_at", "paid_at", "amount", "failed_attempts", "refunded_at"
        )
        self.referrals = Ledger("account", "referred_at", "converted_at")
        self.surveys = Ledger("account", "responded_at", "kind", "score", "sent_at")
        self.trainings = Ledger("account", "attended_at", "course", "completed")
        self.ratings = Ledger("account", "rated_at", "rater", "dimension", "rating")
        self.interventions = Ledger("account", "occurred_at", "play")
        self.churns = Ledger("account", "churned_at", "reason")

    def add_usage(self, usage: Usage) -> None:
        """Keep the rows that a 56-day window of a later date may still reach."""
        self.recent_usage = [*self.recent_usage[-1:], usage]
        np.maximum.at(self.last_event, usage.account, usage.occurred_at)

    def forget_after(self, stop: Ints) -> None:
        """Take back what would have happened at or after each account's last second."""
        self.tickets.forget_after(stop, "first_response_at", "closed_at")
        self.invoices.forget_after(stop, "paid_at", "refunded_at")
        self.referrals.forget_after(stop, "converted_at")
        self.surveys.forget_after(stop, "responded_at")
        # A charge is tried on its due day, which these invoices never saw.
        columns = self.invoices.columns
        unseen = columns["due_at"] >= stop[columns["account"]]
        columns["failed_attempts"] = np.where(unseen, 0, columns["failed_attempts"])

    def settle(self, who: Ints) -> None:
        """Close old tickets and debts of accounts on the day they come back."""
        back = np.zeros(self.accounts.count, dtype=bool)
        back[who] = True
        moment = self.accounts.stint_start * DAY
        self.tickets.settle(back, moment, "closed_at")
        self.invoices.settle(back, moment, "paid_at")

    def as_of(self, day: int) -> Recorded:
        """Aggregate what is known when a day begins: rows and moments strictly before it."""
        accounts, now = self.accounts, day * DAY
        visible = np.maximum(accounts.stint_start, accounts.calendar.firsts[0])
        seen = np.clip(day - visible, 0, 56).astype(np.float64)
        renewal = np.where(accounts.renewal == NEVER, np.inf, accounts.renewal - float(day))
        return Recorded(
            exposure=np.minimum(seen, 28) / 28,
            exposure_before=np.maximum(seen - 28, 0) / 28,
            renewal_days=renewal,
            annual=accounts.annual,
            tenure=np.maximum(day - accounts.stint_start, 0).astype(np.float64),
            **self._usage(day, visible),
            **self._tickets(now),
            **self._invoices(now),
            **self._goodwill(now),
        )

    def _count(self, account: Ints, where: Bools) -> Floats:
        return np.bincount(account[where], minlength=self.accounts.count).astype(np.float64)

    def _total(self, account: Ints, amount: Floats) -> Floats:
        # Without any rows bincount ignores its weights and counts in whole numbers.
        return np.bincount(account, amount, self.accounts.count).astype(np.float64)

    def _usage(self, day: int, visible: Ints) -> dict[str, Floats]:
        count, window = self.accounts.count, 28 * DAY
        account, moment, feature, user = (
            np.concatenate([np.zeros(0, np.int64), *(getattr(u, name) for u in self.recent_usage)])
            for name in ("account", "occurred_at", "feature", "user")
        )
        within = moment >= day * DAY - window
        before = ~within & (moment >= day * DAY - 2 * window)
        users = np.zeros((count, MOST_USERS), dtype=bool)
        users[account[within], user[within]] = True
        features = np.zeros((count, len(FEATURES)), dtype=bool)
        features[account[within], feature[within]] = True
        last = np.maximum(self.last_event, visible * DAY)
        return {
            "events": self._count(account, within),
            "events_before": self._count(account, before),
            "active_share": users.sum(axis=1, dtype=np.float64) / self.accounts.seats,
            "days_silent": np.maximum(day - last / DAY, 0.0),
            "features": features.sum(axis=1).astype(np.float64),
            "sticky": features[:, STICKY_FEATURES].sum(axis=1).astype(np.float64),
        }

    def _tickets(self, now: int) -> dict[str, Floats]:
        ledger = self.tickets
        account, opened = ledger.ints("account"), ledger.ints("opened_at")
        is_open = (opened < now) & (ledger.ints("closed_at") >= now)
        oldest = np.zeros(self.accounts.count)
        np.maximum.at(oldest, account[is_open], (now - opened[is_open]) / DAY)
        return {
            "open_tickets": self._count(account, is_open),
            "open_escalations": self._count(account, is_open & (ledger.ints("escalated") == 1)),
            "oldest_days": oldest,
            "opened": self._count(account, (opened < now) & (opened >= now - 90 * DAY)),
        }

    def _invoices(self, now: int) -> dict[str, Floats]:
        ledger = self.invoices
        account, due, paid = ledger.ints("account"), ledger.ints("due_at"), ledger.ints("paid_at")
        is_due = due < now
        recent = is_due & (due >= now - 180 * DAY)
        late = np.maximum(np.minimum(paid, now) - due, 0) / DAY
        invoices = np.maximum(self._count(account, recent), 1)
        tried = is_due & (due >= now - 90 * DAY)
        failed = np.where(tried, ledger.floats("failed_attempts"), 0.0)
        return {
            "overdue": self._count(account, is_due & (paid >= now)),
            "late_days": self._total(account, np.where(recent, late, 0.0)) / invoices,
            "failed_attempts": self._total(account, failed),
        }

    def _goodwill(self, now: int) -> dict[str, Floats]:
        year, half_year = now - 365 * DAY, now - 180 * DAY
        referrer, made, converted = (
            self.referrals.ints(name) for name in ("account", "referred_at", "converted_at")
        )
        attended = self.trainings.ints("attended_at")
        responded = self.surveys.ints("responded_at")
        answers = np.flatnonzero((responded < now) & (self.surveys.ints("kind") == 0))
        answers = answers[np.argsort(responded[answers], kind="stable")]
        nps = np.full(self.accounts.count, np.nan)
        # Later answers overwrite earlier ones: numpy keeps the last of repeated indices.
        nps[self.surveys.ints("account")[answers]] = self.surveys.floats("score")[answers]
        return {
            "referrals": self._count(referrer, (made < now) & (made >= year)),
            "converted": self._count(referrer, (converted < now) & (converted >= year)),
            "trainings": self._count(
                self.trainings.ints("account"), (attended < now) & (attended >= half_year)
            ),
            "nps": nps,
            "rating": self._last_rating(self.ratings, now),
        }

    def _last_rating(self, ledger: Ledger, now: int) -> Floats:
        account, rated = ledger.ints("account"), ledger.ints("rated_at")
        last = np.full(self.accounts.count, -NEVER)
        np.maximum.at(last, account[rated < now], rated[rated < now])
        newest = (rated < now) & (rated == last[account])
        fair = ledger.floats("rating") - leniency()[ledger.ints("rater")]
        rows = self._count(account, newest)
        mean = np.full(len(rows), np.nan)
        np.divide(self._total(account, np.where(newest, fair, 0.0)), rows, mean, where=rows > 0)
        return mean
