"""Intervals of probabilities that were issued, from what was issued."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from models.arrays import Floats
from models.scoring.health_model import HealthModel
from models.weights.account_spread import interval


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
        ``segment``, ``score``, ``baseline_score``, ``probability``, ``points_<group>``, and
        ``probability_if_due`` where it was issued too.

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
    if "probability_if_due" in rows:
        # Scores of each kind of term are read beside another rate; this says what was meant.
        if_due = rows["probability_if_due"].to_numpy(dtype=float, na_value=np.nan)
        log_odds = np.where(np.isnan(if_due), log_odds, logit(if_due))
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
