"""Values against LightGBM, shap, and the definition of Shapley values itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from models.tree_shap import ShapPlan
from models.tree_shap.build.model_text import Tree, read_trees

LEAVES = (2, 3, 7, 15, 31, 63)
DEPTHS = (-1, 1, 3, 6)


def kinds(seed: int) -> dict[str, Any]:
    """Settings of the seed-th model; neighbouring seeds share none of them."""
    params: dict[str, Any] = {
        "num_leaves": LEAVES[seed % 6],
        "max_depth": DEPTHS[seed % 4] if seed % 6 else -1,
        "n_rounds": (1, 8, 15)[seed % 3],
        "learning_rate": (0.1, 0.5)[seed % 2],
        "zero_as_missing": seed % 5 == 1,
        "use_missing": seed % 5 != 2,
        "max_bin": (255, 15, 63)[seed % 3],
        "max_cat_to_onehot": (4, 64)[seed % 2],
        "categorical": seed % 7 != 3,
        "objective": ("binary", "regression", "poisson")[seed % 3],
        "boosting": "dart" if seed % 11 == 5 else "gbdt",
    }
    if seed % 4 == 0:
        params["monotone_constraints"] = [1, 0, -1, 0, 0, 0, 0, 0, 0, 0]
    if seed % 10 == 9:
        params["min_data_in_leaf"] = 10_000  # trees that split nothing
    return params


@pytest.mark.usefixtures("by_kernel")
@pytest.mark.parametrize("seed", range(50))
def test_values_are_lightgbms_own(
    seed: int, trained: Callable[..., lgb.Booster], X: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    booster = trained(seed=seed, n=600, **kinds(seed))
    some = X[:200]
    plan = ShapPlan.compile(booster)
    assert plan.fallback is None
    wanted = booster.predict(some, pred_contrib=True)
    found = plan.shap_values(some)
    assert np.abs(found - wanted[:, :-1]).max() <= 1e-6
    assert plan.expected_value == pytest.approx(wanted[0, -1], abs=1e-9)
    explained = plan.explain(some)
    assert np.abs(explained.margin - booster.predict(some, raw_score=True)).max() <= 5e-7
    # Not nearly: to the last bit, in whatever order the values are added.
    assert (explained.margin == plan.base_values(None, 200) + found.sum(axis=1)).all()
    monkeypatch.setattr("models.tree_shap.run.backends._effort.available", False)
    assert found.tobytes() == plan.shap_values(some).tobytes()
    assert plan.fallback is None


def test_values_are_those_of_the_shap_library(booster: lgb.Booster, X: Any) -> None:
    shap = pytest.importorskip("shap")
    with pytest.warns(UserWarning, match="list of ndarray"):
        wanted = shap.TreeExplainer(booster).shap_values(X[60:100])
    found = ShapPlan.compile(booster).shap_values(X[60:100])
    assert found == pytest.approx(wanted, abs=1e-6)


def test_interventional_values_are_those_of_the_shap_library(
    trained: Callable[..., lgb.Booster], X: Any
) -> None:
    # shap refuses categorical splits and reads zero_as_missing models wrongly.
    shap = pytest.importorskip("shap")
    booster = trained(categorical=False, num_leaves=15, max_depth=6)
    background, some = X[100:130], X[60:90]
    plan = ShapPlan.compile(booster, background=background)
    explainer = shap.TreeExplainer(booster, background, feature_perturbation="interventional")
    found = plan.shap_values(some)
    assert found == pytest.approx(explainer.shap_values(some, check_additivity=False), abs=1e-6)
    assert plan.expected_value == pytest.approx(booster.predict(background, raw_score=True).mean())
    assert plan.explain(some).margin == pytest.approx(booster.predict(some, raw_score=True))


def reachable(tree: Tree, row: Any, known: frozenset[int], node: int = 0) -> float:
    """Expected value of a tree when only some features of a row are known (Lundberg 2018)."""
    if node < 0:
        return float(tree.value[~node])
    children = (int(tree.left[node]), int(tree.right[node]))
    feature = int(tree.feature[node])
    if feature in known:
        return reachable(
            tree, row, known, children[0 if tree.goes_left(node, row[[feature]])[0] else 1]
        )
    counts = [tree.node_count[c] if c >= 0 else tree.leaf_count[~c] for c in children]
    values = [reachable(tree, row, known, child) for child in children]
    return float(np.dot(counts, values) / tree.node_count[node])


def shapley(game: Callable[[frozenset[int]], float], players: range) -> list[float]:
    """Shapley values by their definition, over all coalitions."""
    found = []
    for player in players:
        others = [other for other in players if other != player]
        value = 0.0
        for size in range(len(others) + 1):
            share = 1 / (len(players) * math.comb(len(others), size))
            for coalition in itertools.combinations(others, size):
                before = frozenset(coalition)
                value += share * (game(before | {player}) - game(before))
        found.append(value)
    return found


def test_path_dependent_values_are_shapley_values(trained: Callable[..., lgb.Booster]) -> None:
    booster = trained(n_rounds=2, num_leaves=6)
    _, trees = read_trees(booster.model_to_string())
    X = np.random.default_rng(5).normal(size=(4, 10))
    X[1, 4] = np.nan
    X[:, 8:] = [[3, 1], [77, 2], [np.nan, 0], [-1, 3]]
    found = ShapPlan.compile(booster).shap_values(X)
    for row, values in zip(X, found, strict=True):
        game = {
            known: sum(reachable(tree, row, known) for tree in trees)
            for size in range(11)
            for known in map(frozenset, itertools.combinations(range(10), size))
        }
        assert values == pytest.approx(shapley(game.__getitem__, range(10)), abs=1e-7)


def test_interventional_values_are_shapley_values(trained: Callable[..., lgb.Booster]) -> None:
    booster = trained(n_rounds=3, num_leaves=8)
    rng = np.random.default_rng(6)
    X, background = rng.normal(size=(3, 10)), rng.normal(size=(5, 10))
    X[:, 8:], background[:, 8:] = [[3, 1], [77, 2], [np.nan, 0]], rng.integers(0, 4, (5, 2))
    background[2, 3] = np.nan
    found = ShapPlan.compile(booster, background=background).shap_values(X)
    coalitions = [*itertools.product([False, True], repeat=10)]
    mixed = np.where(
        np.array(coalitions)[:, None, None, :], X[None, :, None, :], background[None, None]
    )
    margins = booster.predict(mixed.reshape(-1, 10), raw_score=True).reshape(len(coalitions), 3, 5)
    for row, values in enumerate(found):
        game = {
            frozenset(np.flatnonzero(known).tolist()): margin
            for known, margin in zip(coalitions, margins[:, row].mean(axis=1), strict=True)
        }
        assert values == pytest.approx(shapley(game.__getitem__, range(10)), abs=1e-7)
