"""What the numbers of a health model must be, whoever wrote its files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from features.catalog import EVERYBODY
from features.errors import RegistryError, sample
from models.scoring.timing.decisions import KINDS

ROUNDING = 1e-6


def refuse_nonsense(model: Any) -> None:
    """Refuse a health model that would score, and whose scores would mean nothing.

    Raises
    ------
    RegistryError
        When parts do not fit each other, or a number lies outside its sense.
    """
    for fault in _faults(model):
        raise RegistryError(
            f"The files of the model hold a number that cannot be: {fault}; put them back from a "
            "copy or train again."
        )


def finite_json(text: str) -> float:
    """Read a number of a model's file, as the hook of :func:`json.loads`; it must be finite.

    Raises
    ------
    ValueError
        When it is none.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


def _faults(model: Any) -> Iterator[str]:
    names = [signal.name for signal in model.signals]
    encoder = model.classifier.encoder_
    if len(set(names)) != len(names) or list(encoder.names) != names:
        yield f"its signals are {sample(names)} and its weights speak of {sample(encoder.names)}"
    lines = {**model.calibrator.lines_, "any other": model.calibrator.shared_}
    for segment, line in lines.items():
        if len(line) != 2 or not line[1] > 0:
            yield f"the calibration of segment {segment!r} must rise with the margin, and is {line}"
    if isinstance(model.maturity_days, bool) or model.maturity_days < 0:
        yield f"maturity_days must not be below 0, and is {model.maturity_days}"
    if model.timing is not None:
        yield from model.timing.faults()
    if model.noise is not None and not model.noise >= 0:
        yield f"what a score wobbles by must not be below 0, and is {model.noise}"
    if model.curve is not None:
        yield from model.curve.faults()
    levels = model.calibrator.levels_
    if levels and len(levels) != len(KINDS):
        yield f"the calibration must have {len(KINDS)} levels, and has {len(levels)}"
    kinds = len(KINDS) if model.scale.term_anchors or levels else 0
    if len(model.term_centres) != kinds or (kinds and model.timing is None):
        yield f"centres must be of {kinds} kinds of terms, and are of {len(model.term_centres)}"
    for centres in (model.centres, *model.term_centres):
        if EVERYBODY not in centres:
            yield f"centres must be of all accounts too, and are of {sample(centres)}"
        for segment, centre in centres.items():
            if len(centre) != len(names):
                yield f"segment {segment!r} has {len(centre)} centres for {len(names)} signals"
    for kind, weights in (("groups", model.weights), ("signals", model.signal_weights)):
        yield from _weight_faults(kind, weights)
    absent = set(names).difference(*map(set, model.signal_weights.values()))
    if absent:
        yield f"the signals {sample(sorted(absent))} have no weight"


def _weight_faults(kind: str, weights: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    if EVERYBODY not in weights:
        yield f"weights of {kind} must be of all accounts too, and are of {sample(weights)}"
    for segment, shares in weights.items():
        total: Any = sum(shares.values())
        if any(share < 0 for share in shares.values()) or not (
            abs(total) <= ROUNDING or abs(total - 100) <= ROUNDING
        ):
            yield (
                f"the weights of {kind} in segment {segment!r} must not be below 0 and sum to 100, "
                f"and sum to {total:g}"
            )
