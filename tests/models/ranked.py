"""Ranking within dates, recomputed pair by pair of dates."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score


def auc_within(happened: Any, risk: Any, dates: Any, weight: Any = None) -> float:
    """Share of pairs of one date that are ranked right, each counted as often as it weighs."""
    weight = np.ones(len(dates)) if weight is None else weight
    happened, risk, dates, weight = (np.asarray(one) for one in (happened, risk, dates, weight))
    right = pairs = 0.0
    for day in np.unique(dates):
        here = dates == day
        positives = float(weight[here] @ happened[here])
        number = positives * (float(weight[here].sum()) - positives)
        if number:
            pairs += number
            ranked = roc_auc_score(happened[here], risk[here], sample_weight=weight[here])
            right += number * ranked
    return right / pairs
