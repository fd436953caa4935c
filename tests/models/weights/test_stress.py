from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from models.churn.backbone import LinearBackbone
from models.churn.encoding import Encoded
from models.weights.stress import FOLDS, LEVEL_SD, STRESS_SD, cross_fitted_stress

ACCOUNTS, ROWS = 800, 5
GROUP = np.array([0, 1, 1])


class Given:
    """Fits that are what a test says they are, whoever is left out."""

    def __init__(self, backbone, theta):
        self.backbone, self.theta, self.asked = backbone, theta, []

    def __call__(self, data, left_out, rows):
        self.asked.append(left_out)
        fit = self.backbone.with_theta(self.theta)
        return fit.contributions(data.take(rows)), fit.base_margin(data.take(rows))


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(11)
    cluster = np.repeat(np.arange(ACCOUNTS), ROWS)
    segment = rng.integers(0, 2, ACCOUNTS)[cluster]
    values = rng.normal(size=(len(cluster), 3))
    margin = -0.8 + np.array([1.5, 0.8])[segment] * values[:, 0]
    happened = (rng.random(len(cluster)) < expit(margin)).astype(float)
    return Encoded(values, segment), happened, cluster


@pytest.fixture(scope="module")
def backbone(rows):
    data, happened, _ = rows
    return LinearBackbone().fit(
        data,
        happened,
        categorical=[],
        direction=np.zeros(3),
        segments=["a", "b"],
        group=GROUP.tolist(),
    )


def stress_of(fits, rows, seed=0, alike=None):
    data, happened, cluster = rows
    generator = np.random.default_rng(seed)

    def without(left_out, rows):
        contributions, base = fits(data, left_out, rows)
        # In two parts, as blocks come.
        half = len(rows) // 2
        for some in (slice(0, half), slice(half, len(rows))):
            yield some, contributions[some], base[some]

    if alike is None:
        alike = np.zeros((len(happened), 1), dtype=int)
    return cross_fitted_stress(without, data.segment, happened, cluster, GROUP, alike, generator)


def scaled(backbone, signal, factor):
    theta = backbone.theta_.copy()
    theta[:, np.append(backbone.design_.owner == signal, False)] *= factor
    return theta


def interval(stress, draws=4000):
    generator = np.random.default_rng(1)
    draws = np.array([stress.draw(generator) for _ in range(draws)])
    return np.quantile(draws, [0.05, 0.95], axis=0), draws


def test_an_honest_fit_needs_no_stress(backbone, rows):
    found = stress_of(Given(backbone, backbone.theta_), rows)
    assert found.mean.shape == (2, 2)
    assert found.root.shape == (2, 2, 2)
    assert found.mean[:, 0] == pytest.approx(1, abs=0.15)


def test_a_halved_group_is_stressed_twice(backbone, rows):
    found = stress_of(Given(backbone, scaled(backbone, 0, 0.5)), rows)
    assert found.mean[:, 0] == pytest.approx(2, abs=0.3)
    (low, high), _ = interval(found)
    assert (low[:, 0] > 1.3).all()
    assert (high[:, 0] < 2.8).all()


def test_a_group_that_says_the_opposite_is_turned_round(backbone, rows):
    found = stress_of(Given(backbone, scaled(backbone, 0, -1)), rows)
    assert (found.mean[:, 0] < -0.6).all()


def louder(backbone, size):
    theta = backbone.theta_.copy()
    theta[:, np.append(GROUP[backbone.design_.owner] == 1, False)] = size
    return theta


def test_intervals_of_noise_hold_zero(backbone, rows):
    data, happened, cluster = rows
    rng, held = np.random.default_rng(12), []
    for _ in range(25):
        values = np.column_stack([data.values[:, 0], rng.normal(size=(len(happened), 2))])
        noisy = (Encoded(values, data.segment), happened, cluster)
        found = stress_of(Given(backbone, louder(backbone, 0.2)), noisy)
        (low, high), _ = interval(found, draws=400)
        held.append((low[:, 1] <= 0) & (high[:, 1] >= 0))
        assert (high[:, 1] < 0.6).all()
    assert np.mean(held) > 0.75


def test_loud_noise_counts_nothing(backbone, rows):
    found = stress_of(Given(backbone, louder(backbone, 0.6)), rows)
    assert (np.abs(found.mean[:, 1]) < 0.1).all()


def test_what_says_nothing_keeps_the_prior(backbone, rows):
    theta = backbone.theta_.copy()
    theta[:, np.append(GROUP[backbone.design_.owner] == 1, False)] = 0
    found = stress_of(Given(backbone, theta), rows)
    assert found.mean[:, 1] == pytest.approx(1)
    assert found.root[:, 1, 1] == pytest.approx(STRESS_SD)


def test_mean_and_root_against_a_general_optimiser(backbone, rows):
    data, happened, _ = rows
    theta = scaled(backbone, 0, 0.7)
    found = stress_of(Given(backbone, theta), rows)
    fitted = backbone.with_theta(theta)
    seen = fitted.contributions(data) @ np.eye(2)[GROUP]
    base = fitted.base_margin(data)
    spread = np.array([STRESS_SD, STRESS_SD, LEVEL_SD])
    for segment in (0, 1):
        own = data.segment == segment
        columns = np.column_stack([seen[own], np.ones(own.sum())])

        def objective(factors, columns=columns, own=own):
            margin = base[own] + columns @ factors
            loss = np.logaddexp(0, margin).sum() - happened[own] @ margin
            return loss + (((factors - [1, 1, 0]) / spread) ** 2).sum() / 2

        oracle = minimize(objective, [0, 0, 0], method="Nelder-Mead", options={"fatol": 1e-10})
        assert found.mean[segment] == pytest.approx(oracle.x[:2], abs=1e-3)
        risk = expit(base[own] + columns @ oracle.x)
        curvature = (columns * (risk * (1 - risk))[:, None]).T @ columns + np.diag(spread**-2)
        covariance = found.root[segment] @ found.root[segment].T
        assert covariance == pytest.approx(np.linalg.inv(curvature)[:2, :2], rel=1e-2, abs=1e-5)


def test_a_group_that_only_tells_the_date_counts_nothing_among_its_like(rows):
    data, _, cluster = rows
    rng = np.random.default_rng(13)
    date = np.tile(np.arange(ROWS), ACCOUNTS)
    # A window that fills up as history begins stands for a risk that rises meanwhile.
    filled = np.minimum(date, 2) - 1 + 0.3 * rng.normal(size=len(date))
    values = np.column_stack([data.values[:, 0], filled, np.zeros(len(date))])
    margin = -1.5 + data.values[:, 0] + np.minimum(date, 2)
    happened = (rng.random(len(date)) < expit(margin)).astype(float)
    mixed = (Encoded(values, data.segment), happened, cluster)
    fit = LinearBackbone().fit(
        mixed[0], happened, categorical=[], segments=["a", "b"], group=GROUP.tolist()
    )
    given = Given(fit, fit.theta_)
    everybody = stress_of(given, mixed)
    among_like = stress_of(given, mixed, alike=np.column_stack([date, cluster % 3]))
    assert (everybody.mean[:, 1] > 0.8).all()
    assert (np.abs(among_like.mean[:, 1]) < 0.35).all()
    assert among_like.mean[:, 0] == pytest.approx(1, abs=0.2)
    assert (everybody.z[:, 1] > 10).all()
    assert (among_like.z[:, 1] < 3).all()


def test_draws_have_the_mean_and_covariance(backbone, rows):
    found = stress_of(Given(backbone, backbone.theta_), rows)
    _, draws = interval(found)
    assert draws.mean(axis=0) == pytest.approx(found.mean, abs=0.05)
    for segment in (0, 1):
        expected = found.root[segment] @ found.root[segment].T
        assert np.cov(draws[:, segment].T) == pytest.approx(expected, abs=0.03)


def test_every_account_is_left_out_once(backbone, rows):
    given = Given(backbone, backbone.theta_)
    stress_of(given, rows)
    assert len(given.asked) == FOLDS
    assert (np.sum(given.asked, axis=0) == 1).all()


def test_fewer_accounts_than_folds(backbone, rows):
    data, happened, cluster = (part[:10] if isinstance(part, np.ndarray) else part for part in rows)
    few = (data.take(np.arange(10)), happened, cluster)
    found = stress_of(Given(backbone, backbone.theta_), few)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.root).all()


def test_the_deal_follows_the_seed(backbone, rows):
    happened, cluster = rows[1:]

    def refitted(data, left_out, wanted):
        here = ~left_out[cluster]
        fit = LinearBackbone().fit(
            data.take(here), happened[here], categorical=[], segments=["a", "b"]
        )
        part = data.take(wanted)
        return fit.contributions(part), fit.base_margin(part)

    one, two, other = (stress_of(refitted, rows, seed=seed) for seed in (0, 0, 1))
    assert (one.mean == two.mean).all()
    assert (one.mean != other.mean).any()
