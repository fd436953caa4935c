"""What do exact SHAP values cost, against a plain prediction and against other ways to get them?

400 trees on 62 features, 12 of them with missing values and 2 categorical; 100,000 rows. What is
compared runs in turn in one process; costs are CPU time per row, medians of the rounds. A model
without categorical features serves the peers that cannot read them.

    python benchmarks/tree_shap.py [--quick] [--json]

``ratio_pred_contrib``    how many times faster ``explain`` is than LightGBM's pred_contrib
``ratio_predict``         cost of ``explain`` as a share of a plain prediction
``ratio_interventional``  the same as the first, against shap with 100 background rows
``max_difference``        largest distance of a value from LightGBM's or shap's, all models
``additivity``            largest distance of a margin from ``Booster.predict``, all models

``explain`` gives the margin, 9 group sums and 5 reasons of each row. The first two figures are of
31 leaves at depth 6; those of other shapes are in ``models``. The last two cover 50 small models of
all kinds besides, with rows that hold infinities, tiny numbers and unseen categories.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import lightgbm as lgb
import numpy as np

from models.tree_shap import ShapPlan

FEATURES, CATEGORICAL = 62, [60, 61]
SHAPES = {"31 leaves, depth 6": (31, 6), "15 leaves, depth 5": (15, 5), "31 leaves": (31, -1)}
MAIN, PLAIN = "31 leaves, depth 6", "31 leaves, depth 6, no categories"
GROUPS = np.arange(FEATURES) % 9
THREADS = os.cpu_count() or 1
BACKGROUND = 100


def accounts(n: int, seed: int) -> tuple[Any, Any]:
    """Counts, money, rates, sparse counts, days and plain numbers around 8 latent traits."""
    rng = np.random.default_rng(seed)
    traits = rng.normal(size=(n, 8))
    loads = np.random.default_rng(1).normal(size=(8, FEATURES)) * 0.6
    X = traits @ loads + rng.normal(size=(n, FEATURES))
    X[:, :15] = np.floor(np.exp(0.7 * X[:, :15] + 1))
    X[:, 15:25] = np.round(np.exp(X[:, 15:25] + 3), 2)
    X[:, 25:35] = 1 / (1 + np.exp(-X[:, 25:35]))
    X[:, 35:42] = np.where(X[:, 35:42] < 0.3, 0.0, np.floor(X[:, 35:42] * 4))
    X[:, 42:50] = np.clip(np.floor(30 + 25 * X[:, 42:50]), 0, 365)
    X[:, 60], X[:, 61] = rng.integers(0, 6, n), rng.integers(0, 12, n)
    margin = 0.9 * traits[:, 0] - 0.7 * traits[:, 1] * (traits[:, 2] > 0) - 2.2
    margin += 0.5 * np.abs(traits[:, 3]) + 0.4 * traits[:, 4] * traits[:, 5]
    margin += 0.35 * (X[:, 42] > 45) - 0.25 * np.log1p(X[:, 0]) + 0.3 * (X[:, 60] == 2)
    margin += 0.3 * np.log1p(X[:, 16]) * (X[:, 26] < 0.4) - 0.4 * np.isin(X[:, 61], [3, 7])
    churned = rng.random(n) < 1 / (1 + np.exp(-margin))
    for place, feature in enumerate([3, 8, 16, 20, 27, 31, 33, 40, 44, 47, 52, 57]):
        X[rng.random(n) < 0.05 + 0.02 * place, feature] = np.nan
    return X, churned.astype(np.int8)


def train(rows: int, trees: int, leaves: int, depth: int, categorical: list[int]) -> lgb.Booster:
    X, churned = accounts(rows, 11)
    settings = {
        "objective": "binary",
        "learning_rate": 0.05,
        "min_data_in_leaf": 100,
        "feature_fraction": 0.6,
        "num_leaves": leaves,
        "max_depth": depth,
        "num_threads": THREADS,
        "verbosity": -1,
        "seed": 1,
    }
    return lgb.train(settings, lgb.Dataset(X, churned, categorical_feature=categorical), trees)


def in_turn(
    tasks: dict[str, tuple[int, Callable[[], Any]]], repeats: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Microseconds per row of each task, and what it returned; the first round warms up."""
    cpu: dict[str, list[float]] = {name: [] for name in tasks}
    wall: dict[str, list[float]] = {name: [] for name in tasks}
    found = {}
    for _ in range(repeats + 1):
        for name, (rows, task) in tasks.items():
            began, clock = time.process_time(), time.perf_counter()
            found[name] = task()
            cpu[name].append((time.process_time() - began) / rows * 1e6)
            wall[name].append((time.perf_counter() - clock) / rows * 1e6)
    figures = {
        name: {
            "cpu_us": statistics.median(cpu[name][1:]),
            "wall_us": statistics.median(wall[name][1:]),
        }
        for name in tasks
    }
    return figures, found


def distances(explained: Any, values: Any, wanted: Any, margin: Any) -> dict[str, float]:
    return {
        "max_difference": float(np.abs(values[: len(wanted)] - wanted).max()),
        "additivity": float(np.abs(explained.margin - margin).max()),
    }


def against_lightgbm(model: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Time explain and shap_values in turn with predict, pred_contrib and shap."""
    booster, (X, _) = lgb.Booster(model_file=model), accounts(rows, 12)
    began = time.process_time()
    plan = ShapPlan.compile(booster)
    compiled = time.process_time() - began
    plan.expect(10**9)
    some = X[: min(rows // 10, 2000)]
    how = {"num_threads": THREADS}
    tasks = {
        "explain": (rows, lambda: plan.explain(X, groups=GROUPS)),
        "shap_values": (rows, lambda: plan.shap_values(X)),
        "predict": (rows, lambda: booster.predict(X, raw_score=True, **how)),
        "pred_contrib": (len(some), lambda: booster.predict(some, pred_contrib=True, **how)),
    }
    if importlib.util.find_spec("shap"):
        import shap

        explainer = shap.TreeExplainer(booster)
        tasks["shap.TreeExplainer"] = (len(some), lambda: explainer(some).values)
    costs, found = in_turn(tasks, repeats)
    cost = costs["explain"]["cpu_us"]
    return {
        "ratio_pred_contrib": costs["pred_contrib"]["cpu_us"] / cost,
        "ratio_predict": cost / costs["predict"]["cpu_us"],
        "compile_seconds": compiled,
        "table_mb": plan.nbytes / 1e6,
        "costs": costs,
        **distances(
            found["explain"],
            found["shap_values"],
            found["pred_contrib"][:, :-1],
            found["predict"],
        ),
    }


def interventional(model: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Time values against a background in turn with shap's."""
    if not importlib.util.find_spec("shap"):
        return {"shap": "not installed"}
    import shap

    booster, (X, _) = lgb.Booster(model_file=model), accounts(rows, 12)
    background, some = accounts(BACKGROUND, 13)[0], X[: max(rows // 2500, 10)]
    began = time.process_time()
    plan = ShapPlan.compile(booster, background=background)
    compiled = time.process_time() - began
    plan.expect(10**9)
    explainer = shap.TreeExplainer(booster, background, feature_perturbation="interventional")
    tasks = {
        "explain": (rows, lambda: plan.explain(X, groups=GROUPS)),
        "shap": (len(some), lambda: explainer.shap_values(some, check_additivity=False)),
    }
    costs, found = in_turn(tasks, repeats)
    margin = booster.predict(X, raw_score=True)
    return {
        "ratio_interventional": costs["shap"]["cpu_us"] / costs["explain"]["cpu_us"],
        "compile_seconds": compiled,
        "costs": costs,
        **distances(found["explain"], plan.shap_values(some), found["shap"], margin),
    }


def against_peers(model: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Time the peers that are installed in turn, on a model without categorical features."""
    import pandas as pd

    booster, (X, _) = lgb.Booster(model_file=model), accounts(rows, 12)
    some = X[: min(rows // 10, 2000)]
    plan = ShapPlan.compile(booster)
    plan.expect(10**9)
    tasks: dict[str, tuple[int, Callable[[], Any]]] = {"ours": (rows, lambda: plan.shap_values(X))}
    missing = []
    if module := _first_installed("fasttreeshap", "fasttreeshap_fixed"):
        for version in ("v1", "v2"):
            fast = module.TreeExplainer(booster, algorithm=version, n_jobs=THREADS)
            tasks[f"FastTreeSHAP {version}"] = (
                len(some),
                lambda fast=fast: fast.shap_values(some, check_additivity=False),
            )
    else:
        missing.append("FastTreeSHAP")
    if module := _first_installed("woodelf"):
        frame = pd.DataFrame(X, columns=booster.feature_name())
        woodelf = module.WoodelfExplainer(booster)
        tasks["WOODELF"] = (rows, lambda: woodelf.shap_values(frame))
    else:
        missing.append("WOODELF")
    costs, found = in_turn(tasks, repeats)
    wanted = booster.predict(some, pred_contrib=True)[:, :-1]
    peers = {
        name: {
            **costs[name],
            "ratio": costs[name]["cpu_us"] / costs["ours"]["cpu_us"],
            "max_difference": float(np.abs(np.asarray(values)[: len(some)] - wanted).max()),
        }
        for name, values in found.items()
    }
    return {"peers": peers | dict.fromkeys(missing, "not installed")}


def _first_installed(*names: str) -> Any:
    found = [name for name in names if importlib.util.find_spec(name)]
    return importlib.import_module(found[0]) if found else None


def memory(model: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Explain many rows; the process' memory is what counts."""
    plan, (X, _) = ShapPlan.compile(lgb.Booster(model_file=model)), accounts(rows, 12)
    plan.expect(10**9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plan.explain(X, groups=GROUPS)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"explain_gib": (after - before) / 2**20}


def fuzz(model: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Compare small models of all kinds with LightGBM on rows unlike their training."""
    worst = {"max_difference": 0.0, "additivity": 0.0}
    for seed in range(50):
        rng = np.random.default_rng(seed)
        columns = [*rng.choice(60, 8, replace=False), *CATEGORICAL]
        X, churned = accounts(2500, 100 + seed)
        X = X[:, columns]
        settings = {
            "objective": rng.choice(["binary", "regression"]),
            "num_leaves": int(rng.choice([2, 7, 15, 31, 63])),
            "max_depth": int(rng.choice([-1, 1, 3, 6])),
            "learning_rate": float(rng.choice([0.05, 0.3])),
            "min_data_in_leaf": int(rng.choice([5, 50, 2000])),
            "zero_as_missing": bool(rng.integers(2)),
            "use_missing": bool(rng.integers(4)),
            "max_cat_to_onehot": int(rng.choice([1, 64])),
            "max_bin": int(rng.choice([15, 255])),
            "monotone_constraints": [*rng.choice([0, 0, 1, -1], 8).tolist(), 0, 0],
            "num_threads": 1,
            "verbosity": -1,
        }
        data = lgb.Dataset(X[:2000], churned[:2000], categorical_feature=[8, 9])
        booster = lgb.train(settings, data, int(rng.choice([1, 20, 60])))
        some = X[2000:].copy()
        odd = [np.inf, -np.inf, np.nan, 0.0, 1e-36, -1e-36, 1e300, 77.0, -3.0, -0.5]
        some[rng.integers(0, 500, 400), rng.integers(0, 10, 400)] = rng.choice(odd, 400)
        plan = ShapPlan.compile(booster)
        plan.expect(10**9)
        off = distances(
            plan.explain(some),
            plan.shap_values(some),
            booster.predict(some, pred_contrib=True)[:, :-1],
            booster.predict(some, raw_score=True),
        )
        if plan.fallback is not None:
            raise SystemExit(f"Model {seed} is not held in tables: {plan.fallback}")
        worst = {name: max(worst[name], off[name]) for name in worst}
    return worst


CHILDREN = {
    child.__name__: child
    for child in (against_lightgbm, interventional, against_peers, memory, fuzz)
}


def in_child(name: str, model: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, __file__, "--child", name, str(model), str(rows), str(repeats)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(*, quick: bool) -> dict[str, Any]:
    """Run every measurement."""
    rows, trees, repeats = (20_000, 100, 1) if quick else (100_000, 400, 5)
    with tempfile.TemporaryDirectory() as scratch:
        files = {}
        for number, (name, shape) in enumerate([*SHAPES.items(), (PLAIN, SHAPES[MAIN])]):
            files[name] = Path(scratch) / f"{number}.txt"
            categorical = [] if name == PLAIN else CATEGORICAL
            train(rows * 3 // 5, trees, *shape, categorical).save_model(files[name])
        models = {name: in_child("against_lightgbm", files[name], rows, repeats) for name in SHAPES}
        figures: dict[str, Any] = {
            "models": models,
            "interventional": in_child("interventional", files[PLAIN], rows, min(repeats, 3)),
            "memory": in_child("memory", files[MAIN], rows, 1),
            "fuzz": in_child("fuzz", files[MAIN], rows, 1),
            **in_child("against_peers", files[PLAIN], rows, min(repeats, 3)),
        }
    compared = [*models.values(), figures["interventional"], figures["fuzz"]]
    return {
        "ratio_pred_contrib": models[MAIN]["ratio_pred_contrib"],
        "ratio_predict": models[MAIN]["ratio_predict"],
        "ratio_interventional": figures["interventional"].get("ratio_interventional", math.nan),
        "max_difference": max(each.get("max_difference", 0.0) for each in compared),
        "additivity": max(each.get("additivity", 0.0) for each in compared),
        "rows": rows,
        "trees": trees,
        **figures,
    }


def report(figures: dict[str, Any]) -> None:
    print(f"{figures['rows']:,} rows, {figures['trees']} trees, CPU microseconds per row")
    for name, found in figures["models"].items():
        costs = {task: cost["cpu_us"] for task, cost in found["costs"].items()}
        print(f"{name}: " + ", ".join(f"{task} {cost:.2f}" for task, cost in costs.items()))
        print(
            f"  {found['ratio_pred_contrib']:.0f} x faster than pred_contrib,"
            f" {found['ratio_predict']:.3f} of predict;"
            f" compiled in {found['compile_seconds']:.1f} s, {found['table_mb']:.0f} MB;"
            f" difference {found['max_difference']:.1e}, additivity {found['additivity']:.1e}"
        )
    print(f"interventional: {figures['ratio_interventional']:.0f} x faster than shap")
    for name, peer in figures["peers"].items():
        if isinstance(peer, str):
            print(f"  {name}: {peer}")
        else:
            print(
                f"  {name}: {peer['cpu_us']:.2f}, {peer['ratio']:.1f} x ours;"
                f" difference {peer['max_difference']:.1e}"
            )
    print(
        f"all models: difference {figures['max_difference']:.1e},"
        f" additivity {figures['additivity']:.1e};"
        f" explaining adds {figures['memory']['explain_gib']:.2f} GiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object of figures on stdout")
    parser.add_argument("--quick", action="store_true", help="20,000 rows, 100 trees")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        name, file, rows, repeats = asked.child
        found = CHILDREN[name](Path(file), int(rows), int(repeats))
        found["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps(found))
        return
    figures = measure(quick=asked.quick)
    if asked.json:
        print(json.dumps(figures))
    else:
        report(figures)


if __name__ == "__main__":
    main()
