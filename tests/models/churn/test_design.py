from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.churn.design import KNOTS, MIN_INDICATOR_SPREAD, NUMBER, UNKNOWN, Design


def signed_log(values):
    return np.sign(values) * np.log1p(np.abs(values))


def test_the_last_column_is_the_intercepts():
    values = np.random.default_rng(0).normal(size=(50, 2))
    matrix = Design.fit(values, categorical=[]).transform(values)
    assert (matrix[:, -1] == 1).all()
    assert matrix.shape == (50, 2 * (len(KNOTS) - 1) + 1)


def test_ramps_are_standardised_and_unknown_numbers_sit_at_the_mean():
    values = np.exp(np.random.default_rng(1).normal(0, 3, (1000, 1)))
    values[:200] = np.nan
    design = Design.fit(values, categorical=[])
    matrix = design.transform(values)[:, :-1]
    ramps = design.level == NUMBER
    assert ramps.sum() == 2
    assert matrix[200:, ramps].mean(axis=0) == pytest.approx(0, abs=1e-9)
    assert matrix[200:, ramps].std(axis=0) == pytest.approx(1)
    assert (matrix[:200, ramps] == 0).all()
    unknown = matrix[:, design.level == UNKNOWN][:, 0]
    assert unknown[:200] == pytest.approx(0.8 / 0.4)
    assert unknown[200:] == pytest.approx(-0.2 / 0.4)


def test_the_ramps_of_a_number_add_up_to_its_winsorised_logarithm():
    values = np.random.default_rng(2).normal(0, 100, (500, 1))
    design = Design.fit(values, categorical=[])
    matrix = design.transform(values)[:, :-1]
    climbed = (matrix * design.spread + design.centre - design.low).sum(axis=1)
    numbers = signed_log(values[:, 0])
    first, last = np.quantile(numbers, [0.005, 0.995])
    assert climbed == pytest.approx(np.clip(numbers, first, last) - first, abs=1e-9)
    assert design.high[:-1] == pytest.approx(np.quantile(numbers, KNOTS[1:-1]))


def test_extreme_values_are_winsorised():
    values = np.random.default_rng(1).normal(size=(1000, 1))
    design = Design.fit(values, categorical=[])
    low, lower, high, higher = design.transform(np.array([[-9.0], [-1e300], [9.0], [1e300]]))
    assert (low == lower).all()
    assert (high == higher).all()


def test_knots_that_coincide_make_one_ramp():
    values = np.zeros((1000, 1))
    values[:50] = np.arange(50)[:, None]
    design = Design.fit(values, categorical=[])
    assert design.low.tolist() == [0.0]
    assert (design.level == NUMBER).all()
    assert np.isfinite(design.transform(values)).all()


def test_a_category_has_one_column_per_level_that_is_not_rare():
    values = np.repeat([0.0, 1.0, 2.0, np.nan], [600, 300, 19, 81])[:, None]
    design = Design.fit(values, categorical=[0])
    assert design.level.tolist() == [0, 1, UNKNOWN]
    assert design.centre == pytest.approx([0.6, 0.3, 0.081])
    matrix = design.transform(values)
    assert matrix[:, :-1].mean(axis=0) == pytest.approx(0, abs=1e-12)
    # A rare level, and one never seen, are none of those that have columns.
    rare, unseen = design.transform(np.array([[2.0], [7.0]]))
    assert (rare == unseen).all()
    assert (rare[:-1] < 0).all()


def test_few_rows_need_fewer_of_a_level():
    values = np.repeat([0.0, 1.0], [35, 5])[:, None]
    assert Design.fit(values, categorical=[0]).level.tolist() == [0, 1]


def test_a_rare_indicator_is_not_blown_up():
    values = np.zeros((10_000, 1))
    values[:30] = 1
    design = Design.fit(values, categorical=[0])
    assert design.spread.tolist() == [MIN_INDICATOR_SPREAD] * 2
    assert np.abs(design.transform(values)).max() <= 1 / MIN_INDICATOR_SPREAD


def test_constant_and_unknown_signals_have_no_column():
    values = np.c_[np.full(100, np.nan), np.ones(100), np.full(100, np.nan), np.zeros(100)]
    design = Design.fit(values, categorical=[2, 3])
    assert len(design.owner) == 0
    assert (design.transform(values) == np.ones((100, 1))).all()


def test_columns_of_a_signal_lie_side_by_side():
    values = np.random.default_rng(3).normal(size=(200, 3))
    values[::3, 1] = np.nan
    values[:, 2] = np.arange(200) % 3
    owner = Design.fit(values, categorical=[2]).owner
    assert (np.diff(owner) >= 0).all()
    assert np.bincount(owner).tolist() == [2, 3, 3]


def test_single_precision_is_the_same_design():
    values = np.random.default_rng(4).normal(size=(300, 2)) * 1e4
    design = Design.fit(values, categorical=[])
    single = design.transform(values, np.float32)
    assert single.dtype == np.float32
    assert single == pytest.approx(design.transform(values), abs=1e-6)


@given(
    st.lists(
        st.one_of(st.just(np.nan), st.floats(-1e300, 1e300), st.integers(-3, 3).map(float)),
        min_size=1,
        max_size=60,
    )
)
def test_whatever_the_numbers_the_design_is_finite_and_nothing_runs_the_wrong_way(numbers):
    values = np.array(numbers)[:, None]
    design = Design.fit(values, categorical=[])
    assert (design.spread > 0).all()
    known = np.sort(values[~np.isnan(values)])[:, None]
    matrix = design.transform(known)
    assert np.isfinite(design.transform(values)).all()
    ramps = matrix[:, :-1][:, design.level == NUMBER]
    assert (np.diff(ramps, axis=0) >= 0).all()
