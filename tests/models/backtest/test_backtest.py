from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.errors import DataError, EvidenceError, SettingsError
from features.json_values import described_fields
from models.backtest.backtest import OURS, backtest
from models.backtest.comparison import compare
from models.backtest.contenders import DEFAULT, Contender, Forecast, base_rate
from models.churn.segments import SegmentSettings
from models.measures.metrics import evaluate, row_log_loss
from models.scoring.scale import ScaleSettings
from models.training.learning import Learning

PLANS = SegmentSettings(("plan",))
BASE = Contender("base rate", base_rate)
MATURITY = 44


@pytest.fixture(scope="module")
def history(make_company):
    return make_company(accounts=300, seed=2)


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def steps():
    return []


@pytest.fixture(scope="module")
def judged(history, signals, seen, steps):
    def spy(task):
        seen.append(task)
        return Forecast(np.full(len(task.new), 0.1))

    happened = history[history["happened"] == 1]
    rng = np.random.default_rng(0)
    return backtest(
        history,
        signals,
        Learning(maturity_days=MATURITY, segments=PLANS),
        scale=ScaleSettings(anchor_probability=0.1, at_risk_from=0.2, watch_from=0.1),
        n_origins=2,
        contenders=(*DEFAULT, Contender("spy", spy)),
        sensitive=pd.DataFrame(
            {"country": rng.choice(["DK", "PL"], len(history)), "plan": history["plan"]},
            index=history.index,
        ),
        treated=np.arange(len(history)) % 5 == 0,
        events=pd.DataFrame(
            {
                "account_id": happened["account_id"],
                "happened_at": happened["observation_date"] + pd.Timedelta(days=30),
            }
        ),
        progress=lambda *step: steps.append(step),
    )


def few(history, signals, n_origins=1, contenders=(BASE,), maturity_days=MATURITY, **learning):
    how = Learning(maturity_days=maturity_days, **learning)
    return backtest(history, signals, how, n_origins=n_origins, contenders=contenders)


@pytest.fixture(scope="module")
def single(history, signals):
    return few(history, signals)


def test_nothing_is_learnt_from_that_had_not_matured(judged, history, seen):
    origins = sorted(judged.predictions["origin"].unique())
    assert len(origins) == len(seen) == 2
    for origin, task in zip(origins, seen, strict=True):
        purged = history["observation_date"] + pd.Timedelta(days=MATURITY) <= origin
        assert len(task.X) == purged.sum()
        assert (pd.to_datetime(task.dates) + pd.Timedelta(days=MATURITY) <= origin).all()
        assert task.happened.tolist() == history["happened"][purged].tolist()


def test_every_contender_forecasts_every_row_of_the_newest_dates_once(judged, history):
    rows = judged.predictions
    assert not rows.duplicated(["account_id", "observation_date"]).any()
    newest = history[history["observation_date"] >= rows["origin"].min()]
    merged = rows.merge(newest, on=["account_id", "observation_date"], validate="one_to_one")
    assert len(merged) == len(newest) == len(rows)
    assert (merged["happened_x"] == merged["happened_y"]).all()
    names = [f"p_{name}" for name in (OURS, *(c.name for c in DEFAULT), "spy")]
    assert [column for column in rows if column.startswith("p_")] == names
    assert rows[names].dtypes.eq(float).all()
    assert ((rows[names] > 0) & (rows[names] < 1)).all(axis=None)
    assert (rows["observation_date"] >= rows["origin"]).all()


def test_what_has_not_matured_cannot_change_a_forecast(single, history, signals):
    origin = single.predictions["origin"].min()
    unknown = history["observation_date"] + pd.Timedelta(days=MATURITY) > origin
    scrambled = history.assign(
        happened=history["happened"].where(~unknown, 1 - history["happened"])
    )
    after = few(scrambled, signals)
    column = f"p_{OURS}"
    assert after.predictions[column].tolist() == single.predictions[column].tolist()
    assert after.measures["auc"].tolist() != single.measures["auc"].tolist()


def test_measures_are_those_of_their_rows(judged, history):
    rows, table = judged.predictions, judged.measures
    keys = ["contender", "origin", "segment", "population"]
    assert not table.duplicated(keys).any()
    cells = table[["origin", "segment"]].drop_duplicates()
    assert sorted(map(tuple, cells.to_numpy())) == sorted(
        [("all", "all"), *(("all", f"plan={p}") for p in ("enterprise", "growth", "starter"))]
        + [(o.date().isoformat(), "all") for o in rows["origin"].unique()]
    )
    known = history["observation_date"] + pd.Timedelta(days=MATURITY)
    rates = {o: history["happened"][known <= o].mean() for o in rows["origin"].unique()}
    for population, kept in (("all", rows), ("untreated", rows[~rows["treated"]])):
        for name in (OURS, "pooled LightGBM"):
            for segment in ("all", "plan=growth"):
                part = kept if segment == "all" else kept[kept["segment"] == segment]
                expected = evaluate(
                    part["happened"],
                    part[f"p_{name}"],
                    part["account_id"],
                    base_rate=part["origin"].map(rates),
                    alike=part["observation_date"],
                    resamples=200,
                )
                key = (name, "all", segment, population)
                found = table.set_index(keys).loc[key].to_dict()
                wanted = {k: v for k, v in described_fields(expected).items() if v is not None}
                assert {k: found[k] for k in wanted} == pytest.approx(wanted, nan_ok=True)


def test_versus_is_the_paired_difference(judged):
    rows = judged.predictions
    happened = rows["happened"].to_numpy(dtype=float)
    assert [row.contender for row in judged.versus] == [*(c.name for c in DEFAULT), "spy"]
    for row in judged.versus:
        ours, theirs = (rows[f"p_{n}"].to_numpy() for n in (OURS, row.contender))
        apart = row_log_loss(happened, ours).mean() - row_log_loss(happened, theirs).mean()
        assert row.difference == pytest.approx(apart)
        assert row.low < row.difference < row.high
    verdicts = {row.contender: row.verdict for row in judged.versus}
    assert verdicts["base rate"] == verdicts["spy"] == "better"


def test_verdicts_of_the_truth_a_copy_and_noise(judged, history):
    rows = judged.predictions
    truth = rows.merge(history, on=["account_id", "observation_date"])["truth"]
    rng = np.random.default_rng(0)
    table = rows.assign(
        p_truth=expit(truth), p_copy=rows[f"p_{OURS}"], p_noise=rng.random(len(rows))
    )
    found = {v.contender: v.verdict for v in compare(table, OURS, ["truth", "copy", "noise"])}
    assert found == {"truth": "worse", "copy": "level", "noise": "better"}


def test_bands_and_calibration_are_of_our_rows(judged):
    rows = judged.predictions
    risk = rows[f"p_{OURS}"]
    expected = np.select([risk >= 0.2, risk >= 0.1], ["at-risk", "watch"], "healthy")
    for band in judged.bands:
        own = rows[expected == band["band"]]
        assert band["rows"] == len(own)
        assert band["observed_rate"] == pytest.approx(own["happened"].mean())
        assert band["low"] < band["observed_rate"] < band["high"]
    assert judged.calibration["rows"].sum() == len(rows)
    score = 50 - 10 * np.log2((risk / (1 - risk)) / (0.1 / 0.9))
    assert rows["score"].to_numpy() == pytest.approx(score.clip(0, 100).to_numpy())


def test_lead_audit_leaks_and_counts_are_there(judged, history):
    assert judged.lead["days_before"].tolist() == [30, 60, 90, 180]
    # An outcome 30 days after an observation date has that date's score 30 days before.
    assert judged.lead["events"][0] == judged.predictions["happened"].sum()
    assert set(judged.audit["attribute"]) == {"country", "plan"}
    assert not judged.audit.query("attribute == 'country'")["flagged"].any()
    assert judged.leaks.suspects == []
    assert judged.counts["rows"] == len(history)
    assert judged.counts["origins"] == 2
    assert judged.counts["treated_rows"] == judged.predictions["treated"].sum() > 0
    assert judged.counts["tested_from"] == judged.predictions["origin"].min().date().isoformat()
    assert judged.warnings == [
        "2 signal(s) have the same value, or none, in every row and say nothing: 'never_known', "
        "'always_one'."
    ]


def test_json_holds_everything_but_the_predictions(judged):
    described = json.loads(json.dumps(judged.to_dict(), allow_nan=False))
    assert set(described) == set(vars(judged)) - {"predictions"}
    assert len(described["measures"]) == len(judged.measures)
    assert described["measures"][0]["contender"] == OURS


def test_progress_counts_every_step_once(steps):
    assert [done for _, done, _ in steps] == list(range(len(steps)))
    assert {total for *_, total in steps} == {len(steps) - 1}
    assert steps[0][0].endswith(": healthscore")


def test_without_dates_accounts_are_tested_instead(make_company, signals):
    snapshot = make_company(accounts=450, dates=1, seed=3)
    found = backtest(
        snapshot,
        signals,
        Learning(maturity_days=MATURITY, is_dated=False),
        contenders=(BASE,),
        events=pd.DataFrame(
            {"account_id": ["A-0001"], "happened_at": [pd.Timestamp("2025-02-01")]}
        ),
    )
    assert sorted(found.predictions["account_id"]) == sorted(snapshot["account_id"])
    assert list(found.predictions["origin"].unique()) == [f"fold {i}" for i in range(1, 6)]
    assert found.lead.empty
    assert "The rows carry no dates" in found.warnings[-2]
    assert "fold 1" in set(found.measures["origin"])
    json.dumps(found.to_dict(), allow_nan=False)


def test_horizon_longer_than_the_history(history, signals):
    with pytest.raises(EvidenceError) as caught:
        few(history, signals, maturity_days=400)
    assert str(caught.value) == (
        "The 8 matured observation date(s) span 212 days, but testing on a later date needs at "
        "least 400 days between the first and the last; observe more dates or wait until more "
        "outcomes have matured."
    )


def test_no_origins_asked_for(history, signals):
    with pytest.raises(SettingsError, match="needs at least 1 origin, but 0 was asked for"):
        few(history, signals, n_origins=0)


def test_labels_that_are_none(history, signals):
    with pytest.raises(DataError, match="must be 0 or 1 in every training row"):
        few(history.assign(happened=2), signals)
    with pytest.raises(EvidenceError, match="at least 30 positives"):
        few(history.assign(happened=0), signals)


def test_origins_before_which_too_little_had_matured(history, signals):
    late = history["observation_date"] >= "2025-07-01"
    with pytest.raises(EvidenceError) as caught:
        few(history.assign(happened=history["happened"].where(late, 0)), signals, n_origins=2)
    message = str(caught.value)
    assert message.startswith("None of 2 origins could be tested, as too little had matured")
    assert "hold 0 positives, where learning needs at least 15" in message
    early = history["observation_date"] >= "2025-02-01"
    found = few(history.assign(happened=history["happened"].where(early, 0)), signals, n_origins=2)
    assert found.counts["origins"] >= 1


def test_strangers_and_tiny_segments_are_told_of(history, signals):
    newest = history["observation_date"] == history["observation_date"].max()
    plan = history["plan"].mask(history["account_id"] == "A-0007", "bespoke")
    odd = history.assign(
        plan=plan.mask(newest & (history["account_id"] == "A-0011"), "<b>new</b>"),
        billing_period=history["billing_period"].mask(newest, "weekly"),
    )
    loose = SegmentSettings(("plan",), min_rows=1, min_positives=0)
    found = few(odd, signals, segments=loose, contenders=DEFAULT[1:3])
    told = "\n".join(found.warnings)
    assert "1 tested rows are of segments that no earlier row was of ('plan=<b>new</b>')" in told
    assert "'billing_period' has values that no earlier row had ('weekly')" in told
    columns = [c for c in found.predictions if c.startswith("p_")]
    assert np.isfinite(found.predictions[columns]).all(axis=None)
    assert {"plan=bespoke", "plan=<b>new</b>"} <= set(found.measures["segment"])
    one_class = found.measures.query("segment == 'plan=<b>new</b>'")
    assert one_class["reason"].isin(["no row is positive", "every row is positive"]).all()


def test_rows_of_no_segment_are_not_taken_for_everybody(history, signals):
    found = few(history, signals, segments=SegmentSettings(("plan",), min_rows=600))
    assert "others" in set(found.predictions["segment"])
    everybody = found.measures.query("segment == 'all' and origin == 'all' and contender == @OURS")
    assert everybody["rows"].tolist() == [len(found.predictions)]
    assert any(w.startswith("Segment 'enterprise' has ") for w in found.warnings)


def test_same_seed_same_backtest(single, history, signals):
    again = few(history, signals)
    assert single.to_dict() == again.to_dict()
    pd.testing.assert_frame_equal(single.predictions, again.predictions)
