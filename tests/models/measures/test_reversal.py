"""How much of a change goes back: against drawn series whose noise is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.measures.reversal import lasting, reversal


def drawn(noise: float, accounts: int = 2000, dates: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    lasts = rng.normal(0, 3, (accounts, dates)).cumsum(axis=1)
    values = lasts + rng.normal(0, noise, (accounts, dates))
    return pd.DataFrame(
        {
            "value": values.ravel(),
            "account": np.repeat(np.arange(accounts), dates),
            "date": np.tile(pd.date_range("2025-01-01", periods=dates, freq="MS"), accounts),
        }
    )


@pytest.mark.parametrize("noise", [2.0, 5.0])
def test_noise_is_told_from_what_lasts(noise: float) -> None:
    rows = drawn(noise).sample(frac=1.0, random_state=1)
    found = reversal(rows["value"].to_numpy(), rows["account"], rows["date"])
    assert found == pytest.approx(noise, rel=0.1)


def test_a_series_that_only_lasts_has_none_and_few_rows_measure_none() -> None:
    rows = drawn(0.0)
    assert reversal(rows["value"].to_numpy(), rows["account"], rows["date"]) < 0.7
    few = rows.head(20)
    assert reversal(few["value"].to_numpy(), few["account"], few["date"]) is None
    gaps = rows[rows["date"].dt.month.isin([1, 2, 6])]
    assert reversal(gaps["value"].to_numpy(), gaps["account"], gaps["date"]) is None


def test_the_interval_of_what_lasts_holds_nine_in_ten() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(0, 4, 20_000)
    seen = true + rng.normal(0, 5, 20_000) - rng.normal(0, 5, 20_000)
    low, high = lasting(seen, 5.0)
    assert ((low <= true) & (true <= high)).mean() == pytest.approx(0.9, abs=0.01)
