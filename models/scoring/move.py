"""Why a score moved: the change between two dates, split exactly.

Say ``f`` was the model on the earlier date and ``g`` is the model on the later one, ``x`` and ``y``
are the account's signals on those dates, and ``g_s(x)`` is the score ``g`` gives signals ``x`` read
as an account of segment ``s``. With ``r`` the segment of ``x`` and ``s`` that of ``y`` under ``g``:

    g(y) - f(x) = [g_r(x) - f(x)]              another model, the same signals
                + [g_s(x) - g_r(x)]            another segment, the same signals
                + [g_s(w) - g_s(x)]            another kind of term, the same other signals
                + sum_i [p_i(y) - p_i(w)]      each signal's own points under ``g`` in segment ``s``

Here ``w`` is ``x`` with the contract of ``y`` where its terms are of another kind, else ``x``.

In one segment of one model the baseline is one number, so the points of
:func:`models.scoring.scale.points`, which sum to ``score - baseline`` clip included, leave nothing
over. The ends may be scores that were issued from other data than the tables hold today; what
that changed is a part of its own at either end.

**Why in this order.** A change with two causes, the signals and the rule that reads them, has no
one split: Oaxaca (1973, "Male-female wage differentials in urban labor markets") and Blinder (1973)
met the same choice, and evaluated one factor at the old values of the other. Here the
model comes first, at the old signals. So each step is a score that anyone can compute
again; a model that is promoted while an account stands still explains the whole change; and
behaviour is told in the points of the model that is in use now, which are those that
``healthscore explain`` shows. The alternative is Shapley's mean over both orders (Shorrocks
2013, "Decomposition procedures for distributional analysis"). It treats both causes alike, but
its shares are means of scores that nobody was given, and would
need each old model to read today's signals.

**Signals.** A signal's part is the difference of its points on the two dates. A signal that
stayed as it was can still have such a difference, where the trees read it together with one that
moved or where the clip at 0 and 100 lets through more or less of it: its part is told apart as
"interplay". Baseline Shapley values with the earlier date as baseline (Sundararajan and Najmi
2020, "The many Shapley values for model explanation") would give it nothing, at the price of parts
that are not the difference of the points people were shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, get_args

import pandas as pd

from features.catalog import Group, Signal
from features.json_values import JsonReady
from models.churn.segments import SegmentSettings
from models.scoring.health_model import SEGMENT, HealthModel
from models.scoring.reasons import value_text
from models.scoring.scored import ScoredAccounts
from models.scoring.scorer import Scorer
from models.scoring.timing.decisions import COLUMNS
from models.scoring.timing.decisions import KINDS as TERMS

PartKind = Literal[
    "behaviour", "missing", "recovered", "interplay", "segment", "term", "model", "revised"
]
KINDS: tuple[PartKind, ...] = get_args(PartKind)
NOT_KNOWN = "not known"
# What the order of sums leaves behind; sixty signals of it stay far below the promised 1e-9.
ROUNDING = 1e-12
# An issued score has nine decimals, and two engines differ by less on the same rows.
SAME_SCORE = 1e-9


@dataclass(frozen=True)
class MoveEnd:
    """One of the two dates.

    Parameters
    ----------
    day : date
        The date.
    row : DataFrame of 1 row
        The account's signals, as the tables say today that they were known on it.
    model : HealthModel
        The model that scored it, or would.
    version : str
        The model's version; equal versions are one model.
    issued : float or None
        The score that was issued; None where none was.
    """

    day: date
    row: pd.DataFrame
    model: HealthModel
    version: str
    issued: float | None = None


@dataclass(frozen=True)
class MovePart(JsonReady):
    """One cause, and what it did to the score.

    Attributes
    ----------
    kind : str
        "behaviour" of a signal that changed, "missing" or "recovered" where it is known on one of
        the dates only, "interplay" where it stayed and is worth more or less beside the others;
        "segment", "term" (of another length), "model", and "revised" for data that are no longer
        what a score was issued from.
    signal, group : str or None
        Which signal, for the first four.
    label : str
        What changed, as people call it.
    before, after : float, str or None
        What it was on either date; None where it was not known.
    change : str
        The same in words.
    points : float
        What that did to the score.
    """

    kind: PartKind
    signal: str | None
    group: Group | None
    label: str
    before: float | str | None
    after: float | str | None
    change: str
    points: float


@dataclass(frozen=True)
class MoveSplit:
    """A change of a score and its parts: ``start + sum of points == end``, to 1e-9.

    Attributes
    ----------
    start, end : float
        The scores: as issued, or as computed today where none was issued.
    scored : tuple of ScoredAccounts
        Both dates as computed today, each by its own model.
    parts : tuple of MovePart
        Largest absolute points first; what moved nothing is left out.
    """

    start: float
    end: float
    scored: tuple[ScoredAccounts, ScoredAccounts]
    parts: tuple[MovePart, ...]

    def totals(self) -> dict[str, float]:
        """Sum the points of each kind, in the order of :data:`KINDS`."""
        return {
            kind: math.fsum(part.points for part in self.parts if part.kind == kind)
            for kind in KINDS
        }


def split_move(before: MoveEnd, after: MoveEnd) -> MoveSplit:
    """Split the change of one account's score.

    Parameters
    ----------
    before, after : MoveEnd
        The earlier and the later date.

    Returns
    -------
    MoveSplit

    Raises
    ------
    DataError
        When a row lacks a column that a model reads.
    """
    scorer = Scorer(after.model)
    old, new = Scorer(before.model).score(before.row), scorer.score(after.row)
    reread = old if before.version == after.version else scorer.score(before.row)
    segments = _segment(reread), _segment(new)
    moved = reread
    if segments[0] != segments[1]:
        moved = _read_as(after.model, segments[1], before.row)
    kinds = [_kind_of_term(after.model, row) for row in (before.row, after.row)]
    termed = moved
    if kinds[0] != kinds[1]:
        contract = {name: after.row[name].to_numpy() for name in COLUMNS}
        termed = _read_as(after.model, segments[1], before.row.assign(**contract))
    parts = [
        _whole("model", "Model version", before.version, after.version, _rise(old, reread)),
        _whole("segment", "Segment", *segments, _rise(reread, moved)),
        _whole("term", "Kind of term", kinds[0], kinds[1], _rise(moved, termed)),
        *_signal_parts(termed, new),
    ]
    kept = [part for part in parts if abs(part.points) > ROUNDING]
    start, end = _score(old), _score(new)
    if before.issued is not None and abs(start - before.issued) > SAME_SCORE:
        kept.append(_revised(before.day, before.issued, start))
        start = before.issued
    if after.issued is not None and abs(end - after.issued) > SAME_SCORE:
        kept.append(_revised(after.day, end, after.issued))
        end = after.issued
    # Stable, so that catalogue order decides a tie.
    kept.sort(key=lambda part: -abs(part.points))
    return MoveSplit(start, end, (old, new), tuple(kept))


def _kind_of_term(model: HealthModel, row: pd.DataFrame) -> str:
    """Name the kind of a row's term, where a model tells them apart."""
    if model.timing is None or not model.term_centres:
        return ""
    return TERMS[int(model.timing.decisions.kinds(row)[0])].replace("_", " ")


def _read_as(model: HealthModel, segment: str, row: pd.DataFrame) -> ScoredAccounts:
    """Score a row as if it were of another segment."""
    named = replace(model.segments, settings=SegmentSettings())
    reader = replace(model, segments=named, shap=model.margin_plan)
    return Scorer(reader).score(row.assign(**{SEGMENT: segment}))


def _signal_parts(before: ScoredAccounts, after: ScoredAccounts) -> list[MovePart]:
    """Take the points of each signal apart, between two rows of one segment of one model."""
    gained = after.points[0] - before.points[0]
    return [
        _signal_part(signal, before.values.at[0, signal.name], after.values.at[0, signal.name], by)
        for signal, by in zip(after.signals, gained.tolist(), strict=True)
    ]


def _signal_part(signal: Signal, before: Any, after: Any, points: float) -> MovePart:
    before, after = _known(signal, before), _known(signal, after)
    texts = [NOT_KNOWN if value is None else value_text(signal, value) for value in (before, after)]
    kind, said = _kind(before, after), _said(*texts)
    if kind == "interplay":
        said = f"{texts[1]} as before"
    change = f"{signal.label}: {said}"
    return MovePart(kind, signal.name, signal.group, signal.label, before, after, change, points)


def _known(signal: Signal, value: Any) -> float | str | None:
    if pd.isna(value):
        return None
    return str(value) if signal.is_categorical else float(value)


def _kind(before: float | str | None, after: float | str | None) -> PartKind:
    if before is None or after is None:
        if before is after:
            return "interplay"
        return "recovered" if before is None else "missing"
    if isinstance(before, float) and isinstance(after, float):
        stayed = math.isclose(before, after, rel_tol=1e-9, abs_tol=ROUNDING)
    else:
        stayed = before == after
    return "interplay" if stayed else "behaviour"


def _said(before: str, after: str) -> str:
    return f"still about {after}" if before == after else f"{before} → {after}"


def _whole(kind: PartKind, label: str, before: str, after: str, points: float) -> MovePart:
    """Describe what concerns the score as a whole; names are made one line where they are shown."""
    change = f"{label}: {_said(before, after)}"
    return MovePart(kind, None, None, label, before, after, change, points)


def _revised(day: date, before: float, after: float) -> MovePart:
    label = f"Data or settings of {day} revised since"
    change = f"{label}: {_said(f'{before:.1f}', f'{after:.1f}')}"
    return MovePart("revised", None, None, label, before, after, change, after - before)


def _segment(scored: ScoredAccounts) -> str:
    return str(scored.table.at[0, SEGMENT])


def _score(scored: ScoredAccounts) -> float:
    return float(scored.table["score"].iloc[0])


def _rise(before: ScoredAccounts, after: ScoredAccounts) -> float:
    return _score(after) - _score(before)
