from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.catalog import Signal
from models.drift.reference import fit_reference
from pipelines.dashboard.account.peers import LEAST_ROWS, peers_of
from pipelines.dashboard.account.view import rank_words

NUMBER = Signal("seats", "usage", "count", "higher", "Seats", None, "{value} seats")
NAME = Signal("plan", "profile", "category", "none", "Plan", None, "Plan {value}")
SIGNALS = (NUMBER, NAME)


def frame(rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    seats = rng.integers(0, 8, rows).astype(float)
    seats[::10] = np.nan
    return pd.DataFrame(
        {
            "account_id": [f"A{place % 100}" for place in range(rows)],
            "observation_date": pd.Timestamp("2025-01-01")
            + pd.to_timedelta(np.arange(rows) // 100 * 30, unit="D"),
            "seats": seats,
            "plan": rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]),
        }
    )


def reference(rows: pd.DataFrame, small: int = 40):
    segment = np.array(["small"] * small + ["large"] * (len(rows) - small), dtype=object)
    return fit_reference(rows, SIGNALS, segment), segment


def test_ranks_are_those_of_counting_by_hand() -> None:
    rows = frame()
    kept, segment = reference(rows)
    peers = peers_of(kept, "large", SIGNALS, {"seats": 5.0, "plan": "b"})
    own = rows[segment == "large"]
    known = own["seats"].dropna()
    assert (peers.segment, peers.first, peers.last) == (
        "large",
        *kept.dates[:: len(kept.dates) - 1],
    )
    seats = peers.standings["seats"]
    assert seats.below == pytest.approx((known < 5).mean() + (known == 5).mean() / 2)
    assert seats.alike == pytest.approx((known == 5).mean())
    assert seats.known == pytest.approx(len(known) / len(own))
    plan = peers.standings["plan"]
    assert (plan.below, plan.known) == (None, 1.0)
    assert plan.alike == pytest.approx((own["plan"] == "b").mean())


def test_few_of_a_segment_and_unknown_segments_are_held_against_everybody() -> None:
    rows = frame()
    assert LEAST_ROWS > 40
    kept, _ = reference(rows)
    for segment in ("small", "unheard of", "<script>"):
        peers = peers_of(kept, segment, SIGNALS, {"seats": 5.0, "plan": "b"})
        assert peers.segment == "all"
        known = rows["seats"].dropna()
        assert peers.standings["seats"].alike == pytest.approx((known == 5).mean())


def test_what_is_not_known_of_the_account_or_of_anybody_has_no_rank() -> None:
    rows = frame().assign(plan=None)
    kept, _ = reference(rows)
    peers = peers_of(kept, "large", SIGNALS, {"seats": None, "plan": "b"})
    assert peers.standings["seats"].below is None
    assert peers.standings["seats"].known == pytest.approx(0.9)
    assert "plan" not in peers.standings


def test_a_reference_of_too_few_says_nothing() -> None:
    kept, _ = reference(frame(40), small=20)
    assert peers_of(kept, "large", SIGNALS, {"seats": 5.0, "plan": "b"}) is None
    assert peers_of(replace(kept, signals={}), "large", SIGNALS, {}) is None


def test_less_may_be_healthier() -> None:
    assert rank_words(0.2, "lower") == "healthier than 80 of 100"
    assert rank_words(0.2, "none") == "higher than 20 of 100"
