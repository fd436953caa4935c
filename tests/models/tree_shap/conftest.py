"""Small boosted models of every kind, and rows that try to go where training never was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from models.tree_shap import ShapPlan
from models.tree_shap.run import backends

N_FEATURES = 10
CATEGORIES = [8, 9]


def rows(n: int, seed: int) -> Any:
    """Counts, sparse and rounded numbers, a constant, two categories; a tenth is unknown."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N_FEATURES))
    X[:, 0] = rng.poisson(1, n)
    X[:, 1] *= rng.random(n) < 0.3
    X[:, 2] = np.round(X[:, 2])
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 7] = 3.0
    X[:, 8] = rng.integers(0, 40, n)
    X[:, 9] = rng.integers(0, 4, n)
    X[rng.random(n) < 0.1, 8] = np.nan
    return X


def outcome(X: Any, seed: int) -> Any:
    z = np.nan_to_num(X)
    log_odds = (
        z[:, 0] - 0.5 * z[:, 3] ** 2 + z[:, 4] * z[:, 5] + (z[:, 8] % 3 == 1) - (z[:, 9] == 2)
    )
    return (np.random.default_rng(seed).random(len(X)) < 1 / (1 + np.exp(-log_odds))).astype(int)


def hostile(X: Any) -> Any:
    """Put values into rows that no training row had."""
    odd = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-36, -1e-36, 2e-35, 1e300, -1e300, 1e-300]
    X = X.copy()
    for place, value in enumerate(odd):
        X[place, :8] = value
        X[20 + place, place % 8] = value
    for place, value in enumerate([77, -3, -0.5, 3.7, np.nan, 1e9, np.inf, -np.inf, 0]):
        X[40 + place, CATEGORIES] = value
    return X


def train(
    n_rounds: int = 12, n: int = 1200, seed: int = 0, categorical: bool = True, **params: Any
) -> lgb.Booster:
    X = rows(n, seed)
    settings = {
        "objective": "binary",
        "verbosity": -1,
        "num_threads": 1,
        "min_data_in_leaf": 10,
        "learning_rate": 0.1,
        "min_data_per_group": 10,
        "cat_smooth": 1,
        "cat_l2": 1,
        "seed": seed,
    }
    data = lgb.Dataset(X, outcome(X, seed), categorical_feature=CATEGORIES if categorical else [])
    return lgb.train(settings | params, data, n_rounds)


@pytest.fixture(scope="session")
def booster() -> lgb.Booster:
    return train(n_rounds=20, num_leaves=15)


@pytest.fixture(scope="session")
def X() -> Any:  # noqa: N802
    return hostile(rows(6000, 99))


@pytest.fixture
def by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Act as where numba is not installed."""
    monkeypatch.setattr(backends._effort, "available", False)


@pytest.fixture
def by_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use compiled code for any number of rows."""
    pytest.importorskip("numba")
    monkeypatch.setattr(backends, "LOADING", 0)
    monkeypatch.setattr(backends, "FEW_ROWS", 0)


@pytest.fixture(scope="session")
def trained() -> Callable[..., lgb.Booster]:
    return train


@pytest.fixture(scope="session")
def plan(booster: lgb.Booster) -> ShapPlan:
    return ShapPlan.compile(booster)
