from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from models.churn import shrinkage as module
from models.churn.segment_tree import SegmentTree
from models.churn.shrinkage import (
    APART_GUESS,
    FREE_INTERCEPT,
    GUESS_COUNT,
    LOOSE_INTERCEPT,
    ROOT_GUESS,
    STRONGEST,
    WEAKEST,
    learn_shrinkage,
)
from models.churn.shrunken_logistic import NodeRows, ShrunkenTree

TREE = SegmentTree(np.array([-1, 0, 0, 0]), np.arange(4))
# Three groups of four columns: one that segments share, one they differ in, one of noise.
SHARED, DIFFERING, NOISE = 0, 1, 2
GROUP = np.repeat([SHARED, DIFFERING, NOISE], 4)
FREE = np.zeros(13)


def company(seed=0, n_rows=2400, shares=(0.4, 0.4, 0.2)):
    rng = np.random.default_rng(seed)
    node = rng.choice([1, 2, 3], n_rows, p=shares).astype(np.intp)
    design = np.c_[rng.normal(size=(n_rows, 12)), np.ones(n_rows)].astype(np.float32)
    theta = np.zeros((4, 13))
    theta[:, :4] = [0.8, -0.6, 0.5, -0.7]
    theta[1:, 4:8] = np.array([[1.0], [-1.0], [0.8]]) * [1, -1, 1, -1]
    theta[:, 12] = -0.5
    happened = (rng.random(n_rows) < expit((design * theta[node]).sum(axis=1))).astype(float)
    return NodeRows(design, happened, node, 4), theta


@pytest.fixture(scope="module")
def learnt():
    rows, _ = company()
    return learn_shrinkage(rows, TREE, GROUP, FREE)


def by_group(precision):
    """Precisions of the groups, which all columns of a group share: root, apart."""
    for group in range(3):
        assert (np.ptp(precision[:, :12][:, group == GROUP], axis=1) == 0).all()
    assert (precision[1:] == precision[1]).all()
    return precision[0, :12:4], precision[1, :12:4]


def test_noise_is_shrunk_away_and_what_matters_is_hardly_touched(learnt):
    theta, precision = learnt
    root, apart = by_group(precision)
    assert root[NOISE] > 20 * root[SHARED]
    assert root[SHARED] < ROOT_GUESS < root[NOISE]
    assert apart[DIFFERING] < APART_GUESS < apart[NOISE]
    assert min(apart[NOISE], apart[SHARED]) > 20 * apart[DIFFERING]
    assert np.abs(theta[:, 8:12]).max() < 0.1
    _, true = company()
    assert theta[1:, :8] == pytest.approx(true[1:, :8], abs=0.3)
    assert theta[0, :4] == pytest.approx(true[0, :4], abs=0.15)


def test_the_intercept_is_hardly_shrunk(learnt):
    _, precision = learnt
    assert precision[:, 12].tolist() == [FREE_INTERCEPT] + [LOOSE_INTERCEPT] * 3


def test_precisions_maximise_the_evidence():
    """Laplace's evidence and the prior of the precisions, by dense matrices and a plain search."""
    rng = np.random.default_rng(5)
    node = np.repeat([0, 1, 2], 300).astype(np.intp)
    tree = SegmentTree(np.array([-1, 0, 0]), np.arange(3))
    design = np.c_[rng.normal(size=(900, 5)), np.ones(900)].astype(np.float32)
    # Deviations of the segments are drawn, with a standard deviation of 0.3 around 0.5.
    true = np.vstack([np.full(6, 0.5)] * 3) + rng.normal(0, 0.3, (3, 6)) * [[0], [1], [1]]
    happened = (rng.random(900) < expit((design * true[node]).sum(axis=1))).astype(float)
    spread = np.kron([[1, 0, 0], [-1, 1, 0], [-1, 0, 1]], np.eye(6))
    wide = np.zeros((900, 18))
    for row, place in enumerate(node):
        wide[row, 6 * place : 6 * place + 6] = design[row]

    def surprise(logs):
        root, apart = np.exp(logs)
        precision = np.r_[[root] * 5, FREE_INTERCEPT, ([apart] * 5 + [LOOSE_INTERCEPT]) * 2]
        prior = spread.T @ (precision[:, None] * spread)
        theta = np.zeros(18)
        for _ in range(8):
            risk = expit(wide @ theta)
            curvature = wide.T @ ((risk * (1 - risk))[:, None] * wide) + prior
            theta -= np.linalg.solve(curvature, wide.T @ (risk - happened) + prior @ theta)
        margin = wide @ theta
        risk = expit(margin)
        curvature = wide.T @ ((risk * (1 - risk))[:, None] * wide) + prior
        fit = np.logaddexp(0, margin).sum() - happened @ margin + theta @ prior @ theta / 2
        evidence = fit + np.linalg.slogdet(curvature)[1] / 2 - np.log(precision).sum() / 2
        guesses = np.array([ROOT_GUESS, APART_GUESS])
        believed = GUESS_COUNT / 2 * (np.array(logs) - np.exp(logs) / guesses)
        return evidence - believed.sum()

    oracle = minimize(surprise, np.log([10.0, 10.0]), method="Nelder-Mead")
    rows = NodeRows(design, happened, node, 3)
    _, precision = learn_shrinkage(rows, tree, np.zeros(5, np.intp), np.zeros(6))
    assert np.log([precision[0, 0], precision[1, 0]]) == pytest.approx(oracle.x, abs=0.25)


def test_a_small_segment_stays_nearer_to_its_parent():
    def kept(share, seed):
        """Part of its own distance from its parent that shrinkage leaves the third segment."""
        rows, _ = company(seed, 1500, (0.5, 0.5 - share, share))
        shrunk, precision = learn_shrinkage(rows, TREE, GROUP, FREE, segment_shrinkage=5.0)
        precision[3] *= 1e-3
        own = ShrunkenTree(TREE, precision, FREE).minimise(rows, shrunk)
        left, there = (np.linalg.norm(each[3, :12] - each[0, :12]) for each in (shrunk, own))
        return left / there

    for seed in range(3):
        assert kept(0.03, seed) < 0.75 * kept(0.3, seed)


def test_factors_multiply_what_is_learnt(learnt):
    rows, _ = company()
    theta, precision = learn_shrinkage(
        rows, TREE, GROUP, FREE, shrinkage=3.0, segment_shrinkage=1e6
    )
    assert precision[0, :12] == pytest.approx(3 * learnt[1][0, :12])
    assert precision[1:, :12] == pytest.approx(1e6 * learnt[1][1:, :12])
    assert precision[:, 12].tolist() == learnt[1][:, 12].tolist()
    assert theta[1:, :12] == pytest.approx(np.tile(theta[0, :12], (3, 1)), abs=1e-3)
    flat, _ = learn_shrinkage(rows, TREE, GROUP, FREE, shrinkage=1e8, segment_shrinkage=1e8)
    assert flat[:, :12] == pytest.approx(0, abs=1e-3)


def test_a_group_at_its_bounds_says_nothing_of_how_far_it_may_go():
    rows, true = company()
    wrong = np.append(np.where(GROUP == SHARED, -np.sign(true[0, :12]), 0), 0)
    theta, precision = learn_shrinkage(rows, TREE, GROUP, wrong)
    root, apart = by_group(precision)
    assert (theta[:, :4] == 0).all()
    assert root[SHARED] == pytest.approx(ROOT_GUESS)
    assert apart[SHARED] == pytest.approx(APART_GUESS)


def test_signs_hold_in_every_node():
    rows, _ = company(1)
    signs = np.tile([1.0, -1.0, 0.0], 5)[:13]
    signs[12] = 0
    theta, _ = learn_shrinkage(rows, TREE, GROUP, signs)
    assert (theta * signs >= 0).all()
    assert (theta[:, signs != 0] == 0).any()


def test_same_rows_same_answer(learnt):
    rows, _ = company()
    again = learn_shrinkage(rows, TREE, GROUP, FREE)
    assert (again[0] == learnt[0]).all()
    assert (again[1] == learnt[1]).all()


def test_precisions_come_from_few_rows_and_coefficients_from_all(learnt, monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 1200)
    rows, _ = company()
    theta, precision = learn_shrinkage(rows, TREE, GROUP, FREE)
    assert (precision != learnt[1])[:, :12].all()
    slope = rows.quadratic(theta).slope
    total = ShrunkenTree(TREE, precision, FREE)
    assert slope + total.penalty_slope(theta) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_one_outcome_alone_stays_finite(outcome):
    rng = np.random.default_rng(0)
    design = np.c_[rng.normal(size=(200, 2)), np.ones(200)].astype(np.float32)
    rows = NodeRows(design, np.full(200, outcome), (np.arange(200) % 4).astype(np.intp), 4)
    theta, precision = learn_shrinkage(rows, TREE, np.array([0, 1]), np.zeros(3))
    assert np.isfinite(theta).all()
    assert (theta[:, 2] < -10).all() if outcome == 0 else (theta[:, 2] > 10).all()
    assert np.abs(theta[:, :2]).max() < 0.1
    assert (precision[:, :2] >= WEAKEST).all()
    assert (precision[:, :2] <= STRONGEST).all()


def test_without_columns_there_is_an_intercept():
    happened = np.repeat([1.0, 0.0], [30, 70])
    rows = NodeRows(np.ones((100, 1), np.float32), happened, np.zeros(100, np.intp), 1)
    tree = SegmentTree(np.array([-1]), np.array([0]))
    theta, precision = learn_shrinkage(rows, tree, np.empty(0, np.intp), np.zeros(1))
    assert theta[0, 0] == pytest.approx(np.log(3 / 7), abs=1e-4)
    assert precision.tolist() == [[FREE_INTERCEPT]]


def test_columns_that_tell_the_outcome_keep_a_finite_precision():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=500)
    design = np.c_[signal, signal, np.ones(500)].astype(np.float32)
    rows = NodeRows(design, (signal > 0).astype(float), np.zeros(500, np.intp), 1)
    tree = SegmentTree(np.array([-1]), np.array([0]))
    theta, precision = learn_shrinkage(rows, tree, np.zeros(2, np.intp), np.zeros(3))
    # Twins share their effect.
    assert theta[0, 0] == pytest.approx(theta[0, 1], rel=1e-6)
    assert 1 < theta[0, 0] < 100
    assert precision[0, 0] == WEAKEST
