from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.backtest.lead_time import DAYS_BEFORE, lead_time

MONTHS = pd.date_range("2025-01-01", periods=8, freq="MS")


def scored(accounts=30, seed=0):
    rng = np.random.default_rng(seed)
    rows = pd.MultiIndex.from_product([[f"A-{i}" for i in range(accounts)], MONTHS]).to_frame(False)
    rows.columns = ["account_id", "observation_date"]
    rows["score"] = rng.uniform(0, 100, len(rows))
    rows["band"] = np.select(
        [rows["score"] < 40, rows["score"] < 60], ["at-risk", "watch"], "healthy"
    )
    # Gaps: an account is not observed on every date.
    return rows[rng.random(len(rows)) < 0.8].sample(frac=1, random_state=seed)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_scores_are_those_a_search_row_by_row_finds(seed):
    rows = scored(seed=seed)
    rng = np.random.default_rng(seed)
    events = pd.DataFrame(
        {
            "account_id": rng.choice([f"A-{i}" for i in range(40)], 25),
            "happened_at": MONTHS[0] + pd.to_timedelta(rng.uniform(0, 400, 25), unit="D"),
        }
    )
    found = lead_time(rows, events).set_index("days_before")
    for days in DAYS_BEFORE:
        met = []
        for event in events.itertuples():
            day = event.happened_at - pd.Timedelta(days=days)
            own = rows[(rows["account_id"] == event.account_id) & (rows["observation_date"] <= day)]
            own = own[own["observation_date"] >= day - pd.Timedelta(days=31)]
            if len(own):
                met.append((own.sort_values("observation_date").iloc[-1], event.account_id))
        row = found.loc[days]
        assert (row["events"], row["accounts"]) == (len(met), len({name for _, name in met}))
        if met:
            scores, bands = [m["score"] for m, _ in met], [m["band"] for m, _ in met]
            assert row["median_score"] == pytest.approx(np.median(scores))
            assert row["low_quartile"] == pytest.approx(np.quantile(scores, 0.25))
            assert row["high_quartile"] == pytest.approx(np.quantile(scores, 0.75))
            assert row["at_risk"] == pytest.approx(bands.count("at-risk") / len(bands))
            assert row[["at_risk", "watch", "healthy"]].sum() == pytest.approx(1)
            assert row["at_risk_low"] <= row["at_risk"] <= row["at_risk_high"]
        else:
            assert row[["median_score", "at_risk"]].isna().all()


def test_an_observation_after_the_day_asked_for_is_never_used():
    rows = scored()
    events = pd.DataFrame({"account_id": ["A-1"], "happened_at": [MONTHS[5]]})
    before = lead_time(rows, events)
    later = rows["observation_date"] > MONTHS[5] - pd.Timedelta(days=30)
    pd.testing.assert_frame_equal(
        before, lead_time(rows.assign(score=rows["score"].mask(later, 0)), events)
    )


def test_no_events_no_table():
    empty = pd.DataFrame({"account_id": [], "happened_at": []})
    assert lead_time(scored(), empty).empty
    unknown = pd.DataFrame({"account_id": ["A-1"], "happened_at": [pd.NaT]})
    assert lead_time(scored(), unknown).empty


def test_an_account_may_have_two_events_and_any_kind_of_name():
    rows = scored(3).assign(account_id=lambda t: t["account_id"].str[2:].astype(int))
    events = pd.DataFrame(
        {"account_id": [1, 1, 2], "happened_at": ["2025-05-20", "2025-07-30", "2025-06-20"]}
    )
    found = lead_time(rows, events).set_index("days_before").loc[60]
    assert (found["events"], found["accounts"]) == (3, 2)
