"""Curves of risk that others would draw from the same rows: hazards, Cox, five separate models."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
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
FEWEST_WHOLE, FEWEST_LOST = 200, 10
_GIVEN = ("known", "new")
SURVIVAL_PEERS = Path(__file__).with_name("_survival_peers.py")


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
    followed : ndarray of shape (n,)
        Days after which nothing is known of them.
    """

    known: pd.DataFrame
    new: pd.DataFrame
    seen: Seen
    followed: Floats


def task_of(
    known: pd.DataFrame, new: pd.DataFrame, names: list[str], decisions: Decisions
) -> CurveTask:
    """Arrange rows for peers, categories as LightGBM reads them."""
    both = pd.concat([known[names], new[names]], ignore_index=True)
    texts = [name for name in names if not pd.api.types.is_numeric_dtype(both[name])]
    both = both.astype(dict.fromkeys(texts, "category"))
    head, tail = both.iloc[: len(known)], both.iloc[len(known) :]
    dates = pd.to_datetime(known["observation_date"])
    followed = (dates.max() - dates).dt.days.to_numpy(dtype=float) + decisions.closes_days
    return CurveTask(head, tail.reset_index(drop=True), Seen.of(known, decisions), followed)


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
    """Tell the risk by a plain LightGBM for each horizon, which may cross.

    Taught with rows that were followed so long. Where they are too few, the horizon before goes on
    at its rate.
    """
    risks: list[Floats] = []
    before = 0
    for days in HORIZONS:
        whole = task.followed >= days
        lost = task.seen.loss < days
        teaches = whole.sum() >= FEWEST_WHOLE and FEWEST_LOST <= lost[whole].sum() < whole.sum()
        if teaches:
            model = lightgbm.LGBMClassifier(**PLAIN).fit(task.known[whole], lost[whole].astype(int))
            risks.append(model.predict_proba(task.new)[:, 1])
        elif risks:
            risks.append(1 - (1 - risks[-1]) ** (days / before))
        else:
            risks.append(np.full(len(task.new), task.seen.lost[:, 0].mean()))
        before = days
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


def elsewhere(task: CurveTask, python: Path) -> dict[str, Floats]:
    """Let peers speak that live in another interpreter; those it lacks are left out.

    Raises
    ------
    CalledProcessError
        When one of them fails.
    """
    both = pd.get_dummies(pd.concat([task.known, task.new], ignore_index=True), dtype=float)
    numbers = both.astype(float).set_axis([f"x{place}" for place in range(both.shape[1])], axis=1)
    known, new = numbers.iloc[: len(task.known)], numbers.iloc[len(task.known) :]
    lost = task.seen.loss < task.followed
    outcome = {"duration": np.maximum(np.where(lost, task.seen.loss, task.followed), 0.5)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        known.assign(**outcome, event=lost).to_parquet(folder / "known.parquet")
        new.reset_index(drop=True).to_parquet(folder / "new.parquet")
        subprocess.run([python, SURVIVAL_PEERS, folder], check=True)
        told = [path for path in sorted(folder.glob("*.parquet")) if path.stem not in _GIVEN]
        return {path.stem: pd.read_parquet(path).to_numpy(dtype=float) for path in told}


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
