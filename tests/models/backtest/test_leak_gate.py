"""The gate before a model is registered: it stops what was written after the outcome alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.catalog import Signal
from models.backtest.leak_gate import giveaways

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
    frame["happened"] = (due & (draw.random(len(frame)) < 0.4)).astype(int)
    frame["renewal_due"] = due.astype(float)
    assert found(frame, "usage", "renewal_due") == []
    frame["renewal_due"] = frame["happened"].astype(float)
    assert found(frame, "usage", "renewal_due") == ["renewal_due"]


def test_too_few_outcomes_say_nothing() -> None:
    frame = history(1)
    frame["happened"] = 0
    frame.loc[:3, "happened"] = 1
    assert found(frame.assign(state=frame["happened"]), "state") == []
