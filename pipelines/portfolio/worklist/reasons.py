"""Reasons that a team can act on: of one fact one reason, and never the calendar."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.catalog import CONTEXT, STEADY

if TYPE_CHECKING:
    from features.catalog import Signal
    from models.scoring.health_model import HealthModel
    from pipelines.project.project import Project

# How a fact is counted: over which days, against what, or of whom; never what the fact is.
_COUNTED = re.compile(r"_(\d+d|change|trend|last|streak|share|decline|amount|days|converted)\b")
# Signals of one fact whose names do not say so.
_SAME = {
    "active_days": "usage",
    "days_since_use": "usage",
    "uses_per_user": "active_users",
    "seat_utilisation": "active_users",
    "uses_per_feature": "features_used",
    "key_features_used": "features_used",
    "rarest_feature": "features_used",
    "oldest_open_ticket": "tickets_open",
    "repeat_tickets": "tickets_opened",
    "overdue_invoices": "overdue",
    "refunded": "refunds",
    "days_since_referral": "referrals",
    "days_since_training": "trainings",
    "training_completion": "trainings",
    "courses": "trainings",
    "users_trained": "trainings",
    "price": "mrr",
}


@dataclass(frozen=True)
class Reason:
    """A stored reason that makes the outcome likelier.

    Parameters
    ----------
    signal : str
        Name of the signal.
    group : str or None
        Its group; None where the model is not at hand.
    said : str
        What was observed.
    sentence : str
        The same with its points.
    answered : bool
        Whether plays answer it: they answer what is wrong, and reasons of a good outcome are what
        is right.
    """

    signal: str
    group: str | None
    said: str
    sentence: str
    answered: bool

    def play(self, project: Project) -> str | None:
        """Return what the configuration does about it, if anything."""
        if not self.answered or self.group is None:
            return None
        return project.settings.plays.play_for(self.signal, self.group)


def fact_of(signal: str) -> str:
    """Name what a signal tells of, however it counts it.

    Examples
    --------
    >>> [fact_of(name) for name in ("usage_28d", "usage_change_90d", "days_since_use")]
    ['usage', 'usage', 'usage']
    >>> fact_of("overdue_amount"), fact_of("overdue_invoices"), fact_of("rating_sponsor")
    ('overdue', 'overdue', 'rating_sponsor')
    """
    while signal not in _SAME and (plain := _COUNTED.sub("", signal, count=1)) != signal:
        signal = plain
    return _SAME.get(signal, signal)


def reasons_of(model: HealthModel | None, row: Mapping[str, Any]) -> list[Reason]:
    """Say the stored reasons that make the outcome likelier, the largest first.

    They cost points where the outcome is bad news and bring some where it is good. Who an account
    is and when it renews is context: nobody can act on it. What cost points beside other windows
    only, such as use that rose or no open ticket at all, is nothing to call about either.

    Parameters
    ----------
    model : HealthModel or None
        What made the score; without it, reasons have the names of their signals.
    row : mapping
        ``reason_signals``, ``reason_points`` and ``reason_values``.
    """
    from models.scoring.reasons import observation, sentence

    signals = {} if model is None else {signal.name: signal for signal in model.signals}
    good = model is not None and model.scale.good
    told: dict[str, Reason] = {}
    for name, points, value in zip(
        row["reason_signals"], row["reason_points"], row["reason_values"], strict=True
    ):
        signal = signals.get(name)
        if (points > 0) != good or _is_context(model, signal):
            continue
        if signal is not None and not good and is_well(signal, value):
            continue
        if signal is None:
            reason = Reason(name, None, name, f"{name}: −{-points:.1f} points", answered=False)
        else:
            said = observation(signal, value)
            reason = Reason(name, signal.group, said, sentence(signal, value, points), not good)
        told.setdefault(fact_of(name), reason)
    return list(told.values())


def is_well(signal: Signal, value: object) -> bool:
    """Whether what was observed is as well as its declared direction has it, whatever it cost.

    Examples
    --------
    >>> from features.catalog import Signal
    >>> falls = Signal("falls", "usage", "count", "lower", "Falls", 28, "{value} falls")
    >>> use = Signal("use_change", "usage", "change", "higher", "Use", 28, "Use {value}")
    >>> is_well(falls, "0"), is_well(falls, "2"), is_well(use, 0.0), is_well(use, -0.1)
    (True, False, True, False)
    """
    if value is None or signal.is_categorical:
        return False
    number = float(value)  # type: ignore[arg-type]
    if signal.unit == "change" and signal.healthy in ("lower", "higher"):
        # What held steady is not worse than it was.
        return number < STEADY if signal.healthy == "lower" else number > -STEADY
    return signal.healthy == "lower" and number <= 0


def _is_context(model: HealthModel | None, signal: Signal | None) -> bool:
    return model is not None and (signal is None or signal.group == CONTEXT)
