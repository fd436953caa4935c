"""Why accounts leave: the true log-odds of churn, from nothing but what was recorded before.

Each signal group contributes one term, curved by saturations and thresholds and weighted by plan;
interactions belong in equal parts to their groups. The result is exact: the draw uses it and
nothing else, so the probabilities written beside the data are the best any model could reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.setup.simulation.company import PLANS, Floats, Ints, of_plan
from pipelines.setup.simulation.ledger import Recorded

WEIGHED = (
    "usage",
    "adoption",
    "support",
    "payments",
    "referrals",
    "surveys",
    "enablement",
    "relationship",
)
CONTRIBUTIONS = (*WEIGHED, "profile")

# Chosen so that the groups' sizes come to weights a vendor would recognise: usage and payments lead
# on the small plan, adoption on the middle one, support and relationship on the large one.
COEFFICIENTS = {
    "starter": dict(zip(WEIGHED, (0.94, 0.61, 0.37, 0.45, 0.24, 0.28, 0.22, 0.11), strict=True)),
    "growth": dict(zip(WEIGHED, (0.58, 0.99, 0.56, 0.36, 0.33, 0.32, 0.24, 0.20), strict=True)),
    "enterprise": dict(zip(WEIGHED, (0.27, 0.58, 0.70, 0.39, 0.18, 0.31, 0.22, 0.49), strict=True)),
}
INTERACTIONS = {"starter": 0.4, "growth": 0.5, "enterprise": 0.6}
INTERCEPTS = {"starter": -4.23, "growth": -4.38, "enterprise": -4.61}

# What a term adds to the payments' part when it renews, and while it holds.
RENEWING, LOOSE_HOLD, FIRM_HOLD = 5.5, -1.2, -10.0

REASONS = {
    "usage": "low usage",
    "adoption": "missing value from the product",
    "support": "unresolved support issues",
    "payments": "budget or contract terms",
    "referrals": "moved with a partner",
    "surveys": "dissatisfied",
    "enablement": "team never got started",
    "relationship": "sponsor left",
}


@dataclass(frozen=True)
class Truth:
    """True churn odds of accounts on a date.

    Attributes
    ----------
    contributions : dict of str to ndarray of shape (n,)
        Log-odds added by each of :data:`CONTRIBUTIONS`.
    at_decision : ndarray of shape (n,)
        Log-odds that would be added if the contract let the account leave in the window.
    """

    contributions: dict[str, Floats]
    at_decision: Floats

    @property
    def log_odds(self) -> Floats:
        """Sum of the contributions: (n,)."""
        total: Floats = np.sum([self.contributions[name] for name in CONTRIBUTIONS], axis=0)
        return total

    @property
    def probability(self) -> Floats:
        """Probability to churn in the outcome window: (n,)."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.log_odds)))

    @property
    def probability_if_due(self) -> Floats:
        """Probability to churn in the window, had the account to decide in it: (n,)."""
        return np.asarray(1.0 / (1.0 + np.exp(-(self.log_odds + self.at_decision))))

    def reasons(self) -> Ints:
        """Which of :data:`WEIGHED` pushed hardest toward churn: (n,)."""
        parts = np.stack([self.contributions[name] for name in WEIGHED])
        strongest: Ints = np.argmax(parts, axis=0)
        return strongest


def truth(
    seen: Recorded, plan: Ints, lead_days: int, horizon_days: int, *, are_firm: bool = False
) -> Truth:
    """Work out the true churn odds of accounts from what was recorded before a date.

    Parameters
    ----------
    seen : Recorded
        What is known on the date, for n accounts.
    plan : ndarray of shape (n,)
        Index of each account's plan.
    lead_days, horizon_days : int
        The outcome window: it opens ``lead_days`` after the date and stays open for
        ``horizon_days``.
    are_firm : bool
        Whether contracts of a year or more hardly let anybody leave before they renew.

    Returns
    -------
    Truth
    """
    term = _term(seen, lead_days, horizon_days, FIRM_HOLD if are_firm else LOOSE_HOLD)
    terms = {
        "usage": _usage(seen, plan),
        "adoption": _adoption(seen),
        "support": _support(seen, plan),
        "payments": _payments(seen, term * (not are_firm)),
        "referrals": -2.0 * hill(seen.referrals, 0.8) - 0.7 * np.tanh(seen.converted),
        "surveys": np.where(np.isnan(seen.nps), 0.0, -np.tanh((seen.nps - 7.0) / 3.0)),
        "enablement": _enablement(seen),
        "relationship": np.where(np.isnan(seen.rating), 0.0, -np.tanh((seen.rating - 2.9) / 1.2)),
    }
    coefficients = {
        group: np.array([COEFFICIENTS[each.name][group] for each in PLANS])[plan]
        for group in WEIGHED
    }
    contributions = {group: coefficients[group] * terms[group] for group in WEIGHED}
    strength = np.array([INTERACTIONS[each.name] for each in PLANS])[plan]
    for groups, interaction in _interactions(seen, plan):
        for group in groups:
            contributions[group] = contributions[group] + strength * interaction / len(groups)
    intercept = np.array([INTERCEPTS[each.name] for each in PLANS])[plan]
    contributions["profile"] = intercept - 0.25 * np.tanh(seen.tenure / 365 - 1)
    if are_firm:
        # What only says when an account can leave is no part of its health.
        contributions["profile"] = contributions["profile"] + coefficients["payments"] * term
    renewing = RENEWING * seen.annual
    return Truth(contributions, coefficients["payments"] * (renewing - term))


def hill(x: Floats, half: float) -> Floats:
    """Saturate from 0 toward 1, reaching one half at ``half`` (Hill, 1910).

    Examples
    --------
    >>> hill(np.array([0.0, 2.0, 6.0]), 2.0).tolist()
    [0.0, 0.5, 0.75]
    """
    return np.asarray(x / (x + half))


def _low_usage(seen: Recorded, plan: Ints) -> Floats:
    """Compare the last 28 days with the plan's norm, in natural logarithms; high is quiet."""
    norm = of_plan("events_per_month", plan) * 28 / 30.4
    quiet: Floats = np.log1p(norm * seen.exposure) - np.log1p(seen.events)
    return seen.exposure * quiet


def _fading(seen: Recorded) -> Floats:
    """Compare the last 28 days with the 28 before; only as far as both were on record."""
    change = np.log((seen.events_before + 3) / (seen.events + 3))
    return np.asarray(np.where(seen.exposure_before < 1, 0.0, change))


def _usage(seen: Recorded, plan: Ints) -> Floats:
    silence: Floats = np.log1p(np.maximum(seen.days_silent - 5, 0))
    total: Floats = (
        1.0 * np.tanh(0.9 * _low_usage(seen, plan))
        - 1.2 * seen.exposure * (hill(seen.active_share, 0.4) - 0.5)
        + 0.8 * np.tanh(1.2 * _fading(seen))
        + 0.35 * silence * seen.exposure
    )
    return total


def _adoption(seen: Recorded) -> Floats:
    breadth = hill(seen.features, 5.0) - 0.5
    return seen.exposure * (-3.0 * breadth - 0.6 * np.tanh(seen.sticky - 1.0))


def _support(seen: Recorded, plan: Ints) -> Floats:
    norm = 3 * of_plan("tickets_per_month", plan)
    total: Floats = (
        0.7 * np.log1p(seen.open_tickets)
        + 1.1 * hill(seen.oldest_days, 14.0)
        + 0.9 * np.tanh(seen.open_escalations)
        + 0.5 * (np.log1p(seen.opened) - np.log1p(norm))
    )
    return total


def _term(seen: Recorded, lead_days: int, horizon_days: int, hold: float) -> Floats:
    """Work out what a contract does to the risk: it holds, and lets go when it renews."""
    opens, closes = lead_days, lead_days + horizon_days
    renews = (seen.renewal_days >= opens) & (seen.renewal_days < closes)
    return np.asarray(np.where(renews, RENEWING, hold) * seen.annual)


def _payments(seen: Recorded, term: Floats) -> Floats:
    total: Floats = (
        1.0 * (seen.overdue > 0)
        + 0.3 * np.log1p(seen.overdue)
        + 0.8 * np.tanh(seen.late_days / 12)
        + 0.5 * np.log1p(seen.failed_attempts)
        + term
    )
    return total


def _enablement(seen: Recorded) -> Floats:
    untrained = (seen.tenure < 90) & (seen.trainings == 0)
    total: Floats = 0.6 * untrained - hill(seen.trainings, 1.0)
    return total


def _interactions(seen: Recorded, plan: Ints) -> list[tuple[tuple[str, ...], Floats]]:
    """Effects that only appear together, with the groups that share them."""
    quiet = np.maximum(np.tanh(_low_usage(seen, plan)), 0)
    fading = np.maximum(np.tanh(_fading(seen)), 0)
    narrow = seen.exposure * (seen.features <= 3)
    return [
        (("usage", "support"), 1.5 * quiet * np.tanh(seen.open_escalations)),
        (("usage", "payments"), 1.5 * fading * (seen.overdue > 0)),
        (("adoption", "support"), 0.8 * narrow * (seen.oldest_days > 14)),
    ]
