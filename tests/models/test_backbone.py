from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.backbone import Design, LinearBackbone
from models.encoding import Encoded

L2, SEGMENT_L2 = 5.0, 20.0


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3000, 3)) * [1, 30, 1]
    values[:, 2] = rng.integers(0, 3, 3000)
    values[rng.random((3000, 3)) < 0.1] = np.nan
    segment = rng.choice(3, 3000, p=[0.6, 0.38, 0.02])
    margin = -1 - np.nan_to_num(values[:, 0]) * np.array([0.2, 1.5, 0])[segment]
    happened = (rng.random(3000) < 1 / (1 + np.exp(-margin))).astype(float)
    return Encoded(values, segment.astype(np.intp)), happened


def fit(data, happened, direction=(0, 0, 0), min_positives=20):
    backbone = LinearBackbone(l2=L2, segment_l2=SEGMENT_L2, min_positives=min_positives)
    return backbone.fit(
        data, happened, categorical=[2], direction=np.array(direction), n_segments=3
    )


def test_same_as_one_logistic_regression_on_the_augmented_design(data):
    """Daumé's form: shared columns, a copy per segment, weights by how much each is shrunk."""
    rows, happened = data
    positives = np.bincount(rows.segment, happened)
    assert positives[2] < 20 < positives[1]  # the third segment is too small to speak
    backbone = fit(rows, happened)
    design = backbone.design_.transform(rows.values)
    ratio = np.sqrt(L2 / SEGMENT_L2)
    copies = [ratio * design * (rows.segment == s)[:, None] for s in (0, 1)]
    intercepts = np.eye(3)[rows.segment]
    augmented = np.hstack([design, *copies, intercepts])
    oracle = LogisticRegression(C=1 / L2, tol=1e-10, max_iter=10_000).fit(augmented, happened)
    assert backbone.margin(rows) == pytest.approx(oracle.decision_function(augmented), abs=2e-3)


def test_a_small_segment_shares_the_parents_coefficients(data):
    backbone = fit(*data)
    assert backbone.row_.tolist() == [1, 2, 0]
    assert fit(*data, min_positives=10_000).row_.tolist() == [0, 0, 0]


def test_heavy_shrinkage_leaves_one_line_for_all(data):
    rows, happened = data
    backbone = LinearBackbone(l2=L2, segment_l2=1e7).fit(
        rows, happened, categorical=[2], direction=np.zeros(3), n_segments=3
    )
    assert backbone.coefficients_[1:] == pytest.approx(
        np.tile(backbone.coefficients_[0], (2, 1)), abs=1e-3
    )


def test_signs_are_bounded_on_numbers_only(data):
    backbone = fit(*data, direction=(1, 0, 0))
    number = (backbone.design_.owner == 0) & (backbone.design_.level == -2)
    assert (backbone.coefficients_[:, number] >= 0).all()
    assert (fit(*data).coefficients_[:, number] < 0).any()


def test_parts_sum_to_the_margin_also_in_unseen_segments(data):
    rows, happened = data
    backbone = fit(rows, happened)
    unseen = Encoded(rows.values, np.full(len(happened), -1))
    for part in (rows, unseen):
        total = backbone.base_margin(part) + backbone.contributions(part).sum(axis=1)
        assert total == pytest.approx(backbone.margin(part), abs=1e-10)


def test_design_is_standardised_and_unknown_numbers_sit_at_the_mean():
    rng = np.random.default_rng(1)
    values = np.exp(rng.normal(0, 3, (1000, 1)))
    values[:200] = np.nan
    design = Design.fit(values, categorical=[])
    matrix = design.transform(values)
    ramps = design.level == -2
    assert ramps.sum() == 2
    assert matrix[200:, ramps].mean(axis=0) == pytest.approx(0, abs=1e-9)
    assert matrix[200:, ramps].std(axis=0) == pytest.approx(1)
    assert matrix[:200, ramps] == pytest.approx(0)


def test_extreme_values_are_winsorised():
    values = np.random.default_rng(1).normal(size=(1000, 1))
    design = Design.fit(values, categorical=[])
    high, far = design.transform(np.array([[5.0], [1e300]]))
    assert (high == far).all()


def test_a_rare_indicator_is_not_blown_up():
    values = np.zeros((10_000, 1))
    values[:30] = 1
    matrix = Design.fit(values, categorical=[0]).transform(values)
    assert np.abs(matrix).max() <= 4


def test_constant_and_unknown_signals_have_no_column():
    values = np.c_[np.full(100, np.nan), np.ones(100)]
    assert len(Design.fit(values, categorical=[]).owner) == 0
