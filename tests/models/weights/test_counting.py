from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.stats import beta, norm

from models.weights.counting import GROUPS_SEEN, SHARE, WITHIN, Counting

SD = 0.6


def weighed(pull, information):
    return Counting.weighed(np.array(pull, float), np.array(information, float), SD)


def test_chances_are_those_of_an_integral():
    pull, information = np.array([2.0, -0.5]), np.array([[4.0, 1.5], [1.5, 3.0]])
    found = weighed([pull], [information])

    def likelihood(*factors):
        return np.exp(pull @ factors - factors @ information @ np.array(factors) / 2)

    def bell(x):
        return norm.pdf(x, 1, SD)

    grid = np.linspace(-4, 6, 4001)
    alone = [
        np.trapezoid([likelihood(*(x * np.eye(2)[i])) * bell(x) for x in grid], grid)
        for i in (0, 1)
    ]
    both = dblquad(lambda y, x: likelihood(x, y) * bell(x) * bell(y), -4, 6, -4, 6, epsabs=1e-7)[0]
    # One segment after the other way round: draw a share, groups of the company, those of it here.
    shares = beta(GROUPS_SEEN * SHARE, GROUPS_SEEN * (1 - SHARE))
    here = WITHIN * SHARE
    twice = WITHIN**2 * (shares.var() + shares.mean() ** 2)
    prior = [1 - 2 * here + twice, here - twice, here - twice, twice]
    expected = np.array([1.0, *alone, both]) * prior
    assert found.sets.tolist() == [[False, False], [True, False], [False, True], [True, True]]
    assert found.chance[0] == pytest.approx(expected / expected.sum(), abs=1e-4)


def test_what_says_nothing_keeps_what_was_believed():
    found = weighed([[0, 0]], np.zeros((1, 2, 2)))
    assert found.counts == pytest.approx(np.full((1, 2), WITHIN * SHARE))
    assert found.mean[0, 3] == pytest.approx([1, 1])
    assert found.root[0, 3] == pytest.approx(SD * np.eye(2))


def test_draws_are_nothing_as_often_as_a_group_is_out():
    found = weighed([[30, 3]], [[[30, 0], [0, 30]]])
    generator = np.random.default_rng(2)
    drawn = np.array([found.draw(generator)[0] for _ in range(4000)])
    assert (drawn != 0).mean(axis=0) == pytest.approx(found.counts[0], abs=0.03)
    mean = found.chance[0] @ found.mean[0]
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=0.03)
    assert found.counts[0, 0] > 0.99
    assert found.counts[0, 1] < 0.6


def test_what_counts_nowhere_else_counts_less():
    doubtful, nothing = [[4]], [[0]]
    information = [[[8]], [[60]]]
    alone = weighed(doubtful, information[:1]).counts[0, 0]
    among = weighed(doubtful + 5 * nothing, information[:1] + 5 * information[1:]).counts[0, 0]
    assert among < alone - 0.1
    surely = weighed([[4, 30]], [[[8, 0], [0, 8]]]).counts[0, 0]
    assert surely > weighed([[4, 0]], [[[8, 0], [0, 60]]]).counts[0, 0] + 0.05


def test_what_counts_everywhere_else_is_not_lost_where_rows_are_few():
    few, many = [[0.5]], [[60.0]]
    information = [[[1.0]], [[60.0]]]
    alone = weighed(few, information[:1]).counts[0, 0]
    among = weighed(few + 2 * many, information[:1] + 2 * information[1:]).counts[0, 0]
    assert among > 0.8 > alone + 0.1
