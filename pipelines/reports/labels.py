"""What signals are called where one label is not enough to tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from features.catalog import Signal


def labels_of(described: Iterable[Signal]) -> dict[str, str]:
    """Label signals, and where several have the same label, say what sets each apart."""
    signals = {signal.name: signal for signal in described}
    plain = Counter(signal.label for signal in signals.values())
    longer = Counter(_longer(signal) for signal in signals.values())
    return {
        name: signal.label
        if plain[signal.label] == 1
        else _longer(signal)
        if longer[_longer(signal)] == 1
        else f"{signal.label} ({name})"
        for name, signal in signals.items()
    }


def _longer(signal: Signal) -> str:
    if signal.unit == "change":
        return f"{signal.label}, change"
    return (
        signal.label if signal.window_days is None else f"{signal.label}, {signal.window_days} days"
    )
