"""Evidence must come from behaviour, not from an account's age or kind."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.training.evidence import behaviour_rank

ROWS = 6000


@pytest.fixture
def world():
    """Accounts whose churn follows their age; a trait that is theirs and one that follows age."""
    chance = np.random.default_rng(5)
    age = chance.exponential(300, ROWS)
    trait = chance.normal(size=ROWS)
    dates = chance.choice(np.array(["2024-01-01", "2024-02-01"], "datetime64[D]"), ROWS)
    segment = chance.choice(["a", "b"], ROWS).astype(object)
    return chance, age, trait, dates, segment


def auc(happened, rank) -> float:
    return float(roc_auc_score(happened, rank))


def test_a_signal_that_follows_age_earns_nothing(world) -> None:
    chance, age, _, dates, segment = world
    happened = chance.random(ROWS) < 0.4 * np.exp(-age / 200)
    growth = 180 / (age + 20)
    assert auc(happened, growth) > 0.65
    rank = behaviour_rank(dates, segment, age, np.zeros(ROWS), growth)
    assert auc(happened, rank) == pytest.approx(0.5, abs=0.05)
    blind = behaviour_rank(dates, segment, np.full(ROWS, np.nan), np.zeros(ROWS), growth)
    assert auc(happened, blind) > 0.65


def test_behaviour_earns_it_at_every_age(world) -> None:
    chance, age, trait, dates, segment = world
    happened = chance.random(ROWS) < 0.1 * np.exp(trait - age / 300)
    rank = behaviour_rank(dates, segment, age, np.zeros(ROWS), trait)
    alone = auc(happened, trait)
    assert auc(happened, rank) == pytest.approx(alone, abs=0.03)


def test_a_signal_that_follows_the_kind_of_account_earns_nothing(world) -> None:
    chance, age, _, dates, segment = world
    kind = chance.integers(0, 5, ROWS).astype(float)
    happened = chance.random(ROWS) < 0.02 + 0.05 * kind
    rank = behaviour_rank(dates, segment, age, kind, kind + 0.001 * chance.normal(size=ROWS))
    assert auc(happened, rank) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("rows", [1, 2, 7, 60])
def test_few_rows_and_unknown_ages_are_ranked_too(rows: int) -> None:
    age = np.where(np.arange(rows) % 2, np.nan, 5.0)
    rank = behaviour_rank(["d"] * rows, ["all"] * rows, age, np.zeros(rows), np.arange(rows) * 1.0)
    assert rank.shape == (rows,)
    assert ((rank > 0) & (rank <= 1)).all()
