"""Peers of an account: where it stands in its segment, on the dates its model learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from features.catalog import EVERYBODY

if TYPE_CHECKING:
    from features.catalog import Signal
    from models.drift.reference import Counts, Reference

LEAST_ROWS = 50
"""Of fewer rows nobody can say what is usual."""


@dataclass(frozen=True)
class Peers:
    """Whom an account is held against.

    Parameters
    ----------
    segment : str
        The segment, or "all" where the reference does not know it or holds too few of it.
    first, last : date
        The dates.
    standings : dict of str to Standing
        By signal; one that nobody's value is known of is left out.
    """

    segment: str
    first: date
    last: date
    standings: dict[str, Standing]


@dataclass(frozen=True)
class Standing:
    """One signal of an account among the others.

    Parameters
    ----------
    below : float or None
        Share of those whose value is known that have less, half of those alike counted as less;
        None of a category and where the account's value is not known.
    alike : float
        Share of those whose value is known that are in the same bin, or of the same category.
    known : float
        Share of the others whose value is known.
    """

    below: float | None
    alike: float
    known: float


def peers_of(
    reference: Reference, segment: str, signals: Sequence[Signal], row: dict[str, Any]
) -> Peers | None:
    """Hold an account's signals against the counts kept with its model.

    Counts are of at most ten bins, so that a rank is good to a few places of a hundred.

    Parameters
    ----------
    reference : Reference
        What the model was taught with.
    segment : str
        The account's segment.
    signals : sequence of Signal
        What to hold.
    row : dict
        The account's value of each.
    """
    place = _place(reference, segment)
    if place is None:
        return None
    standings = {
        signal.name: found
        for signal in signals
        if signal.name in reference.signals
        if (found := _standing(reference.signals[signal.name], place, row[signal.name]))
    }
    named = reference.segments[place]
    return Peers(named, reference.dates[0], reference.dates[-1], standings)


def _place(reference: Reference, segment: str) -> int | None:
    """Find the segment's counts, or those of all accounts where it has too few."""
    counted = next(iter(reference.signals.values()), None)
    if counted is None:
        return None
    rows = counted.table.sum(axis=(1, 2))
    for name in (segment, EVERYBODY):
        if name in reference.segments:
            place = reference.segments.index(name)
            if rows[place] >= LEAST_ROWS:
                return place
    return None


def _standing(counts: Counts, place: int, value: Any) -> Standing | None:
    rows = counts.table[place].sum(axis=0)
    known = rows[:-1]
    if not known.sum():
        return None
    bin_ = int(counts.bins.codes([value])[0])
    share = known.sum() / rows.sum()
    if bin_ == len(known):
        return Standing(None, 0.0, float(share))
    alike = float(known[bin_] / known.sum())
    below = float(known[:bin_].sum() / known.sum()) + alike / 2
    return Standing(None if counts.bins.is_categorical else below, alike, float(share))
