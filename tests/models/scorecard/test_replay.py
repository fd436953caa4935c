from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

from models.scorecard.replay import MEASURED, replay
from models.scorecard.scorecard import Cuts

CUTS = {"today": Cuts(30, 60), "new": Cuts(35, 70)}
MONTHS = pd.date_range("2025-01-01", periods=5, freq="MS")


def auc_within_dates(rows, risk):
    """Share of the pairs of one date in which the row with the outcome has the higher risk."""
    pairs = rows[["observation_date", "happened"]].assign(risk=np.asarray(risk))
    joined = pairs[pairs["happened"] == 1].merge(
        pairs[pairs["happened"] == 0], on="observation_date", suffixes=("", "_other")
    )
    ahead = joined["risk"] - joined["risk_other"]
    return (ahead > 0).mean() + (ahead == 0).mean() / 2


def book(accounts=150, seed=0, arr=True):
    rng = np.random.default_rng(seed)
    rows = pd.MultiIndex.from_product([[f"A-{i}" for i in range(accounts)], MONTHS]).to_frame(False)
    rows.columns = ["account_id", "observation_date"]
    n = len(rows)
    rows["segment"] = np.repeat(rng.choice(["small", "large"], accounts), len(MONTHS))
    today = rng.uniform(0, 100, n)
    new = np.clip(today + rng.normal(0, 15, n), 0, 100)
    rows["happened"] = (rng.random(n) < 0.3 * (1 - new / 100)).astype("int8")
    money = rng.gamma(2, 5_000, n).round(2)
    rows["arr"] = np.where(rng.random(n) < 0.1, np.nan, money) if arr else np.nan
    return rows, {"today": today, "new": new}


@pytest.fixture(scope="module")
def replayed():
    rows, scores = book()
    rng = np.random.default_rng(1)
    events = pd.DataFrame(
        {
            "account_id": [f"A-{i}" for i in range(0, 150, 3)],
            "happened_at": MONTHS[0] + pd.to_timedelta(rng.uniform(60, 200, 50), unit="D"),
        }
    )
    return rows, scores, events, replay(rows, scores, CUTS, "today", events=events, resamples=60)


def line(table, segment, contender):
    found = table[(table["segment"] == segment) & (table["contender"] == contender)]
    return found.iloc[0]


@pytest.mark.parametrize("segment", ["all", "small", "large"])
@pytest.mark.parametrize("contender", ["today", "new"])
def test_every_number_is_what_sql_finds(replayed, segment, contender):
    rows, scores, _, found = replayed
    told = line(found.table, segment, contender)
    frame = rows.assign(score=scores[contender], before=scores["today"])
    if segment != "all":
        frame = frame[frame["segment"] == segment]
    cut = CUTS[contender]
    with duckdb.connect() as connection:
        connection.register("frame", frame)
        rows_, positives, caught, caught_arr, red, green = connection.execute(
            """
            select count(*), sum(happened),
                   sum(happened) filter (score < $red) / sum(happened),
                   sum(arr) filter (happened = 1 and score < $red) / sum(arr) filter (happened = 1),
                   avg((score < $red)::int), avg((score >= $green)::int)
            from frame
            """,
            {"red": cut.red_below, "green": cut.green_from},
        ).fetchone()
        lift = connection.execute(
            """
            with ranked as (select happened, ntile(10) over (order by score) as tenth from frame)
            select avg(happened) filter (tenth = 1) / avg(happened) from ranked
            """
        ).fetchone()[0]
        moves = connection.execute(
            """
            with newest as (
                select arr, (score < $red)::int - (score >= $green)::int as now,
                       (before < 30)::int - (before >= 60)::int as was
                from frame where observation_date = (select max(observation_date) from frame)
            )
            select count(*), sum(arr), count(*) filter (now != was), sum(arr) filter (now != was),
                   count(*) filter (now = 1 and was != 1), count(*) filter (now != 1 and was = 1),
                   count(*) filter (now = -1 and was != -1),
                   count(*) filter (now != -1 and was = -1)
            from newest
            """,
            {"red": cut.red_below, "green": cut.green_from},
        ).fetchone()
    assert (told["rows"], told["positives"]) == (rows_, positives)
    assert told["caught"] == pytest.approx(caught)
    assert told["caught_arr"] == pytest.approx(caught_arr)
    assert (told["red"], told["green"]) == (pytest.approx(red), pytest.approx(green))
    assert told["auc"] == pytest.approx(auc_within_dates(frame, -frame["score"]))
    # A tenth of these rows is a whole number or not; SQL's tiles are whole.
    assert told["top_decile_lift"] == pytest.approx(lift, abs=0.15)
    moved = line(found.moves, segment, contender)
    names = ["accounts", "arr", "moved", "moved_arr", "to_red", "from_red", "to_green"]
    for name, wanted in zip([*names, "from_green"], moves, strict=True):
        assert moved[name] == pytest.approx(wanted or 0), name


def test_early_is_the_newest_score_ninety_days_before(replayed):
    rows, scores, events, found = replayed
    frame = rows.assign(score=scores["new"]).sort_values("observation_date")
    flags = []
    for event in events.itertuples():
        day = event.happened_at - pd.Timedelta(days=90)
        before = frame[
            (frame["account_id"] == event.account_id) & (frame["observation_date"] <= day)
        ]
        if len(before) and day - before["observation_date"].iloc[-1] <= pd.Timedelta(days=31):
            flags.append(before["score"].iloc[-1] < CUTS["new"].red_below)
    told = line(found.table, "all", "new")
    assert told["early_events"] == len(flags) > 10
    assert told["early"] == pytest.approx(np.mean(flags))
    assert told["early_low"] < told["early"] < told["early_high"]


def test_intervals_hold_their_number_and_the_baseline_is_not_ahead_of_itself(replayed):
    found = replayed[-1].table
    for name in MEASURED:
        for suffix in ("", "_ahead"):
            assert (found[f"{name}{suffix}_low"] <= found[f"{name}{suffix}"]).all()
            assert (found[f"{name}{suffix}"] <= found[f"{name}{suffix}_high"]).all()
        own = found[found["contender"] == "today"]
        assert (own[f"{name}_ahead"] == 0).all()
        new, old = line(found, "all", "new"), line(found, "all", "today")
        assert new[f"{name}_ahead"] == pytest.approx(new[name] - old[name])


def test_differences_are_paired():
    rows, scores = book(seed=3)
    found = replay(rows, {"today": scores["today"], "new": scores["today"] + 1}, CUTS, "today")
    told = line(found.table, "all", "new")
    assert told["auc_ahead_low"] == told["auc_ahead_high"] == 0


def test_without_money_accounts_alone_are_counted():
    rows, scores = book(arr=False)
    found = replay(rows, scores, CUTS, "today", resamples=10)
    assert found.table["caught_arr"].isna().all()
    assert found.moves["arr"].isna().all()
    assert found.moves["moved"].max() > 0
    assert found.table["early_events"].eq(0).all()
    import json

    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["table"][0]["caught_arr"] is None
    assert told["cuts"]["today"] == {"red_below": 30, "green_from": 60}


def test_a_segment_without_the_outcome_has_nothing_to_catch():
    rows, scores = book()
    rows.loc[rows["segment"] == "large", "happened"] = 0
    found = replay(rows, scores, CUTS, "today", resamples=10)
    told = line(found.table, "large", "new")
    assert told["positives"] == 0
    assert np.isnan([told["auc"], told["caught"], told["top_decile_lift"]]).all()
    assert told["red"] > 0


def test_a_good_outcome_is_caught_where_it_is_green():
    rows, scores = book()
    good = replay(rows, scores, CUTS, "today", good=True, resamples=10).table
    told = line(good, "all", "new")
    happened = rows["happened"].to_numpy() == 1
    assert told["caught"] == pytest.approx((scores["new"][happened] >= 70).mean())
    assert told["auc"] == pytest.approx(auc_within_dates(rows, scores["new"]))


def test_rows_of_no_segment_count_among_all():
    rows, scores = book()
    rows["segment"] = rows["segment"].replace("small", "all")
    found = replay(rows, scores, CUTS, "today", resamples=5)
    assert line(found.table, "all", "new")["rows"] == len(rows)
    assert set(found.table["segment"]) == {"all", "large"}
