"""How a model did on the held-out rows of a company whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from models.arrays import Floats
from models.measures.metrics import row_log_loss
from models.measures.resampling import AccountBootstrap

RESAMPLES = 400


def judged(held: pd.DataFrame, risk: Floats) -> dict[str, Any]:
    """Log loss on the outcomes and on the true probabilities, with draws of both over accounts.

    The draws of one company are the same for every model, so their differences are paired. The
    loss on true probabilities is the mean over all outcomes that might have been.
    """
    outcome = held["happened"].to_numpy(dtype=float)
    true = held["true_probability"].to_numpy()
    left, stayed = row_log_loss(np.ones(len(held)), risk), row_log_loss(np.zeros(len(held)), risk)
    columns = np.column_stack(
        [row_log_loss(outcome, risk), true * left + (1 - true) * stayed, np.ones(len(held))]
    )
    sums = AccountBootstrap(held["account_id"], resamples=RESAMPLES).sums(columns)
    means = np.vstack([columns.mean(axis=0), sums / sums[:, [2]]]).round(8)
    several = len(np.unique(risk)) > 1
    return {
        "auc": float(roc_auc_score(outcome, risk)) if several else None,
        "log_loss": means[:, 0].tolist(),
        "expected_log_loss": means[:, 1].tolist(),
        "log_odds_error": float(np.sqrt(np.mean((logit(risk) - logit(true)) ** 2))),
    }
