from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from models.scorecard.prior.posterior import posterior


def rows(count=400, seed=0):
    rng = np.random.default_rng(seed)
    columns = np.column_stack([rng.normal(size=(count, 2)), np.ones(count)])
    happened = (rng.random(count) < expit(columns @ [0.8, -0.4, -2.0])).astype(float)
    return columns, happened


MEAN, SD = np.array([0.5, 0.0, -3.0]), np.array([0.3, 0.2, 1.5])


def test_the_likeliest_values_are_those_of_another_minimiser():
    columns, happened = rows()

    def loss(at):
        margin = columns @ at
        return (
            np.logaddexp(0, margin).sum() - happened @ margin + (((at - MEAN) / SD) ** 2).sum() / 2
        )

    other = minimize(loss, MEAN, method="BFGS").x
    assert posterior(columns, happened, MEAN, SD).mean == pytest.approx(other, abs=1e-4)


def test_the_covariance_is_the_inverse_of_the_curvature():
    columns, happened = rows()
    told = posterior(columns, happened, MEAN, SD)
    risk = expit(columns @ told.mean)
    curvature = columns.T @ (columns * (risk * (1 - risk))[:, None]) + np.diag(SD**-2.0)
    assert told.covariance @ curvature == pytest.approx(np.eye(3), abs=1e-4)


def test_without_rows_nothing_moves():
    told = posterior(np.zeros((0, 3)), np.zeros(0), MEAN, SD)
    assert told.mean == pytest.approx(MEAN)
    assert told.covariance == pytest.approx(np.diag(SD**2))


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_outcomes_that_are_all_alike_have_an_answer(outcome):
    columns, _ = rows()
    told = posterior(columns, np.full(len(columns), outcome), MEAN, SD)
    assert np.isfinite(told.mean).all()
    assert (told.mean[2] > MEAN[2]) == bool(outcome)


def test_a_column_that_is_enormous_does_not_derail_the_steps():
    columns, happened = rows()
    columns[0, 0] = 1e4
    told = posterior(columns, happened, MEAN, SD)
    assert np.isfinite(told.mean).all()
    assert np.linalg.eigvalsh(told.covariance).min() > 0
