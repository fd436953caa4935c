"""Curves of risk that others would draw from the same rows: hazards, Cox, five separate models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from scipy.optimize import minimize

from models.arrays import Floats
from models.scoring.timing.curve import AT, EDGES, HORIZONS
from models.scoring.timing.curve_learning import Seen
from models.scoring.timing.decisions import AHEAD, Decisions

PLAIN = {"n_estimators": 120, "num_leaves": 15, "learning_rate": 0.05, "verbosity": -1}
RIDGE = 30.0
ABSENT = ("lifelines", "hazardous")
"""Peers that cannot be installed beside pandas 3; Cox is fitted here, SurvivalBoost is left out."""


@dataclass(frozen=True)
class CurveTask:
    """What every peer is given.

    Attributes
    ----------
    known, new : DataFrame
        Rows to learn from, and rows to tell the risk of: numbers and categories of every signal,
        contract terms among them.
    seen : Seen
        What came of the first.
    """

    known: pd.DataFrame
    new: pd.DataFrame
    seen: Seen


def task_of(
    known: pd.DataFrame, new: pd.DataFrame, names: list[str], decisions: Decisions
) -> CurveTask:
    """Arrange rows for peers, categories as LightGBM reads them."""
    both = pd.concat([known[names], new[names]], ignore_index=True)
    texts = [name for name in names if not pd.api.types.is_numeric_dtype(both[name])]
    both = both.astype(dict.fromkeys(texts, "category"))
    head, tail = both.iloc[: len(known)], both.iloc[len(known) :]
    return CurveTask(head, tail.reset_index(drop=True), Seen.of(known, decisions))


def lightgbm_hazard(task: CurveTask) -> Floats:
    """Tell the risk by one plain LightGBM of every step, its number and the renewal in it."""
    rows, steps = np.nonzero(task.seen.open)

    def periods(frame: pd.DataFrame, at: Any, step: Any) -> pd.DataFrame:
        part = frame.iloc[at].reset_index(drop=True).assign(step=step)
        if AHEAD in part:
            part["until_renewal"] = part[AHEAD] - np.array(EDGES)[step]
        return part

    model = lightgbm.LGBMClassifier(**PLAIN).fit(
        periods(task.known, rows, steps), task.seen.lost[rows, steps].astype(int)
    )
    each = np.arange(len(task.new))
    hazard = [
        model.predict_proba(periods(task.new, each, np.full(len(each), step)))[:, 1]
        for step in range(len(EDGES) - 1)
    ]
    there = np.cumprod(1 - np.column_stack(hazard), axis=1)
    return np.asarray(1 - there[:, AT])


def five_models(task: CurveTask) -> Floats:
    """Tell the risk by a plain LightGBM for each horizon, which may cross."""
    risks = []
    for days, step in zip(HORIZONS, AT, strict=True):
        lost = task.seen.loss < days
        whole = (task.seen.open[:, : step + 1].sum(axis=1) == step + 1) | lost
        model = lightgbm.LGBMClassifier(**PLAIN)
        if lost[whole].all() or not lost[whole].any():
            risks.append(np.full(len(task.new), lost[whole].mean() if whole.any() else 0.0))
            continue
        model.fit(task.known[whole], lost[whole].astype(int))
        risks.append(model.predict_proba(task.new)[:, 1])
    return np.column_stack(risks)


def cox(task: CurveTask) -> Floats:
    """Tell the risk by Cox's proportional hazards with a ridge, on the steps (Breslow 1974)."""
    design, fresh = _numbers(task.known, task.new)
    rows, steps = np.nonzero(task.seen.open)
    lost = task.seen.lost[rows, steps]
    count = len(EDGES) - 1

    def objective(beta: Floats) -> tuple[float, Floats]:
        score = np.exp(np.clip(design @ beta, -20, 20))[rows]
        at_risk = np.bincount(steps, score, minlength=count)
        events = np.bincount(steps, lost, minlength=count)
        chosen = design[rows]
        weight = (events / np.maximum(at_risk, 1e-12))[steps] * score
        loss = -(lost * (chosen @ beta)).sum() + (events * np.log(np.maximum(at_risk, 1e-12))).sum()
        gradient = chosen.T @ (weight - lost) + RIDGE * beta
        return loss + RIDGE * (beta @ beta) / 2, gradient

    beta = minimize(objective, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B").x
    score = np.exp(np.clip(design @ beta, -20, 20))[rows]
    events = np.bincount(steps, lost, minlength=count)
    base = events / np.maximum(np.bincount(steps, score, minlength=count), 1e-12)
    whole = np.cumsum(base)[list(AT)] * np.exp(np.clip(fresh @ beta, -20, 20))[:, None]
    return np.asarray(1 - np.exp(-whole))


def _numbers(known: pd.DataFrame, new: pd.DataFrame) -> tuple[Floats, Floats]:
    """Standardise numbers by signed logarithms, unknown ones at the mean, and indicate levels."""
    both = pd.get_dummies(pd.concat([known, new], ignore_index=True), dtype=float)
    values = both.to_numpy(dtype=float)
    values = np.sign(values) * np.log1p(np.abs(values))
    head = values[: len(known)]
    centre, spread = np.nanmean(head, axis=0), np.nanstd(head, axis=0)
    scaled = np.nan_to_num((values - centre) / np.where(spread > 0, spread, 1.0))
    return scaled[: len(known)], scaled[len(known) :]


PEERS: Mapping[str, Callable[[CurveTask], Floats]] = {
    "cox": cox,
    "lightgbm_hazard": lightgbm_hazard,
    "five_models": five_models,
}
