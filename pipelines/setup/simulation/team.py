"""A team that acts on accounts that look at risk, with plays whose effects are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.setup.simulation.behaviour import PLAYS
from pipelines.setup.simulation.company import DAY, PLANS, Floats, Ints

# Change of the log-odds of churn in the date's outcome window: some plays do nothing on some plans,
# one does nothing anywhere, and one does harm.
EFFECTS = {
    "check-in call": {"starter": -0.5, "growth": -0.9, "enterprise": -0.7},
    "executive review": {"starter": 0.0, "growth": 0.0, "enterprise": -0.9},
    "training offer": {"starter": 0.0, "growth": 0.0, "enterprise": 0.0},
    "adoption workshop": {"starter": 0.0, "growth": -0.7, "enterprise": 0.0},
    "discount": {"starter": 0.6, "growth": 0.6, "enterprise": 0.6},
}
# Days after the first of a month in which the team answers.
DAYS = 4


@dataclass(frozen=True)
class Answers:
    """What the team does in a month.

    Attributes
    ----------
    acted : ndarray of bool, shape (n,)
        Whose account is acted on.
    play : ndarray of int, shape (n,)
        With which play.
    occurred_at : ndarray of int, shape (n,)
        When, in seconds since 1970.
    shift : ndarray of shape (n,)
        What it adds to the log-odds of churn.
    """

    acted: NDArray[np.bool_]
    play: Ints
    occurred_at: Ints
    shift: Floats


def answer(
    log_odds: Floats, at_stake: NDArray[np.bool_], plan: Ints, day: int, rng: np.random.Generator
) -> Answers:
    """Act on about a sixth of the accounts, most on those that look worst.

    Parameters
    ----------
    log_odds : ndarray of shape (n,)
        True log-odds of churn if nobody acts.
    at_stake : ndarray of bool, shape (n,)
        Who is there.
    plan : ndarray of int, shape (n,)
        Index of each account's plan.
    day : int
        The date, as days since 1970.
    rng : Generator
        Of the team alone.
    """
    count = len(log_odds)
    looks = log_odds + rng.standard_normal(count)
    acted = at_stake & (rng.random(count) < 1 / (1 + np.exp(-0.9 * (looks + 0.8))))
    play = rng.integers(len(PLAYS), size=count)
    moment = day * DAY + (rng.random(count) * DAYS * DAY).astype(np.int64)
    table = np.array([[EFFECTS[name][each.name] for each in PLANS] for name in PLAYS])
    return Answers(acted, play, moment, np.where(acted, table[play, plan], 0.0))
