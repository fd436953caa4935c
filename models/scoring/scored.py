"""Scored accounts: scores of rows, with the points and reasons each is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from features.catalog import Signal
from models.arrays import Floats
from models.scoring.health_model import HealthModel
from models.scoring.reasons import Reason, reasons
from models.weights.account_spread import interval
from models.weights.weights import group_points


def issued_intervals(model: HealthModel, rows: pd.DataFrame) -> tuple[Floats, Floats] | None:
    """Work out the 90 % intervals of probabilities that were issued, from what was issued alone.

    Points of a group are what it adds to the margin on the score's scale, so nothing need be kept
    beside them. Where the score is cut off at 0 or 100 they are too small, and are stretched back
    as far as the probability tells.

    Parameters
    ----------
    model : HealthModel
        What made the scores.
    rows : DataFrame of n rows
        ``segment``, ``score``, ``baseline_score``, ``probability`` and ``points_<group>``.

    Returns
    -------
    tuple of two ndarray of shape (n,), or None
        None where the model knows no intervals.
    """
    spread, scale = model.spread, model.scale
    if spread is None:
        return None
    score, base = (rows[name].to_numpy(dtype=float) for name in ("score", "baseline_score"))
    probability = rows["probability"].to_numpy(dtype=float)
    anchored = logit(scale.anchor_probability)
    log_odds = anchored + (score - 50) / scale.points_per_log_odds
    inside = (score > 0) & (score < 100)
    if model.timing is None:
        log_odds = np.where(inside, log_odds, logit(probability))
    moved = score - base
    reached = 50 + scale.points_per_log_odds * (log_odds - anchored) - base
    stretch = np.divide(reached, moved, out=np.ones_like(moved), where=~inside & (moved != 0))
    labels, label = np.unique(rows["segment"].to_numpy(dtype=str), return_inverse=True)
    slope = model.calibrator.slope(labels)[label]
    points = rows[[f"points_{group}" for group in spread.groups]].to_numpy(dtype=float)
    added = points * (stretch / scale.points_per_log_odds / slope)[:, None]
    deviation = slope * spread.deviation(added, label, labels.tolist())
    share = np.minimum(probability / expit(log_odds), 1.0)
    low, high = interval(log_odds, deviation)
    return low * share, high * share


@dataclass(frozen=True)
class ScoredAccounts:
    """Scores of (account, observation date) rows, with what each is made of.

    Attributes
    ----------
    table : DataFrame of n rows
        In the order of the input: ``account_id``, ``observation_date``, ``segment`` (as the model
        used it), ``score`` (0 to 100), ``band``, ``grade``, ``probability`` (of the outcome in
        its window), ``probability_low`` and ``probability_high`` (its 90 % interval; NaN where the
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
