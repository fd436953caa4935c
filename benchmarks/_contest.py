"""A peer's measurement: trained on the product's rows, judged on the product's hold-out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _companies import Company, read_company
from _judging import judged
from _peers import (
    Rows,
    catboost,
    explainable_boosting,
    hist_gradient_boosting,
    lightgbm,
    logistic_regression,
)
from _scorecard import scorecard

from models.arrays import Floats
from models.weights.weights import Weights, group_weights

TUNED = "tuned LightGBM"
PEERS = {
    TUNED: lightgbm,
    "CatBoost": catboost,
    "HistGradientBoosting": hist_gradient_boosting,
    "EBM": explainable_boosting,
    "logistic regression": logistic_regression,
    "hand-weighted scorecard": scorecard,
}
# SHAP shares of more rows move in the second decimal.
MOST_SHAP_ROWS = 100_000


def peer(folder: Path, name: str, threads: int, trials: int = 0) -> dict[str, Any]:
    """Train a peer on the same rows; LightGBM is also asked for its weights."""
    of = read_company(folder)
    fold = of.holdout()
    began = time.perf_counter()
    train = Rows(of.frame.iloc[fold.train], of.signals, of.maturity_days, trials, threads)
    fitted = PEERS[name](train)
    seconds = time.perf_counter() - began
    held = of.frame.iloc[fold.test]
    found = {
        "train_seconds": seconds,
        "model": judged(held, fitted.probability(held)),
        "about": fitted.about,
    }
    if fitted.contributions is not None:
        found |= {
            "weights": _shap_shares(of, fitted.contributions),
            "true_weights": of.true_weights,
        }
    return found


def _shap_shares(of: Company, contributions: Callable[[pd.DataFrame], Floats]) -> Weights:
    """Weights as people read them off a pooled booster, by the product's own definition."""
    rows = of.frame
    if len(rows) > MOST_SHAP_ROWS:
        rows = rows.sample(MOST_SHAP_ROWS, random_state=1)
    values = contributions(rows)
    segment = ("plan=" + rows["plan"].astype(str)).to_numpy(dtype=object)
    for name in np.unique(segment):
        values[segment == name] -= values[segment == name].mean(axis=0)
    return group_weights(values, segment, of.signals)
