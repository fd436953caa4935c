"""Signals that tell when a decision falls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.catalog import Signal
from models.churn.coded import CodedTable
from models.scoring.timing.decisions import Decisions
from models.scoring.timing.telltales import left_out, telltales
from models.training.coding import code_frame

WINDOW = Decisions(0, 31)
NAMES = ("late", "billed", "usage", "size", "term_days", "empty")
SIGNALS = [Signal(name, "usage", "count", "none", name, None, "{value}") for name in NAMES]


def rows(count: int = 4_000) -> pd.DataFrame:
    """Two kinds of terms of unlike accounts, billed when they renew; some decide at any time."""
    rng = np.random.default_rng(0)
    term = rng.choice([365.0, 90.0], count)
    ahead = np.floor(rng.random(count) * term)
    since = term - ahead
    frame = pd.DataFrame(
        {
            "days_to_renewal": np.where(rng.random(count) < 0.2, np.nan, ahead),
            "term_days": term,
            "late": np.where((since < 180) & (term > 100), 3.0, np.nan),
            "billed": np.where(since < 60, 10.0, 0.0),
            "usage": rng.normal(size=count),
            "size": np.where(term > 100, 8.0, 1.0) + rng.normal(size=count),
            "empty": np.nan,
        }
    )
    return frame.assign(word="a")


def test_what_differs_between_dates_of_one_kind_of_term_tells_when() -> None:
    found = telltales(WINDOW, rows(), SIGNALS)
    assert found == ("late", "billed")
    table = code_frame(rows())
    assert isinstance(table, CodedTable)
    assert telltales(WINDOW, table, SIGNALS) == found


@pytest.mark.parametrize("count", [0, 1, 40])
def test_few_rows_show_nothing(count: int) -> None:
    few = rows().head(count)
    assert "usage" not in telltales(WINDOW, few, SIGNALS)
    assert "empty" not in telltales(WINDOW, few, SIGNALS)
    at_will = rows(200).assign(days_to_renewal=np.nan)
    assert telltales(WINDOW, at_will, SIGNALS) == ()
    mostly = pd.concat([rows(), *[rows().assign(days_to_renewal=np.nan)] * 3])
    assert telltales(WINDOW, mostly, SIGNALS) == ()
    text = Signal("word", "profile", "category", "none", "word", None, "{value}")
    assert telltales(WINDOW, rows(), [text]) == ()


def test_what_is_left_out_is_said() -> None:
    assert left_out(WINDOW, SIGNALS, SIGNALS[2:]) == [
        "By 'late', 'billed' dates on which a contract renews differ from all others, which tells"
        " when an account decides and not how it is; the model does without."
    ]
    assert left_out(WINDOW, SIGNALS, SIGNALS) == []
