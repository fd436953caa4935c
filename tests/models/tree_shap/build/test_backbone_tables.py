"""The tabulated backbone against the backbone itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.churn.classifier import ChurnClassifier
from models.churn.encoding import Encoded
from models.tree_shap import ShapPlan
from models.tree_shap.build.backbone_tables import tabulate_backbone
from models.tree_shap.run import backends
from models.tree_shap.run.additive_part import AdditivePart
from models.tree_shap.run.additive_values import signed_log

SEGMENTS = ["large", "small / new", "small / old"]


def frame(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {
        "usage": np.expm1(rng.normal(3, 1, n)).clip(0),
        "change": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
        "sparse": rng.poisson(0.1, n).astype(float),
        "tiny": rng.normal(size=n) * 1e-6,
        "money": np.exp(rng.normal(8, 3, n)),
        "constant": 2.0,
        "never": np.nan,
        "plan": rng.choice(["a", "b", "c"], n, p=[0.6, 0.39, 0.01]),
        "billing": rng.choice(["monthly", "annual", None], n),
        "segment": rng.choice(SEGMENTS, n, p=[0.5, 0.45, 0.05]),
    }
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def model() -> ChurnClassifier:
    X = frame(3000, 0)
    log_odds = X["usage"].rank(pct=True) * 2 - X["change"].fillna(1) + (X["plan"] == "a") - 2
    y = np.random.default_rng(1).random(3000) < 1 / (1 + np.exp(-log_odds))
    return ChurnClassifier(segment_column="segment", n_rounds=15).fit(X, y)


@pytest.fixture(scope="module")
def rows(model: ChurnClassifier) -> Encoded:
    X = frame(500, 2)
    X.loc[:40, "segment"] = "never seen"
    X.loc[50:90, "plan"] = "never seen"
    X.loc[60:70, ["usage", "money"]] = [[1e300, 1e18]]
    X.loc[71:80, ["usage", "constant", "never"]] = [[-1e18, -5.0, 4.0]]
    X.loc[81:85, ["tiny", "change"]] = 0.0
    return model.encoder_.transform(X)


@pytest.fixture(scope="module")
def centres() -> Any:
    return np.random.default_rng(3).normal(size=(4, 9)) / 10


@pytest.fixture(scope="module")
def part(model: ChurnClassifier, centres: Any) -> AdditivePart:
    return tabulate_backbone(model.backbone_, model.encoder_.categorical, 9, model.prior_, centres)


def test_values_are_the_backbones_less_the_centres(
    model: ChurnClassifier, rows: Encoded, part: AdditivePart, centres: Any
) -> None:
    assert set(rows.segment) == {-1, 0, 1, 2}
    wanted = model.backbone_.contributions(rows) - centres[rows.segment]
    assert np.abs(part.values(rows.values, rows.segment) - wanted).max() < 1e-10
    base = model.backbone_.base_margin(rows) + centres[rows.segment].sum(axis=1)
    assert part.base[rows.segment] == pytest.approx(base, abs=1e-10)


def test_values_hold_exactly_at_and_beside_the_knots(
    model: ChurnClassifier, part: AdditivePart, centres: Any
) -> None:
    values, segment = [], []
    for signal in range(7):
        knots = part.knot[part.start[signal] : part.start[signal + 1]]
        at = np.sign(knots) * np.expm1(np.abs(knots))
        for x in np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf)]):
            values.append(np.full(9, np.nan))
            values[-1][signal] = x
            segment.append(len(segment) % 4 - 1)
    rows = Encoded(np.array(values), np.array(segment))
    wanted = model.backbone_.contributions(rows) - centres[rows.segment]
    assert np.abs(part.values(rows.values, rows.segment) - wanted).max() < 1e-10


def test_signals_without_a_column_add_only_their_centre(
    rows: Encoded, part: AdditivePart, centres: Any
) -> None:
    found = part.values(rows.values, rows.segment)
    for signal in (5, 6):
        assert (found[:, signal] == -centres[rows.segment, signal]).all()


def test_without_a_backbone_the_margin_starts_from_the_base_rate(centres: Any) -> None:
    part = tabulate_backbone(None, [7, 8], 9, -1.5, centres)
    X = np.random.default_rng(0).normal(size=(20, 9)).round()
    X[:, 3] = np.nan
    segment = np.arange(20) % 4 - 1
    assert (part.values(X, segment) == -centres[segment]).all()
    assert part.base == pytest.approx(-1.5 + centres.sum(axis=1))
    plan = ShapPlan.compile(None, additive=part)
    assert plan.expected_value == 0
    assert plan.explain(X, segment=segment).margin == pytest.approx(np.full(20, -1.5))


def test_no_row_exceeds_the_largest_sum(rows: Encoded, part: AdditivePart) -> None:
    sums = np.abs(part.values(rows.values, rows.segment)).sum(axis=1)
    assert sums.max() + np.abs(part.base).max() <= 2 * part.largest()
    assert (sums + np.abs(part.base[rows.segment]) <= part.largest()).all()


def test_a_plan_explains_the_whole_model(
    model: ChurnClassifier, rows: Encoded, part: AdditivePart, centres: Any
) -> None:
    plan = ShapPlan.compile(model.booster_, additive=part)
    found = plan.explain(rows.values, segment=rows.segment, top_k=3)
    values = plan.shap_values(rows.values, segment=rows.segment)
    trees = model.tree_contributions(rows)
    wanted = model.backbone_.contributions(rows) + trees - centres[rows.segment]
    assert np.abs(values - wanted).max() < 1e-7
    margin = model.backbone_.margin(rows) + model.tree_margin(rows)
    assert np.abs(found.margin - margin).max() < 1e-7
    start = plan.base_values(rows.segment, 500)
    assert (found.margin == start + values.sum(axis=1)).all()
    assert (plan.base_values([-1, 0], 2) == plan.base_values([-1, 0, 0], 3)[:2]).all()


@pytest.mark.parametrize("trees", [True, False])
def test_compiled_code_gives_the_same_bytes_as_numpy(
    model: ChurnClassifier,
    rows: Encoded,
    part: AdditivePart,
    trees: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("numba")
    plan = ShapPlan.compile(model.booster_ if trees else None, additive=part)
    rng = np.random.default_rng(4)
    X = np.vstack([rows.values, frame_of_extremes(rng)])
    segment = np.append(rows.segment, rng.integers(-1, 3, 2000))
    monkeypatch.setattr(backends._effort, "available", False)
    by_numpy = plan.shap_values(X, segment=segment)
    monkeypatch.setattr(backends._effort, "available", True)
    monkeypatch.setattr(backends, "LOADING", 0)
    assert plan.shap_values(X, segment=segment).tobytes() == by_numpy.tobytes()
    assert plan._backends._kernel is not None


def frame_of_extremes(rng: Any) -> Any:
    """Numbers of every magnitude and sign, and codes of categories inside and outside."""
    X = rng.choice([-1.0, 1.0], (2000, 9)) * 10 ** rng.uniform(-320, 308, (2000, 9))
    X[rng.random(X.shape) < 0.1] = np.nan
    X[rng.random(X.shape) < 0.1] = 0.0
    X[rng.random(X.shape) < 0.05] = -np.inf
    X[:, 7:] = rng.integers(0, 9, (2000, 2))
    X[:50, 7:] = np.nan
    return X


def test_parts_of_different_models_are_refused(model: ChurnClassifier, part: AdditivePart) -> None:
    from features.errors import RegistryError

    other = tabulate_backbone(None, [], 3, 0.0, np.zeros((2, 3)))
    with pytest.raises(RegistryError, match="read 9 and not 3; take both from one model"):
        ShapPlan.compile(model.booster_, additive=other)


def test_a_plan_with_an_additive_part_comes_back(
    model: ChurnClassifier, rows: Encoded, part: AdditivePart, tmp_path: Any
) -> None:
    for booster in (model.booster_, None):
        plan = ShapPlan.compile(booster, additive=part)
        plan.save(tmp_path)
        again = ShapPlan.load(tmp_path)
        first = plan.shap_values(rows.values, segment=rows.segment)
        assert again.shap_values(rows.values, segment=rows.segment).tobytes() == first.tobytes()
        codes = [-1, 0, 1, 2]
        assert (again.base_values(codes, 4) == plan.base_values(codes, 4)).all()


@pytest.mark.parametrize("name", ["start", "height", "slope", "unknown", "base", "knot", "kind"])
def test_arrays_that_do_not_fit_are_seen(part: AdditivePart, name: str) -> None:
    from dataclasses import replace

    assert part.fits()
    assert not replace(part, **{name: getattr(part, name)[..., :-1]}).fits()


@given(st.floats(allow_nan=False, allow_infinity=False, max_value=1e300, min_value=-1e300))
def test_the_logarithm_is_right_to_the_last_digits(x: float) -> None:
    found = float(signed_log(np.array([x]))[0])
    wanted = float(np.copysign(np.log1p(abs(x)), x))
    assert found == pytest.approx(wanted, rel=4e-16, abs=5e-324)
    assert np.signbit(found) == np.signbit(x)


def test_the_logarithm_of_no_number_and_of_infinity() -> None:
    found = signed_log(np.array([np.nan, np.inf, -np.inf]))
    assert np.isnan(found[0])
    assert found[1] == -found[2] == np.log(1e300)
