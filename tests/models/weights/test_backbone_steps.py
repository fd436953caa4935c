from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from models.churn.backbone import LinearBackbone
from models.churn.encoding import Encoded
from models.weights.backbone_steps import BackboneSteps

ACCOUNTS, ROWS = 400, 6
SLOPES = np.array([[1.2, -0.6], [0.3, -1.4]])


class Silence:
    """A source of noise that makes none."""

    def normal(self, size):
        return np.zeros(size)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(ACCOUNTS), ROWS)
    segment = rng.integers(0, 2, ACCOUNTS)[cluster]
    values = rng.normal(size=(len(cluster), 3))
    values[rng.random(len(cluster)) < 0.1, 2] = np.nan
    margin = -1 + (SLOPES[segment] * values[:, :2]).sum(axis=1)
    happened = (rng.random(len(cluster)) < expit(margin)).astype(float)
    order = rng.permutation(len(cluster))
    return Encoded(values[order], segment[order]), happened[order], cluster[order]


@pytest.fixture(scope="module")
def backbone(rows):
    data, happened, _ = rows
    # The first sign is right, the second is wrong, so that its coefficients rest on their bound.
    return LinearBackbone().fit(
        data,
        happened,
        categorical=[],
        direction=np.array([1, 1, 0]),
        segments=["a", "b"],
        group=[0, 0, 1],
    )


@pytest.fixture(scope="module")
def steps(backbone, rows):
    return BackboneSteps(backbone, *rows)


def derivatives(backbone, rows, weight):
    """Slope and curvature of the weighted loss, summed row by row, as one long vector."""
    data, happened, cluster = rows
    design = backbone.design_.transform(data.values)
    node = backbone.tree_.node[data.segment]
    n_nodes, width = backbone.theta_.shape
    wide = np.zeros((len(happened), n_nodes, width))
    wide[np.arange(len(happened)), node] = design
    wide = wide.reshape(len(happened), -1)
    risk = expit(wide @ backbone.theta_.ravel())
    slope = (weight[cluster] * (risk - happened)) @ wide
    return slope, (wide * (risk * (1 - risk))[:, None]).T @ wide


def differences(backbone):
    """Matrix that takes all coefficients to their distances from the parent's."""
    n_nodes, width = backbone.theta_.shape
    above = np.zeros((n_nodes, n_nodes))
    above[np.arange(1, n_nodes), backbone.tree_.parent[1:]] = 1
    return np.kron(np.eye(n_nodes) - above, np.eye(width))


def test_something_rests_on_its_bound(backbone):
    second = np.append(backbone.design_.owner == 1, False)
    assert (backbone.theta_[:, second] == 0).all()
    assert (backbone.direction_[second] == 1).any()
    assert backbone.tree_.size == 3


def test_unit_weights_and_no_noise_return_the_fit(steps, backbone):
    constrained, free = steps.draw(np.ones(ACCOUNTS), Silence())
    assert constrained == pytest.approx(backbone.theta_, abs=2e-3)
    second = np.append(backbone.design_.owner == 1, False)
    assert (constrained[:, second] == 0).all()
    # Without signs the second signal may say what it has to say.
    assert (free[:, second].sum(axis=1) < -0.2).all()


def test_a_free_draw_solves_the_dense_system(steps, backbone, rows):
    weight = np.random.default_rng(1).exponential(size=ACCOUNTS)
    _, free = steps.draw(weight, np.random.default_rng(2))
    noise = np.random.default_rng(2).normal(size=backbone.theta_.shape)
    centre = (noise / np.sqrt(backbone.precision_)).ravel()
    slope, curvature = derivatives(backbone, rows, weight)
    apart, theta = differences(backbone), backbone.theta_.ravel()
    prior = apart.T @ (backbone.precision_.ravel()[:, None] * apart)
    pull = apart.T @ (backbone.precision_.ravel() * (apart @ theta - centre))
    expected = theta - np.linalg.solve(curvature + prior, slope + pull)
    assert free.ravel() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_a_constrained_draw_is_the_bounded_minimum(steps, backbone, rows):
    weight = np.random.default_rng(3).exponential(size=ACCOUNTS)
    found, _ = steps.draw(weight, np.random.default_rng(4))
    noise = np.random.default_rng(4).normal(size=backbone.theta_.shape)
    centre = (noise / np.sqrt(backbone.precision_)).ravel()
    slope, curvature = derivatives(backbone, rows, weight)
    apart, start = differences(backbone), backbone.theta_.ravel()
    precision = backbone.precision_.ravel()

    def objective(theta):
        moved, distance = theta - start, apart @ theta - centre
        value = slope @ moved + moved @ curvature @ moved / 2 + precision @ distance**2 / 2
        return value, slope + curvature @ moved + apart.T @ (precision * distance)

    sign = np.tile(backbone.direction_, len(backbone.theta_))
    bounds = [(0, None) if one > 0 else (None, 0) if one < 0 else (None, None) for one in sign]
    settings = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-8}
    oracle = minimize(objective, start, jac=True, bounds=bounds, options=settings)
    assert (found * backbone.direction_ >= 0).all()
    value = objective(found.ravel())[0]
    gained = objective(start)[0] - oracle.fun
    assert gained > 1
    assert value - oracle.fun < 0.01 * gained


def test_steps_do_not_depend_on_the_order_of_rows(steps, backbone, rows):
    data, happened, cluster = rows
    order = np.random.default_rng(7).permutation(len(happened))
    mixed = BackboneSteps(backbone, data.take(order), happened[order], cluster[order])
    weight = np.random.default_rng(8).exponential(size=ACCOUNTS)
    one = steps.draw(weight, np.random.default_rng(9))
    two = mixed.draw(weight, np.random.default_rng(9))
    assert one[0] == pytest.approx(two[0], abs=1e-6)
    assert one[1] == pytest.approx(two[1], abs=1e-6)


def test_a_reader_reads_contributions_up_to_where_they_are_counted_from(steps, backbone, rows):
    data = rows[0].take(np.arange(300))
    theta, _ = steps.draw(np.ones(ACCOUNTS), np.random.default_rng(10))
    apart = steps.reader(data)(theta) - backbone.with_theta(theta).contributions(data)
    for segment in (0, 1):
        inside = apart[data.segment == segment]
        assert np.ptp(inside, axis=0) == pytest.approx(0, abs=1e-9)


def test_a_backbone_without_columns_reads_nothing(rows):
    happened, cluster = rows[1:]
    silent = Encoded(np.full((len(happened), 2), np.nan), np.zeros(len(happened), dtype=np.intp))
    bare = LinearBackbone().fit(
        silent, happened, categorical=[], direction=np.zeros(2), segments=["all"]
    )
    steps = BackboneSteps(bare, silent, happened, cluster)
    constrained, free = steps.draw(np.ones(ACCOUNTS), Silence())
    assert constrained == pytest.approx(free)
    assert (steps.reader(silent)(constrained) == 0).all()


def test_a_backbone_read_from_a_file_is_refused(backbone, rows):
    read = LinearBackbone.from_dict(json.loads(json.dumps(backbone.to_dict())))
    assert read.margin(rows[0]) == pytest.approx(backbone.margin(rows[0]))
    with pytest.raises(ValueError, match="read from a file cannot be refitted; train again"):
        BackboneSteps(read, *rows)
