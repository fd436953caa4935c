from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from models.churn import shrunken_logistic
from models.churn.segment_tree import SegmentTree
from models.churn.shrunken_logistic import NodeRows, Quadratic, ShrunkenTree

# Three levels below each other; node 2 has children but no rows, node 5 is a leaf without rows.
PARENT = np.array([-1, 0, 0, 2, 2, 1, 2])
TREE = SegmentTree(PARENT, np.arange(len(PARENT)))
NODES, COLUMNS = len(PARENT), 5
SIGNS = np.array([1.0, -1.0, 0.0, 1.0, 0.0])


class Problem:
    """Rows, priors and the objective once more, written row by row."""

    def __init__(self, seed, rows=600, correlation=0.5):
        rng = np.random.default_rng(seed)
        common = rng.normal(size=(rows, 1))
        self.design = rng.normal(size=(rows, COLUMNS)) + correlation * common
        self.design[:, -1] = 1
        self.design = self.design.astype(np.float32)
        self.node = rng.choice([0, 1, 3, 4, 6], rows).astype(np.intp)
        true = rng.normal(size=(NODES, COLUMNS))
        risk = expit((self.design * true[self.node]).sum(axis=1))
        self.happened = (rng.random(rows) < risk).astype(float)
        self.precision = np.exp(rng.uniform(-1, 4, (NODES, COLUMNS)))
        self.rows = NodeRows(self.design, self.happened, self.node, NODES)
        self.theta = rng.normal(size=(NODES, COLUMNS))

    def tree(self, signs=SIGNS):
        return ShrunkenTree(TREE, self.precision, signs)

    def objective(self, flat):
        """Value and slope at coefficients laid out in a line."""
        theta, design = flat.reshape(NODES, COLUMNS), self.design.astype(float)
        margin = (design * theta[self.node]).sum(axis=1)
        value, slope = np.logaddexp(0, np.where(self.happened, -margin, margin)).sum(), 0 * theta
        np.add.at(slope, self.node, (expit(margin) - self.happened)[:, None] * design)
        for node, parent in enumerate(PARENT):
            apart = theta[node] - (theta[parent] if node else 0)
            value += (self.precision[node] * apart**2).sum() / 2
            slope[node] += self.precision[node] * apart
            if node:
                slope[parent] -= self.precision[node] * apart
        return value, slope.ravel()


def differences():
    """Turn coefficients in a line into distances from the parent, as a matrix."""
    step = np.eye(NODES)
    step[np.arange(1, NODES), PARENT[1:]] = -1
    return np.kron(step, np.eye(COLUMNS))


def ancestors(node):
    found = [node]
    while PARENT[found[-1]] >= 0:
        found.append(PARENT[found[-1]])
    return found


@pytest.fixture(scope="module")
def problem():
    return Problem(0)


def test_derivatives_are_those_of_finite_differences(problem):
    tree = problem.tree()
    quadratic = problem.rows.quadratic(problem.theta)
    flat = problem.theta.ravel()

    def loss(line):
        return problem.rows.loss(line.reshape(NODES, COLUMNS))

    def penalty(line):
        return tree.penalty(line.reshape(NODES, COLUMNS))

    def slope(line):
        return problem.rows.quadratic(line.reshape(NODES, COLUMNS)).slope.ravel()

    assert quadratic.slope.ravel() == pytest.approx(approx_fprime(flat, loss, 1e-6), abs=2e-3)
    found = tree.penalty_slope(problem.theta).ravel()
    assert found == pytest.approx(approx_fprime(flat, penalty, 1e-6), abs=2e-3)
    dense = np.zeros((len(flat), len(flat)))
    for node, block in enumerate(quadratic.curvature):
        part = slice(node * COLUMNS, (node + 1) * COLUMNS)
        dense[part, part] = block
    assert dense == pytest.approx(approx_fprime(flat, slope, 1e-6), abs=2e-3)


def test_loss_and_penalty_are_those_written_row_by_row(problem):
    found = problem.rows.loss(problem.theta) + problem.tree().penalty(problem.theta)
    assert found == pytest.approx(problem.objective(problem.theta.ravel())[0], rel=1e-12)


def test_chunks_change_nothing(problem, monkeypatch):
    loss, whole = problem.rows.loss(problem.theta), problem.rows.quadratic(problem.theta)
    monkeypatch.setattr(shrunken_logistic, "CHUNK", 7)
    parts = problem.rows.quadratic(problem.theta)
    assert max(len(rows) for _, rows in problem.rows.chunks()) == 7
    assert problem.rows.loss(problem.theta) == pytest.approx(loss, rel=1e-12)
    assert parts.slope == pytest.approx(whole.slope, abs=1e-9)
    assert parts.curvature == pytest.approx(whole.curvature, abs=1e-9)


def test_huge_margins_lose_no_digits():
    design = np.array([[1.0], [1.0]], np.float32)
    rows = NodeRows(design, np.array([1.0, 0.0]), np.zeros(2, np.intp), 1)
    assert rows.loss(np.array([[2000.0]])) == 2000
    assert rows.loss(np.array([[-2000.0]])) == 2000
    assert np.isfinite(rows.quadratic(np.array([[2000.0]])).curvature).all()


def test_cluster_slopes_sum_to_the_slope(problem):
    cluster = np.arange(len(problem.node)) % 17
    found = problem.rows.cluster_slopes(problem.theta, cluster)
    total = np.array([slopes.sum(axis=0) for _, slopes in found])
    assert total == pytest.approx(problem.rows.quadratic(problem.theta).slope, abs=1e-9)
    mine = NodeRows(
        problem.design[cluster == 4], problem.happened[cluster == 4], problem.node[cluster == 4], 7
    )
    theirs = np.array([slopes[present == 4].sum(axis=0) for present, slopes in found])
    assert theirs == pytest.approx(mine.quadratic(problem.theta).slope, abs=1e-9)


def test_base_log_odds_stay_finite():
    design, node = np.ones((4, 1), np.float32), np.zeros(4, np.intp)
    assert NodeRows(design, np.array([1.0, 0, 0, 0]), node, 1).base_log_odds() == pytest.approx(
        np.log(1 / 3)
    )
    assert NodeRows(design, np.zeros(4), node, 1).base_log_odds() == pytest.approx(-13.8, abs=0.1)
    assert NodeRows(design, np.ones(4), node, 1).base_log_odds() == pytest.approx(13.8, abs=0.1)


def test_thinned_rows_are_taken_evenly_from_every_node(problem):
    counts = np.bincount(problem.node, minlength=NODES)
    chunks = problem.rows.thinned(150).chunks()
    assert {node: len(rows) for node, rows in chunks} == {
        node: -(-count // 4) for node, count in enumerate(counts) if count
    }
    taken = np.concatenate([np.flatnonzero(problem.node == node)[::4] for node in range(NODES)])
    margin = (problem.design[taken] * problem.theta[problem.node[taken]]).sum(axis=1)
    wanted = np.logaddexp(0, np.where(problem.happened[taken], -margin, margin)).sum()
    assert problem.rows.thinned(150).loss(problem.theta) == pytest.approx(wanted, rel=1e-6)
    # What it was taken from is as before, and enough room keeps every row.
    assert sum(len(rows) for _, rows in problem.rows.chunks()) == 600
    assert sum(len(rows) for _, rows in problem.rows.thinned(600).chunks()) == 600
    assert sum(len(rows) for _, rows in problem.rows.thinned(599).chunks()) <= 303


def test_thinning_keeps_a_row_of_the_smallest_node():
    node = np.array([0] * 99 + [1], np.intp)
    rows = NodeRows(np.ones((100, 1), np.float32), np.zeros(100), node, 2).thinned(3)
    assert {node: len(rows) for node, rows in rows.chunks()} == {0: 3, 1: 1}


@pytest.mark.parametrize("share_held", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(4))
def test_the_inverse_is_that_of_the_whole_matrix(seed, share_held):
    problem, rng = Problem(seed, rows=200), np.random.default_rng(seed)
    curvature = problem.rows.quadratic(problem.theta).curvature
    held = rng.random((NODES, COLUMNS)) < share_held
    held[:, -1] = False
    apart = differences()
    dense = apart.T @ (problem.precision.ravel()[:, None] * apart)
    for node, block in enumerate(curvature):
        part = slice(node * COLUMNS, (node + 1) * COLUMNS)
        dense[part, part] += block
    free = np.flatnonzero(~held.ravel())
    covariance = np.zeros_like(dense)
    covariance[np.ix_(free, free)] = np.linalg.inv(dense[np.ix_(free, free)])

    inverse = problem.tree().inverse(curvature, held)
    right = rng.normal(size=(NODES, COLUMNS))
    before = right.copy()
    assert inverse.times(right).ravel() == pytest.approx(covariance @ right.ravel(), abs=1e-9)
    assert (right == before).all()
    expected = np.diag(apart @ covariance @ apart.T)
    assert inverse.variances_apart().ravel() == pytest.approx(expected, abs=1e-10)
    # The root's block is its covariance once all below have been eliminated.
    assert inverse.blocks[0] == pytest.approx(covariance[:COLUMNS, :COLUMNS], abs=1e-10)


def test_one_step_arrives_where_the_picture_is_exact(problem):
    tree, rng = problem.tree(np.zeros(COLUMNS)), np.random.default_rng(1)
    curvature = problem.rows.quadratic(problem.theta).curvature
    picture = Quadratic(rng.normal(size=(NODES, COLUMNS)), curvature)
    step, slope = tree.step(picture, problem.theta)
    assert slope == pytest.approx(picture.slope + tree.penalty_slope(problem.theta))
    after = picture.slope + np.einsum("kij,kj->ki", curvature, step)
    assert after + tree.penalty_slope(problem.theta + step) == pytest.approx(0, abs=1e-9)


def test_same_as_one_logistic_regression_on_the_augmented_design(problem):
    """Daumé's form: columns for the root and a copy per node, in units of their deviation."""
    theta = problem.tree(np.zeros(COLUMNS)).minimise(problem.rows, np.zeros((NODES, COLUMNS)))
    inside = np.array([[other in ancestors(node) for other in range(NODES)] for node in TREE.node])
    scaled = problem.design[:, None, :] * inside[problem.node][:, :, None]
    augmented = (scaled / np.sqrt(problem.precision)).reshape(len(problem.node), -1)
    oracle = LogisticRegression(C=1, fit_intercept=False, solver="newton-cholesky", tol=1e-10)
    oracle.fit(augmented, problem.happened)
    distances = oracle.coef_.reshape(NODES, COLUMNS) / np.sqrt(problem.precision)
    expected = np.array([distances[ancestors(node)].sum(axis=0) for node in range(NODES)])
    assert theta == pytest.approx(expected, abs=1e-4)
    # Nothing was seen in node 5, so it stands exactly where its parent does.
    assert theta[5] == pytest.approx(theta[1], abs=1e-9)


@pytest.mark.parametrize("correlation", [0.5, 5.0])
@pytest.mark.parametrize("seed", range(6))
def test_with_signs_it_arrives_at_the_bounded_minimum(seed, correlation):
    problem = Problem(seed, rows=300, correlation=correlation)
    tree = problem.tree()
    theta = tree.minimise(problem.rows, problem.theta)
    limits = {1.0: (0, None), -1.0: (None, 0), 0.0: (None, None)}
    oracle = minimize(
        problem.objective,
        np.zeros(theta.size),
        jac=True,
        method="L-BFGS-B",
        bounds=[limits[sign] for sign in np.tile(SIGNS, NODES)],
        options={"ftol": 1e-15, "gtol": 1e-8, "maxiter": 10_000, "maxfun": 50_000},
    )
    assert theta.ravel() == pytest.approx(oracle.x, abs=2e-3)
    value, slope = problem.objective(theta.ravel())
    assert value == pytest.approx(oracle.fun, rel=1e-8)
    # Karush, Kuhn and Tucker: no wrong sign, flat where free, pushing outwards at the bound.
    slope, signs = slope.reshape(theta.shape), np.tile(SIGNS, (NODES, 1))
    assert (theta * SIGNS >= 0).all()
    resting = (theta == 0) & (signs != 0)
    assert 0 < resting.sum() < resting.size
    assert np.abs(slope[~resting]).max() < 0.02
    assert (slope * signs)[resting].min() > -0.02


def test_where_it_starts_does_not_matter(problem):
    tree, rng = problem.tree(), np.random.default_rng(9)
    first = tree.minimise(problem.rows, np.zeros((NODES, COLUMNS)))
    second = tree.minimise(problem.rows, rng.normal(size=(NODES, COLUMNS)) * 4)
    assert first == pytest.approx(second, abs=1e-3)


def test_curvature_from_a_sample_leads_to_the_same_minimum(problem, monkeypatch):
    tree, start = problem.tree(np.zeros(COLUMNS)), np.zeros((NODES, COLUMNS))
    exact = tree.minimise(problem.rows, start)
    monkeypatch.setattr(shrunken_logistic, "CURVATURE_ROWS", 150)
    slope = problem.rows.quadratic(start).slope
    sampled = tree.minimise(problem.rows, start)
    monkeypatch.undo()
    assert slope == pytest.approx(problem.rows.quadratic(start).slope)
    assert problem.rows.quadratic(start).curvature.shape == (NODES, COLUMNS, COLUMNS)
    assert sampled == pytest.approx(exact, abs=2e-3)


def test_fewer_steps_go_less_far_but_never_up(problem):
    tree, start = problem.tree(), np.zeros((NODES, COLUMNS))
    values = []
    for steps in range(6):
        theta = tree.minimise(problem.rows, start, most_steps=steps)
        values.append(problem.objective(theta.ravel())[0])
    assert (np.diff(values) <= 1e-9).all()
    assert values[1] < values[0] - 1


def test_a_bound_coefficient_is_held_only_while_it_is_pushed_outwards():
    tree = ShrunkenTree(SegmentTree(np.array([-1]), np.array([0])), np.ones((1, 4)), SIGNS[:4])
    theta = np.array([[0.0, 0.0, 0.0, 2.0]])
    assert tree.held(theta, np.array([[1.0, -1, 1, 1]])).tolist() == [[True, True, False, False]]
    assert not tree.held(theta, np.array([[-1.0, 1, 1, 1]])).any()
    wrong = np.array([[-1.0, 2.0, -3.0, 4.0]])
    assert tree.project(wrong).tolist() == [[0, 0, -3, 4]]


@given(st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 0.5]))
def test_perfectly_told_outcomes_have_finite_coefficients(seed, share):
    """Without a prior a separable sample has no maximum of the likelihood."""
    rng = np.random.default_rng(seed)
    design = np.c_[rng.normal(size=(40, 1)), np.ones(40)].astype(np.float32)
    happened = (design[:, 0] > 0).astype(float) if share == 0.5 else np.full(40, share)
    tree = ShrunkenTree(
        SegmentTree(np.array([-1, 0]), np.arange(2)), np.full((2, 2), 1e-2), np.zeros(2)
    )
    rows = NodeRows(design, happened, np.arange(40) % 2, 2)
    theta = tree.minimise(rows, np.zeros((2, 2)))
    slope = rows.quadratic(theta).slope + tree.penalty_slope(theta)
    assert np.abs(slope).max() < 1e-2
    assert np.abs(theta).max() < 100
