"""The steps from a model's text to its tables, one by one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.tree_shap.build.leaf_tables import independent_patterns, leaf_tables
from models.tree_shap.build.merging import MOST_ROWS, merge_leaves
from models.tree_shap.build.model_text import Tree, read_trees
from models.tree_shap.build.paths import Paths
from models.tree_shap.build.table_building import _fixed_point
from models.tree_shap.build.thresholds import collect_codes


def leaf_of(tree: Tree, row: Any) -> int:
    node = 0
    while node >= 0 and tree.n_leaves > 1:
        left = tree.goes_left(node, row[[tree.feature[node]]])[0]
        node = int(tree.left[node] if left else tree.right[node])
    return ~node if tree.n_leaves > 1 else 0


@pytest.mark.parametrize("zero_as_missing", [False, True])
@pytest.mark.parametrize("use_missing", [False, True])
def test_rows_end_in_lightgbms_leaves(
    trained: Callable[..., lgb.Booster], X: Any, zero_as_missing: bool, use_missing: bool
) -> None:
    booster = trained(
        n_rounds=4, num_leaves=20, zero_as_missing=zero_as_missing, use_missing=use_missing
    )
    some = X[:120]
    _, trees = read_trees(booster.model_to_string())
    found = [[leaf_of(tree, row) for tree in trees] for row in some]
    assert (np.array(found) == booster.predict(some, pred_leaf=True)).all()


def test_all_values_of_a_code_go_the_same_way(booster: lgb.Booster, X: Any) -> None:
    n_features, trees = read_trees(booster.model_to_string())
    coding = collect_codes(trees, n_features)
    codes = coding.codes(X)
    for tree in trees:
        for node, feature in enumerate(tree.feature):
            by_code = tree.goes_left(node, coding.representatives(feature))
            assert (by_code[codes[:, feature]] == tree.goes_left(node, X[:, feature])).all()
    for feature in np.flatnonzero(coding.kind):
        own = np.full((coding.size[feature], n_features), np.nan)
        own[:, feature] = coding.representatives(feature)
        assert coding.codes(own)[:, feature].tolist() == [*range(coding.size[feature])]


def test_exactly_one_leaf_is_open_to_a_row(booster: lgb.Booster, X: Any) -> None:
    n_features, trees = read_trees(booster.model_to_string())
    coding = collect_codes(trees, n_features)
    codes = coding.codes(X[:300])
    for tree in trees:
        paths = Paths.of(tree, coding)
        open_to = np.ones((300, tree.n_leaves), dtype=bool)
        for k, feature in enumerate(paths.feature):
            for leaf in range(tree.n_leaves):
                open_to[:, leaf] &= paths.satisfied(leaf, k)[codes[:, feature]]
        assert (open_to.sum(axis=1) == 1).all()
        reached = tree.leaf_count / tree.node_count[0]
        assert paths.share.prod(axis=1) == pytest.approx(reached)


@pytest.mark.parametrize("leaves", [2, 15, 63])
def test_every_leaf_is_in_one_table(trained: Callable[..., lgb.Booster], leaves: int) -> None:
    _, trees = read_trees(trained(n_rounds=3, num_leaves=leaves).model_to_string())
    coding = collect_codes(trees, 10)
    for tree in trees:
        paths = Paths.of(tree, coding)
        groups = merge_leaves(paths)
        assert sorted(np.concatenate(groups).tolist()) == [*range(tree.n_leaves)]
        for group in groups:
            mask = (np.uint64(1) << group.astype(np.uint64)).sum()
            rows = math.prod(len(np.unique(masks & mask)) for masks in paths.allowed)
            assert rows <= MOST_ROWS
        assert len(groups) < tree.n_leaves


@st.composite
def leaf_games(draw: st.DrawFn) -> tuple[int, Any]:
    conditions = draw(st.integers(1, 5))
    weights = draw(arrays(float, 2**conditions, elements=st.floats(0, 1)))
    weights[-1] += 0.1
    return conditions, weights / weights.sum()


@given(leaf_games(), st.floats(-3, 3))
def test_a_leafs_values_are_shapley_values(game: tuple[int, Any], value: float) -> None:
    d, reference = game
    found = leaf_tables(np.array([value]), reference[None])[0]

    def won(pattern: int, coalition: int) -> float:
        met = [(pattern & coalition) | (q & ~coalition) == 2**d - 1 for q in range(2**d)]
        return value * float(reference[met].sum())

    for pattern, i in itertools.product(range(2**d), range(d)):
        wanted = 0.0
        for coalition in range(2**d):
            if not coalition >> i & 1:
                share = 1 / (d * math.comb(d - 1, coalition.bit_count()))
                step = won(pattern, coalition | 1 << i) - won(pattern, coalition)
                wanted += share * step
        assert found[pattern, i] == pytest.approx(wanted, abs=1e-12)


def test_deep_leaves_lose_no_digits() -> None:
    shares = np.random.default_rng(0).uniform(0.01, 0.99, (1, 16))
    found = leaf_tables(np.ones(1), independent_patterns(shares))[0]
    # Efficiency: the values of a pattern sum to what it wins less what is expected.
    wanted = np.zeros(2**16)
    wanted[-1] = 1
    assert np.abs(found.sum(axis=1) - (wanted - shares.prod())).max() < 1e-13


@given(arrays(float, (4, 6), elements=st.floats(-1, 1)))
def test_rounded_rows_keep_their_sums(values: Any) -> None:
    found = _fixed_point(values, 20)
    assert np.abs(found - values * 2**20).max() <= 1
    assert (found.sum(axis=1) == np.rint(np.cumsum(values, axis=1)[:, -1] * 2**20)).all()


def test_a_model_without_counts_is_refused(booster: lgb.Booster) -> None:
    from models.tree_shap.build.model_text import UnexplainableModelError

    text = booster.model_to_string().replace("internal_count=", "internal_count=0 ", 1)
    with pytest.raises(UnexplainableModelError, match="how many rows reached each of its nodes"):
        read_trees(text)
