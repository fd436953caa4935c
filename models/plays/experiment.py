"""Experiments: who is left alone by chance, how many settle it, and readings at any time."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from features.errors import SettingsError
from models.arrays import Codes, Floats
from models.measures.estimate import Estimate

ALPHA, POWER = 0.05, 0.8
# Standard normal quantiles of POWER and of a two-sided interval of 90 %.
Z_POWER = 0.8416212335729143
FEWEST_LEFT_ALONE, FEWEST_CHURNS = 20, 5
"""With fewer accounts left alone, or fewer churns in all, a central limit says nothing yet."""
MOST_ACCOUNTS = 10_000_000


@dataclass(frozen=True)
class Reading:
    """What an experiment says so far.

    Parameters
    ----------
    acted, left_alone : int
        Accounts of each arm, as assigned, whose outcome is known.
    churned_acted, churned_left_alone : int
        How many of them churned.
    change : Estimate
        Change of the share that churns by acting; its 95 % interval holds whenever one looks. Empty
        while too little is known.
    """

    acted: int
    left_alone: int
    churned_acted: int
    churned_left_alone: int
    change: Estimate

    @property
    def verdict(self) -> str:
        """One of "helps", "harms", "not settled" and "too early"."""
        if self.change.low is None or self.change.high is None:
            return "too early"
        if self.change.high < 0:
            return "helps"
        return "harms" if self.change.low > 0 else "not settled"


def leave_alone(
    strata: NDArray[np.object_], share: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw who is left alone, the same share of each stratum.

    Every account is drawn with exactly this probability: a stratum's number is rounded up or down
    by chance.

    Parameters
    ----------
    strata : ndarray of str, shape (n,)
        Accounts of one stratum are alike.
    share : float
        From 0 to 1.
    generator : Generator
        What draws.

    Examples
    --------
    >>> strata = np.array(["pro"] * 10 + ["free"] * 5, dtype=object)
    >>> drawn = leave_alone(strata, 0.2, np.random.default_rng(1))
    >>> int(drawn[:10].sum()), int(drawn[10:].sum())
    (2, 1)
    """
    drawn = np.zeros(len(strata), dtype=bool)
    for stratum in sorted(set(strata.tolist())):
        members = np.flatnonzero(strata == stratum)
        wanted = share * len(members)
        number = int(wanted) + int(generator.random() < wanted - int(wanted))
        drawn[generator.permutation(members)[:number]] = True
    return drawn


def read_experiment(
    left_alone: NDArray[np.bool_], churned: Floats, risk: Floats, share: float, planned: int
) -> Reading:
    """Compare accounts as they were assigned, with an interval that holds at any time.

    Each account gives the pseudo-outcome ``(z / (1 - s) - (1 - z) / s) (y - q)``, with z whether
    it was to be acted on, s the share left alone, y whether it churned and q the risk as it was
    known when it was assigned, which takes out what was foreseen and biases nothing. Its mean is
    the change by acting. The interval is the asymptotic confidence sequence of Waudby-Smith,
    Arbour, Sinha, Kennedy and Ramdas (2024, "Time-uniform central limit theory and asymptotic
    confidence sequences", Annals of Statistics 52), tightest at the planned number.

    Parameters
    ----------
    left_alone : ndarray of bool, shape (n,)
        Who was to be left alone.
    churned : ndarray of shape (n,)
        1 where the account churned in time, else 0.
    risk : ndarray of shape (n,)
        Probability of it when the account was assigned.
    share : float
        With which probability an account is left alone.
    planned : int
        Accounts after which a result is planned for.
    """
    n, alone = len(churned), int(left_alone.sum())
    counts = (n - alone, alone, int(churned[~left_alone].sum()), int(churned[left_alone].sum()))
    if min(alone, n - alone) < FEWEST_LEFT_ALONE or churned.sum() < FEWEST_CHURNS:
        return Reading(*counts, Estimate())
    weight = np.where(left_alone, -1 / share, 1 / (1 - share))
    pseudo = weight * (churned - risk)
    # Churn of a few accounts left alone spreads too little by chance; that of all is known sooner.
    of_all = sqrt(float(np.mean((churned - risk) ** 2)) * (1 / share + 1 / (1 - share)))
    half = half_width(n, max(float(pseudo.std(ddof=1)), of_all), planned)
    mean = float(pseudo.mean())
    return Reading(*counts, Estimate(mean, max(mean - half, -1.0), min(mean + half, 1.0)))


def half_width(n: int, deviation: float, planned: int, alpha: float = ALPHA) -> float:
    """Return how far the interval reaches on either side, after n accounts.

    Parameters
    ----------
    n : int
        Accounts so far.
    deviation : float
        Standard deviation of the pseudo-outcomes.
    planned : int
        After so many it is tightest.
    alpha : float
        Probability that it misses the truth at any time at all.

    Examples
    --------
    >>> fixed = 1.96 * 2 / 1000 ** 0.5
    >>> round(half_width(1000, 2, planned=1000) / fixed, 2)
    1.55
    """
    # The mixture's scale that is best at the planned number: equation (46) there.
    rho = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / planned
    spread = n * rho + 1
    return deviation * sqrt(2 * spread / (n * n * rho) * log(sqrt(spread) / alpha))


def deviation_of(risk: float, share: float) -> float:
    """Return the standard deviation of pseudo-outcomes where accounts churn with this probability.

    Examples
    --------
    >>> round(deviation_of(0.2, 0.5), 3)
    0.8
    """
    return sqrt(risk * (1 - risk) * (1 / share + 1 / (1 - share)))


def accounts_needed(risk: float, share: float, change: float) -> int:
    """Return after how many accounts a change is found with a probability of 80 %.

    Parameters
    ----------
    risk : float
        Share that churns when left alone.
    share : float
        Share left alone.
    change : float
        Size of the change by acting.

    Raises
    ------
    SettingsError
        When the change is impossible or too small ever to be found.

    Examples
    --------
    >>> accounts_needed(0.2, 0.5, 0.05)
    3848
    """
    if not 0 < change <= risk:
        raise SettingsError(
            f"The change to be found must lie above 0 and up to the share that churns, {risk:.1%},"
            f" and is {change:.3g}; set smallest_change otherwise"
        )
    low, high = 2, MOST_ACCOUNTS
    if found_change(high, risk, share) > change:
        raise SettingsError(
            f"A change of {change:.2%} would need more than {MOST_ACCOUNTS:,} accounts; raise"
            " smallest_change, or leave more alone"
        )
    while high - low > 1:
        middle = (low + high) // 2
        if found_change(middle, risk, share) > change:
            low = middle
        else:
            high = middle
    return high


def found_change(n: int, risk: float, share: float) -> float:
    """Return the change that n accounts find with a probability of 80 %."""
    deviation = deviation_of(risk, share)
    return half_width(n, deviation, n) + Z_POWER * deviation / sqrt(n)


def strata_of(segments: NDArray[np.object_], risk: Floats, parts: int = 2) -> NDArray[np.object_]:
    """Part accounts by segment and, within each, by the order of their risk.

    Parameters
    ----------
    segments : ndarray of str, shape (n,)
        Segment of each account.
    risk : ndarray of shape (n,)
        Risk of each.
    parts : int
        Of the order, in each segment.
    """
    place = np.zeros(len(risk), dtype=np.intp)
    for segment in set(segments.tolist()):
        members: Codes = np.flatnonzero(segments == segment)
        rank = np.argsort(np.argsort(risk[members], kind="stable"), kind="stable")
        place[members] = rank * parts // max(len(members), 1)
    return np.array(
        [f"{segment} {number + 1}" for segment, number in zip(segments, place, strict=True)],
        dtype=object,
    )
