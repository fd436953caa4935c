"""The product's own training, as ``healthscore train`` does it, and what it costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from _companies import Company, read_company
from _judging import judged

from models.churn.classifier import ChurnClassifier
from models.churn.segments import SegmentSettings
from models.measures.metrics import Metrics
from models.training.fit import TrainingResult, fit_health_model
from models.training.learning import Learning

TRAINING_DATES = 12


def healthscore(folder: Path, seed: int, threads: int) -> dict[str, Any]:
    """Train as the product does; keep its hold-out, its calibration and its weights."""
    of = read_company(folder)
    began = time.perf_counter()
    result = _train(of, seed, threads)
    seconds = time.perf_counter() - began
    fold = of.holdout()
    held, train = of.frame.iloc[fold.test], of.frame.iloc[fold.train]
    same = held[["account_id", "observation_date"]].reset_index(drop=True)
    if not same.equals(result.holdout[list(same)].astype(same.dtypes)):
        raise SystemExit("The product held out other rows than the peers are judged on.")
    constant = np.full(len(held), train["happened"].mean())
    return {
        "train_seconds": seconds,
        "training_rows": len(train),
        "rows": len(held),
        "positives": int(held["happened"].sum()),
        "model": judged(held, result.holdout["probability"].to_numpy()),
        "base": judged(held, constant),
        "truth": judged(held, held["true_probability"].to_numpy()),
        "choice": {key: result.choice[key] for key in ("n_rounds", "tree_share", "in_time")},
        "calibration": _calibration(result.metrics),
        "segments": {name: _calibration(part) for name, part in result.segment_metrics.items()},
        "weights": result.model.weights,
        "intervals": getattr(result.model, "weight_intervals", None),
        "true_weights": of.true_weights,
    }


def whole_training(folder: Path, seed: int, threads: int) -> dict[str, Any]:
    """Time the product's training on twelve dates: choices, proof, intervals and all."""
    of = read_company(folder, TRAINING_DATES)
    began = time.perf_counter()
    result = _train(of, seed, threads)
    seconds = time.perf_counter() - began
    settings = result.model.classifier.get_params()
    # Without any round there is nothing to compare: both get the default number then.
    rounds = settings["n_rounds"] or ChurnClassifier().n_rounds
    return {"seconds": seconds, "rows": len(of.frame), "rounds": rounds}


def one_fit(folder: Path, rounds: int, threads: int) -> dict[str, Any]:
    """Time the product's classifier alone: backbone and correction, without any choice."""
    of = read_company(folder, TRAINING_DATES)
    classifier = _classifier(of, rounds, threads)
    inputs = of.frame[of.names].assign(segment=of.frame["plan"])
    began = time.perf_counter()
    classifier.fit(inputs, of.frame["happened"])
    return {"seconds": time.perf_counter() - began}


def plain_lightgbm(folder: Path, rounds: int, threads: int) -> dict[str, Any]:
    """Time ``lgb.train`` with the parameters and rounds of the product's correction."""
    import lightgbm as lgb

    of = read_company(folder, TRAINING_DATES)
    settings = _classifier(of, rounds, threads).get_params()
    parameters = {
        "objective": "binary",
        "learning_rate": settings["learning_rate"],
        "num_leaves": settings["num_leaves"],
        "max_depth": settings["max_depth"],
        "min_data_in_leaf": settings["min_child_samples"],
        "feature_fraction": settings["feature_fraction"],
        "lambda_l2": settings["reg_lambda"],
        "num_threads": threads,
        "verbosity": -1,
    }
    texts = {signal.name: "category" for signal in of.signals if signal.is_categorical}
    inputs = of.frame[of.names].astype(texts)
    began = time.perf_counter()
    lgb.train(parameters, lgb.Dataset(inputs, of.frame["happened"]), rounds)
    return {"seconds": time.perf_counter() - began}


def _train(of: Company, seed: int, threads: int) -> TrainingResult:
    return fit_health_model(
        of.frame,
        of.signals,
        Learning(
            maturity_days=of.maturity_days,
            segments=SegmentSettings(**of.segments | {"columns": tuple(of.segments["columns"])}),
            seed=seed,
            n_jobs=threads,
        ),
    )


def _classifier(of: Company, rounds: int, threads: int) -> ChurnClassifier:
    healthy = {
        signal.name: signal.healthy
        for signal in of.signals
        if signal.healthy != "none" and not signal.is_categorical
    }
    return ChurnClassifier(
        segment_column="segment", n_rounds=rounds, healthy=healthy, random_state=0, n_jobs=threads
    )


def _calibration(metrics: Metrics) -> dict[str, Any]:
    kept = ("accounts", "rows", "positives", "ece", "ece_low", "ece_high", "ece_by_chance", "auc")
    described = metrics.to_dict()
    return {name: described[name] for name in kept}
