from __future__ import annotations

import numpy as np
import pytest

from models.weights.account_spread import AccountSpread, SpreadReader, interval, spread_of


def test_a_variance_is_the_quadratic_form_of_base_and_groups():
    spread = AccountSpread(
        ("usage",), {"all": [[0.1, 0.02], [0.02, 0.3]], "b": [[0.2, 0.0], [0.0, 0.0]]}
    )
    added = np.array([[2.0], [-1.0], [5.0], [2.0]])
    deviation = spread.deviation(added, np.array([0, 0, 1, 2]), ["all", "b", "unheard of"])
    assert deviation**2 == pytest.approx([0.1 + 0.08 + 1.2, 0.1 - 0.04 + 0.3, 0.2, 1.38])


def test_draws_are_read_back():
    rng = np.random.default_rng(0)
    added = rng.normal(size=(400, 2))
    true = np.array([[0.2, 0.0, 0.0], [0.0, 0.1, 0.05], [0.0, 0.05, 0.2]])
    reader = SpreadReader(added)
    for base, *factors in rng.multivariate_normal(np.array([0.0, 1.0, 1.0]), true, size=4000):
        reader.add(added * factors, base)
    assert reader.covariance() == pytest.approx(true, abs=0.02)


def test_what_factors_do_not_explain_widens_the_base():
    rng = np.random.default_rng(0)
    reader = SpreadReader(rng.normal(size=(3000, 1)))
    for _ in range(50):
        reader.add(rng.normal(size=(3000, 1)))
    assert reader.covariance()[0, 0] == pytest.approx(1.0, abs=0.05)


def test_a_single_draw_says_nothing():
    reader = SpreadReader(np.ones((3, 1)))
    reader.add(np.ones((3, 1)))
    assert not reader.covariance().any()


def test_everybody_is_the_mean_of_segments_by_size():
    readers = [SpreadReader(np.zeros((5, 1))) for _ in range(2)]
    for reader, width in zip(readers, (1.0, 2.0), strict=True):
        for base in (-width, width):
            reader.add(np.zeros((5, 1)), base)
    spread = spread_of(["usage"], ["a", "b"], readers, [3, 1])
    alone = [spread.variances[name][0][0] for name in ("a", "b", "all")]
    assert alone == pytest.approx([2, 8, 3.5])


def test_bases_are_added_by_segment():
    spread = AccountSpread(("usage",), {"all": [[1.0, 0.0], [0.0, 0.0]]})
    assert spread.with_bases({"all": 0.5}).variances["all"][0][0] == 1.5


def test_bounds_lie_around_the_probability():
    low, high = interval(np.array([-3.0, 0.0]), np.array([0.5, 0.0]))
    assert low[0] < 1 / (1 + np.exp(3)) < high[0]
    assert low[1] == high[1] == 0.5


@pytest.mark.parametrize(
    "matrix",
    [[[1.0]], [[1.0, 5.0], [5.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]]],
)
def test_what_is_no_covariance_is_refused(matrix):
    with pytest.raises(ValueError, match="has no covariance of 2 numbers"):
        AccountSpread.from_dict({"groups": ["usage"], "variances": {"all": matrix}})


def test_it_is_read_back_as_it_was():
    spread = AccountSpread(("usage",), {"all": [[1.0, 0.1], [0.1, 0.5]]})
    assert AccountSpread.from_dict(spread.to_dict()) == spread
