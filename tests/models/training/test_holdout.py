from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.measures.metrics import evaluate, rate_row
from models.scoring.scale import ScoreScale
from models.training.holdout import (
    Unseen,
    band_table,
    doubts,
    judge,
    nobody_at_risk,
    prove,
    together,
)
from models.training.learning import Learning, learn

BAD = ScoreScale(0.2, at_risk_from=0.4, watch_from=0.2)
GOOD = ScoreScale(0.2, at_risk_from=0.4, watch_from=0.2, good=True)


def measures(positives, *, rows=200, foretold=True, behaviour=None):
    happened = np.r_[np.ones(positives), np.zeros(rows - positives)]
    risk = np.random.default_rng(0).uniform(0.1, 0.3, rows)
    if foretold:
        risk = risk + 0.5 * happened
    return evaluate(happened, risk, np.arange(rows), base_rate=0.2, behaviour=behaviour)


def unseen_of(frame, log_odds, rows=None):
    rows = np.arange(len(frame)) if rows is None else rows
    zero = np.zeros(len(rows))
    segment = np.where(rows % 2, "odd", "even").astype(object)
    due, share = np.ones(len(rows), dtype=bool), np.ones(len(rows))
    rate, kinds = np.full(len(rows), 0.2), np.zeros(len(rows), dtype=np.intp)
    return Unseen(rows, zero, log_odds, due, share, kinds, segment, zero, log_odds, rate, kinds)


@pytest.fixture(scope="module")
def judged():
    rng = np.random.default_rng(3)
    log_odds = rng.normal(logit(0.25), 1, 400)
    return pd.DataFrame(
        {
            "account_id": [f"A-{i // 4}" for i in range(400)],
            "observation_date": pd.Timestamp("2025-01-01"),
            "happened": (rng.random(400) < expit(log_odds)).astype(int),
        },
        index=np.arange(400)[::-1],
    ), log_odds


def test_nothing_to_doubt():
    assert doubts(measures(60), is_dated=True, in_time=True) == []


def test_few_positives():
    assert doubts(measures(4), is_dated=True, in_time=True) == [
        "Only 4 positive(s) in the 200 hold-out rows: the measures say little until more outcomes "
        "have matured."
    ]
    assert doubts(measures(5), is_dated=True, in_time=True) == []


def test_behaviour_that_does_not_foretell():
    rng = np.random.default_rng(1)
    found = measures(60, behaviour=rng.random(200))
    assert found.auc.low > 0.9
    told = "Not enough evidence that behaviour predicts the outcome: "
    interval = f"{found.auc_behaviour.low:.3f} to {found.auc_behaviour.high:.3f}"
    assert doubts(found, is_dated=True, in_time=True) == [
        f"{told}its hold-out AUC among accounts of like age and plan may be chance, 0.5 "
        f"(90 % interval {interval})."
    ]
    happened = np.r_[np.ones(60), np.zeros(140)]
    upside_down = measures(60, behaviour=0.4 * rng.random(200) + 0.5 * (1 - happened))
    (sentence,) = doubts(upside_down, is_dated=True, in_time=True)
    assert "like age and plan is below chance, 0.5 (90 % interval 0.0" in sentence
    # Behaviour ranks well; it is the whole model that does not.
    lost = measures(60, foretold=False, behaviour=0.4 * rng.random(200) + 0.5 * happened)
    assert lost.auc_behaviour.low > 0.5 > lost.auc.low
    sentence, worse = doubts(lost, is_dated=True, in_time=True)
    assert worse.startswith("The model is worse than the base rate alone: ")
    assert f"of the whole model may be chance, 0.5 (90 % interval {lost.auc.low:.3f}" in sentence


def test_a_model_worse_than_its_base_rate_is_told_so_however_well_it_ranks():
    happened = np.r_[np.ones(60), np.zeros(140)]
    risk = np.where(happened == 1, 0.99, 0.95)
    found = evaluate(happened, risk, np.arange(200), base_rate=0.3)
    assert found.enough_evidence
    assert found.is_worse_than_base_rate
    base = -(60 * np.log(0.3) + 140 * np.log(0.7)) / 200
    loss = -(60 * np.log(0.99) + 140 * np.log(0.05)) / 200
    assert doubts(found, is_dated=True, in_time=True) == [
        f"The model is worse than the base rate alone: its hold-out log loss is {loss:.4f}, the "
        f"base rate's {base:.4f}; do not act on its scores, and see whether the newest outcomes "
        "and signals are complete."
    ]


def test_without_rows_no_model_is_worse_than_its_base_rate():
    assert not evaluate([], [], [], base_rate=0.3).is_worse_than_base_rate


def test_no_ranking_to_measure():
    found = measures(200)
    assert doubts(found, is_dated=True, in_time=True) == [
        f"The hold-out has no ranking to measure: {found.reason}."
    ]


def test_rows_without_dates_and_accounts_in_place_of_dates():
    undated = doubts(measures(60), is_dated=False, in_time=False)
    assert undated == [
        "The rows carry no dates: the model was judged on accounts it had not seen, not on later "
        "dates, and what was written down after the outcome may flatter it."
    ]
    assert doubts(measures(60), is_dated=True, in_time=False) == [
        "Too few dates had matured to choose and calibrate on later ones, so held-out accounts of "
        "the same dates were used; expect the probabilities to be less certain."
    ]
    assert len(doubts(measures(2), is_dated=False, in_time=True)) == 2


@pytest.mark.parametrize(
    ("scale", "names"),
    [(BAD, ["at-risk", "watch", "healthy"]), (GOOD, ["likely", "possible", "unlikely"])],
)
def test_bands_are_those_of_the_scale(judged, scale, names):
    frame, log_odds = judged
    table = frame.assign(probability=expit(log_odds))
    bands = band_table(table, scale)
    assert [band["band"] for band in bands] == names
    cuts = [table["probability"] >= 0.4, table["probability"].between(0.2, 0.4, "left")]
    cuts.append(table["probability"] < 0.2)
    for band, own in zip(bands, cuts, strict=True):
        part = table[own]
        assert band["rows"] == len(part) > 0
        assert band["positives"] == part["happened"].sum()
        assert band["expected_rate"] == pytest.approx(part["probability"].mean())
        outcome, risk = part["happened"].to_numpy(float), part["probability"].to_numpy()
        assert band == {"band": band["band"], **rate_row(outcome, risk, part["account_id"])}


def test_an_empty_band_has_no_rate(judged):
    frame, _ = judged
    low = band_table(frame.assign(probability=0.01), BAD)
    assert low[0] == {
        "band": "at-risk",
        "rows": 0,
        "positives": 0,
        "expected_rate": None,
        "observed_rate": None,
        "low": None,
        "high": None,
    }
    assert low[2]["rows"] == 400


@pytest.mark.parametrize("scale", [BAD, GOOD])
def test_proof_is_measured_on_the_rows_it_names(judged, scale):
    frame, log_odds = judged
    rows = np.arange(50, 350)
    proof = prove(unseen_of(frame, log_odds[rows], rows), frame, scale, seed=1)
    held_out, part = proof.holdout, frame.iloc[rows]
    assert held_out["account_id"].tolist() == part["account_id"].tolist()
    assert held_out["happened"].tolist() == part["happened"].tolist()
    assert held_out["probability"].to_numpy() == pytest.approx(expit(log_odds[rows]))
    sign = 1 if scale.good else -1
    expected = np.clip(50 + sign * 10 * (log_odds[rows] - logit(0.2)) / np.log(2), 0, 100)
    assert held_out["score"].to_numpy() == pytest.approx(expected)
    assert (proof.metrics.rows, proof.metrics.positives) == (300, part["happened"].sum())
    assert {name: found.rows for name, found in proof.segment_metrics.items()} == {
        "even": 150,
        "odd": 150,
    }
    assert proof.bands == band_table(held_out, scale)
    assert proof.calibration["rows"].sum() == 300


def test_judging_is_reading_the_model(frame, signals):
    past = frame[frame["observation_date"] < "2025-04-01"]
    learnt = learn(past, signals, Learning(maturity_days=44))
    rows = np.array([7001, 5, 6000])
    found = judge(learnt, frame, rows, base_rate=0.125)
    some = frame.iloc[rows]
    assert found.log_odds == pytest.approx(learnt.log_odds(some))
    assert found.segment.tolist() == some["plan"].tolist()
    margins = learnt.classifier.decision_function(learnt.inputs(some))
    assert found.margins == pytest.approx(margins)
    assert found.context + found.acting == pytest.approx(margins)
    assert found.base_rate.tolist() == [0.125] * 3


def test_context_follows_no_behaviour_and_behaviour_no_context(frame, signals):
    learnt = learn(frame.iloc[:6000], signals, Learning(maturity_days=44))
    assert learnt.classifier.booster_ is not None
    rows = np.arange(6000, 6300)
    given = ["segment", "plan", *(s.name for s in signals if s.group == "profile")]
    acting = [s.name for s in signals if s.group != "profile"]
    for alike, follows in ((given, "context"), (acting, "acting")):
        same = frame.copy()
        same[alike] = same.iloc[6000][alike].to_numpy()
        unseen = judge(learnt, same, rows, base_rate=0.125)
        assert np.ptp(unseen.margins) > 0.1
        spread = np.ptp(getattr(unseen, follows))
        assert spread == pytest.approx(0, abs=1e-9), follows


def test_parts_are_joined_in_order(judged):
    frame, log_odds = judged
    one, two = (unseen_of(frame, log_odds[rows], rows) for rows in np.split(np.arange(400), [150]))
    whole = together([one, two])
    assert whole.rows.tolist() == list(range(400))
    assert (whole.log_odds == log_odds).all()
    assert whole.segment.tolist() == [*one.segment, *two.segment]
    # What two models said of different accounts is ranked apart.
    assert whole.fold.tolist() == [0] * 150 + [1] * 250


def test_folds_are_ranked_apart():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "account_id": np.arange(400),
            "observation_date": pd.Timestamp("2025-01-01"),
            "happened": (rng.random(400) < np.repeat([0.1, 0.6], 200)).astype(int),
        }
    )
    # Each fold's model says the rate it had seen, which ranks nobody in the fold.
    odds = np.repeat([0.5, -2.0], 200)
    halves = np.split(np.arange(400), 2)
    unseen = together([unseen_of(frame, odds[rows], rows) for rows in halves])
    scale = ScoreScale(0.1, at_risk_from=0.2, watch_from=0.09)
    assert prove(unseen, frame, scale, seed=1).metrics.auc.value == 0.5


def test_an_empty_band_is_told():
    bands = [{"band": "at-risk", "rows": 0}, {"band": "watch", "rows": 5}]
    (sentence,) = nobody_at_risk(bands)
    assert sentence == (
        "No account was at-risk on the rows that judged the model: its signals are too weak to tell"
        " anybody's risk to be so high, so work from the top of the list and not from the band."
    )
    assert nobody_at_risk([{"band": "at-risk", "rows": 1}]) == []
    assert nobody_at_risk([{"band": "at-risk", "rows": 0}]) == []
