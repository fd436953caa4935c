"""How a measure of a scorecard is graded: from signals to 0-100, the way spreadsheets do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.catalog import CONTEXT, EVERYBODY, Signal, groups_of
from features.errors import DataError, sample
from features.json_values import Json
from models.arrays import Codes, Floats

# A percentile needs no finer table, and a platform has to be able to hold it.
KNOTS = 101
MIDDLE = 50.0
TABLE = tuple[list[float], list[float]]


@dataclass(frozen=True)
class GradedSignal:
    """A signal of a measure, and how its values become grades.

    Parameters
    ----------
    name : str
        The signal.
    higher : bool
        Whether higher values are healthier.
    steps : tuple of (float, float)
        Value and grade, values ascending; grades in between lie on a line, outside they stay.
        Empty to grade by the percentile among the accounts of the segment.
    """

    name: str
    higher: bool
    steps: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Measure:
    """One line of a scorecard: the mean grade of its signals.

    Parameters
    ----------
    name : str
        What weights call it: a signal group, or a name of the user's own.
    signals : tuple of GradedSignal
        What it is graded by; those that are not known are left out of the mean.
    """

    name: str
    signals: tuple[GradedSignal, ...]


def group_measures(signals: Sequence[Signal]) -> tuple[Measure, ...]:
    """Make a measure of each signal group, of its signals that have a healthy direction.

    Parameters
    ----------
    signals : sequence of Signal
        The company's signals.

    Returns
    -------
    tuple of Measure
        In the order of the groups; the profile, and groups without a direction, are left out.

    Examples
    --------
    >>> seats = Signal("seat_utilisation", "usage", "share", "higher", "Seats in use", 28, "")
    >>> [measure] = group_measures([seats])
    >>> measure.name, measure.signals
    ('usage', (GradedSignal(name='seat_utilisation', higher=True, steps=()),))
    """
    graded = [s for s in signals if s.healthy != "none" and not s.is_categorical]
    return tuple(
        Measure(
            group,
            tuple(GradedSignal(s.name, s.healthy == "higher") for s in graded if s.group == group),
        )
        for group in groups_of(graded)
        if group != CONTEXT
    )


@dataclass(frozen=True)
class Grading:
    """Measures with the tables that turn values into grades, fixed once they were read.

    Attributes
    ----------
    measures : tuple of Measure
        What is graded.
    tables : dict of str to dict of str to (list of float, list of float)
        Segment, or "all", to signal to values and their grades; grades in between lie on a line.
        A signal that nobody knew has none.
    typical : dict of str to list of float
        Mean grade of each measure per segment, or "all": what an unknown measure counts as.
    """

    measures: tuple[Measure, ...]
    tables: Mapping[str, Mapping[str, TABLE]]
    typical: Mapping[str, list[float]]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the measures."""
        return tuple(measure.name for measure in self.measures)

    @classmethod
    def fit(cls, measures: Sequence[Measure], frame: pd.DataFrame, segment: Any) -> Grading:
        """Read percentiles and mean grades off some rows.

        Parameters
        ----------
        measures : sequence of Measure
            What to grade.
        frame : DataFrame of n rows
            Signals as columns.
        segment : array of str, shape (n,)
            Segment of each row.

        Raises
        ------
        DataError
            When a signal of a measure is no column of the frame.
        """
        wanted = {signal.name: signal for measure in measures for signal in measure.signals}
        absent = [name for name in wanted if name not in frame]
        if absent:
            raise DataError(
                f"The scorecard is graded by {sample(absent)}, which the feature rows do not hold; "
                "build them with the same settings or take the measure out."
            )
        parts = _parts(segment) | {EVERYBODY: np.arange(len(frame))}
        values = {name: frame[name].to_numpy(dtype=float, na_value=np.nan) for name in wanted}
        tables = {
            place: {
                name: table
                for name, signal in wanted.items()
                if (table := _table(signal, values[name][rows])) is not None
            }
            for place, rows in parts.items()
        }
        ungraded = cls(tuple(measures), tables, {})
        grades = ungraded.grades(frame, segment)
        typical = {place: _means(grades[rows]) for place, rows in parts.items()}
        return cls(tuple(measures), tables, typical)

    def grades(self, frame: pd.DataFrame, segment: Any) -> Floats:
        """Grade each measure of each row: (n, n_measures) from 0 to 100, NaN where unknown."""
        grades = np.full((len(frame), len(self.measures)), np.nan)
        parts = _parts(segment)
        for place, measure in enumerate(self.measures):
            columns = [
                frame[signal.name].to_numpy(dtype=float, na_value=np.nan)
                for signal in measure.signals
            ]
            for name, rows in parts.items():
                tables = self.tables.get(name, self.tables[EVERYBODY])
                known = np.zeros(len(rows))
                total = np.zeros(len(rows))
                for signal, column in zip(measure.signals, columns, strict=True):
                    if (table := tables.get(signal.name)) is not None:
                        grade = np.interp(column[rows], *table)
                        seen = ~np.isnan(grade)
                        total[seen] += grade[seen]
                        known += seen
                mean = np.divide(total, known, out=np.full(len(rows), np.nan), where=known > 0)
                grades[rows, place] = mean
        return grades

    def filled(self, grades: Floats, segment: Any) -> Floats:
        """Put the segment's mean grade where a grade is unknown: (n, n_measures).

        So an unknown measure neither lifts an account above its peers nor pulls it below them.
        """
        found = grades.copy()
        for name, rows in _parts(segment).items():
            typical = np.array(self.typical.get(name, self.typical[EVERYBODY]))
            block = found[rows]
            found[rows] = np.where(np.isnan(block), typical, block)
        return found

    def to_dict(self) -> Json:
        """Return what a platform needs to grade the same way, ready for JSON."""
        return {
            "measures": {
                measure.name: [signal.name for signal in measure.signals]
                for measure in self.measures
            },
            "tables": {
                segment: {
                    name: [[value, grade] for value, grade in zip(*table, strict=True)]
                    for name, table in tables.items()
                }
                for segment, tables in self.tables.items()
            },
            "typical": {
                segment: dict(zip(self.names, means, strict=True))
                for segment, means in self.typical.items()
            },
        }


def _parts(segment: Any) -> dict[str, Codes]:
    codes, names = pd.factorize(np.asarray(segment, dtype=object))
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
    return {str(name): order[ends[i] : ends[i + 1]] for i, name in enumerate(names)}


def _table(signal: GradedSignal, values: Floats) -> TABLE | None:
    """Values and grades of a signal; None where no value is known."""
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return None
    if signal.steps:
        return [value for value, _ in signal.steps], [grade for _, grade in signal.steps]
    knots = np.unique(np.quantile(known, np.linspace(0, 1, KNOTS), method="lower"))
    # Equal values share the middle of their places, so that a common zero is no extreme.
    below = np.searchsorted(known, knots, "left") + np.searchsorted(known, knots, "right")
    grades = 100 * below / (2 * len(known))
    return knots.tolist(), (grades if signal.higher else 100 - grades).tolist()


def _means(grades: Floats) -> list[float]:
    known = ~np.isnan(grades)
    counts = known.sum(axis=0)
    sums = np.where(known, grades, 0.0).sum(axis=0)
    return list(np.divide(sums, counts, out=np.full(len(counts), MIDDLE), where=counts > 0))
