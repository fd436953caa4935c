"""Ranking within dates, recomputed pair by pair of dates."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score


def auc_within(happened: Any, risk: Any, dates: Any) -> float:
    """Share of pairs of one date that are ranked right, each pair counted once."""
    happened, risk, dates = (np.asarray(one) for one in (happened, risk, dates))
    right = pairs = 0.0
    for day in np.unique(dates):
        here = dates == day
        positives = int(happened[here].sum())
        number = positives * (int(here.sum()) - positives)
        if number:
            pairs += number
            right += number * roc_auc_score(happened[here], risk[here])
    return right / pairs
