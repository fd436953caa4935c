"""Which signals, segments and scores moved further than chance and nature move them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date

import numpy as np
from scipy.stats import false_discovery_control

from features.catalog import EVERYBODY
from features.errors import DataError
from features.json_values import Json, JsonReady
from models.arrays import Codes, Floats
from models.drift.null import Movement, movement
from models.drift.reference import MIX, SCORE, Counts, Histograms, Reference

FAMILIES = {"score and mix": 0.2, "all accounts": 0.4, "segments": 0.4}
"""Share of the chance of a false alarm that each family of tests may use up."""
# A segment with fewer rows on the date is not judged by itself.
LEAST_ROWS = 20


@dataclass(frozen=True)
class Drift(JsonReady):
    """How one signal moved in one segment.

    Attributes
    ----------
    name : str
        The signal; "score" and "segment" are the score and the mix of segments.
    segment : str
        Segment, or "all".
    rows : int
        Accounts it was counted over on the current date.
    movement : Movement
        How far it moved and what was to be expected.
    weight : float
        Share of the champion's weight that rests on it, 0 to 1; 1 for the score and the mix.
    adjusted : float
        P value after correction for all tests: the chance of one false alarm or more, anywhere,
        when nothing moved.
    """

    name: str
    segment: str
    rows: int
    movement: Movement
    weight: float
    adjusted: float = 1.0

    @property
    def excess(self) -> float:
        """Population stability index beyond what is to be expected when nothing is wrong."""
        return max(0.0, self.movement.psi - self.movement.psi_expected)

    @property
    def impact(self) -> float:
        """How much it matters: the weight times the excess."""
        return self.weight * self.excess

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        flat = super().to_dict()
        del flat["movement"]
        return flat | asdict(self.movement) | {"excess": self.excess, "impact": self.impact}


@dataclass(frozen=True)
class DriftStatistics(JsonReady):
    """What moved between the champion's training rows and a date.

    Attributes
    ----------
    as_of : date
        The current date.
    rows : int
        Accounts counted.
    signals : tuple of Drift
        Every signal in every segment large enough to be judged; largest impact first.
    score : tuple of Drift
        The score, likewise.
    mix : Drift or None
        The share of the segments; None where there is one or nobody.
    notes : tuple of str
        What could not be judged, one sentence each.
    """

    as_of: date
    rows: int
    signals: tuple[Drift, ...]
    score: tuple[Drift, ...]
    mix: Drift | None
    notes: tuple[str, ...] = ()


def drift_statistics(
    reference: Reference,
    current: Histograms,
    weights: Mapping[str, Mapping[str, float]],
    as_of: date,
) -> DriftStatistics:
    """Compare a date with the reference.

    False alarms are held down by Holm's method (1979, "A simple sequentially rejective multiple
    test procedure"), which bounds the chance of a single one whatever the signals have to do with
    each other. The false discovery rate (Benjamini and Hochberg 1995) over all signals would name
    more of them once something moved, but each name sends somebody to look, and when nothing moved
    it is no better. The chance is shared among three families, :data:`FAMILIES`, so that many
    segments do not drown what all accounts show.

    What moves one signal of a group often moves the others, each too little to be sure of by
    itself. So half the chance goes to the groups: Simes' test (1986, "An improved Bonferroni
    procedure for multiple tests of significance") pools a group's signals, Holm's method corrects
    over groups, and within a group that moved the false discovery rate tells which signals did
    (Benjamini and Bogomolov 2014, "Selective inference on multiple families of hypotheses").
    Simes' test holds for signals that move together, as those of a group do.

    Parameters
    ----------
    reference : Reference
        Of the champion.
    current : Histograms
        Of the date.
    weights : mapping of str to mapping of str to float
        Segment, or "all", to signal to weight, as :func:`models.weights.weights.signal_weights`.
    as_of : date
        The current date.

    Returns
    -------
    DriftStatistics

    Raises
    ------
    DataError
        When the date lies before the newest one of the reference.
    """
    if as_of < reference.dates[-1]:
        raise DataError(
            f"Drift is judged on dates after those the champion learnt from, but {as_of} lies "
            f"before {reference.dates[-1]}; correct --as-of or the machine's clock."
        )
    days = np.array([(as_of - day).days for day in reference.dates], dtype=float)
    found = [
        Drift(name, segment, int(now.sum()), moved, _weight(weights, name, segment))
        for name, counts in reference.counts.items()
        if name in current.tables
        for segment, now, moved in _moved(reference, counts, current.tables[name], days)
    ]
    mix = _mix(reference, current, days)
    families = {
        "score and mix": [drift for drift in found if drift.name == SCORE] + ([mix] if mix else []),
        "all accounts": [d for d in found if d.name != SCORE and d.segment == EVERYBODY],
        "segments": [d for d in found if d.name != SCORE and d.segment != EVERYBODY],
    }
    corrected = {
        name: _corrected(members, FAMILIES[name], reference.groups)
        for name, members in families.items()
    }
    overall = corrected["score and mix"]
    signals = corrected["all accounts"] + corrected["segments"]
    return DriftStatistics(
        as_of=as_of,
        rows=current.rows,
        signals=tuple(sorted(signals, key=lambda drift: (-drift.impact, drift.adjusted))),
        score=tuple(drift for drift in overall if drift.name == SCORE),
        mix=next((drift for drift in overall if drift.name == MIX), None),
        notes=_notes(reference, current),
    )


def holm(p_values: Sequence[float]) -> Floats:
    """Adjust p values so that one below 0.05 is a false alarm anywhere in 5 % of cases at most.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def _moved(
    reference: Reference, counts: Counts, table: Codes, days: Floats
) -> list[tuple[str, Codes, Movement]]:
    return [
        (
            segment,
            table[place],
            movement(
                counts.table[place],
                counts.effects[place],
                table[place],
                days,
                is_categorical=counts.bins.is_categorical,
            ),
        )
        for place, segment in enumerate(reference.segments)
        if table[place].sum() >= _least(segment) and counts.table[place].sum()
    ]


def _least(segment: str) -> int:
    return 1 if segment == EVERYBODY else LEAST_ROWS


def _mix(reference: Reference, current: Histograms, days: Floats) -> Drift | None:
    """Compare the shares of the segments; one segment alone has no mix."""
    counts = reference.mix
    if not current.rows or (len(reference.segments) < 3 and not current.mix[-2]):
        return None
    moved = movement(counts.table[0], counts.effects[0], current.mix, days, is_categorical=True)
    return Drift(MIX, EVERYBODY, current.rows, moved, weight=1.0)


def _corrected(drifts: Sequence[Drift], share: float, groups: Mapping[str, str]) -> list[Drift]:
    """Correct for as many tests as there are, in a family with a share of the chance."""
    p_values = np.array([drift.movement.p_value for drift in drifts])
    adjusted = holm(p_values.tolist()) / share
    if any(drift.name in groups for drift in drifts):
        own = [(drift.segment, groups.get(drift.name, drift.name)) for drift in drifts]
        # Half the chance for signals by themselves, half for groups.
        adjusted = np.minimum(2 * adjusted, _by_group(p_values, own, share / 2))
    return [
        replace(drift, adjusted=min(1.0, float(value)))
        for drift, value in zip(drifts, adjusted, strict=True)
    ]


def _by_group(p_values: Floats, groups: Sequence[tuple[str, str]], share: float) -> Floats:
    """Adjust each p value by what its whole group shows and by its place in the group."""
    members: dict[tuple[str, str], list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    within = [false_discovery_control(p_values[places]) for places in members.values()]
    # The least adjusted value of a group is the p value of Simes' test.
    whole = holm([float(part.min()) for part in within])
    adjusted = np.empty(len(p_values))
    for places, part, least in zip(members.values(), within, whole, strict=True):
        adjusted[places] = np.maximum(part, least / share)
    return adjusted


def _weight(weights: Mapping[str, Mapping[str, float]], name: str, segment: str) -> float:
    if name == SCORE:
        return 1.0
    own = weights.get(segment) or weights.get(EVERYBODY) or {}
    return float(own.get(name, 0.0)) / 100


def _notes(reference: Reference, current: Histograms) -> tuple[str, ...]:
    found = []
    if not current.rows:
        found.append("No account was there to compare.")
    small = [
        segment
        for segment, rows in zip(reference.segments[1:], current.mix, strict=False)
        if rows < LEAST_ROWS and current.rows
    ]
    if small:
        named = ", ".join(repr(name[:60]) for name in small[:3])
        more = f" and {len(small) - 3} more" if len(small) > 3 else ""
        found.append(
            f"Fewer than {LEAST_ROWS} accounts are left in {named}{more}: judged only as part of "
            "all accounts."
        )
    # Those of small segments were read as part of all accounts in training too.
    if current.mix[-2] and not reference.mix.table[0, :, -2].any():
        found.append(
            f"{int(current.mix[-2])} accounts are in no segment the champion knows: judged only "
            "as part of all accounts."
        )
    if current.of > current.rows:
        found.append(f"{current.rows:,} of {current.of:,} accounts were counted: a fixed sample.")
    return tuple(found)
