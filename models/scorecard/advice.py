"""What to change in a scorecard: keep, raise or lower each weight, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import cholesky
from scipy.optimize import nnls

from features.catalog import EVERYBODY
from features.json_values import Json, JsonReady
from models.arrays import Floats
from models.measures.resampling import clustered_rate_interval
from models.scorecard.learning import SIGNIFICANT, SegmentLearning
from models.scorecard.scorecard import whole_percentages

Verdict = Literal["keep", "raise", "lower"]
Why = Literal[
    "learnt",
    "makes room",
    "as it should be",
    "not enough evidence",
    "no better in its replay",
    "no data",
]
# A weight known to within so many points either side is right where today's lies inside.
NARROW = 5.0
# What accounts of the worst and of the best grades did is told by fifths.
FIFTH = 0.2
# Far more than any direction of the weights is uncertain by, far less than numbers can hold.
FIRM = 1e4


@dataclass(frozen=True)
class Extremes:
    """What became of the accounts with the worst and with the best grades of a measure.

    Attributes
    ----------
    worst, best : dict
        ``rows``, ``positives``, ``observed_rate`` and its 90 % interval over accounts ``low`` and
        ``high``, of the fifth of the known grades at either end.
    """

    worst: dict[str, float]
    best: dict[str, float]


@dataclass(frozen=True)
class Advice:
    """What to do with one weight.

    Attributes
    ----------
    measure : str
        Whose weight.
    today, recommended : int or float
        Percent; the recommended one is whole where anything in the segment changes.
    learnt, low, high : float
        What outcomes alone say, shrunk, with its 90 % interval.
    verdict : {"keep", "raise", "lower"}
        What to do.
    why : str
        "learnt" where outcomes ask for the change; "makes room" where others do; "as it should
        be", "not enough evidence", "no better in its replay" or "no data" where it is kept.
    extremes : Extremes or None
        What the worst and the best graded accounts did; None without data.
    """

    measure: str
    today: float
    recommended: float
    learnt: float
    low: float
    high: float
    verdict: Verdict
    why: Why
    extremes: Extremes | None


@dataclass(frozen=True)
class SegmentAdvice(JsonReady):
    """What to do with the weights of a segment.

    Attributes
    ----------
    segment : str
        Its name, or "all".
    advice : tuple of Advice
        A line per measure.
    enough_evidence : bool
        Whether anything may be recommended at all.
    borrowed : bool
        Whether the segment's own rows would not have sufficed to doubt today's weights, so that
        what is recommended rests on all segments together.
    rows, positives : int
        What was learnt from.
    """

    segment: str
    advice: tuple[Advice, ...]
    enough_evidence: bool
    borrowed: bool
    rows: int
    positives: int

    def kept(self) -> SegmentAdvice:
        """Return the same with every weight as it is today, for a change that proved no better."""
        lines = (
            line
            if line.verdict == "keep"
            else replace(
                line, verdict="keep", recommended=line.today, why="no better in its replay"
            )
            for line in self.advice
        )
        return replace(self, advice=tuple(lines))

    @property
    def changes(self) -> bool:
        """Whether any weight should change."""
        return any(line.verdict != "keep" for line in self.advice)

    @property
    def weights(self) -> dict[str, float]:
        """Recommended weights by measure, in percent."""
        return {line.measure: line.recommended for line in self.advice}

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return super().to_dict() | {"changes": self.changes}


def recommend(
    learnt: Mapping[str, SegmentLearning],
    measures: Sequence[str],
    today: Mapping[str, Floats],
    *,
    foretells: bool,
    extremes: Mapping[str, Mapping[str, Extremes]],
) -> dict[str, SegmentAdvice]:
    """Turn learnt weights into advice.

    A weight is kept as it is where today's lies inside the interval of the learnt one. The others
    move to where outcomes put them, given those that stay. Without enough evidence all are kept.

    Parameters
    ----------
    learnt : mapping of str to SegmentLearning
        By segment, and "all".
    measures : sequence of str
        Names of the measures.
    today : mapping of str to ndarray of shape (n_measures,)
        Weights in use by segment, or "all".
    foretells : bool
        Whether behaviour was shown to foretell the outcome at all.
    extremes : mapping of str to mapping of str to Extremes
        By segment and measure; a measure without data is absent.

    Returns
    -------
    dict of str to SegmentAdvice
        By segment, and "all".
    """
    shared = learnt[EVERYBODY].p_value < SIGNIFICANT
    return {
        name: _advise(
            name,
            found,
            measures,
            np.asarray(today.get(name, today[EVERYBODY]), dtype=float),
            foretells and (shared or found.p_value < SIGNIFICANT),
            extremes[name],
        )
        for name, found in learnt.items()
    }


def _advise(
    segment: str,
    found: SegmentLearning,
    measures: Sequence[str],
    today: Floats,
    enough: bool,
    extremes: Mapping[str, Extremes],
) -> SegmentAdvice:
    silent = np.array([name not in extremes for name in measures])
    outside = (today < found.low) | (today > found.high)
    wanted = outside & ~silent & enough
    free = _with_room(wanted, found, today, silent)
    target = _given_kept(found, today, free) if free.any() else today
    recommended = _whole(measures, target, today, free)
    lines = []
    for place, name in enumerate(measures):
        change = recommended[place] - today[place]
        why: Why = "learnt" if wanted[place] else "makes room"
        if change == 0:
            narrow = found.high[place] - found.low[place] <= 2 * NARROW
            why = "as it should be" if enough and narrow else "not enough evidence"
            why = "no data" if silent[place] else why
        lines.append(
            Advice(
                measure=name,
                today=float(today[place]),
                recommended=float(recommended[place]),
                learnt=float(found.weights[place]),
                low=float(found.low[place]),
                high=float(found.high[place]),
                verdict="keep" if change == 0 else "raise" if change > 0 else "lower",
                why=why,
                extremes=extremes.get(name),
            )
        )
    return SegmentAdvice(
        segment,
        tuple(lines),
        enough,
        bool(enough and found.p_value >= SIGNIFICANT),
        found.rows,
        found.positives,
    )


def _with_room(
    wanted: NDArray[np.bool_],
    found: SegmentLearning,
    today: Floats,
    silent: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Free as few further weights as let the wanted ones move: what rises, another pays for."""
    free = wanted.copy()
    move = found.weights - today
    # Weights that should fall the most, for what they are uncertain by, make room first.
    surprise = move / np.maximum(found.draws.std(axis=0), 1e-9)
    for direction in (1, -1):
        if (free & (direction * move > 0)).any() and not (free & (direction * move < 0)).any():
            # A weight without data has nothing to say for itself.
            others = np.where(free, np.inf, direction * surprise - 1e3 * silent * (today > 0))
            if direction < 0:
                others = np.where(silent, np.inf, others)
            elif not (np.where(free, 0, today) > 0).any():
                return np.zeros_like(free)
            else:
                others = np.where(today > 0, others, np.inf)
            if np.isfinite(others).any():
                free[others.argmin()] = True
    return free


def _given_kept(found: SegmentLearning, today: Floats, free: NDArray[np.bool_]) -> Floats:
    """Weights nearest to the learnt ones when the others stay as they are.

    Nearest by the covariance of the draws, so that a weight gives way the more the less is known
    of it and what is known of sums of weights is used.
    """
    spread = np.cov(found.draws, rowvar=False)
    spread += np.eye(len(today)) * max(1e-6 * np.trace(spread), 1e-6)
    root = cholesky(np.linalg.inv(spread))
    left = 100 - today[~free].sum()
    goal = root @ (found.weights - np.where(free, 0.0, today))
    # The sum is held by a row so heavy that the rest hardly bends it.
    heavy = FIRM * np.abs(root).max()
    sum_row = np.full((1, int(free.sum())), heavy)
    solution, _ = nnls(np.vstack([root[:, free], sum_row]), np.append(goal, heavy * left))
    target = today.copy()
    target[free] = solution * (left / solution.sum()) if solution.sum() > 0 else today[free]
    return target


def _whole(
    measures: Sequence[str], target: Floats, today: Floats, free: NDArray[np.bool_]
) -> Floats:
    """Round the weights that change to whole percentages, keeping the sum."""
    if not free.any():
        return today
    left = float(target[free].sum())
    if left <= 0 or abs(left - round(left)) > 1e-6:
        # Those that stay are not whole themselves: all are rounded together.
        whole = whole_percentages(dict(zip(measures, target, strict=True)))
        return np.array([whole[name] for name in measures], dtype=float)
    moving = {name: target[place] for place, name in enumerate(measures) if free[place]}
    rounded = whole_percentages(moving, round(left))
    return np.array(
        [rounded.get(name, kept) for name, kept in zip(measures, today, strict=True)], dtype=float
    )


def extremes_of(
    grades: Floats, happened: Floats, accounts: Any, segment: Any, measures: Sequence[str]
) -> dict[str, dict[str, Extremes]]:
    """Compare the worst fifth of each measure's known grades with the best, in every segment.

    Parameters
    ----------
    grades : ndarray of shape (n, n_measures)
        Grades, NaN where unknown.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    accounts, segment : array of shape (n,)
        Account and segment of each row.
    measures : sequence of str
        Names of the measures.

    Returns
    -------
    dict of str to dict of str to Extremes
        By segment, or "all", and measure; a measure nobody's grade of which is known is absent.
    """
    labels, clusters = np.asarray(segment, dtype=object), pd.factorize(np.asarray(accounts))[0]
    parts = {name: np.flatnonzero(labels == name) for name in sorted(set(labels))}
    parts[EVERYBODY] = np.arange(len(labels))
    found: dict[str, dict[str, Extremes]] = {}
    for name, rows in parts.items():
        found[name] = {}
        for place, measure in enumerate(measures):
            known = rows[~np.isnan(grades[rows, place])]
            if len(known):
                found[name][measure] = _ends(grades[known, place], happened[known], clusters[known])
    return found


def _ends(grade: Floats, happened: Floats, cluster: Any) -> Extremes:
    low, high = np.quantile(grade, [FIFTH, 1 - FIFTH])

    def described(rows: NDArray[np.bool_]) -> dict[str, float]:
        outcome = happened[rows]
        bounds = clustered_rate_interval(outcome, cluster[rows])
        return {
            "rows": len(outcome),
            "positives": int(outcome.sum()),
            "observed_rate": float(outcome.mean()),
            "low": bounds[0],
            "high": bounds[1],
        }

    return Extremes(described(grade <= low), described(grade >= high))
