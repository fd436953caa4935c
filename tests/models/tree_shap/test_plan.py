"""The face of a plan: determinism, summaries, refusals, fallbacks."""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from features.errors import DataError, RegistryError
from models.tree_shap import Explanation, ShapPlan
from models.tree_shap.plan import _threads
from models.tree_shap.run import backends

GROUPS = np.array([0, 0, 1, 1, 2, 2, 2, 0, 3, 3])


def bits(found: Explanation) -> bytes:
    return b"".join(getattr(found, field.name).tobytes() for field in fields(found))


def joined(parts: list[Explanation]) -> Explanation:
    names = [field.name for field in fields(Explanation)]
    return Explanation(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )


@pytest.mark.usefixtures("by_kernel")
@pytest.mark.parametrize("size", [7, 511, 513, 5000])
@pytest.mark.parametrize("threads", [1, 2])
def test_bytes_do_not_depend_on_batches_blocks_or_threads(
    plan: ShapPlan, X: Any, size: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = X[:5100]
    whole = plan.explain(some, groups=GROUPS, n_threads=1)
    values = plan.shap_values(some, n_threads=1)
    monkeypatch.setattr("models.tree_shap.run.blocks.BLOCK", 1024)
    batches = [slice(start, start + size) for start in range(0, len(some), size)]
    if size == 7:
        batches = [slice(0, 1), slice(1, 8), *(slice(i, i + 7) for i in range(8, 500, 7))]
    found = joined([plan.explain(some[b], groups=GROUPS, n_threads=threads) for b in batches])
    parts = np.concatenate([plan.shap_values(some[b], n_threads=threads) for b in batches])
    assert bits(found) == bits(joined([whole])) or size == 7
    for field in fields(found):
        wanted = getattr(whole, field.name)[: len(parts)]
        assert getattr(found, field.name).tobytes() == wanted.tobytes()
    assert parts.tobytes() == values[: len(parts)].tobytes()


def test_numpy_gives_the_same_bytes_as_compiled_code(
    plan: ShapPlan, X: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr(backends, "LOADING", 0)
    by_kernel = plan.explain(X[:3000], groups=GROUPS, top_k=3)
    assert backends._effort.loaded
    monkeypatch.setattr(backends._effort, "available", False)
    assert bits(plan.explain(X[:3000], groups=GROUPS, top_k=3)) == bits(by_kernel)
    assert bits(plan.explain(np.asfortranarray(X[:3000]), groups=GROUPS, top_k=3)) == bits(
        by_kernel
    )


@pytest.mark.parametrize("road", ["by_numpy", "by_kernel"])
def test_summaries_are_those_of_the_full_matrix(
    plan: ShapPlan, X: Any, road: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(road)
    some = X[:300]
    values = plan.shap_values(some)
    found = plan.explain(some, groups=GROUPS, top_k=12)
    for group in range(4):
        wanted = values[:, group == GROUPS].sum(axis=1)
        assert (found.group_sums[:, group] == wanted).all()
    for row in range(300):
        order = sorted(range(10), key=lambda f: (-abs(values[row, f]), f))
        order = [f for f in order if values[row, f] != 0]
        assert found.top_signals[row].tolist() == order + [-1] * (12 - len(order))
        assert found.top_values[row].tolist() == [values[row, f] for f in order] + [0.0] * (
            12 - len(order)
        )
    # Feature 7 never varied, so it is never a reason.
    assert not (found.top_signals == 7).any()
    assert found.top_signals.dtype == np.int32


@pytest.mark.parametrize("road", ["by_numpy", "by_kernel"])
def test_without_groups_reasons_or_rows(
    plan: ShapPlan, X: Any, road: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(road)
    found = plan.explain(X[:40], top_k=0)
    assert found.group_sums.shape == (40, 0)
    assert found.top_signals.shape == found.top_values.shape == (40, 0)
    assert found.margin.shape == (40,)
    none = plan.explain(X[:0], groups=GROUPS)
    assert none.margin.shape == (0,)
    assert none.group_sums.shape == (0, 4)
    assert plan.shap_values(X[:0]).shape == (0, 10)


@pytest.mark.usefixtures("by_kernel")
def test_equal_values_are_named_in_the_order_of_the_features() -> None:
    from models.tree_shap.run.summing import summarise_block

    rng = np.random.default_rng(0)
    # Few different sizes: most places are disputed.
    totals = rng.integers(-3, 4, (20, 256)).astype(float)
    found = Explanation.empty(250, 2, 6)
    found.margin[:] = 0
    group = np.arange(20) % 2
    summarise_block(
        totals, group, found.margin, found.group_sums, found.top_signals, found.top_values
    )
    assert bits(found) == bits(Explanation.of(totals.T[:250], np.zeros(250), group, 2, 6))


def test_many_small_batches_end_on_the_fast_road(
    plan: ShapPlan, X: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr(backends, "_effort", backends._Effort())
    fresh = pickle.loads(pickle.dumps(plan))
    row = plan._parts.tables.n_columns + backends.PER_SIGNAL * 10
    monkeypatch.setattr(backends, "LOADING", 250 * row)
    fresh.shap_values(X[:100])
    fresh.shap_values(X[:100])
    assert fresh._backends._kernel is None
    fresh.shap_values(X[:100])
    assert fresh._backends._kernel is not None


def test_a_plan_that_expects_many_rows_is_fast_from_the_first(
    plan: ShapPlan, X: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr(backends, "_effort", backends._Effort())
    few, many = (pickle.loads(pickle.dumps(plan)) for _ in range(2))
    few.expect(100)
    assert few._backends._kernel is None
    many.expect(10_000_000)
    assert many._backends._kernel is not None
    assert many.shap_values(X[:64]).tobytes() == few.shap_values(X[:64]).tobytes()


def test_where_numba_is_missing_numpy_serves_and_says_so_once(
    plan: ShapPlan,
    X: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(backends, "_effort", backends._Effort())
    monkeypatch.setattr(backends, "LOADING", 0)
    monkeypatch.setitem(sys.modules, "models.tree_shap.run.blocks", None)
    wanted = plan.shap_values(X[:60])
    fresh = pickle.loads(pickle.dumps(plan))
    for _ in range(2):
        assert fresh.shap_values(X[:60]).tobytes() == wanted.tobytes()
    assert len(caplog.records) == 1
    assert "take at least ten times as long without numba, which cannot be loaded (" in caplog.text


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"num_leaves": 80, "min_data_in_leaf": 2}, "a tree has 80 leaves, more than 64"),
        (
            {"max_bin": 5000, "extra_trees": True, "num_leaves": 63},
            "codes in its trees, more than 256",
        ),
    ],
)
def test_a_model_tables_cannot_hold_is_asked_of_lightgbm(
    trained: Callable[..., lgb.Booster],
    X: Any,
    params: dict[str, Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Any,
) -> None:
    rounds = {"n_rounds": 40 if "max_bin" in params else 3, "n": 4000}
    booster = trained(**rounds, **params)
    plan = ShapPlan.compile(booster)
    assert plan.fallback is not None
    assert reason in plan.fallback
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert plan.fallback in caplog.text
    wanted = booster.predict(X[:100], pred_contrib=True)
    found = plan.explain(X[:100], groups=GROUPS)
    assert plan.shap_values(X[:100]) == pytest.approx(wanted[:, :-1], abs=1e-9)
    assert plan.expected_value == pytest.approx(wanted[0, -1])
    assert found.margin == pytest.approx(booster.predict(X[:100], raw_score=True), abs=1e-9)
    assert (found.margin == plan.base_values(None, 100) + found.group_sums.sum(axis=1)).all()
    assert plan.shap_values(X[:0]).shape == (0, 10)
    with pytest.raises(RegistryError, match=r"tables cannot hold this model because .*; leave the"):
        ShapPlan.compile(booster, background=X[:20])
    plan.save(tmp_path)
    with pytest.raises(RegistryError, match=r"asks LightGBM for its values, .* load it with its"):
        ShapPlan.load(tmp_path)
    again = ShapPlan.load(tmp_path, booster=booster)
    assert again.shap_values(X[:100]).tobytes() == plan.shap_values(X[:100]).tobytes()


def test_a_leaf_behind_too_many_features_is_asked_of_lightgbm() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 20))
    # Each feature decides only where all before it were above zero.
    y = (X > -1.0).cumprod(axis=1).sum(axis=1)
    booster = lgb.train(
        {"num_leaves": 40, "min_data_in_leaf": 1, "verbosity": -1, "num_threads": 1},
        lgb.Dataset(X, y),
        1,
    )
    plan = ShapPlan.compile(booster)
    assert plan.fallback is not None
    assert "different features, more than 16" in plan.fallback


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"objective": "multiclass", "num_class": 2}, "it has 2 outputs per row instead of one"),
        ({"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1}, "it averages its trees"),
        ({"linear_tree": True, "objective": "regression"}, "its leaves hold linear models"),
    ],
)
def test_a_model_nobody_can_explain_is_refused(
    trained: Callable[..., lgb.Booster], params: dict[str, Any], reason: str
) -> None:
    booster = trained(n_rounds=2, categorical=False, **params)
    with pytest.raises(RegistryError, match=f"because {reason}.*; train"):
        ShapPlan.compile(booster)


def test_wrong_tables_are_found_out_on_first_use(
    booster: lgb.Booster, X: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plan = ShapPlan.compile(booster)
    tables = plan._parts.tables
    wrong = replace(plan._parts, tables=replace(tables, entry=tables.entry[::-1].copy()))
    plan = ShapPlan(wrong, booster)
    found = plan.explain(X[:300])
    assert plan.fallback is not None
    assert plan.fallback.startswith("its tables are off by")
    assert "come from LightGBM itself" in caplog.text
    assert found.margin == pytest.approx(booster.predict(X[:300], raw_score=True), abs=1e-7)
    background = ShapPlan.compile(booster, background=X[:20])._parts
    wrong = replace(background, tables=replace(background.tables, entry=tables.entry[::-1].copy()))
    if wrong.tables.entry.shape == background.tables.entry.shape:
        with pytest.raises(RegistryError, match="must sum to the margin of the model, but are off"):
            ShapPlan(wrong, booster).explain(X[:300])


def test_only_the_first_rows_are_compared(
    booster: lgb.Booster, X: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ShapPlan.compile(booster)
    compared = []
    predict = lgb.Booster.predict
    monkeypatch.setattr(
        lgb.Booster, "predict", lambda *a, **k: compared.append(len(a[1])) or predict(*a, **k)
    )
    for n in (1, 100, 4000, 50):
        plan.shap_values(X[:n])
    assert compared == [1, 100, 155]


def test_a_plan_of_nothing_is_refused() -> None:
    with pytest.raises(RegistryError, match="needs trees, an additive part, or both"):
        ShapPlan.compile(None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": np.zeros((3, 9))}, r"must have 10 columns, .* has shape \(3, 9\); pass what"),
        ({"X": np.zeros(10)}, r"must have 10 columns, .* has shape \(10,\); pass what"),
        ({"segment": [0, 0]}, r"segments of 3 rows must be as many integers, .* \(2,\); pass the"),
        ({"segment": [0.0, 0.0, 0.0]}, "must be as many integers, but are an array of float64"),
        ({"segment": [0, 1, 0]}, "between -1 and 0, but go from 0 to 1; pass the codes"),
        ({"segment": [0, -2, 0]}, "between -1 and 0, but go from -2 to 0; pass the codes"),
        ({"groups": [0, 1]}, r"one integer from 0 for each of 10 features, .* \(2,\); number them"),
        ({"groups": [-1] * 10}, "one integer from 0 for each of 10 features"),
        ({"top_k": -1}, "top_k must not be below 0, but is -1; pass how many"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    plan: ShapPlan, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        plan.explain(**{"X": np.zeros((3, 10))} | arguments)


@pytest.mark.parametrize(
    ("background", "message"),
    [(np.zeros((0, 10)), "must have rows, but has none; pass a"), (np.zeros((5, 3)), "10 columns")],
)
def test_a_background_that_does_not_fit_is_refused(
    booster: lgb.Booster, background: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ShapPlan.compile(booster, background=background)


def test_threads_default_to_the_processors_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _threads(None) >= 1
    assert _threads(3) == 3
    assert _threads(0) == 1
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert _threads(None) >= 1
