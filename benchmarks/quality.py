"""How much of what can be known does the model learn, and are its weights true?

Simulated companies tell the truth about every account's churn probability and about the weight of
every signal group. Everything is trained on the same rows and judged on the same held-out newest
dates, as ``healthscore train`` does; intervals are of 90 %, by bootstrap over accounts.

    python benchmarks/quality.py [--quick] [--json] [--parts captured coverage public speed]
        [--accounts N ...] [--seeds S ...] [--coverage-seeds N] [--trials N] [--resume FILE]

``captured``            share of the explainable log loss, (base rate - model) over (base rate -
                        truth), at the largest size, averaged over its companies: 1 is the truth
``captured_best_peer``  the same of ``best_peer``: tuned LightGBM, CatBoost, HistGradientBoosting,
                        EBM, logistic regression or a hand-weighted scorecard
``ece``                 expected calibration error, at 20,000 accounts where they are measured
``weight_error``        mean absolute distance of learnt from true weights, in points of 100,
                        beside ``weight_error_pooled``: SHAP shares of the tuned pooled LightGBM
``weight_coverage``     share of true weights inside their 90 % intervals, over 20 companies
``train_seconds_ratio`` cost of the whole training as a multiple of one plain ``lgb.train`` with the
                        same parameters and rounds; ``fit_seconds_ratio`` that of one fit alone

The whole takes hours: with ``--resume FILE`` each finished measurement becomes a line of the file,
and a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _comparison import (
    OURS,
    best_peer,
    calibration,
    captured,
    weight_coverage,
    weight_error,
    weight_rows,
)
from _contest import PEERS, TUNED
from _public_data import SETS
from _runs import Runs

PARTS = ("captured", "coverage", "public", "speed")
SEEDS = {2_000: (7, 8, 9), 20_000: (7, 8), 100_000: (7,)}
# Calibration and weights are promised at this size.
PROMISED = 20_000
COVERAGE_SEEDS, QUICK_COVERAGE_SEEDS = 20, 3
TRIALS, QUICK_TRIALS = 30, 10


def measure(asked: argparse.Namespace, runs: Runs) -> dict[str, Any]:
    """Run every part that was asked for, one company after the other."""
    sizes = asked.accounts or ([2_000] if asked.quick else list(SEEDS))
    promised = PROMISED if PROMISED in sizes else max(sizes)
    figures: dict[str, Any] = {}
    if "captured" in asked.parts:
        found = {size: _contest(asked, runs, size) for size in sorted(sizes)}
        figures["sizes"] = {size: each for size, each in found.items() if each}
        figures |= _headline(figures["sizes"], promised)
    if "coverage" in asked.parts:
        figures["coverage"] = _coverage(asked, runs, promised)
        figures["weight_coverage"] = figures["coverage"]["coverage"]
        figures.setdefault("weight_error", figures["coverage"]["weight_error"]["mean"])
    if "speed" in asked.parts:
        figures |= _speed(asked, runs, max(sizes))
    if "public" in asked.parts:
        figures["public"] = {name: runs.alone("public_data", name=name) for name in SETS}
    return figures | {"failed": runs.failed}


def _seeds(asked: argparse.Namespace, accounts: int) -> tuple[int, ...]:
    if asked.seeds:
        return tuple(asked.seeds)
    return SEEDS[2_000][:1] if asked.quick else SEEDS.get(accounts, (7,))


def _contest(asked: argparse.Namespace, runs: Runs, accounts: int) -> dict[str, Any] | None:
    """Compare all models on the companies of one size."""
    trials = asked.trials or (QUICK_TRIALS if asked.quick else TRIALS)
    seeds = _seeds(asked, accounts)
    models: dict[str, list[dict[str, Any] | None]] = {name: [] for name in (OURS, *PEERS)}
    for seed in seeds:
        models[OURS].append(runs.on_company(OURS, (accounts, seed), seed=seed))
        for name in PEERS:
            tuned = {"trials": trials} if name == TUNED else {}
            models[name].append(runs.on_company("peer", (accounts, seed), name=name, **tuned))
    finished = {
        name: [each for each in found if each is not None]
        for name, found in models.items()
        if None not in found
    }
    if OURS not in finished:
        return None
    ours = finished[OURS]
    shares = captured(finished, ours)
    expected = captured(finished, ours, "expected_log_loss")
    for name, found in finished.items():
        shares[name] |= {
            "captured_expected": expected[name]["captured"],
            "ours_ahead_expected": expected[name].get("ours_ahead"),
            "auc": [each["model"]["auc"] for each in found],
            "train_seconds": [each["train_seconds"] for each in found],
            "peak_gib": max(each["peak_gib"] for each in found),
            "about": [each.get("about") or each["choice"] for each in found],
        }
    pooled = finished.get(TUNED)
    return {
        "seeds": seeds,
        "trials": trials,
        "training_rows": [each["training_rows"] for each in ours],
        "rows": [each["rows"] for each in ours],
        "positives": [each["positives"] for each in ours],
        "auc_truth": [each["truth"]["auc"] for each in ours],
        "models": shares,
        "best_peer": best_peer(shares),
        "calibration": calibration(ours),
        "weights": weight_error(weight_rows(ours)),
        "weights_pooled": weight_error(weight_rows(pooled)) if pooled else None,
    }


def _headline(sizes: dict[int, dict[str, Any]], promised: int) -> dict[str, Any]:
    if not sizes:
        return {}
    largest = sizes[max(sizes)]
    best, models = largest["best_peer"], largest["models"]
    figures = {
        "accounts": max(sizes),
        "captured": models[OURS]["captured"],
        "captured_low": models[OURS]["low"],
        "captured_high": models[OURS]["high"],
        "best_peer": best,
        "captured_best_peer": models[best]["captured"] if best else None,
        "ours_ahead": models[best]["ours_ahead"] if best else None,
    }
    at = sizes.get(promised)
    if at:
        pooled = at["weights_pooled"]
        figures |= {
            "ece": at["calibration"]["ece"],
            "ece_worst_large_segment": at["calibration"]["worst_large_segment"],
            "weight_error": at["weights"]["mean"],
            "weight_error_pooled": pooled["mean"] if pooled else None,
        }
    return figures


def _coverage(asked: argparse.Namespace, runs: Runs, accounts: int) -> dict[str, Any]:
    """Train on many companies and count the true weights inside their intervals."""
    count = asked.coverage_seeds or (QUICK_COVERAGE_SEEDS if asked.quick else COVERAGE_SEEDS)
    found = [runs.on_company(OURS, (accounts, seed), seed=seed) for seed in range(1, count + 1)]
    rows = weight_rows(found)
    return {"accounts": accounts, "weight_error": weight_error(rows), **weight_coverage(rows)}


def _speed(asked: argparse.Namespace, runs: Runs, accounts: int) -> dict[str, Any]:
    """Compare training with a single ``lgb.train`` on the rows of twelve dates."""
    seed = _seeds(asked, accounts)[0]
    whole = runs.on_company("whole_training", (accounts, seed), seed=seed)
    if whole is None:
        return {}
    rounds = whole["rounds"]
    fit = runs.on_company("one_fit", (accounts, seed), rounds=rounds)
    plain = runs.on_company("plain_lightgbm", (accounts, seed), rounds=rounds)
    if fit is None or plain is None:
        return {}
    return {
        "train_seconds_ratio": whole["seconds"] / plain["seconds"],
        "train_memory_ratio": whole["peak_gib"] / plain["peak_gib"],
        "fit_seconds_ratio": fit["seconds"] / plain["seconds"],
        "fit_memory_ratio": fit["peak_gib"] / plain["peak_gib"],
        "speed": {
            name: {key: run[key] for key in ("seconds", "peak_gib")}
            for name, run in (("whole training", whole), ("one fit", fit), ("lgb.train", plain))
        }
        | {"accounts": accounts, "rows": whole["rows"], "rounds": rounds},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="one company of 2,000 accounts")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--accounts", type=int, nargs="+", help="sizes; 2,000 20,000 100,000")
    parser.add_argument("--seeds", type=int, nargs="+", help="of the companies of every size")
    parser.add_argument("--coverage-seeds", type=int, help=f"companies; {COVERAGE_SEEDS}")
    parser.add_argument("--trials", type=int, help=f"of Optuna for plain LightGBM; {TRIALS}")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--resume", type=Path, help="JSON lines of finished measurements")
    asked = parser.parse_args()
    # As an exception it also ends the measurement that is running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as scratch:
        runs = Runs(asked.resume, Path(scratch), asked.threads)
        figures = measure(asked, runs)
    if asked.json:
        print(json.dumps(figures))
    else:
        from _report import report

        report(figures)
    if runs.failed:
        raise SystemExit(f"{len(runs.failed)} measurement(s) failed: {'; '.join(runs.failed)}")


if __name__ == "__main__":
    main()
