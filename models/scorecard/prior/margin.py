"""A scorecard as a linear margin: what is believed of churn before any outcome was seen.

Each graded signal enters as its grade, a broken line that :class:`~models.churn.design.Design` can
hold as ramps, so that a model which starts from a scorecard is a backbone like any other. Above the
signals stand their groups, above those the scorecard itself: a slope, the groups' distance from
their weights, the signals' distance from their group's (a hierarchical model; Gelman and Hill 2007,
"Data Analysis Using Regression and Multilevel/Hierarchical Models", chapter 12).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.catalog import EVERYBODY, Signal
from models.arrays import Codes, Floats
from models.churn.design import NUMBER, Design
from models.churn.encoding import Encoded
from models.scorecard.grading import GradedSignal, Measure

# Where a percentile's line may break: a grade needs no finer one.
BREAKS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
# Standard deviations of what is believed of one standard deviation of a column, in log-odds:
# measured on companies drawn at random, see docs/decisions/0031.
SLOPE, SLOPE_SD = 0.6, 0.3
GROUP_SD, SIGNAL_SD, CONTEXT_SD = 0.2, 0.12, 0.18
# A contract that is not up for renewal is seldom left.
RENEWAL, DUE, DUE_SD = "renewal_due", 0.7, 0.5
SMALLEST_SPREAD = 1e-9


@dataclass(frozen=True)
class Belief:
    """A margin as a sum of columns with independent normal beliefs about their coefficients.

    Attributes
    ----------
    design : Design
        Columns of a backbone.
    maps : ndarray of shape (n_segments, q, k)
        Coefficients of the backbone's columns per unit of each of the k beliefs, by segment.
    mean, sd : ndarray of shape (k,)
        What is believed of each.
    """

    design: Design
    maps: Floats
    mean: Floats
    sd: Floats

    def columns(self, data: Encoded) -> Floats:
        """Columns the beliefs are about: (n, k)."""
        design = self.design.transform(data.values)[:, :-1]
        columns = np.empty((len(design), len(self.mean)))
        for segment in np.unique(data.segment):
            rows = data.segment == segment
            columns[rows] = design[rows] @ self.maps[segment]
        return columns

    def theta(self, values: Floats) -> Floats:
        """Coefficients of the backbone without its intercept: (n_segments, q)."""
        return np.asarray(self.maps @ values)

    def parts(self, owners: Floats) -> Floats:
        """Which share of a belief's column belongs to each of some sets of signals.

        Parameters
        ----------
        owners : ndarray of 0 and 1, shape (n_sets, n_signals)
            Members of the sets.

        Returns
        -------
        ndarray of shape (n_sets, n_segments, q, k)
            The maps, zero outside the set.
        """
        return np.asarray(self.maps * owners[:, self.design.owner][:, None, :, None])


def believe(
    data: Encoded,
    signals: Sequence[Signal],
    categorical: Sequence[int],
    measures: Sequence[Measure],
    weights: Mapping[str, Floats],
    segments: Sequence[str],
    *,
    good: bool = False,
) -> Belief:
    """Arrange a scorecard, and what may be learnt beside it, as beliefs.

    Parameters
    ----------
    data : Encoded
        Training rows.
    signals : sequence of Signal
        What its columns are.
    categorical : sequence of int
        Positions of those that are categories.
    measures : sequence of Measure
        Lines of the scorecard.
    weights : mapping of str to ndarray of shape (n_measures,)
        Segment, or "all", to weights, none below 0.
    segments : sequence of str
        Names of the codes of ``data.segment``.
    good : bool
        Whether the outcome is good news, and so likelier with better grades.
    """
    place = {signal.name: position for position, signal in enumerate(signals)}
    lines = [
        (place[line.name], number, line)
        for number, measure in enumerate(measures)
        for line in measure.signals
        if line.name in place
    ]
    graded = _Graded.of(data.values, lines, sign=1.0 if good else -1.0)
    design = _joined(graded.design, _rest(data.values, graded.owner, categorical))
    matrix = design.transform(data.values)[:, :-1]
    size, ramps = matrix.shape[1], len(graded.design.owner)
    single = np.zeros((size, len(graded.owner)))
    single[:ramps] = graded.slopes
    of = [signals[owner].group for owner in graded.owner]
    groups = [
        single[:, [one == group for one in of]].mean(axis=1, keepdims=True)
        for group in dict.fromkeys(of)
    ]
    shared = np.hstack([*groups, single, np.eye(size)[:, ramps:]])
    spread = (matrix @ shared).std(axis=0)
    shared = np.where(spread > SMALLEST_SPREAD, shared / np.maximum(spread, SMALLEST_SPREAD), 0.0)
    card = np.stack(
        [single @ graded.shares(weights.get(name, weights[EVERYBODY])) for name in segments]
    )
    scored = (matrix * card[data.segment]).sum(axis=1)
    card /= max(float(scored.std()), SMALLEST_SPREAD)
    everywhere = np.broadcast_to(shared, (len(segments), *shared.shape))
    counts = [1, len(groups), len(graded.owner), size - ramps]
    mean = np.repeat([SLOPE, 0.0, 0.0, 0.0], counts)
    sd = np.repeat([SLOPE_SD, GROUP_SD, SIGNAL_SD, CONTEXT_SD], counts)
    due = np.flatnonzero((design.owner == place.get(RENEWAL, -1)) & (design.level == NUMBER))
    mean[len(mean) - size + due], sd[len(mean) - size + due] = DUE, DUE_SD
    return Belief(design, np.concatenate([card[:, :, None], everywhere], axis=2), mean, sd)


def _rest(values: Floats, graded: Codes, categorical: Sequence[int]) -> Design:
    """Columns of the signals without a grade: context, categories, those without a direction."""
    rest = np.setdiff1d(np.arange(values.shape[1]), graded)
    plain = Design.fit(values[:, rest], np.flatnonzero(np.isin(rest, categorical)).tolist())
    return replace(plain, owner=rest[plain.owner])


def _joined(one: Design, other: Design) -> Design:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return Design(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True)
class _Graded:
    """Signals by their grades.

    Attributes
    ----------
    owner : ndarray of int, shape (m,)
        Position of each signal.
    measure : ndarray of int, shape (m,)
        Which line of the scorecard it is part of.
    design : Design
        Their ramps.
    slopes : ndarray of shape (n_ramps, m)
        What the ramps of a signal add up to: its grade as a share, times the sign of the outcome.
    """

    owner: Codes
    measure: Codes
    design: Design
    slopes: Floats

    @classmethod
    def of(
        cls, values: Floats, lines: Sequence[tuple[int, int, GradedSignal]], sign: float
    ) -> _Graded:
        ramps: list[tuple[float, ...]] = []
        kept: list[tuple[int, int, list[float]]] = []
        for position, number, line in lines:
            known = values[~np.isnan(values[:, position]), position]
            knots, grades = broken_line(line, known)
            if len(knots) < 2 or not np.ptp(grades) > 0:
                continue
            heights = []
            numbers = np.sign(known) * np.log1p(np.abs(known))
            for (low, high), (start, end) in zip(
                itertools.pairwise(knots), itertools.pairwise(grades), strict=True
            ):
                piece = np.clip(numbers, low, high)
                spread = float(piece.std())
                if spread <= SMALLEST_SPREAD:
                    continue
                ramps.append((position, NUMBER, low, high, float(piece.mean()), spread))
                heights.append(sign * (end - start) / (high - low) * spread)
            if heights:
                kept.append((position, number, heights))
        table = np.array(ramps, dtype=float).reshape(-1, 6)
        slopes = np.zeros((len(table), len(kept)))
        first = 0
        for column, (_, _, heights) in enumerate(kept):
            slopes[first : first + len(heights), column] = heights
            first += len(heights)
        return cls(
            np.array([one[0] for one in kept], dtype=np.intp),
            np.array([one[1] for one in kept], dtype=np.intp),
            Design(table[:, 0].astype(np.intp), *table.T[1:]),
            slopes,
        )

    def shares(self, weights: Floats) -> Floats:
        """Weight of each signal, the mean of its measure's: (m,)."""
        counts = np.bincount(self.measure, minlength=len(weights))
        return np.asarray(weights[self.measure] / np.maximum(counts[self.measure], 1))


def broken_line(line: GradedSignal, known: Floats) -> tuple[Floats, Floats]:
    """Knots of a signal's grade, in signed logarithms, and the grade at each, from 0 to 1.

    Between knots a percentile is on a line; grades of the team's own keep their steps.
    """
    if not len(known):
        return np.empty(0), np.empty(0)
    ordered = np.sort(known)
    values = np.unique(np.quantile(ordered, BREAKS))
    if line.steps:
        steps = np.array(line.steps, dtype=float)
        values = np.unique(np.concatenate([values, steps[:, 0]]))
        grades = np.interp(values, steps[:, 0], steps[:, 1]) / 100
    else:
        # Equal values share the middle of their places, so that a common zero is no extreme.
        below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
        grades = below / (2 * len(ordered))
        grades = grades if line.higher else 1 - grades
    return np.sign(values) * np.log1p(np.abs(values)), grades
