"""What refits say of learned weights: intervals, evidence and the direction of signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from features.json_values import JsonReady

Direction = Literal["higher", "lower", "not enough evidence"]


@dataclass(frozen=True)
class GroupCertainty:
    """What refits say of a group's weight in a segment.

    Attributes
    ----------
    low, high : float
        90 % interval of the weight, in points of 100; it holds the weight, and reaches zero where
        there is not enough evidence.
    enough_evidence : bool
        Whether refits agree that the group moves the margin the way the model says, and accounts
        left out agree that it should.
    """

    low: float
    high: float
    enough_evidence: bool


@dataclass(frozen=True)
class SignalCertainty:
    """What refits say of a signal in a segment.

    Attributes
    ----------
    low, high : float
        90 % interval of the signal's weight, in points of 100.
    learnt : {"higher", "lower", "not enough evidence"}
        Which way was healthy in the past, when no way is prescribed; by the rank correlation of
        the signal with what it adds to the margin. Always the last for a category.
    """

    low: float
    high: float
    learnt: Direction


@dataclass(frozen=True)
class WeightCertainty(JsonReady):
    """Certainty of every group and signal, per segment and over all rows.

    Attributes
    ----------
    groups : dict of str to dict of str to GroupCertainty
        Segment, or "all", to group.
    signals : dict of str to dict of str to SignalCertainty
        Segment, or "all", to signal.
    """

    groups: Mapping[str, Mapping[str, GroupCertainty]]
    signals: Mapping[str, Mapping[str, SignalCertainty]]

    def without_evidence(self) -> WeightCertainty:
        """Return the same of a model that does not foretell: no group has evidence."""
        groups = {
            segment: {
                name: GroupCertainty(found.low, found.high, False) for name, found in parts.items()
            }
            for segment, parts in self.groups.items()
        }
        return WeightCertainty(groups, self.signals)
