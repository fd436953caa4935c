"""What past quarters teach: rates and spreads that were put in come out, and futures add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.scoring.timing.retention.book import LearntBook, learn_book
from models.scoring.timing.retention.draws import MEASURES, draw_futures
from models.scoring.timing.retention.quarters import RENEWS, RUNS, Span
from models.scoring.timing.retention.rates import learn_rates
from models.scoring.timing.retention.shocks import Shock, learn_shock
from models.scoring.timing.retention.tilt import Tilt, learn_tilt

QUARTERS = [Span(91 * place, 91 * place + 91) for place in range(4)]
NO_EARLIER = pd.DataFrame(
    {
        name: pd.Series(dtype=float)
        for name in ("account_id", "day", "segment", "arr", "tenure", "lost", "log_odds")
    }
)


def history(accounts: int = 4000, quarters: int = 8, *, seed: int = 1, shared: float = 0.0) -> Any:
    """Annual contracts of which a tenth leaves at a renewal, and nobody between."""
    rng = np.random.default_rng(seed)
    parts = []
    for quarter in range(quarters):
        ahead = rng.integers(0, 365, accounts).astype(float)
        odds = logit(0.1) + shared * rng.standard_normal()
        lost = (ahead < 91) & (rng.random(accounts) < expit(odds))
        arr = np.full(accounts, 1200.0)
        grows = ~lost & (ahead < 91) & (rng.random(accounts) < 0.2)
        parts.append(
            pd.DataFrame(
                {
                    "account_id": [f"{quarter}-{number}" for number in range(accounts)],
                    "day": 91 * quarter,
                    "segment": rng.choice(["big", "small"], accounts),
                    "arr": arr,
                    "tenure": 400.0,
                    "days_to_renewal": ahead,
                    "term_days": 365.0,
                    "lost": lost.astype(float),
                    "arr_after": np.where(lost, np.nan, arr * np.where(grows, 1.5, 1.0)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def book() -> LearntBook:
    return learn_book(history(), NO_EARLIER)


def accounts_of(ahead: list[float], **columns: Any) -> pd.DataFrame:
    rows = {"segment": "big", "arr": 1200.0, "tenure": 400.0, "log_odds": 0.0, "term_days": 365.0}
    return pd.DataFrame({"days_to_renewal": ahead, **rows, **columns})


def test_rates_are_those_of_contracts_that_renew(book: LearntBook) -> None:
    rows = accounts_of([10.0, 200.0])
    risk = expit(book.risk(rows, QUARTERS[0], 0))
    assert risk[0] == pytest.approx(0.1, abs=0.01)
    assert risk[1] < 0.002
    # In the third quarter the other one renews.
    assert expit(book.risk(rows, QUARTERS[2], 2))[1] == pytest.approx(0.1, abs=0.01)
    assert (book.quarters, book.rows) == (8, 32_000)
    assert set(book.grown.all.round(6)) == {1.5}


def test_a_loss_never_seen_is_a_small_rate_and_not_none() -> None:
    rows = history(50, 2).assign(lost=0.0)
    rates = learn_rates(rows.assign(kind=RUNS, young=False), np.zeros(100))
    assert expit(rates.log_odds(rows.assign(kind=RENEWS, young=False))[0]) == pytest.approx(
        0.5 / 101
    )


def test_what_quarters_share_is_found_again() -> None:
    calm = learn_book(history(seed=3), NO_EARLIER).lost.shock
    wild = learn_book(history(quarters=24, seed=3, shared=0.5), NO_EARLIER).lost.shock
    assert calm.quarter < 0.12
    assert 0.35 < wild.quarter < 0.7
    assert wild.level > calm.level / 2


def test_draws_of_shocks_have_their_spread_and_leave_odds_as_they_are() -> None:
    shock = Shock(0.2, 0.1, 500)
    drawn = shock.draws(4, 40_000, np.random.default_rng(0))
    assert drawn.std(axis=0) == pytest.approx(np.hypot(0.2, 0.1), rel=0.02)
    assert np.exp(drawn).mean() == pytest.approx(1.0, abs=0.01)
    common = np.corrcoef(drawn[:, 0], drawn[:, 3])[0, 1]
    assert common == pytest.approx(0.01 / 0.05, abs=0.02)


def test_a_shock_of_nothing_seen_is_wide() -> None:
    shock = learn_shock(np.zeros(40), np.full(40, -4.0), np.arange(40), np.repeat([0, 1], 20))
    assert shock.level >= 1.0


def test_futures_add_up_in_every_draw_and_every_group(book: LearntBook) -> None:
    rng = np.random.default_rng(5)
    arr = np.where(rng.random(300) < 0.1, np.nan, rng.uniform(100, 5000, 300))
    rows = accounts_of(rng.integers(0, 365, 300).astype(float).tolist(), arr=arr)
    everybody, halves = np.zeros(300, dtype=np.intp), (np.arange(300) % 2).astype(np.intp)
    futures = draw_futures(book, rows, QUARTERS, [everybody, halves])
    sums = futures.sums
    assert set(sums) == set(MEASURES)
    for name, values in sums.items():
        assert values[..., 0] == pytest.approx(values[..., 1] + values[..., 2]), name
    closing = sums["opening"] - sums["lost"] - sums["smaller"] + sums["larger"]
    assert closing[:, :-1] == pytest.approx(sums["opening"][:, 1:])
    assert closing[:, -1] == pytest.approx(futures.ended)
    assert (futures.kept <= sums["opening"][:, 0] + 1e-6).all()
    assert sums["opening"][:, 0, 0] == pytest.approx(np.nansum(arr))
    left = sums["accounts"] - sums["accounts_lost"]
    assert left[:, :-1] == pytest.approx(sums["accounts"][:, 1:])
    assert (sums["accounts"][:, 0, 0] == 300).all()
    assert (sums["renewed"] <= sums["up"] + 1e-6).all()


def test_expected_losses_are_those_of_the_rates(book: LearntBook) -> None:
    rows = accounts_of([10.0] * 400)
    futures = draw_futures(book, rows, QUARTERS, [np.zeros(400, dtype=np.intp)])
    lost = futures.sums["accounts_lost"][:, 0, 0].mean()
    assert lost == pytest.approx(40, rel=0.15)
    # Nobody renews again for a year.
    assert futures.sums["accounts_lost"][:, 1:, 0].mean() < 1
    larger = futures.sums["larger"][:, 0, 0].mean() / futures.sums["opening"][:, 0, 0].mean()
    assert larger == pytest.approx(0.9 * 0.2 * 0.5, rel=0.15)


def test_equal_seeds_give_equal_futures(book: LearntBook) -> None:
    rows, nobody = accounts_of([10.0] * 50), np.zeros(50, dtype=np.intp)
    one, same = (draw_futures(book, rows, QUARTERS, [nobody], seed=2) for _ in range(2))
    assert (one.kept == same.kept).all()


def test_a_book_without_accounts_has_no_future_to_lose(book: LearntBook) -> None:
    futures = draw_futures(book, accounts_of([]), QUARTERS, [np.zeros(0, dtype=np.intp)])
    assert futures.kept.shape[1] == 0


def test_a_tilt_tells_accounts_apart_and_keeps_their_mean() -> None:
    rng = np.random.default_rng(7)
    deviations = rng.normal(0, 1, 5000)
    tilt = Tilt(slope=0.9, keep=0.5, deviations=deviations)
    rows = pd.DataFrame({"log_odds": deviations, "segment": "x"})
    rate = np.full(5000, logit(0.1))
    for quarter, slope in enumerate((0.9, 0.45)):
        added = tilt.adds(rows, rate, quarter)
        assert expit(rate + added).mean() == pytest.approx(0.1, abs=1e-3)
        assert np.polyfit(deviations, added, 1)[0] == pytest.approx(slope)


def test_slope_and_memory_of_scores_are_found_again() -> None:
    rng = np.random.default_rng(8)
    n = 6000
    first = rng.normal(0, 1, n)
    second = 0.6 * first + 0.8 * rng.normal(0, 1, n)
    rows = pd.DataFrame(
        {
            "account_id": np.tile(np.arange(n), 2),
            "day": np.repeat([0, 91], n),
            "segment": "x",
            "log_odds": np.concatenate([first, second]),
            "rate": logit(0.2),
            "lost": np.concatenate([rng.random(n) < expit(logit(0.2) + 0.5 * first), [np.nan] * n]),
        }
    ).astype({"lost": float})
    tilt = learn_tilt(rows)
    assert tilt.slope == pytest.approx(0.5, abs=0.08)
    assert tilt.keep == pytest.approx(0.6, abs=0.05)


def test_nothing_earlier_leaves_what_is_usual() -> None:
    assert learn_tilt(NO_EARLIER) == Tilt()


def test_scores_whose_quarter_is_not_over_leave_the_usual_slope() -> None:
    rows = history(200, 1).assign(rate=-2.0, log_odds=np.linspace(-1, 1, 200), lost=np.nan)
    assert learn_tilt(rows).slope == Tilt().slope


def test_prices_that_rise_with_every_renewal_rise_with_every_renewal() -> None:
    rows = history(2000, 4)
    up = (rows["lost"] == 0) & (rows["days_to_renewal"] < 91)
    rows["arr_after"] = rows["arr_after"].where(~up, rows["arr"] * 1.03)
    futures = draw_futures(
        learn_book(rows, NO_EARLIER), accounts_of([10.0] * 200), QUARTERS, [np.zeros(200, int)]
    )
    larger = futures.sums["larger"][:, 0, 0].mean() / futures.sums["opening"][:, 0, 0].mean()
    assert larger == pytest.approx(0.9 * 0.03, rel=0.1)
