"""Spread among raters, recomputed by hand from the ratings themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.builders.settings import SignalsSettings
from features.signals.rating_quality import RaterSpread, rater_spread
from features.tables.company import Company

DAY, MIDNIGHT = date(2024, 7, 1), datetime(2024, 7, 1)
SETTINGS = SignalsSettings(rubric={"sponsor": {"5": "Meets weekly"}})
NAMES = ["account_id", "rated_at", "rater", "dimension", "rating", "recorded_at"]
HOSTILE = ["<script>alert(1)</script>", "O'Brien; drop table ratings --", "\u202eRTL", "L" * 300]


@pytest.fixture
def spread(company_of: Callable[..., Company]) -> Callable[[pd.DataFrame], RaterSpread | None]:
    """Return a function that measures ratings of accounts A0 and on."""

    def measure(ratings: pd.DataFrame) -> RaterSpread | None:
        types = {"rated_at": "datetime64[us]", "recorded_at": "datetime64[us]", "rating": "float64"}
        accounts = pd.DataFrame(
            {"account_id": [f"A{i}" for i in range(400)], "created_at": datetime(2020, 1, 1)}
        )
        churns = pd.DataFrame({"account_id": ["A0"], "churned_at": [datetime(2023, 1, 5)]})
        company = company_of(
            {
                "accounts": accounts,
                "churn_events": churns,
                "ratings": ratings.reindex(columns=NAMES).astype(types),
            }
        )
        return rater_spread(company, SETTINGS, DAY)

    return measure


def by_chance(seed: int, raters: list[str]) -> pd.DataFrame:
    """1,600 ratings of 400 accounts, in two dimensions that some write in capitals."""
    rng = np.random.default_rng(seed)
    account = np.repeat(np.arange(400), 4)
    rater = rng.integers(len(raters), size=1600)
    lenient = np.linspace(-0.7, 0.7, len(raters))[rater]
    level = 3 + 0.6 * rng.standard_normal(400)[account]
    words = np.array(["sponsor", "Sponsor ", "value"])
    return pd.DataFrame(
        {
            "account_id": [f"A{i}" for i in account],
            "rated_at": [MIDNIGHT - timedelta(days=int(d)) for d in rng.integers(1, 366, 1600)],
            "rater": [raters[i] for i in rater],
            "dimension": words[rng.integers(3, size=1600)],
            "rating": np.round(level + lenient + 0.4 * rng.standard_normal(1600), 1),
        }
    )


def henderson(ratings: pd.DataFrame) -> tuple[float, float, float]:
    """Variances of raters, of accounts and of the rest, by moments over dummies.

    Sums of squares are projections here, and their expectations traces: for random effects with
    design Z and variance v, E[y'Py] = v tr(Z'PZ).
    """
    y = ratings.rating - ratings.groupby("dimension").rating.transform("mean")
    n = len(y)
    a, r = (pd.get_dummies(ratings[key]).to_numpy(float) for key in ("account_id", "rater"))
    cell = pd.get_dummies(ratings.account_id + "|" + ratings.rater).to_numpy(float)

    def onto(z: Any) -> Any:
        return z @ np.diag(1 / z.sum(axis=0)) @ z.T

    mean = np.full((n, n), 1 / n)
    noise = float(y @ (np.eye(n) - onto(cell)) @ y) / (n - cell.shape[1])
    left, right = [], []
    for z in (a, r):
        # The deviations are of a dimension's mean: the total mean's square is nothing.
        between = onto(z) - mean
        left.append([np.trace(a.T @ between @ a), np.trace(r.T @ between @ r)])
        right.append(float(y @ onto(z) @ y) - noise * (z.shape[1] - 1))
    of_accounts, of_raters = np.linalg.solve(left, right)
    return of_raters, of_accounts, noise


def test_every_number_is_that_of_the_ratings(spread: Any) -> None:
    ratings = by_chance(1, [*HOSTILE, "Ann", "Bo"])
    found = spread(ratings)
    assert (found.raters, found.ratings) == (6, 1600)
    assert found.accounts == ratings.account_id.nunique()
    assert (found.lowest, found.highest) == (ratings.rating.min(), ratings.rating.max())
    assert found.as_of == DAY
    normal = ratings.assign(dimension=ratings.dimension.str.strip().str.lower())
    of_raters, of_accounts, noise = henderson(normal)
    assert found.spread == pytest.approx(np.sqrt(of_raters), rel=1e-6)
    whole = of_raters + of_accounts + noise
    assert found.share_of_variance == pytest.approx(of_raters / whole, rel=1e-6)
    # Henderson's mixed-model equations, solved whole.
    y = normal.rating - normal.groupby("dimension").rating.transform("mean")
    a, r = (pd.get_dummies(normal[key]).to_numpy(float) for key in ("account_id", "rater"))
    z = np.hstack([a, r])
    shrink = np.r_[np.full(a.shape[1], noise / of_accounts), np.full(6, noise / of_raters)]
    leniency = np.linalg.solve(z.T @ z + np.diag(shrink), z.T @ y)[-6:]
    assert found.strictest == pytest.approx(leniency.min(), abs=0.02)
    assert found.most_lenient == pytest.approx(leniency.max(), abs=0.02)
    assert found.strictest < -0.5 < 0.5 < found.most_lenient


def test_what_was_not_known_on_the_day_counts_for_nothing(spread: Any) -> None:
    ratings = by_chance(3, ["x", "y", "z"])
    strays = ratings.head(30).assign(rater="stray", rating=99.0)
    unknown = [
        strays.assign(rated_at=MIDNIGHT),
        strays.assign(rated_at=MIDNIGHT - timedelta(days=366)),
        strays.assign(recorded_at=MIDNIGHT + timedelta(hours=1)),
        strays.assign(rating=None),
        strays.assign(dimension=None),
    ]
    # The engine adds in any order, which shows in the last digits.
    found, expected = spread(pd.concat([ratings, *unknown])), spread(ratings)
    assert asdict(found) == pytest.approx(asdict(expected))


def test_raters_alike_have_no_spread(spread: Any) -> None:
    found = spread(by_chance(4, ["x", "y"]).assign(rating=3.0))
    assert (found.spread, found.strictest, found.most_lenient) == (0, 0, 0)
    assert found.share_of_variance is None
    assert (found.lowest, found.highest) == (3, 3)


def test_a_single_rater_cannot_differ_from_anybody(spread: Any) -> None:
    found = spread(by_chance(5, ["only"]))
    assert (found.raters, found.spread, found.share_of_variance) == (1, 0, 0)


def test_without_ratings_there_is_nothing_to_say(
    spread: Any, company_of: Callable[..., Company]
) -> None:
    old = by_chance(6, ["x"]).assign(rated_at=datetime(2020, 1, 1))
    assert spread(old) is None
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [datetime(2020, 1, 1)]})
    churns = pd.DataFrame({"account_id": ["A"], "churned_at": [datetime(2023, 1, 5)]})
    company = company_of({"accounts": accounts, "churn_events": churns})
    assert rater_spread(company, SETTINGS, DAY) is None
