"""The gate before a model is registered: it stops what was written after the outcome alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.catalog import Signal
from models.backtest.leak_gate import _some_accounts, giveaways
from models.training.coding import code_frame

DATES = pd.date_range("2024-01-01", periods=8, freq="MS")
N = 200


def signal(name: str) -> Signal:
    return Signal(name, "usage", "count", "none", name, None, "{value}")


def history(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "account_id": np.tile([f"A{n}" for n in range(N)], len(DATES)),
            "observation_date": np.repeat(DATES.to_numpy(), N),
            "usage": draw.normal(size=N * len(DATES)),
        }
    )
    risk = 0.1 + 0.1 * (rows["usage"] < -1)
    return rows.assign(happened=(draw.random(len(rows)) < risk).astype(int), account_age_days=400.0)


def found(frame: pd.DataFrame, *names: str) -> list[str]:
    signals = [signal(name) for name in names]
    return sorted(each.signal for each in giveaways(frame, signals, maturity_days=44))


@pytest.mark.parametrize("seed", range(8))
def test_honest_signals_pass(seed: int) -> None:
    frame = history(seed)
    noise = np.random.default_rng(seed + 100).normal(size=len(frame))
    strong = frame["happened"] + 1.2 * noise
    assert found(frame.assign(strong=strong), "usage", "strong") == []


def test_a_signal_that_ranks_too_well_and_one_missing_by_outcome_are_named() -> None:
    frame = history(1)
    noise = np.random.default_rng(9).normal(size=len(frame))
    frame["state"] = frame["happened"] + 0.2 * noise
    frame["wiped"] = np.where(frame["happened"] == 1, np.nan, noise)
    assert found(frame, "usage", "state", "wiped") == ["state", "wiped"]


def test_a_renewal_agreed_beforehand_passes_and_one_overwritten_does_not() -> None:
    draw = np.random.default_rng(3)
    frame = history(2)
    due = draw.random(len(frame)) < 0.2
    frame["happened"] = (due & (draw.random(len(frame)) < 0.3)).astype(int)
    frame["renewal_due"] = due.astype(float)
    assert found(frame, "usage", "renewal_due") == []
    frame["renewal_due"] = frame["happened"].astype(float)
    assert found(frame, "usage", "renewal_due") == ["renewal_due"]


@pytest.mark.parametrize("gone_too_early", [0.3, 0.6])
def test_a_renewal_that_is_overwritten_stops_though_some_that_were_due_count_as_stayed(
    gone_too_early: float,
) -> None:
    """The window opens after some of those who were due are gone, and closes before others are."""
    draw = np.random.default_rng(4)
    frame = history(2)
    frame["happened"] = (draw.random(len(frame)) < 0.06).astype(int)
    due = (frame["happened"] == 1) | (draw.random(len(frame)) < 0.06 * gone_too_early / 0.7)
    frame["renewal_due"] = due.astype(float)
    frame["days_to_renewal"] = np.where(due, 10.0, 400.0)
    assert "days_to_renewal" in found(frame, "usage", "renewal_due", "days_to_renewal")


def test_a_date_of_which_nothing_was_ever_due_is_judged_like_any_signal() -> None:
    frame = history(2)
    frame["renewal_due"] = 0.0
    frame["days_to_renewal"] = np.where(frame["happened"] == 1, 60.0, 400.0)
    assert found(frame, "renewal_due", "days_to_renewal") == ["days_to_renewal"]


def test_too_few_outcomes_say_nothing() -> None:
    frame = history(1)
    frame["happened"] = 0
    frame.loc[:3, "happened"] = 1
    assert found(frame.assign(state=frame["happened"]), "state") == []


@pytest.mark.parametrize("coded", [False, True])
def test_of_many_rows_some_accounts_are_looked_at(monkeypatch, coded: bool) -> None:
    monkeypatch.setattr("models.backtest.leak_gate.MOST_ROWS", 700)
    frame = history(3)
    later = frame.assign(written_later=frame["happened"] * 2.0)
    rows = code_frame(later) if coded else later
    some = _some_accounts(rows)
    assert len(some) == -(-N // 3) * len(DATES)
    assert set(some["account_id"].value_counts()) == {len(DATES)}
    signals = [signal("usage"), signal("written_later")]
    suspects = giveaways(rows, signals, maturity_days=44)
    assert [each.signal for each in suspects] == ["written_later"]


@pytest.mark.parametrize("apart", [True, False])
def test_what_was_so_on_the_day_of_the_extract_is_named_though_no_window_shows_it(apart) -> None:
    frame = history(4)
    account = frame["account_id"].str[1:].astype(int)
    left = frame.groupby("account_id")["happened"].max()
    rest = 30 + account % 300
    days = np.where(frame["account_id"].map(left) == 1, rest, account % 9 if apart else rest)
    frame["days_since_login"] = days.astype(float)
    suspects = giveaways(frame, [signal("days_since_login")], maturity_days=44)
    assert [each.signal for each in suspects] == (["days_since_login"] if apart else [])
    if apart:
        assert "never changes and tells with an AUC of 1.00 which accounts" in suspects[0].why
        month = frame["observation_date"].dt.month
        changing = frame.assign(days_since_login=days + month % 2)
        assert found(changing, "days_since_login") == []


def lives(seed: int, *, overwritten: bool) -> pd.DataFrame:
    """Rows of companies that leave in their first months, or renew each year and then leave."""
    draw = np.random.default_rng(seed)
    began = draw.integers(-400, 700, 900)
    leaves = draw.random(900) < 0.4
    life = np.where(leaves, draw.integers(10, 60, 900) if not overwritten else 365, 10_000)
    if overwritten:
        # Of whoever stayed the date is that of the newest renewal; who left had none after it.
        began = np.where(leaves, began, began + 365 * ((800 - began) // 365))
    rows = []
    for date in range(0, 540, 30):
        there = (began <= date) & (date < began + life)
        frame = pd.DataFrame({"account_id": np.flatnonzero(there).astype(str)})
        frame["observation_date"] = pd.Timestamp("2024-01-01") + pd.Timedelta(days=date)
        frame["tenure_days"] = (date - began[there]).astype(float)
        frame["happened"] = (began + life < date + 30)[there].astype(int)
        rows.append(frame)
    return pd.concat(rows, ignore_index=True).assign(
        account_age_days=lambda t: t["tenure_days"], usage=lambda t: draw.normal(size=len(t))
    )


@pytest.mark.parametrize("seed", range(3))
def test_an_age_at_which_accounts_leave_passes_and_a_start_that_is_overwritten_does_not(seed):
    honest, leaky = lives(seed, overwritten=False), lives(seed, overwritten=True)
    assert found(honest, "usage", "tenure_days") == []
    assert found(leaky, "usage", "tenure_days") == ["tenure_days"]


def test_an_age_is_judged_like_any_signal_where_nothing_says_who_stayed() -> None:
    honest = lives(1, overwritten=False)
    assert found(honest, "tenure_days") == []
    assert found(honest.drop(columns="account_age_days"), "tenure_days") == ["tenure_days"]
