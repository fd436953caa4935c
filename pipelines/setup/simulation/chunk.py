"""The life of one chunk of accounts, month by month: look, draw fates, act, leave."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.setup.simulation.behaviour import Behaviour, Drift, Month
from pipelines.setup.simulation.company import DAY, Accounts, Calendar, Floats, Ints
from pipelines.setup.simulation.ledger import Records
from pipelines.setup.simulation.team import answer
from pipelines.setup.simulation.truth import REASONS, Truth, truth
from pipelines.setup.simulation.writing import TRUTH, Writer

LEAD_DAYS = 14
HORIZON_DAYS = 30


def live(
    first: int,
    count: int,
    calendar: Calendar,
    drift: Drift,
    seeds: np.random.SeedSequence,
    writer: Writer,
    *,
    are_firm: bool = False,
    with_team: bool = False,
) -> Iterator[int]:
    """Simulate and write one chunk, yielding the number of every month that is done.

    Parameters
    ----------
    first, count : int
        Number of the first account and how many there are.
    calendar : Calendar
        The months to live through.
    drift : Drift
        The change to simulate.
    seeds : numpy.random.SeedSequence
        All chance of this chunk comes from it.
    writer : Writer
        Open files.
    are_firm : bool
        Whether contracts are as they are signed: some for several years, and hardly to be left
        before they renew.
    with_team : bool
        Whether a team answers what looks risky, with effects, in place of managers without any.
    """
    # The first children of a seed are the same however many are spawned.
    company, fates, acts, drifting, terms, team = (
        np.random.default_rng(seed) for seed in seeds.spawn(6)
    )
    accounts = Accounts(first, count, calendar, company, terms if are_firm else None)
    records = Records(accounts)
    behaviour = Behaviour(accounts, records, drift, acts, drifting)
    for index, day in enumerate(calendar.firsts[:-1].tolist()):
        back = accounts.come_back(calendar.first_month + index, company)
        records.settle(back)
        behaviour.recover(back)
        answering = team if with_team else None
        log_odds = _draw_fates(index, day, accounts, records, writer, fates, answering)
        month = Month(accounts, index)
        records.forget_after(accounts.churn_day * DAY)
        if not with_team:
            behaviour.intervene(month, log_odds)
        behaviour.step()
        mood = 0.5 * behaviour.factor("engagement") + 0.5 * behaviour.factor("fit")
        accounts.change_contracts(month.first, month.following, mood, company)
        usage = behaviour.act(month)
        writer.write(
            "usage_events",
            accounts,
            {name: getattr(usage, name) for name in usage.__dataclass_fields__},
        )
        accounts.end_stints(month.following)
        yield index
    accounts.write_running()
    _write_rest(accounts, records, writer, int(calendar.firsts[-1]) * DAY)


def churn_days(firsts: Ints, index: int) -> tuple[int, int]:
    """Return the days, from and up to, in which the churns drawn on a date may fall.

    They lie in the date's own outcome window and in no other's, and before the next date's window
    opens, so a label read from the tables is the draw made on its date.

    Parameters
    ----------
    firsts : ndarray of shape (months + 1,)
        Observation dates as days since 1970.
    index : int
        Which of them.
    """
    day, following = int(firsts[index]), int(firsts[index + 1])
    previous = int(firsts[index - 1]) if index else day - 31
    opens = max(day + LEAD_DAYS, previous + LEAD_DAYS + HORIZON_DAYS)
    return opens, min(day + LEAD_DAYS + HORIZON_DAYS, following + LEAD_DAYS)


def _draw_fates(
    index: int,
    day: int,
    accounts: Accounts,
    records: Records,
    writer: Writer,
    rng: np.random.Generator,
    team: np.random.Generator | None,
) -> Floats:
    """Draw who churns in the window of a date, from the record before it; return log-odds (n,)."""
    odds = truth(
        records.as_of(day), accounts.plan, LEAD_DAYS, HORIZON_DAYS, are_firm=accounts.are_firm
    )
    at_stake = accounts.active_on(day)
    probability = odds.probability
    if team is not None:
        acts = answer(odds.log_odds, at_stake, accounts.plan, day, team)
        probability = 1 / (1 + np.exp(-odds.log_odds - acts.shift))
        who = np.flatnonzero(acts.acted)
        records.interventions.append(
            account=who, occurred_at=acts.occurred_at[who], play=acts.play[who]
        )
    churns = at_stake & (rng.random(accounts.count) < probability)
    opens, closes = churn_days(accounts.calendar.firsts, index)
    left = rng.integers(opens, closes, accounts.count)
    # Who lets an annual contract lapse leaves on its renewal.
    lapses = (accounts.renewal >= opens) & (accounts.renewal < closes)
    accounts.churn_day = np.where(
        churns, np.where(lapses, accounts.renewal, left), accounts.churn_day
    )
    vague = rng.random(accounts.count) < 0.15
    who = np.flatnonzero(churns & (accounts.churn_day < accounts.calendar.firsts[-1]))
    records.churns.append(
        account=who,
        churned_at=accounts.churn_day[who] * DAY,
        reason=np.where(vague, len(REASONS), odds.reasons())[who],
    )
    log_odds = np.where(at_stake, odds.log_odds, np.nan)
    churned = churns.astype(np.int64)
    _write_truth(day, np.flatnonzero(at_stake), odds, probability, churned, accounts, writer)
    return log_odds


def _write_truth(
    day: int,
    who: Ints,
    odds: Truth,
    probability: Floats,
    churned: Ints,
    accounts: Accounts,
    writer: Writer,
) -> None:
    """Write the truth: the probability as things went, and the log-odds if nobody acts."""
    columns = {f"contribution_{name}": part[who] for name, part in odds.contributions.items()}
    writer.write(
        TRUTH,
        accounts,
        {
            "account": who,
            "observation_date": np.full(len(who), day * DAY),
            "segment": accounts.plan[who],
            "churn_probability": probability[who],
            "probability_if_due": odds.probability_if_due[who],
            "log_odds": odds.log_odds[who],
            "churned": churned[who],
            **columns,
        },
    )


def _write_rest(accounts: Accounts, records: Records, writer: Writer, end: int) -> None:
    """Write every table but usage, without what only happens after the data end."""
    writer.write(
        "accounts",
        accounts,
        {
            "account": np.arange(accounts.count),
            "created_at": accounts.created * DAY,
            **accounts.attributes,
        },
    )
    blocks = accounts.subscriptions
    writer.write(
        "subscriptions",
        accounts,
        {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]},
    )
    tickets = records.tickets.columns
    number = _number_within(records.tickets.ints("account"))
    tickets["ticket_id"] = np.array(
        [
            f"T-{accounts.ids[account][2:]}-{n:03d}"
            for account, n in zip(tickets["account"].tolist(), number.tolist(), strict=True)
        ],
        dtype=object,
    )
    is_open = records.tickets.ints("closed_at") >= end
    tickets["csat"] = np.where(is_open, np.nan, records.tickets.floats("csat"))
    tickets["reopened"] = np.where(is_open, 0, tickets["reopened"])
    invoices = records.invoices.columns
    untried = records.invoices.ints("due_at") >= end
    invoices["failed_attempts"] = np.where(untried, 0, invoices["failed_attempts"])
    surveys = records.surveys.columns
    silent = records.surveys.ints("responded_at") >= end
    surveys["score"] = np.where(silent, np.nan, records.surveys.floats("score"))
    for name, columns in (
        ("tickets", tickets),
        ("invoices", invoices),
        ("referrals", records.referrals.columns),
        ("surveys", surveys),
        ("trainings", records.trainings.columns),
        ("ratings", records.ratings.columns),
        ("interventions", records.interventions.columns),
        ("churn_events", records.churns.columns),
    ):
        writer.write(name, accounts, columns)


def _number_within(account: Ints) -> Ints:
    """Count the rows of every account from 1 in the order they come.

    Examples
    --------
    >>> _number_within(np.array([4, 7, 4, 4])).tolist()
    [1, 1, 2, 3]
    """
    order = np.argsort(account, kind="stable")
    starts = np.flatnonzero(np.diff(account[order], prepend=-1))
    run = np.diff(np.append(starts, len(account)))
    number = np.empty(len(account), dtype=np.int64)
    number[order] = np.arange(len(account)) - np.repeat(starts, run) + 1
    return number
