"""Rater leniency against the mixed-model equations solved as a whole, and on plain cases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
from ibis.backends.duckdb import Backend

from features.signals.raters import rater_leniency, rating_cells, rating_variances

DAY = datetime(2024, 3, 1)
Estimate = Callable[[pd.DataFrame], pd.Series]


@pytest.fixture
def estimated(connection: Backend) -> Estimate:
    """Return a function that estimates the leniency of every rater on one day."""

    def keep(name: str, table: ibis.Table) -> ibis.Table:
        return connection.create_table(ibis.util.gen_name(name), table, temp=True)

    def estimate(ratings: pd.DataFrame) -> pd.Series:
        table = keep("ratings", ibis.memtable(ratings.assign(observation_date=DAY)))
        return rater_leniency(table, keep).execute().set_index("rater").leniency.sort_index()

    return estimate


def portfolios(seed: int, *, colleagues: float, talent: float = 0.0) -> tuple[pd.DataFrame, Any]:
    """Draw ratings of 600 accounts by 12 managers; with talent, lenient ones get good accounts."""
    rng = np.random.default_rng(seed)
    leniency = np.linspace(-0.8, 0.8, 12)
    account = np.repeat(np.arange(600), 8)
    manager = account % 12
    rater = np.where(rng.random(len(account)) < colleagues, rng.integers(12, size=4800), manager)
    level = 3 + 0.7 * rng.standard_normal(600)[account] + talent * leniency[manager]
    dimension = rng.integers(2, size=4800)
    rating = level + leniency[rater] + 0.5 * dimension + 0.6 * rng.standard_normal(4800)
    frame = pd.DataFrame(
        {
            "account_id": account.astype(str),
            "rater": [f"{number:02d}" for number in rater],
            "dimension": dimension.astype(str),
            "rating": rating,
        }
    )
    return frame, leniency


def solved(ratings: pd.DataFrame, noise: float, accounts: float, raters: float) -> pd.Series:
    """Solve Henderson's equations for accounts and raters at once (Robinson 1991, eq. 1.2)."""
    y = ratings.rating - ratings.groupby("dimension").rating.transform("mean")
    a = pd.get_dummies(ratings.account_id).astype(float)
    r = pd.get_dummies(ratings.rater).astype(float)
    z = np.hstack([a, r])
    shrink = np.r_[np.full(a.shape[1], noise / accounts), np.full(r.shape[1], noise / raters)]
    effects = np.linalg.solve(z.T @ z + np.diag(shrink), z.T @ y.to_numpy())
    return pd.Series(effects[a.shape[1] :], index=r.columns)


@pytest.mark.parametrize("colleagues", [0.0, 0.15, 0.6])
def test_it_is_the_solution_of_the_mixed_model_equations(
    colleagues: float, estimated: Estimate
) -> None:
    ratings, _ = portfolios(3, colleagues=colleagues)
    table = ibis.memtable(ratings.assign(observation_date=DAY))
    variances = rating_variances(rating_cells(table)).execute().iloc[0]
    exact = solved(ratings, variances.noise, variances.of_accounts, variances.of_raters)
    np.testing.assert_allclose(estimated(ratings), exact, atol=0.01)


def test_moments_find_the_variances_that_made_the_ratings() -> None:
    found = []
    for seed in range(8):
        ratings, leniency = portfolios(seed, colleagues=0.3)
        table = ibis.memtable(ratings.assign(observation_date=DAY))
        found.append(rating_variances(rating_cells(table)).execute().iloc[0])
    mean = pd.DataFrame(found)[["noise", "of_accounts", "of_raters"]].astype(float).mean()
    assert mean.noise == pytest.approx(0.36, rel=0.05)
    assert mean.of_accounts == pytest.approx(0.49, rel=0.1)
    assert mean.of_raters == pytest.approx(leniency.var(ddof=1), rel=0.1)


def test_it_recovers_leniency_better_than_plain_means_where_portfolios_differ(
    estimated: Estimate,
) -> None:
    ratings, leniency = portfolios(5, colleagues=0.3, talent=0.5)
    means = ratings.groupby("rater").rating.mean()
    error = estimated(ratings) - leniency
    plain = means - means.mean() - leniency
    assert np.sqrt((error**2).mean()) < 0.5 * np.sqrt((plain**2).mean())


def test_a_rater_with_little_evidence_is_pulled_to_zero(estimated: Estimate) -> None:
    ratings, _ = portfolios(4, colleagues=0.2)
    newcomer = ratings.iloc[[0]].assign(rater="new", rating=ratings.rating.iloc[0] + 3)
    many = pd.concat([newcomer.assign(account_id=str(i)) for i in range(60)])
    few = estimated(pd.concat([ratings, newcomer]))["new"]
    certain = estimated(pd.concat([ratings, many]))["new"]
    assert abs(few) < 0.6 * abs(certain)


@pytest.mark.parametrize(
    "rows",
    [
        [("A", "x", 4.0)],
        [("A", "x", 4.0), ("B", "x", 2.0)],
        [("A", "x", 4.0), ("B", "y", 2.0)],
        [("A", "x", 3.0), ("A", "x", 3.0), ("B", "y", 3.0), ("B", "y", 3.0)],
        [("A", "x", 5.0), ("A", "x", 4.0), ("B", "y", 1.0), ("B", "y", 2.0)],
    ],
)
def test_what_says_nothing_about_raters_corrects_nobody(
    rows: list[tuple[str, str, float]], estimated: Estimate
) -> None:
    ratings = pd.DataFrame(rows, columns=["account_id", "rater", "rating"]).assign(dimension="d")
    assert estimated(ratings).tolist() == [0.0] * ratings.rater.nunique()
