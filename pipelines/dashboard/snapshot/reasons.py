"""Reasons of a score, in the words of the catalogue its model was taught with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.scoring.health_model import HealthModel
    from pipelines.project.project import Project


@dataclass(frozen=True)
class Reason:
    """A stored reason that makes the outcome likelier.

    Parameters
    ----------
    signal : str
        Name of the signal.
    group : str or None
        Its group; None where the model is not at hand.
    sentence : str
        What was observed, and its points.
    answered : bool
        Whether plays answer it: they answer what is wrong, and reasons of a good outcome are what
        is right.
    """

    signal: str
    group: str | None
    sentence: str
    answered: bool

    def play(self, project: Project) -> str | None:
        """Return what the configuration does about it, if anything."""
        if not self.answered or self.group is None:
            return None
        return project.settings.plays.play_for(self.signal, self.group)


def reasons_of(model: HealthModel | None, row: Mapping[str, Any]) -> list[Reason]:
    """Say the stored reasons that make the outcome likelier, the largest first.

    They cost points where the outcome is bad news and bring some where it is good.

    Parameters
    ----------
    model : HealthModel or None
        What made the score; without it, reasons have the names of their signals.
    row : mapping
        ``reason_signals``, ``reason_points`` and ``reason_values``.
    """
    stored = zip(row["reason_signals"], row["reason_points"], row["reason_values"], strict=True)
    if model is None:
        sentences = [
            (name, f"{name}: −{-points:.1f} points") for name, points, _ in stored if points < 0
        ]
        return [Reason(name, None, text, answered=False) for name, text in sentences]
    from models.scoring.reasons import sentence

    signals, good = {signal.name: signal for signal in model.signals}, model.scale.good
    return [
        Reason(name, signals[name].group, sentence(signals[name], value, points), not good)
        for name, points, value in stored
        if name in signals and (points > 0) == good
    ]
