"""Scored accounts: scores of rows, with the points and reasons each is made of."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.catalog import Signal
from models.arrays import Floats
from models.scoring.reasons import Reason, reasons
from models.weights.weights import group_points


@dataclass(frozen=True)
class ScoredAccounts:
    """Scores of (account, observation date) rows, with what each is made of.

    Attributes
    ----------
    table : DataFrame of n rows
        In the order of the input: ``account_id``, ``observation_date``, ``segment`` (as the model
        used it), ``score`` (0 to 100), ``band``, ``probability`` (of the outcome in its
        window), ``probability_low`` and ``probability_high`` (its 90 % interval; NaN where the
        model knows none), ``probability_if_due`` (had the account to decide in it), ``coverage``
        (0 to 1) and ``baseline_score`` (the score of the segment's mean margin).
    points : ndarray of shape (n, n_signals)
        ``table.baseline_score + points.sum(axis=1)`` is ``table.score``, to 1e-9.
    values : DataFrame of n rows
        The signals as they were observed.
    signals : tuple of Signal
        What the columns of ``points`` and ``values`` are.
    """

    table: pd.DataFrame
    points: Floats
    values: pd.DataFrame
    signals: tuple[Signal, ...]

    def group_points(self) -> pd.DataFrame:
        """Sum points over signal groups: n rows, one column per group that occurs."""
        return group_points(self.points, self.signals)

    def reasons(self, limit: int = 5) -> list[list[Reason]]:
        """Give the signals with the largest points of each row, in words."""
        return reasons(self.points, self.values, self.signals, limit)


@dataclass(frozen=True)
class ScoredCurves:
    """Risk of rows within each of :data:`models.scoring.timing.curve.HORIZONS`.

    Attributes
    ----------
    within, low, high : ndarray of shape (n, 5)
        Probability of a loss within each horizon, and its 90 % interval.
    baseline : ndarray of shape (n, 5)
        The same of the mean margin of the row's segment, with the row's contract.
    points : ndarray of shape (n, 5, n_signals)
        ``baseline + points.sum(axis=2)`` is ``within``, to 1e-9.
    """

    within: Floats
    low: Floats
    high: Floats
    baseline: Floats
    points: Floats
