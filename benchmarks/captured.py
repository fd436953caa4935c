"""How much of what can be known about churn does the model capture?

Simulates companies whose true churn probabilities are known, trains as ``healthscore train`` does,
and compares log losses on the hold-out: 0 is the base rate, 1 the truth itself. The peer is plain
LightGBM on the same rows and signals, with its rounds chosen on the newest matured date before the
hold-out.

    python benchmarks/captured.py [--quick] [--json] [--accounts N] [--seeds 7 8 9]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from pipelines.config import Project, load_project
from pipelines.draft import write_draft
from pipelines.simulate import Simulation, simulate
from pipelines.train import labelled_features, train

PEER_ROUNDS = 400


def measure(accounts: int, seed: int) -> dict[str, Any]:
    """Train on one simulated company and compare with the truth beside it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        simulate(folder / "data", Simulation(accounts=accounts, seed=seed))
        write_draft(folder / "data", folder / "healthscore.toml")
        project = load_project(folder / "healthscore.toml")
        began = time.perf_counter()
        trained = train(project)
        seconds = time.perf_counter() - began
        truth = pd.read_parquet(folder / "data" / "truth" / "rows.parquet")
        held = trained.result.holdout["observation_date"].min()
        peer = _plain_lightgbm(project, held)
    keys = ["account_id", "observation_date"]
    truth["observation_date"] = truth["observation_date"].astype("datetime64[us]")
    rows = trained.result.holdout.merge(
        truth[[*keys, "churn_probability"]], on=keys, suffixes=("", "_true"), validate="1:1"
    ).merge(peer, on=keys, validate="1:1")
    if len(rows) != len(trained.result.holdout):
        raise SystemExit("the truth does not cover the hold-out")
    churned = rows["churned"]
    losses = {
        name: log_loss(churned, rows[name])
        for name in ("churn_probability", "churn_probability_true", "peer")
    }
    base = trained.result.metrics.log_loss_base
    explainable = base - losses["churn_probability_true"]
    return {
        "accounts": accounts,
        "seed": seed,
        "captured": (base - losses["churn_probability"]) / explainable,
        "captured_peer": (base - losses["peer"]) / explainable,
        "auc": roc_auc_score(churned, rows["churn_probability"]),
        "auc_peer": roc_auc_score(churned, rows["peer"]),
        "auc_truth": roc_auc_score(churned, rows["churn_probability_true"]),
        "log_loss": losses["churn_probability"],
        "log_loss_truth": losses["churn_probability_true"],
        "log_loss_base": base,
        "train_seconds": seconds,
    }


def _plain_lightgbm(project: Project, first_held: pd.Timestamp) -> pd.DataFrame:
    """Predict the hold-out with LightGBM as most people would use it."""
    import lightgbm

    frame, signals = labelled_features(project)
    X = frame[[signal.name for signal in signals]].copy()
    for signal in signals:
        if signal.is_categorical:
            X[signal.name] = X[signal.name].astype("category")
    dates = np.sort(frame["observation_date"].unique())
    mature = pd.Timedelta(days=project.settings.outcome.maturity_days)
    earlier = dates[dates + mature <= first_held]
    tuned_on = earlier[-1]
    fit = frame["observation_date"] + mature <= tuned_on
    tune = frame["observation_date"] == tuned_on
    parameters = {
        "objective": "binary", "learning_rate": 0.03, "num_leaves": 15, "max_depth": 5,
        "min_child_samples": 50, "feature_fraction": 0.6, "bagging_fraction": 0.8,
        "bagging_freq": 1, "verbosity": -1, "num_threads": 2, "seed": 1,
    }  # fmt: skip
    stopper = lightgbm.early_stopping(50, verbose=False)
    y = frame["churned"]
    tuned = lightgbm.train(
        parameters,
        lightgbm.Dataset(X[fit], y[fit]),
        PEER_ROUNDS,
        valid_sets=[lightgbm.Dataset(X[tune], y[tune])],
        callbacks=[stopper],
    )
    known = frame["observation_date"].isin(earlier)
    rounds = max(1, tuned.best_iteration)
    booster = lightgbm.train(parameters, lightgbm.Dataset(X[known], y[known]), rounds)
    test = frame["observation_date"] >= first_held
    rows = frame.loc[test, ["account_id", "observation_date"]].copy()
    rows["peer"] = booster.predict(X[test])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="one company of 2,000 accounts")
    parser.add_argument("--accounts", type=int, nargs="+", default=None)
    parser.add_argument("--seeds", type=int, nargs="+", default=None)
    asked = parser.parse_args()
    sizes = asked.accounts or ([2000] if asked.quick else [2000, 20000])
    seeds = asked.seeds or ([7] if asked.quick else [7, 8, 9])
    with contextlib.redirect_stdout(sys.stderr):
        runs = [measure(accounts, seed) for accounts in sizes for seed in seeds]
    largest = [run for run in runs if run["accounts"] == max(sizes)]
    figures = {
        **{
            key: float(np.mean([run[key] for run in largest]))
            for key in ("captured", "captured_peer", "auc", "auc_peer", "auc_truth")
        },
        "accounts": max(sizes),
        "runs": runs,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if asked.json:
        print(json.dumps(figures))
        return
    for run in runs:
        print(
            f"{run['accounts']:>7,} accounts, seed {run['seed']}: captured {run['captured']:.3f}"
            f" (plain LightGBM {run['captured_peer']:.3f}), AUC {run['auc']:.3f} of"
            f" {run['auc_truth']:.3f}, trained in {run['train_seconds']:.0f} s"
        )
    print(
        f"captured {figures['captured']:.3f} at {figures['accounts']:,} accounts,"
        f" peak memory {figures['peak_gib']:.2f} GiB"
    )


if __name__ == "__main__":
    main()
