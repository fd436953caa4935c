from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from models.churn import backbone as module
from models.churn.backbone import LinearBackbone
from models.churn.design import NUMBER
from models.churn.encoding import Encoded
from models.churn.shrinkage import APART_GUESS

SEGMENTS = ("free", "pro", "pro / new", "tiny")
FREE, PRO, NEW, TINY = range(4)
# Usage, a number of another size, a category, one never known, one that is always the same.
USAGE, SIZE, KIND, NEVER, ALWAYS = range(5)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2400, 5)) * [1, 30, 1, 1, 1]
    values[:, KIND] = rng.integers(0, 3, 2400)
    values[rng.random((2400, 5)) < 0.1] = np.nan
    values[:, NEVER], values[:, ALWAYS] = np.nan, 1
    segment = rng.choice(4, 2400, p=[0.5, 0.25, 0.23, 0.02])
    slope = np.array([0.2, 1.5, 2.5, 0])[segment]
    margin = -1 - np.nan_to_num(values[:, USAGE]) * slope + 0.5 * (values[:, KIND] == 1)
    happened = (rng.random(2400) < expit(margin)).astype(float)
    return Encoded(values, segment.astype(np.intp)), happened


def fit(data, direction=(0, 0, 0, 0, 0), group=None, **settings):
    rows, happened = data
    return LinearBackbone(**settings).fit(
        rows,
        happened,
        categorical=[KIND],
        direction=np.array(direction),
        segments=SEGMENTS,
        group=group,
    )


@pytest.fixture(scope="module")
def backbone(data):
    return fit(data)


def augmented(backbone, rows):
    """Daumé's form: shared columns and a copy per node, in units of their prior's deviation."""
    parent, node = backbone.tree_.parent, backbone.tree_.node[rows.segment]
    inside = np.eye(len(parent), dtype=bool)
    for place, above in enumerate(parent):
        if place:
            inside[place] |= inside[above]
    design = backbone.design_.transform(rows.values, np.float32).astype(float)
    copies = design[:, None, :] * inside[node][:, :, None] / np.sqrt(backbone.precision_)
    return copies.reshape(len(design), -1), inside


def test_same_as_one_logistic_regression_on_the_augmented_design(data, backbone):
    rows, happened = data
    assert backbone.tree_.parent.tolist() == [-1, 0, 0, 2]
    assert backbone.tree_.node.tolist() == [1, 2, 3, 0]
    columns, _ = augmented(backbone, rows)
    oracle = LogisticRegression(C=1, fit_intercept=False, solver="newton-cholesky", tol=1e-10)
    expected = oracle.fit(columns, happened).decision_function(columns)
    assert backbone.margin(rows) == pytest.approx(expected, abs=1e-3)


def test_with_signs_same_as_a_bounded_search(data):
    rows, happened = data
    backbone = fit(data, direction=(-1, 1, 0, 1, 1))
    columns, inside = augmented(backbone, rows)
    shape = backbone.theta_.shape
    # The search runs over the coefficients themselves: signs bind those, not the distances.
    apart = np.linalg.inv(inside.astype(float))

    def objective(line):
        theta = line.reshape(shape)
        scaled = (np.sqrt(backbone.precision_) * (apart @ theta)).ravel()
        margin = columns @ scaled
        value = np.logaddexp(0, margin).sum() - happened @ margin + scaled @ scaled / 2
        slope = (columns.T @ (expit(margin) - happened) + scaled).reshape(shape)
        return value, (apart.T @ (np.sqrt(backbone.precision_) * slope)).ravel()

    bounds = {0: (None, None), 1: (0, None), -1: (None, 0)}
    oracle = minimize(
        objective,
        np.zeros(np.prod(shape)),
        jac=True,
        method="L-BFGS-B",
        bounds=[bounds[sign] for sign in np.tile(backbone.direction_, len(shape) * 2)],
        options={"ftol": 1e-14, "gtol": 1e-6, "maxiter": 5000, "maxfun": 20_000},
    )
    assert objective(backbone.theta_.ravel())[0] == pytest.approx(oracle.fun, rel=1e-7)
    assert backbone.theta_ == pytest.approx(oracle.x.reshape(shape), abs=0.01)
    assert (backbone.theta_[:, backbone.direction_ != 0] == 0).any()


def test_signs_are_bounded_on_numbers_only(data, backbone):
    bounded = fit(data, direction=(1, 0, 1, 0, 0))
    design = bounded.design_
    number = (design.owner == USAGE) & (design.level == NUMBER)
    assert number.sum() == 2
    assert bounded.direction_.tolist() == [*number.astype(float), 0]
    assert (bounded.theta_[:, :-1][:, number] >= 0).all()
    assert (backbone.theta_[:, :-1][:, number] < 0).any()
    kind = design.owner == KIND
    assert (bounded.theta_[:, :-1][:, kind] < 0).any()


def test_a_bounded_signal_never_runs_the_wrong_way(data):
    bounded = fit(data, direction=(-1, 1, 0, 0, 0))
    grid = np.zeros((50, 5))
    for signal, sign in ((USAGE, -1), (SIZE, 1)):
        grid[:, signal] = np.linspace(-200, 200, 50)
        for segment in range(-1, 4):
            margin = bounded.margin(Encoded(grid, np.full(50, segment)))
            assert (sign * np.diff(margin) >= -1e-12).all()
        grid[:, signal] = 0


def test_segments_have_lines_of_their_own(backbone):
    low, high = np.zeros((2, 4, 5))
    low[:, USAGE], high[:, USAGE] = -2, 2
    drop = backbone.margin(Encoded(low, np.arange(4))) - backbone.margin(
        Encoded(high, np.arange(4))
    )
    assert 0 < 1.5 * drop[FREE] < drop[PRO] < drop[NEW]


def test_a_small_segment_shares_the_roots_coefficients(data, backbone):
    rows, happened = data
    positives = np.bincount(rows.segment, happened)
    assert positives[TINY] < 20 < positives[:TINY].min()
    silent = fit(data, min_positives=10_000)
    assert silent.tree_.node.tolist() == [0, 0, 0, 0]
    assert silent.theta_.shape[0] == 1
    tiny = Encoded(rows.values, np.full(len(happened), TINY))
    unseen = Encoded(rows.values, np.full(len(happened), -1))
    assert (backbone.margin(tiny) == backbone.margin(unseen)).all()


def test_an_unseen_segment_uses_the_root_though_the_last_one_speaks(data):
    rows, _ = data
    backbone = fit(data, min_positives=5)
    assert backbone.tree_.node[TINY] == 4
    unseen = Encoded(rows.values, np.full(len(rows.values), -1))
    expected = backbone.design_.transform(rows.values) @ backbone.theta_[0]
    assert backbone.margin(unseen) == pytest.approx(expected, abs=1e-9)
    assert backbone.base_margin(unseen) == pytest.approx(backbone.theta_[0, -1])
    total = backbone.base_margin(unseen) + backbone.contributions(unseen).sum(axis=1)
    assert total == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("rare", [0.0, 1.0])
def test_a_segment_of_nearly_one_outcome_is_silent(data, rare):
    rows, happened = data
    heavy = np.where(rows.segment == FREE, 1 - rare, happened)
    heavy[np.flatnonzero(rows.segment == FREE)[:19]] = rare
    assert fit((rows, heavy)).tree_.node.tolist()[FREE] == 0
    heavy[np.flatnonzero(rows.segment == FREE)[:20]] = rare
    assert fit((rows, heavy)).tree_.node.tolist()[FREE] == 1


def test_a_segment_of_one_outcome_that_speaks_stays_finite(data):
    rows, happened = data
    heavy = np.where(rows.segment == FREE, 0.0, happened)
    backbone = fit((rows, heavy), min_positives=0)
    margin = backbone.margin(rows)
    assert backbone.tree_.node[FREE] == 1
    assert np.isfinite(margin).all()
    assert margin[rows.segment == FREE].max() < margin[rows.segment == PRO].mean()


def test_parts_sum_to_the_margin_also_in_unseen_segments(data, backbone):
    rows, happened = data
    unseen = Encoded(rows.values, np.full(len(happened), -1))
    for part in (rows, unseen):
        total = backbone.base_margin(part) + backbone.contributions(part).sum(axis=1)
        assert total == pytest.approx(backbone.margin(part), abs=1e-9)


def test_contributions_are_counted_from_the_segments_mean_row(data, backbone):
    rows, _ = data
    contributions = backbone.contributions(rows)
    for segment in range(4):
        inside = rows.segment == segment
        # The mean row was taken in single precision.
        assert contributions[inside].mean(axis=0) == pytest.approx(0, abs=1e-5)
        assert len(set(backbone.base_margin(rows)[inside])) == 1
    assert np.abs(contributions[:, [USAGE, KIND]]).mean() > 0.05
    assert (contributions[:, [NEVER, ALWAYS]] == 0).all()


def test_batches_change_nothing(data, backbone, monkeypatch):
    rows, _ = data
    margin, contributions = backbone.margin(rows), backbone.contributions(rows)
    monkeypatch.setattr(module, "BATCH", 700)
    assert backbone.margin(rows) == pytest.approx(margin, abs=1e-12)
    assert backbone.contributions(rows) == pytest.approx(contributions, abs=1e-12)
    nobody = rows.take(np.empty(0, np.intp))
    assert backbone.margin(nobody).shape == (0,)
    assert backbone.contributions(nobody).shape == (0, 5)


def test_all_missing_and_constant_signals_have_no_column(data, backbone):
    rows, _ = data
    assert set(backbone.design_.owner.tolist()) == {USAGE, SIZE, KIND}
    strange = rows.values.copy()
    strange[:, NEVER], strange[:, ALWAYS] = 5, -1e9
    assert (backbone.margin(Encoded(strange, rows.segment)) == backbone.margin(rows)).all()


def test_without_any_column_the_segments_rates_are_left(data):
    rows, happened = data
    nothing = Encoded(np.full((len(happened), 2), np.nan), rows.segment)
    backbone = LinearBackbone().fit(
        nothing, happened, categorical=[], direction=np.zeros(2), segments=SEGMENTS
    )
    assert backbone.contributions(nothing).tolist() == np.zeros((len(happened), 2)).tolist()
    inside = rows.segment == PRO
    found = expit(backbone.margin(nothing))[inside]
    assert found == pytest.approx(happened[inside].mean(), abs=0.01)


def test_a_row_of_unknowns_has_a_finite_margin(backbone):
    unknown = Encoded(np.full((5, 5), np.nan), np.arange(-1, 4))
    assert np.isfinite(backbone.margin(unknown)).all()
    assert np.isfinite(backbone.contributions(unknown)).all()


def test_groups_are_shrunk_apart(data, backbone):
    usage_and_noise = fit(data, group=[7, 3, 3, 3, 3])
    owner = usage_and_noise.design_.owner
    root, apart = usage_and_noise.precision_[:2, :-1]
    assert len(set(apart[owner == USAGE])) == 1
    assert len(set(apart[owner != USAGE])) == 1
    assert root[owner == USAGE][0] < root[owner == SIZE][0]
    assert apart[owner == USAGE][0] < APART_GUESS < apart[owner == SIZE][0]
    assert len(set(backbone.precision_[0, :-1])) == 1


def test_a_group_whose_signals_have_no_column_is_left_out(data):
    first, second = fit(data, group=[0, 1, 1, 2, 3]), fit(data, group=[5, 9, 9, 0, 1])
    assert (first.theta_ == second.theta_).all()


def test_heavy_shrinkage_leaves_one_line_for_all(data):
    theta = fit(data, segment_shrinkage=1e6).theta_[:, :-1]
    assert theta[1:] == pytest.approx(np.tile(theta[0], (3, 1)), abs=1e-3)
    assert np.abs(theta).max() > 0.1
    both = fit(data, shrinkage=1e8, segment_shrinkage=1e8).theta_[:, :-1]
    assert both == pytest.approx(0, abs=1e-3)


def test_same_rows_same_answer(data, backbone):
    again = fit(data)
    assert again.to_dict() == backbone.to_dict()
    assert (again.precision_ == backbone.precision_).all()


def test_it_is_read_back_from_json(data):
    rows, happened = data
    backbone = fit(data, shrinkage=2.0, segment_shrinkage=0.5, min_positives=15)
    text = json.dumps(backbone.to_dict(), allow_nan=False)
    again = LinearBackbone.from_dict(json.loads(text))
    unseen = Encoded(rows.values, np.full(len(happened), -1))
    for part in (rows, unseen):
        assert (again.margin(part) == backbone.margin(part)).all()
        assert (again.contributions(part) == backbone.contributions(part)).all()
        assert (again.base_margin(part) == backbone.base_margin(part)).all()
    assert again.to_dict() == backbone.to_dict()
    assert (again.shrinkage, again.segment_shrinkage, again.min_positives) == (2.0, 0.5, 15)
    assert again.precision_ is None


def test_a_backbone_without_columns_is_read_back(data):
    rows, happened = data
    nothing = Encoded(np.full((len(happened), 1), np.nan), rows.segment)
    backbone = LinearBackbone().fit(
        nothing, happened, categorical=[], direction=np.zeros(1), segments=SEGMENTS
    )
    again = LinearBackbone.from_dict(json.loads(json.dumps(backbone.to_dict())))
    assert (again.margin(nothing) == backbone.margin(nothing)).all()


def test_a_copy_has_other_coefficients(data, backbone):
    rows, _ = data
    before = backbone.margin(rows)
    doubled = backbone.with_theta(2 * backbone.theta_)
    assert doubled.margin(rows) == pytest.approx(2 * before)
    assert (backbone.margin(rows) == before).all()


def test_owners_name_the_signal_of_each_column(backbone):
    owners = backbone.owners(5)
    assert owners[:-1].argmax(axis=1).tolist() == backbone.design_.owner.tolist()
    assert (owners[:-1].sum(axis=1) == 1).all()
    assert (owners[-1] == 0).all()


def test_exact_copies_of_a_signal_share_what_one_has(data, backbone):
    rows, happened = data
    values = rows.values.copy()
    values[:, ALWAYS] = values[:, USAGE]
    doubled = Encoded(values, rows.segment)
    both = fit((doubled, happened))
    alone, parts = backbone.contributions(rows), both.contributions(doubled)
    assert parts[:, USAGE] == pytest.approx(parts[:, ALWAYS], abs=1e-9)
    # A prior that allows two of them to be half as large lets their sum go a little further.
    assert np.corrcoef(parts[:, USAGE] + parts[:, ALWAYS], alone[:, USAGE])[0, 1] > 0.99
    assert both.margin(doubled) == pytest.approx(backbone.margin(rows), abs=0.25)
    split = both.base_margin(doubled) + parts.sum(axis=1)
    assert split == pytest.approx(both.margin(doubled), abs=1e-9)
