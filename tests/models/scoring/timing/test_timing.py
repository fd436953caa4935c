"""The share of the risk at a decision that falls into the outcome window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.scoring.timing.decisions import Decisions
from models.scoring.timing.timing import Timing, learn_timing

WINDOW = Decisions(10, 40, 5)


def rows(ahead: list[float | None], happened: list[int] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"days_to_renewal": pd.Series(ahead, dtype=float), "term_days": 365.0})
    return frame if happened is None else frame.assign(happened=happened)


def test_each_row_has_the_share_of_its_distance() -> None:
    timing = Timing(WINDOW, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    ahead = [0, 9, 10, 34, 35, 39, 40, 69, 70, 129, 130, 219, 220, 900, None]
    expected = [0.1, 0.1, 1, 1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5, 0.6, 0.6, 1]
    assert timing.share(rows(ahead)).tolist() == expected


def test_shares_approach_what_was_seen() -> None:
    count = 20_000
    ahead, risk = np.repeat([5.0, 37.0, 50.0, 300.0], count), np.full(4 * count, 0.4)
    true = np.repeat([0.5, 0.25, 0.1, 0.025], count)
    happened = np.random.default_rng(0).random(4 * count) < true * risk
    timing = learn_timing(WINDOW, rows(list(ahead), list(happened)), risk)
    assert timing.share(rows([5, 37, 50, 300])) == pytest.approx([0.5, 0.25, 0.1, 0.025], rel=0.1)
    # Where nothing was seen, what holds of all.
    assert timing.share(rows([100])) == pytest.approx([(0.875 / 4 * 0.4) / 0.4], rel=0.1)


def test_losses_of_due_rows_say_nothing_of_timing() -> None:
    risk = np.full(4, 0.3)
    one = learn_timing(WINDOW, rows([20, None, 50, 60], [0, 0, 0, 1]), risk)
    other = learn_timing(WINDOW, rows([20, None, 50, 60], [1, 1, 0, 1]), risk)
    assert one == other


@given(
    st.lists(st.tuples(st.integers(0, 800), st.booleans(), st.floats(1e-6, 1 - 1e-6)), max_size=30)
)
def test_shares_are_shares_and_no_faults(seen: list[tuple[int, bool, float]]) -> None:
    ahead, happened, risk = [list(part) for part in zip(*seen, strict=True)] or [[], [], []]
    timing = learn_timing(WINDOW, rows(ahead, happened), np.array(risk, dtype=float))
    assert all(0 < share <= 1 for share in timing.shares)
    assert list(timing.faults()) == []
    assert Timing.from_dict(timing.to_dict()) == timing


@pytest.mark.parametrize(
    ("timing", "fault"),
    [
        (Timing(WINDOW, (0.5,) * 5), "must have 6 shares above 0 and up to 1"),
        (Timing(WINDOW, (0.5,) * 5 + (1.2,)), "must have 6 shares above 0 and up to 1"),
        (Timing(WINDOW, (0.5,) * 5 + (0.0,)), "must have 6 shares above 0 and up to 1"),
        (Timing(replace(WINDOW, opens_days=50), (0.5,) * 6), "must speak of days to come"),
        (Timing(replace(WINDOW, settles_days=-1), (0.5,) * 6), "must speak of days to come"),
    ],
)
def test_timing_that_cannot_be_is_said(timing: Timing, fault: str) -> None:
    assert fault in "".join(timing.faults())
