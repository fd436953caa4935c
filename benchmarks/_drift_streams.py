"""Simulated companies whose 60 signals are watched month by month, with and without drift.

An account's signals follow six hidden factors, one per group, that wander as AR(1) processes, so
that an account resembles itself from month to month. Accounts leave and new ones take their place.
All accounts share small monthly shocks and a season of usage. Outcomes follow the factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from scipy.special import expit

from features.catalog import Group, Signal

GROUPS: tuple[Group, ...] = ("usage", "adoption", "support", "payments", "surveys", "relationship")
PER_GROUP = 10
SEGMENTS = ("plan=enterprise", "plan=growth", "plan=starter")
SHARES = (0.2, 0.3, 0.5)
HISTORY, CHECKS = 14, 24
KINDS = (
    "payment crisis",
    "usage collapse in one segment",
    "silent unit change",
    "stopped feed",
    "slow drift over 6 months",
    "changed churn relation",
)
FEED_FAULTS = {"silent unit change": "changed-unit", "stopped feed": "stopped-signal"}
PLANTED_AT = 6
MATURITY_MONTHS = 2
FACTORS = (60.0, 100.0, 1000.0, 1 / 12, 1 / 60)
_SLOPES = np.array([-0.7, -0.3, 0.4, 0.6, -0.2, -0.3])
_CHANGED = np.array([0.5, 0.4, -0.3, -0.4, 0.5, 0.4])
_PERSISTS, _OWN_PERSISTS = 0.9, 0.85
_LEAVE = 0.02
_SHOCK = 0.03
_SEASON = np.array([0, 0, 0, 0, 0, -0.03, -0.07, -0.15, 0, 0.02, 0, -0.2])


def signals() -> tuple[Signal, ...]:
    """List the 60 signals: counts, shares, changes and a category per group."""
    units = ("count",) * 6 + ("share", "share", "change", "category")
    return tuple(
        Signal(f"{group}_{i}", group, units[i], "none", f"{group} {i}", None, "{value}")  # type: ignore[arg-type]
        for group in GROUPS
        for i in range(PER_GROUP)
    )


def weights(seed: int) -> dict[str, dict[str, float]]:
    """Weights that a champion could have: a few signals carry most."""
    drawn = np.random.default_rng((seed, 1)).exponential(size=60) ** 1.5
    strength = np.repeat(np.abs(_SLOPES), PER_GROUP)
    shares = drawn * strength / (drawn * strength).sum()
    return {"all": {one.name: 100 * float(s) for one, s in zip(signals(), shares, strict=True)}}


@dataclass(frozen=True)
class Month:
    """One observation date of a stream.

    Attributes
    ----------
    day : date
        The date.
    frame : DataFrame
        ``account_id``, ``observation_date``, ``segment``, the signals, ``probability`` (of the
        champion) and ``happened``, which is known two months later.
    """

    day: date
    frame: pd.DataFrame


class Stream:
    """A company that is watched for two years after its champion was trained.

    Parameters
    ----------
    accounts : int
        Accounts at any time.
    seed : int
        Source of all chance.
    kind : str or None
        What goes wrong from the seventh check on.
    """

    def __init__(self, accounts: int, seed: int, kind: str | None = None) -> None:
        self.accounts, self.seed, self.kind = accounts, seed, kind
        plan = np.random.default_rng((seed, 2))
        self._factor = float(plan.choice(FACTORS))
        self._signal = int(plan.integers(60 // PER_GROUP)) * PER_GROUP + int(plan.integers(8))
        self._group = int(plan.integers(len(GROUPS)))

    def months(self, until: int = HISTORY + CHECKS):  # type: ignore[no-untyped-def]
        """Yield the months from the first of the history on."""
        rng, count = np.random.default_rng((self.seed, 0)), self.accounts
        account = np.arange(count)
        segment = rng.choice(3, count, p=SHARES)
        trait = rng.normal(size=(count, 60))
        factor, own = rng.normal(size=(count, 6)), rng.normal(size=(count, 60))
        shock, following = np.zeros(6), count
        for number in range(until):
            left = np.flatnonzero(rng.random(count) < _LEAVE)
            account[left] = following + np.arange(len(left))
            following += len(left)
            segment[left] = rng.choice(3, len(left), p=SHARES)
            trait[left] = rng.normal(size=(len(left), 60))
            factor = _step(factor, _PERSISTS, rng)
            own = _step(own, _OWN_PERSISTS, rng)
            factor[left] = rng.normal(size=(len(left), 6))
            own[left] = rng.normal(size=(len(left), 60))
            shock = 0.5 * shock + _SHOCK * rng.normal(size=6)
            chance = rng.random(count)
            yield self._month(number, account, segment, trait, factor, own, shock, chance)

    def _month(self, number, account, segment, trait, factor, own, shock, chance):  # type: ignore[no-untyped-def]
        since = number - HISTORY - PLANTED_AT
        day = date(2024 + number // 12, number % 12 + 1, 1)
        moved = factor + shock
        moved[:, 0] += _SEASON[number % 12]
        if since >= 0 and self.kind == "payment crisis":
            moved[:, 3] += 0.7
        if since >= 0 and self.kind == "slow drift over 6 months":
            moved[:, 0] -= 0.9 * min(since + 1, 6) / 6
        collapsed = since >= 0 and self.kind == "usage collapse in one segment"
        changed = since >= 0 and self.kind == "changed churn relation"
        latent = 0.7 * np.repeat(moved, PER_GROUP, axis=1) + 0.5 * own + 0.5 * trait
        latent += np.array([0.5, 0.0, -0.3])[segment][:, None] * (np.arange(60) % 3 == 0)
        # Whoever is used less is known to be at risk, by the champion as in truth.
        moved[:, :2] -= 1.05 * (collapsed & (segment == 1))[:, None]
        champion = expit(-3.1 + moved @ _SLOPES)
        truth = expit(-3.1 + moved @ _CHANGED) if changed else champion
        columns = {
            "account_id": account.copy(),
            "observation_date": pd.Timestamp(day),
            "segment": np.array(SEGMENTS, dtype=object)[segment],
        }
        for place, one in enumerate(signals()):
            values = _values(latent[:, place], place % PER_GROUP)
            if collapsed and place < 2 * PER_GROUP and place % PER_GROUP < 6:
                values = np.where(segment == 1, np.floor(0.35 * values + 0.5), values)
            columns[one.name] = self._fault(values, place, since)
        columns |= {"probability": champion, "happened": (chance < truth).astype(float)}
        return Month(day, pd.DataFrame(columns))

    def _fault(self, values, place, since):  # type: ignore[no-untyped-def]
        if since < 0:
            return values
        if self.kind == "silent unit change" and place == self._signal:
            return values * self._factor
        if self.kind == "stopped feed" and place // PER_GROUP == self._group:
            if place % PER_GROUP == 9:
                return np.full(len(values), None, dtype=object)
            return np.zeros(len(values)) if place % PER_GROUP < 6 else np.full(len(values), np.nan)
        return values


def _step(state, persists, rng):  # type: ignore[no-untyped-def]
    return persists * state + np.sqrt(1 - persists**2) * rng.normal(size=state.shape)


def _values(latent, kind):  # type: ignore[no-untyped-def]
    """Turn a hidden level into what a signal of a kind shows."""
    if kind < 4:
        return np.floor(np.exp(latent + 2.5 + 0.5 * kind))
    if kind < 6:
        return np.maximum(np.floor(2 * np.exp(latent) - 2), 0.0)
    if kind < 8:
        return np.where(latent < -1.0, np.nan, np.round(expit(latent), 3))
    if kind == 8:
        return np.where(latent > 1.3, np.nan, np.round(0.3 * latent, 3))
    return np.array(list("ABCDE"), dtype=object)[np.searchsorted([-1.5, -0.5, 0.5, 1.2], latent)]
