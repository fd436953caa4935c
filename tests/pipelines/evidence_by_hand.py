"""Intervals and grades as they are defined, without the code that computes them fast."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.models.ranked import auc_within


def interval_by_hand(part, risk, seed=7, dates=None):
    """The 90 % interval of an AUC over 300 draws of accounts with all their rows."""
    names = list(dict.fromkeys(part["account_id"]))
    place = part["account_id"].map({name: i for i, name in enumerate(names)}).to_numpy()
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(300):
        drawn = generator.integers(len(names), size=len(names))
        weight = np.bincount(drawn, minlength=len(names))[place]
        alike = np.zeros(len(part)) if dates is None else dates
        found.append(auc_within(part["happened"], risk, alike, weight))
    return np.quantile(found, [0.05, 0.95])


def graded(rows, past, signals, group):
    """Mean percentile of a group's signals among the past rows, healthy end up."""
    grades = []
    for signal in signals:
        if signal.group == group and signal.healthy != "none" and not signal.is_categorical:
            values = past[signal.name].dropna().to_numpy(float)
            if not len(values):
                continue
            asked = rows[signal.name].to_numpy(float)
            below = (values[None] < asked[:, None]).mean(axis=1)
            same = (values[None] == asked[:, None]).mean(axis=1)
            grade = np.where(np.isnan(asked), np.nan, below + same / 2)
            grades.append(grade if signal.healthy == "higher" else 1 - grade)
    return pd.DataFrame(grades).mean().fillna(0.5).to_numpy()
