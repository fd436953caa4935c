"""How far calibration may be off on later dates, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit

from models.measures.offset_spread import offset_spread


def by_hand(happened, risk, accounts):
    """The offset of all log-odds and its error, summed account by account."""
    margin = logit(risk)
    offset = brentq(lambda o: float((happened - expit(margin + o)).sum()), -20, 20)
    shifted = expit(margin + offset)
    scores = [(happened - shifted)[accounts == one].sum() for one in np.unique(accounts)]
    count = len(scores)
    error = np.sqrt(np.sum(np.square(scores)) * count / (count - 1))
    return offset, error / (shifted * (1 - shifted)).sum()


def rows(offsets, count=1500, seed=0):
    rng = np.random.default_rng(seed)
    risk = rng.beta(1, 12, count * len(offsets))
    shift = np.repeat(offsets, count)
    happened = (rng.random(len(risk)) < expit(logit(risk) + shift)).astype(float)
    accounts = np.tile(np.arange(count), len(offsets))
    return happened, risk, accounts, np.repeat(np.arange(len(offsets)), count)


def test_one_date_gives_the_error_of_its_offset() -> None:
    happened, risk, accounts, dates = rows([0.4])
    _, error = by_hand(happened, risk, accounts)
    assert offset_spread(happened, risk, accounts, dates) == pytest.approx(error, rel=1e-6)


def test_dates_that_differ_add_what_they_differ_by() -> None:
    happened, risk, accounts, dates = rows([0.7, -0.6, 0.1, 0.5])
    _, error = by_hand(happened, risk, accounts)
    own = np.array(
        [by_hand(happened[dates == d], risk[dates == d], accounts[dates == d]) for d in range(4)]
    )
    weight = 1 / own[:, 1] ** 2
    mean = (weight * own[:, 0]).sum() / weight.sum()
    heterogeneity = (weight * (own[:, 0] - mean) ** 2).sum()
    between = (heterogeneity - 3) / (weight.sum() - (weight**2).sum() / weight.sum())
    assert between > 0.1
    found = offset_spread(happened, risk, accounts, dates)
    assert found == pytest.approx(np.sqrt(error**2 + between), rel=1e-6)


def test_what_the_refit_takes_out_does_not_count() -> None:
    found = [
        offset_spread(*rows([shift] * 3, seed=seed)) for shift in (0.0, 0.5) for seed in range(3)
    ]
    # An offset of 0.5 that all dates share would be the whole of it.
    assert np.median(found) < 0.1
    assert max(found) < 0.25


def test_a_date_without_outcomes_is_left_out() -> None:
    happened, risk, accounts, dates = rows([0.0, 0.0, 0.0])
    happened[dates == 1] = 0
    assert offset_spread(happened, risk, accounts, dates) > 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_tells_nothing(value: float) -> None:
    _, risk, accounts, dates = rows([0.0], count=50)
    assert offset_spread(np.full(50, value), risk, accounts, dates) is None
