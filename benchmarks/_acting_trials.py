"""Experiments simulated many times and read every week by the product's own reading."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.arrays import Floats
from models.plays.experiment import accounts_needed, leave_alone, read_experiment, strata_of

WEEKS = 52
# Share that churns when left alone, share left alone, and the change planned for.
PLANS = ((0.05, 0.2, 0.02), (0.15, 0.1, 0.05), (0.15, 0.5, 0.04), (0.3, 0.2, 0.06))
# How far the risk that was foretold at the draw spreads between accounts, as a beta distribution.
SPREAD = 4.0


def experiments(runs: int, plans: tuple[tuple[float, float, float], ...] = PLANS) -> dict[str, Any]:
    """Simulate a year of each plan, with a play that does nothing and with one that works.

    Every account has a risk of its own. The change is in the rate: each account that would have
    churned is kept with the same probability. Half of the runs foretell the risk as it is, and
    half with noise and too high. Groups of accounts arrive every week and all who arrived are read
    again, so that the reading is looked at 52 times.
    """
    told = [_plan(runs, *plan, seed=number) for number, plan in enumerate(plans)]
    return {
        "runs": runs,
        "plans": told,
        "false_conclusions": max(one["false_conclusions"] for one in told),
        "false_conclusions_of_a_fixed_test": max(one["fixed_test"] for one in told),
        "power": min(one["power"] for one in told),
        "planned_power": 0.8,
    }


def _plan(runs: int, risk: float, share: float, change: float, seed: int) -> dict[str, float]:
    planned = accounts_needed(risk, share, change)
    chance = np.random.default_rng([20, seed])
    wrong = fixed = found = late = 0
    at: list[float] = []
    for run in range(runs):
        verdicts, is_fixed = _year(chance, planned, risk, share, 0.0, foretold=run % 2)
        wrong += any(verdict in ("helps", "harms") for verdict in verdicts)
        fixed += is_fixed
        verdicts, _ = _year(chance, planned, risk, share, change, foretold=run % 2)
        helps = [week for week, verdict in enumerate(verdicts, 1) if verdict == "helps"]
        found += bool(helps)
        late += "harms" in verdicts
        at += [helps[0] / WEEKS] if helps else []
    return {
        "risk": risk,
        "share": share,
        "change": change,
        "accounts": planned,
        "false_conclusions": wrong / runs,
        "fixed_test": fixed / runs,
        "power": found / runs,
        "said_to_harm": late / runs,
        "median_share_of_the_year": float(np.median(at)) if at else 1.0,
    }


def _year(
    chance: np.random.Generator,
    planned: int,
    risk: float,
    share: float,
    change: float,
    *,
    foretold: int,
) -> tuple[list[str], bool]:
    """Verdicts of 52 readings, and whether a test of fixed size was ever significant."""
    own = chance.beta(SPREAD * risk, SPREAD * (1 - risk), planned)
    said = np.clip(own * np.exp(chance.normal(0.3, 0.5, planned)), 0, 1) if foretold else own
    ends = np.linspace(0, planned, WEEKS + 1).astype(int)[1:]
    alone = np.zeros(planned, dtype=bool)
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        strata = strata_of(np.full(end - begin, "all", dtype=object), said[begin:end])
        alone[begin:end] = leave_alone(strata, share, chance)
    risk_now = np.where(alone, own, own * (1 - change / risk))
    churned = (chance.random(planned) < risk_now).astype(float)
    verdicts = [
        read_experiment(alone[:n], churned[:n], said[:n], share, planned).verdict for n in ends
    ]
    return verdicts, any(abs(_deviate(alone[:n], churned[:n])) > 1.96 for n in ends)


def _deviate(alone: np.ndarray, churned: Floats) -> float:
    """Usual test of two shares."""
    sizes = (~alone).sum(), alone.sum()
    if min(sizes) < 20 or churned.sum() < 5:
        return 0.0
    pooled = churned.mean()
    error = np.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
    return float((churned[~alone].mean() - churned[alone].mean()) / error) if error else 0.0
