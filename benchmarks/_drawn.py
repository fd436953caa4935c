"""Companies drawn at random, each with a known truth: a family that nobody can tune to.

Every seed draws which signal groups matter in which segment, over which days and in which shape,
how much is noise, how many contracts are annual, and how often a team steps in. What decides a
month is on record before it begins, frailty aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from models.arrays import Floats

GROUPS = ("usage", "adoption", "support", "payments", "referrals", "surveys", "relationship")
SHAPES = {
    "straight": lambda risk: risk,
    "saturating": lambda risk: 1.6 * np.tanh(risk / 1.2),
    "threshold": lambda risk: 2.0 * np.maximum(risk - 0.4, 0),
    "step": lambda risk: 1.8 * (risk > 0.8),
}
MONTHS, SETTLED, START = 24, 4, pd.Timestamp("2023-01-01")
LONGEST = 60
EDGES = pd.date_range(START, periods=LONGEST + 1, freq="MS")
DAYS = np.asarray((EDGES - START).days)
END = int(DAYS[MONTHS])
FEATURES, ALONE_EARLY, ANNUAL_SHIFT = 14, 0.03, 1.6


@dataclass(frozen=True)
class Nature:
    """What one company is like; effects are of shape (groups, segments), in log-odds."""

    share: Floats
    base: Floats
    size: Floats
    effects: Floats
    shapes: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    recent: int
    before: int
    fall: float
    ticket_days: int
    backlog: float
    referral_days: int
    memory: float
    season: float
    frailty: float
    noise: float
    annual: float
    acts: float
    play: Floats
    team: str = "risk"
    """What the team acts on: the risk of what is on record, that and the "frailty" that no table
    shows, what anybody reads off the "tables", or the "scores" that somebody hands it."""
    begins: int = 0
    """Month from which it acts."""


def nature(seed: int) -> Nature:
    """Draw what the company of this seed is like."""
    chance = np.random.default_rng([seed, 11])
    count = int(chance.integers(1, 5))
    living = chance.random(len(GROUPS)) < np.where(np.arange(len(GROUPS)) == 0, 0.95, 0.65)
    strength = living * chance.gamma(2.0, 0.35, len(GROUPS))
    local = np.exp(chance.normal(0, 0.6, (len(GROUPS), count)))
    local *= chance.random((len(GROUPS), count)) > 0.15
    pairs = [chance.choice(len(GROUPS), 2, replace=False) for _ in range(chance.integers(0, 3))]
    return Nature(
        share=chance.dirichlet(np.full(count, 3.0)),
        base=chance.uniform(-4.6, -2.9, count),
        size=np.sort(chance.normal(1.0, 0.7, count)) + 1.4,
        effects=strength[:, None] * local,
        shapes=tuple(chance.choice(list(SHAPES), len(GROUPS))),
        pairs=tuple((int(one), int(other)) for one, other in pairs),
        recent=int(chance.choice([5, 10, 21, 30, 45])),
        before=int(chance.choice([60, 90, 150])),
        fall=float(chance.uniform()),
        ticket_days=int(chance.choice([14, 30, 60, 120])),
        backlog=float(chance.uniform()),
        referral_days=int(chance.choice([60, 180, 365])),
        memory=float(chance.choice([14, 45, 120])),
        season=float(chance.choice([0, 0.15, 0.3])),
        frailty=float(chance.choice([0, 0, 0.4])),
        noise=float(chance.choice([0.3, 0.6, 1.0])),
        annual=float(chance.choice([0, 0, 0.4, 0.9])),
        acts=float(chance.choice([0, 0.3, 0.7])),
        play=chance.choice([0.0, -0.4, -0.9], count),
    )


@dataclass
class Life:
    """The accounts of one company while its months go by; tables hold account numbers and days."""

    of: Nature
    accounts: int
    chance: np.random.Generator
    months: int = MONTHS
    shared: float = 0.0
    tables: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    rows: list[pd.DataFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        n, chance = self.accounts, self.chance
        self.end = int(DAYS[self.months])
        self.segment = chance.choice(len(self.of.share), n, p=self.of.share)
        old = chance.random(n) < 0.5
        self.joined = np.where(
            old, -chance.integers(1, 700, n), chance.integers(0, DAYS[self.months - 3], n)
        )
        self.first = np.searchsorted(DAYS, np.maximum(self.joined, 0))
        self.annual = chance.random(n) < self.of.annual
        self.anniversary = chance.integers(0, 12, n)
        self.left = np.full(n, self.end + 1)
        # Slow moods: of the product, its breadth, trouble, cash, the bond with people.
        self.mood, self.cash, self.bond = chance.normal(0, 1, (3, n))
        self.breadth, self.trouble, self.drift = chance.normal(0, [[0.6], [0.7], [0.5]], (3, n))
        self.level = self.of.size[self.segment] + chance.normal(0, 0.5, n)
        self.frail = chance.normal(0, 1, n) * self.of.frailty
        self.fond = chance.random(n) < 0.15
        self.owner, self.bias = chance.integers(0, 8, n), chance.normal(0, 0.5, 8)
        self.used = np.zeros((n, self.end + 1), np.int32)
        self.seen_breadth = np.zeros(n)
        self.nps, self.rating = np.full((2, n), np.nan)
        self.worry = np.full(n, -np.inf)

    def record(self, table: str, **columns: Any) -> None:
        """Add rows to a table."""
        self.tables.setdefault(table, []).append(pd.DataFrame(columns))

    def known(self, table: str) -> pd.DataFrame:
        """Return a table as it is so far."""
        return pd.concat(self.tables[table], ignore_index=True)

    def measures(self, day: int, judged: np.ndarray) -> Floats:
        """Measure risk per group and account from what is on record at a day."""

        def standard(values: Floats) -> Floats:
            centred = values - values[judged].mean()
            return np.clip(centred / (values[judged].std() + 1e-9), -3, 4)

        def count(of: pd.DataFrame, where: Any) -> Floats:
            return np.bincount(of["account"][where].astype(int), minlength=self.accounts) * 1.0

        of = self.of
        start, longest = max(0, day - of.recent), max(0, day - of.before)
        now = np.log1p((self.used[:, day] - self.used[:, start]) / of.recent * 30)
        earlier = np.log1p(
            (self.used[:, start] - self.used[:, longest]) / (of.before - of.recent) * 30
        )
        level = standard(now - of.size[self.segment])
        tickets, bills, referrals = map(self.known, ("tickets", "invoices", "referrals"))
        waiting = (tickets.opened < day) & (tickets.closed >= day)
        lately = (tickets.opened >= day - of.ticket_days) & (tickets.opened < day)
        unpaid = bills[(bills.due < day) & (bills.paid >= day)].groupby("account").due.min()
        owed = np.zeros(self.accounts)
        owed[unpaid.index] = np.minimum(day - unpaid, 90) / 30
        spoke = count(referrals, referrals.day >= day - of.referral_days) > 0
        return np.array(
            [
                -of.fall * standard(now - earlier) - (1 - of.fall) * level,
                -standard(self.seen_breadth),
                of.backlog * standard(np.log1p(count(tickets, waiting)))
                + (1 - of.backlog) * standard(np.log1p(count(tickets, lately))),
                standard(owed),
                -standard(spoke * 1.0),
                np.nan_to_num((7 - self.nps) / 2.5),
                np.nan_to_num(3 - self.rating),
            ]
        )

    def shown(self, day: int, judged: np.ndarray) -> Floats:
        """How bad an account looks in the tables at a day: use, open tickets, debts and surveys."""
        tickets, bills = map(self.known, ("tickets", "invoices"))
        open_now = tickets.account[(tickets.opened < day) & (tickets.closed >= day)].astype(int)
        unpaid = bills.account[(bills.due < day) & (bills.paid >= day)].astype(int)
        parts = [
            -np.log1p(self.used[:, day] - self.used[:, max(0, day - 28)]),
            np.bincount(open_now, minlength=self.accounts) * 1.0,
            np.bincount(unpaid, minlength=self.accounts) * 1.0,
            np.nan_to_num(7 - self.nps),
        ]
        spread = [(part - part[judged].mean()) / (part[judged].std() + 1e-9) for part in parts]
        return np.asarray(np.sum(spread, axis=0) / 2)

    def decide(self, month: int, here: np.ndarray, due: np.ndarray) -> np.ndarray:
        """Draw who leaves in a month; keep the truth about settled accounts."""
        judged = here & (month - self.first >= SETTLED) & (month >= SETTLED)
        risk = np.where(due, 0.015, 0.001)
        if judged.any():
            of, measured = self.of, self.measures(int(DAYS[month]), judged)
            effects = of.effects[:, self.segment]
            parts = effects * [SHAPES[s](m) for s, m in zip(of.shapes, measured, strict=True)]
            for one, other in of.pairs:
                both = np.maximum(measured[one], 0) * np.maximum(measured[other], 0)
                parts[[one, other]] += 0.25 * np.sqrt(effects[one] * effects[other]) * both
            total = parts.sum(axis=0)
            looks = total - total[judged].mean() + self.chance.normal(0, 1, self.accounts)
            if of.team == "frailty":
                looks += 2 * self.frail
            if of.team == "tables":
                looks = self.shown(int(DAYS[month]), judged) + self.chance.normal(
                    0, 1, self.accounts
                )
            if of.team == "scores":
                looks = self.worry
            treated = judged & (self.chance.random(self.accounts) < of.acts * expit(2 * looks - 2))
            treated &= month >= of.begins
            self.record("interventions", account=np.flatnonzero(treated), day=DAYS[month] + 0.4)
            margin = of.base[self.segment] + total + self.frail + ANNUAL_SHIFT * self.annual
            margin = margin + self.shared
            exposed = np.where(due, 1.0, ALONE_EARLY)
            alone = expit(margin) * exposed
            helped = expit(margin + of.play[self.segment]) * exposed
            risk = np.where(judged, np.where(treated, helped, alone), risk)
            told = {"account": np.arange(self.accounts), "segment": self.segment, "true": risk}
            told |= {"untreated": alone, "helped": helped, "treated": treated}
            parts_by_name = dict(zip(GROUPS, parts, strict=True))
            self.rows.append(pd.DataFrame(told | parts_by_name)[judged].assign(date=EDGES[month]))
        return here & (self.chance.random(self.accounts) < risk)

    def live(self, month: int, here: np.ndarray, due: np.ndarray) -> None:
        """Let the month go by: moods drift, and tables gain rows until an account's last day."""
        n, chance, of = self.accounts, self.chance, self.of
        begin, end = int(DAYS[month]), int(DAYS[month + 1])
        last = np.minimum(self.left, end)

        def noise(scale: float) -> Floats:
            return chance.normal(0, scale, n)

        self.mood = 0.85 * self.mood + noise(0.5)
        self.trouble = 0.7 * self.trouble + noise(0.3) - 0.1 * self.mood
        self.cash = 0.85 * self.cash + noise(0.5)
        self.bond = 0.9 * self.bond + noise(0.4) + 0.05 * self.mood
        self.breadth = 0.9 * self.breadth + noise(0.25) + 0.05 * self.mood
        self.seen_breadth = self.breadth + noise(0.1)
        keep = np.exp(-1 / of.memory)
        quiet = -of.season if EDGES[month].month in (8, 12) else 0.0
        for day in range(begin, end):
            self.drift = keep * self.drift + np.sqrt(1 - keep**2) * noise(0.7) + 0.02 * self.mood
            week = 0.35 if (START + pd.Timedelta(days=day)).weekday() >= 5 else 1.2
            rate = np.exp(np.clip(self.level + self.drift + quiet, -4, 5.5)) / 30 * week
            uses = chance.poisson(rate * (here & (self.joined <= day) & (last > day)))
            self.used[:, day + 1] = self.used[:, day] + uses
            who = np.repeat(np.arange(n), uses)
            breadth = np.clip(np.round(7 + 3.2 * self.seen_breadth), 1, FEATURES)[who]
            what = (chance.random(len(who)) ** 1.5 * breadth).astype(int)
            self.record("usage_events", account=who, day=day + chance.random(len(who)), what=what)
        who = np.repeat(np.arange(n), here * chance.poisson(np.exp(0.8 * self.trouble - 0.6)))
        opened = begin + chance.random(len(who)) * (last[who] - begin)
        closed = opened + chance.exponential(9 * np.exp(0.5 * self.trouble[who]))
        urgent = chance.random(len(who)) < 0.25
        self.record("tickets", account=who, opened=opened, closed=closed, urgent=urgent)
        payer = np.flatnonzero(here & due)
        wait = np.where(self.cash > 1.1, chance.integers(15, 85, n), chance.integers(-8, 4, n))
        paid = begin + 14 + wait[payer]
        self.record("invoices", account=payer, issued=begin, due=begin + 14, paid=paid)
        often = np.where(self.fond, 0.10, 0.006) * np.exp(0.4 * self.mood)
        who = np.flatnonzero(here & (chance.random(n) < often))
        self.record("referrals", account=who, day=begin + chance.random(len(who)) * 27)
        asked = here & ((month + self.anniversary) % 3 == 0)
        answers = asked & (chance.random(n) < 0.45)
        score = 7.2 + 1.6 * self.mood - 0.5 * self.trouble + noise(1.5 * of.noise)
        self.nps = np.where(answers, np.clip(np.round(score), 0, 10), self.nps)
        at, score = np.where(answers, begin + 15.0, np.nan), np.where(answers, self.nps, np.nan)
        who = np.flatnonzero(asked)
        self.record("surveys", account=who, sent=begin + 10, answered=at[who], score=score[who])
        rated = here & (chance.random(n) < 0.5)
        stars = np.clip(np.round(3 + self.bond + self.bias[self.owner] + noise(of.noise)), 1, 5)
        fair = np.clip(stars - self.bias[self.owner], 1, 5)
        self.rating = np.where(rated, fair, self.rating)
        who = np.flatnonzero(rated)
        self.record("ratings", account=who, day=begin + 20, by=self.owner[who], rating=stars[who])


def live(
    seed: int,
    accounts: int,
    months: int = MONTHS,
    shared: float = 0.0,
    of: Nature | None = None,
) -> Life:
    """Let the company of a seed live, two years by default, as it is or as another nature has it.

    ``shared`` is the standard deviation of what every account's log-odds have in common in each
    quarter.
    """
    life = Life(of or nature(seed), accounts, np.random.default_rng([seed, 12]), months)
    for _ in months_of(life, seed, shared):
        pass
    return life


def months_of(life: Life, seed: int, shared: float = 0.0) -> Iterator[int]:
    """Let the months of a life go by, each after whoever asked has seen what was before it."""
    months, accounts = life.months, life.accounts
    shocks = shared * np.random.default_rng([seed, 13]).normal(size=months // 3 + 1)
    for month in range(months):
        yield month
        life.shared = float(shocks[month // 3])
        here = (life.left > life.end) & (life.first <= month)
        due = ~life.annual | ((month - life.anniversary) % 12 == 0)
        leaves = life.decide(month, here, due)
        days = life.chance.integers(1, DAYS[month + 1] - DAYS[month], accounts)
        life.left = np.where(leaves, DAYS[month] + days, life.left)
        life.live(month, here, due)


def risks_if_due(life: Life) -> pd.DataFrame:
    """Give the risk of each row of the truth had its contract been up for renewal.

    Returns
    -------
    DataFrame
        ``account``, ``date``, ``month`` and ``p_if_due`` of every account and settled month.
    """
    truth = pd.concat(life.rows, ignore_index=True)
    month = np.searchsorted(EDGES, truth["date"])
    account = truth["account"].to_numpy()
    due = ~life.annual[account] | ((month - life.anniversary[account]) % 12 == 0)
    risk = truth["true"] / np.where(due, 1.0, ALONE_EARLY)
    return truth[["account", "date"]].assign(month=month, p_if_due=risk)


def true_weights(life: Life) -> dict[str, dict[str, float]]:
    """Shares of the mean absolute centred parts by segment, in points of 100; no calendar."""
    rows = pd.concat(life.rows)
    shares = {}
    for segment, part in rows.groupby("segment"):
        sizes = (part[list(GROUPS)] - part[list(GROUPS)].mean()).abs().mean()
        if sizes.sum() > 0:
            shares[f"plan=tier{segment}"] = (100 * sizes / sizes.sum()).to_dict()
    return shares
