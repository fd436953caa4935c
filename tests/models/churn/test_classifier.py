from __future__ import annotations

import json
from itertools import combinations
from math import factorial

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from models.churn.classifier import ChurnClassifier

COLUMNS = ["plan", "usage_28d", "usage_change", "tickets_90d", "billing_period"]
HEALTHY = {"usage_28d": "higher", "usage_change": "higher", "tickets_90d": "lower"}


@pytest.fixture(scope="module", name="X")
def _signals_and_segment(frame):
    return frame[COLUMNS]


@pytest.fixture(scope="module")
def y(frame):
    return frame["happened"].to_numpy()


@pytest.fixture(scope="module")
def fitted(X, y):
    return ChurnClassifier(segment_column="plan", healthy=HEALTHY).fit(X, y)


@parametrize_with_checks(
    [
        ChurnClassifier(),
        ChurnClassifier(n_rounds=0),
        ChurnClassifier(backbone=False, min_child_samples=5),
        ChurnClassifier(tree_share=0.5, n_rounds=5, tree_rounds=10),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("backbone", "rounds"), [(True, 40), (True, 0), (False, 40), (False, 0)])
def test_contributions_and_base_sum_to_the_margin(X, y, backbone, rounds):
    model = ChurnClassifier(segment_column="plan", backbone=backbone, n_rounds=rounds).fit(X, y)
    total = model.base_margin(X) + model.contributions(X).sum(axis=1)
    assert total == pytest.approx(model.decision_function(X), abs=1e-9)
    assert model.contributions(X).shape == (len(X), 4)
    assert pd.Series(model.base_margin(X).round(12)).groupby(X["plan"]).nunique().max() == 1


def expected_margin(node, row, known):
    """Path-dependent expectation of a tree when only some signals of the row are known."""
    if "leaf_value" in node:
        return node["leaf_value"]
    sides = [node["left_child"], node["right_child"]]
    if node["split_feature"] in known:
        value = row[node["split_feature"]]
        left = node["default_left"] if np.isnan(value) else value <= node["threshold"]
        return expected_margin(sides[0 if left else 1], row, known)
    sizes = [side.get("internal_count", side.get("leaf_count")) for side in sides]
    parts = [expected_margin(side, row, known) for side in sides]
    return np.average(parts, weights=sizes)


def shapley(trees, row):
    """Shapley values by their definition, over all subsets of signals."""
    total = np.zeros(len(row))
    for i in range(len(row)):
        others = [j for j in range(len(row)) if j != i]
        for size in range(len(row)):
            share = factorial(size) * factorial(len(row) - size - 1) / factorial(len(row))
            for known in combinations(others, size):
                total[i] += share * sum(
                    expected_margin(tree, row, {*known, i}) - expected_margin(tree, row, {*known})
                    for tree in trees
                )
    return total


def test_correction_is_explained_by_shapley_values(X, y):
    numeric = X[["usage_28d", "usage_change", "tickets_90d"]]
    model = ChurnClassifier(backbone=False, n_rounds=12).fit(numeric, y)
    trees = [tree["tree_structure"] for tree in model.booster_.dump_model()["tree_info"]]
    expected = [shapley(trees, row) for row in numeric.iloc[:12].to_numpy()]
    assert model.contributions(numeric.iloc[:12]) == pytest.approx(np.array(expected), abs=1e-9)


def test_backbone_contribution_is_the_coefficient_times_the_distance_from_the_segment(X, y):
    model = ChurnClassifier(segment_column="plan", n_rounds=0).fit(X, y)
    means = pd.DataFrame(model.contributions(X)).groupby(X["plan"].to_numpy()).mean()
    # The mean row is that of a design in single precision.
    assert means.to_numpy() == pytest.approx(0, abs=1e-7)
    changed = X.assign(tickets_90d=0.0)
    apart = model.contributions(X) - model.contributions(changed)
    assert apart[:, [0, 1, 3]] == pytest.approx(0)
    assert apart[:, 2] == pytest.approx(
        model.decision_function(X) - model.decision_function(changed), abs=1e-9
    )


def test_segments_get_their_own_coefficients(X, y, fitted):
    row = X.iloc[[0]].assign(usage_28d=np.expm1(4.0), tickets_90d=0.0, usage_change=0.0)
    effect = {}
    for plan in ("starter", "enterprise"):
        busy = row.assign(plan=plan, tickets_90d=2.0)
        effect[plan] = (
            fitted.decision_function(busy) - fitted.decision_function(row.assign(plan=plan))
        )[0]
    assert effect["enterprise"] > effect["starter"] + 1


def test_trees_alone_may_hold_directions(X, y):
    held = ChurnClassifier(segment_column="plan", healthy=HEALTHY, tree_share=1.0).fit(X, y)
    rows = X.sample(50, random_state=0)
    for name, way in HEALTHY.items():
        grid = np.quantile(X[name].dropna(), np.linspace(0, 1, 21))
        margins = np.array([held.decision_function(rows.assign(**{name: v})) for v in grid])
        step = np.diff(margins, axis=0)
        assert (step <= 1e-9).all() if way == "higher" else (step >= -1e-9).all()


def test_a_wrong_direction_silences_a_signal_only_where_it_is_held(X, y):
    wrong = {"tickets_90d": "higher"}
    free = ChurnClassifier(segment_column="plan", healthy=wrong).fit(X, y)
    plain = ChurnClassifier(segment_column="plan").fit(X, y)
    assert (free.decision_function(X) == plain.decision_function(X)).all()
    silenced = clone(free).set_params(tree_share=1.0).fit(X, y)
    assert silenced.contributions(X)[:, 2] == pytest.approx(0, abs=1e-9)
    overruled = clone(free).set_params(tree_share=1.0, hold_directions=False).fit(X, y)
    assert np.abs(overruled.contributions(X)[:, 2]).mean() > 0.05


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_shares_weigh_the_margins_of_two_shapes(X, y, share):
    """The oracle is two models of one shape each, whose margins are weighed by hand."""
    mixed = ChurnClassifier(segment_column="plan", healthy=HEALTHY, tree_share=share).fit(X, y)
    straight, alone = (clone(mixed).set_params(tree_share=s).fit(X, y) for s in (0.0, 1.0))
    for method in ("decision_function", "contributions", "base_margin"):
        expected = (1 - share) * getattr(straight, method)(X) + share * getattr(alone, method)(X)
        assert getattr(mixed, method)(X) == pytest.approx(expected, abs=1e-9)
    again = ChurnClassifier.from_dict(mixed.to_dict(), mixed.correction_text())
    assert (again.decision_function(X) == mixed.decision_function(X)).all()
    total = mixed.base_margin(X) + mixed.contributions(X).sum(axis=1)
    assert total == pytest.approx(mixed.decision_function(X), abs=1e-9)


def test_trees_never_see_the_segment(X, fitted):
    assert fitted.booster_.num_feature() == 4
    other = X.assign(plan="starter")
    moved = fitted.decision_function(X) - fitted.decision_function(other)
    linear = fitted.backbone_.margin(fitted.encoder_.transform(X)) - fitted.backbone_.margin(
        fitted.encoder_.transform(other)
    )
    assert moved == pytest.approx(linear, abs=1e-9)


@pytest.mark.parametrize("jobs", [2, -1])
def test_threads_do_not_change_the_result(X, y, fitted, jobs):
    again = clone(fitted).set_params(n_jobs=jobs).fit(X, y)
    assert (
        again.correction_text().split("parameters:")[0]
        == (fitted.correction_text().split("parameters:")[0])
    )
    assert (again.decision_function(X) == fitted.decision_function(X)).all()


def test_round_trip_is_exact(X, fitted):
    text = json.dumps(fitted.to_dict(), allow_nan=False)
    again = ChurnClassifier.from_dict(json.loads(text), fitted.correction_text())
    assert (again.decision_function(X) == fitted.decision_function(X)).all()
    assert (again.contributions(X) == fitted.contributions(X)).all()
    assert again.to_dict() == fitted.to_dict()


def test_unseen_category_is_unknown_and_unseen_segment_its_parent(X, fitted):
    rows = X.iloc[:5]
    known = fitted.decision_function(rows.assign(billing_period=None))
    assert (fitted.decision_function(rows.assign(billing_period="weekly")) == known).all()
    new = fitted.decision_function(rows.assign(plan="unheard of"))
    assert np.isfinite(new).all()
    assert (new == fitted.decision_function(rows.assign(plan=None))).all()


def test_a_single_row_scores_as_it_does_among_others(X, fitted):
    alone = fitted.decision_function(X.iloc[[7]])
    assert alone[0] == pytest.approx(fitted.decision_function(X)[7], abs=1e-12)


def test_staged_margins_are_those_of_shorter_fits(X, y, fitted):
    stages = fitted.staged_margins(X, [0, 10, 60])
    for column, rounds in enumerate([0, 10, 60]):
        shorter = clone(fitted).set_params(n_rounds=rounds).fit(X, y)
        assert stages[:, column] == pytest.approx(shorter.decision_function(X), abs=1e-9)


def test_correction_starts_from_the_backbone(X, y):
    """The same trees from LightGBM itself, given the backbone's margin as the initial score."""
    numeric = X[["usage_28d", "usage_change", "tickets_90d"]]
    model = ChurnClassifier(n_rounds=5, feature_fraction=1.0).fit(numeric, y)
    start = ChurnClassifier(n_rounds=0).fit(numeric, y).decision_function(numeric)
    settings = {
        "objective": "binary",
        "learning_rate": 0.05,
        "num_leaves": 8,
        "max_depth": 5,
        "min_data_in_leaf": 50,
        "lambda_l2": 10.0,
        "verbosity": -1,
        "boost_from_average": False,
    }
    data = lgb.Dataset(numeric.to_numpy(), y, init_score=start)
    expected = start + lgb.train(settings, data, 5).predict(numeric.to_numpy(), raw_score=True)
    assert model.decision_function(numeric) == pytest.approx(expected, abs=1e-9)


def test_probabilities_are_those_of_the_margin(X, fitted):
    probability = fitted.predict_proba(X)
    assert probability[:, 1] == pytest.approx(expit(fitted.decision_function(X)))
    assert probability.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_names_the_signal(X, y, fitted, value):
    bad = X.copy()
    bad.loc[3, "tickets_90d"] = value
    for call in (lambda: clone(fitted).fit(bad, y), lambda: fitted.predict(bad)):
        with pytest.raises(ValueError, match="infinity in 'tickets_90d'"):
            call()


def test_text_in_a_numeric_signal(X, fitted):
    bad = X.assign(tickets_90d="many")
    with pytest.raises(ValueError, match=r"Signal 'tickets_90d' must hold numbers.*'many'"):
        fitted.predict(bad)


def test_hostile_labels(X, y):
    for bad, message in (
        (np.where(np.arange(len(y)) == 3, np.nan, y), "NaN"),
        (np.zeros(len(y)), "two classes are needed"),
        (np.arange(len(y)) % 3, "Only binary classification"),
        (y[:-1], "inconsistent numbers of samples"),
        (None, "the target y is None"),
    ):
        with pytest.raises(ValueError, match=message):
            ChurnClassifier(segment_column="plan").fit(X, bad)


def test_bad_parameters(X, y):
    for bad, message in (
        ({"segment_column": "plann"}, "must name a column of X. Got 'plann'"),
        ({"healthy": {"usage": "higher"}}, "must name numeric signals of X. Got 'usage'"),
        ({"healthy": {"billing_period": "higher"}}, "must name numeric signals"),
        ({"healthy": {"tickets_90d": "up"}}, "must map to 'higher' or 'lower'. Got 'up'"),
        ({"n_rounds": -1}, "'n_rounds' parameter of ChurnClassifier must be"),
    ):
        with pytest.raises(ValueError, match=message):
            ChurnClassifier(**bad).fit(X, y)


def test_columns_are_unique_and_rows_exist(X, y, fitted):
    with pytest.raises(ValueError, match="Expected unique column names"):
        ChurnClassifier().fit(pd.concat([X, X[["plan"]]], axis=1), y)
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        fitted.predict(X.iloc[:0])


def test_missing_and_constant_signals_move_nothing(frame, y):
    names = ["usage_28d", "never_known", "always_one"]
    model = ChurnClassifier().fit(frame[names], y)
    assert model.contributions(frame[names])[:, 1:] == pytest.approx(0)
