from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.catalog import Signal
from features.errors import DataError, EvidenceError
from models.churn.segments import SegmentSettings
from models.measures.estimate import Estimate
from models.measures.metrics import evaluate
from models.scoring.scale import ScaleSettings
from models.scoring.scorer import Scorer
from models.training import fit as module
from models.training.fit import fit_health_model
from models.training.holdout import judge
from models.training.learning import Learning, learn


def fit(frame, signals, scale=None, holdout_dates=None, progress=None, **learning):
    how = Learning(maturity_days=44, **learning)
    return fit_health_model(
        frame, signals, how, scale=scale, holdout_dates=holdout_dates, progress=progress
    )


def test_holdout_is_the_newest_dates_and_the_gap_is_purged(result, frame):
    counts = result.counts
    assert counts["holdout_from"] == "2025-07-01"
    assert counts["rows"] == len(frame)
    assert counts["positives"] == frame["happened"].sum()
    # The outcome window of a row of June reaches into July.
    assert counts["training_rows"] == (frame["observation_date"] < "2025-06-01").sum()
    assert counts["holdout_rows"] == len(result.holdout)
    assert (result.holdout["observation_date"] >= "2025-07-01").all()


class JudgedError(Exception):
    """Ends a training where it would judge."""


def test_rows_that_were_acted_on_teach_and_judge_nothing(frame, signals, monkeypatch):
    acted = np.arange(len(frame)) % 3 == 0
    taught = []
    monkeypatch.setattr(module, "learn", lambda past, *how: taught.append(past))

    def judge(learnt, rows, positions, base_rate):
        raise JudgedError(positions)

    monkeypatch.setattr(module, "judge", judge)
    held_out = np.flatnonzero(frame["observation_date"] >= "2025-07-01")
    # Where nobody was left alone, all must judge.
    for marked, judging in ((acted, held_out[~acted[held_out]]), (True, held_out)):
        with pytest.raises(JudgedError) as stopped:
            fit(frame.assign(acted_on=marked), signals)
        assert stopped.value.args[0].tolist() == judging.tolist()
        assert len(taught.pop()) == (frame["observation_date"] < "2025-06-01").sum()


def test_what_is_said_of_rows_that_were_acted_on_is_told_apart(make_company, signals):
    frame = make_company(accounts=120, dates=8, seed=5)
    acted = np.arange(len(frame)) % 4 == 0
    result = fit(frame.assign(acted_on=acted), signals)
    newest = frame["observation_date"] >= result.counts["holdout_from"]
    for told, own in ((result.holdout, newest & ~acted), (result.acted_on, newest & acted)):
        assert told["account_id"].tolist() == frame["account_id"][own].tolist()
        assert told["probability"].between(0, 1, inclusive="neither").all()
    assert list(result.acted_on) == list(result.holdout)


def test_metrics_are_those_of_the_holdout_rows(result, frame):
    holdout, training = result.holdout, frame[frame["observation_date"] < "2025-06-01"]
    expected = evaluate(
        holdout["happened"],
        holdout["probability"],
        holdout["account_id"],
        base_rate=training["happened"].mean(),
        alike=holdout["observation_date"],
        seed=3,
    )
    assert replace(result.metrics, auc_behaviour=Estimate()) == expected
    assert set(result.segment_metrics) == set(holdout["segment"])
    assert sum(m.rows for m in result.segment_metrics.values()) == len(holdout)


def test_most_of_what_can_be_known_is_captured(result, frame):
    truth = frame[frame["observation_date"] >= "2025-07-01"]
    best = evaluate(
        truth["happened"], expit(truth["truth"]), truth["account_id"], base_rate=0.1
    ).log_loss.value
    found = result.metrics
    assert (found.log_loss_base - found.log_loss.value) / (found.log_loss_base - best) > 0.8
    assert found.enough_evidence
    assert found.observed_rate == pytest.approx(found.expected_rate, abs=0.02)
    assert result.warnings == [m for m in result.warnings if m.startswith("Segment ")]


def test_age_alone_ranks_churn_and_is_no_evidence_of_behaviour(make_company, signals):
    frame = make_company(seed=4)
    young = frame["tenure_days"] < 300
    # Usage follows age, as it does where accounts are still ramping up, and foretells nothing.
    frame["usage_28d"] = np.where(young, frame["usage_28d"] / 3, frame["usage_28d"])
    rng = np.random.default_rng(4)
    frame["happened"] = (rng.random(len(frame)) < np.where(young, 0.25, 0.04)).astype("int8")
    result = fit(frame, signals, seed=3)
    assert result.metrics.auc.low > 0.6
    assert result.metrics.auc_behaviour.low < 0.5 < result.metrics.auc_behaviour.high
    assert not result.metrics.enough_evidence
    assert any(
        warning.startswith("Not enough evidence that behaviour predicts the outcome: its hold-out")
        for warning in result.warnings
    )


def test_holdout_outcomes_reach_neither_the_choice_nor_the_proof(frame, signals, result):
    flipped = frame.assign(
        happened=frame["happened"].where(
            frame["observation_date"] < "2025-06-01", 1 - frame["happened"]
        )
    )
    again = fit(
        flipped,
        signals,
        segments=SegmentSettings(("plan",), (("onboarding", 90),)),
        seed=3,
    )
    assert again.choice == result.choice
    assert (again.holdout["probability"] == result.holdout["probability"]).all()


def test_bands_are_counted_on_the_holdout(result):
    bands = pd.DataFrame(result.bands).set_index("band")
    assert bands.index.tolist() == ["at-risk", "watch", "healthy"]
    assert bands["rows"].sum() == len(result.holdout)
    assert bands["positives"].sum() == result.holdout["happened"].sum()
    assert bands["observed_rate"].is_monotonic_decreasing
    assert (bands["low"] <= bands["observed_rate"]).all()
    assert (bands["observed_rate"] <= bands["high"]).all()
    assert result.model.bands == result.bands


def test_anchor_is_the_base_rate_unless_frozen(result, frame, signals):
    assert result.model.scale.anchor_probability == pytest.approx(frame["happened"].mean())
    frozen = fit(frame, signals, scale=ScaleSettings(anchor_probability=0.03))
    assert frozen.model.scale.anchor_probability == 0.03


def test_same_seed_same_model_whatever_the_threads(frame, signals, result):
    again = fit(
        frame,
        signals,
        segments=SegmentSettings(("plan",), (("onboarding", 90),)),
        seed=3,
        n_jobs=2,
    )
    one, two = Scorer(result.model).score(frame), Scorer(again.model).score(frame)
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)
    assert again.metrics == result.metrics


def test_rows_in_another_order_give_the_same_scores(frame, signals):
    settings = {"segments": SegmentSettings(("plan",))}
    straight = fit(frame, signals, **settings).model
    mixed = fit(frame.sample(frac=1, random_state=2), signals, **settings).model
    difference = (
        Scorer(straight).score(frame).table["score"] - Scorer(mixed).score(frame).table["score"]
    )
    assert difference.abs().max() < 1


def test_small_segments_share_and_say_so(frame, signals):
    rare = frame.assign(plan=frame["plan"].where(frame["account_id"] != "A-0001", "trial"))
    found = fit(rare, signals, segments=SegmentSettings(("plan",)))
    said = "Segment 'trial' has "
    assert any(w.startswith(said) and w.endswith("read as all accounts.") for w in found.warnings)
    assert "plan=trial" not in found.model.segments.names


def test_progress_is_told(frame, signals):
    told = []
    fit(frame, signals, progress=told.append)
    assert told == [
        "choosing how much the trees may add",
        "testing on dates the model has not seen",
        "fitting on every matured row",
        "asking how sure the weights are",
    ]


def test_undated_rows_are_judged_by_other_accounts(frame, signals, monkeypatch):
    """Every row is judged once, by a model that has seen nothing of its account."""
    judged, taught, told = [], [], []

    def learning(rows, *args):
        taught.append(set(rows["account_id"]))
        return learn(rows, *args)

    def judging(learnt, rows, positions, base_rate):
        tested = rows.iloc[positions]
        assert not taught[-1] & set(tested["account_id"])
        assert taught[-1] | set(tested["account_id"]) == set(rows["account_id"])
        known = rows[rows["account_id"].isin(taught[-1])]
        assert base_rate == pytest.approx(known["happened"].mean())
        judged.append(pd.Series(learnt.probability(tested), positions))
        return judge(learnt, rows, positions, base_rate)

    monkeypatch.setattr("models.training.fit.learn", learning)
    monkeypatch.setattr("models.training.fit.judge", judging)
    snapshot = frame[frame["observation_date"] < "2025-03-01"]
    snapshot = snapshot.sample(frac=1, random_state=5)
    tuned = {"learning_rate": 0.2, "num_leaves": 3, "segment_shrinkage": 4.0}
    found = fit(snapshot, signals, is_dated=False, tuned=tuned, progress=told.append)
    settings = found.model.classifier.get_params()
    assert {name: settings[name] for name in tuned} == tuned
    assert told == [
        "testing on accounts the model has not seen",
        "fitting on every row",
        "asking how sure the weights are",
    ]
    assert len(judged) == 5
    assert len(taught) == 6
    assert taught[-1] == set(snapshot["account_id"])
    expected = pd.concat(judged)
    assert sorted(expected.index) == list(range(len(snapshot)))
    rows = snapshot.iloc[expected.index]
    assert found.holdout["account_id"].tolist() == rows["account_id"].tolist()
    assert found.holdout["observation_date"].tolist() == rows["observation_date"].tolist()
    assert found.holdout["happened"].tolist() == rows["happened"].tolist()
    assert found.holdout["probability"].to_numpy() == pytest.approx(expected.to_numpy())
    assert found.metrics.enough_evidence
    assert found.counts["training_rows"] == found.counts["holdout_rows"] == len(snapshot)
    assert [w for w in found.warnings if w.startswith("The rows carry no dates: the model was")]
    assert found.model.certainty.groups["all"]["usage"].enough_evidence


def test_undated_rows_of_one_account_have_nobody_to_judge_them(frame, signals):
    with pytest.raises(EvidenceError, match="account"):
        fit(frame.iloc[:900].assign(account_id="A"), signals, is_dated=False)


def test_undated_positives_of_one_account(frame, signals):
    rows = frame.iloc[:900]
    few = rows.assign(happened=0, account_id=rows["account_id"].mask(np.arange(900) < 60, "B"))
    few.iloc[:50, few.columns.get_loc("happened")] = 1
    with pytest.raises(
        EvidenceError,
        match=r"at least 15 positives among the accounts learnt from, but 0 of \d+ rows",
    ):
        fit(few, signals, is_dated=False)


def test_a_good_outcome_turns_scores_and_bands_round(frame, signals, result):
    good = fit(
        frame,
        signals,
        segments=SegmentSettings(("plan",), (("onboarding", 90),)),
        scale=ScaleSettings(good=True),
        seed=3,
    )
    assert [band["band"] for band in good.bands] == ["likely", "possible", "unlikely"]
    assert [band["rows"] for band in good.bands] == [band["rows"] for band in result.bands]
    assert (good.holdout["probability"] == result.holdout["probability"]).all()
    turned = good.holdout["score"] + result.holdout["score"]
    assert turned.to_numpy() == pytest.approx(100)
    assert good.model.weights == result.model.weights
    assert good.model.certainty.groups == result.model.certainty.groups
    assert good.model.certainty.signals["all"]["usage_28d"].learnt == "lower"
    assert result.model.certainty.signals["all"]["usage_28d"].learnt == "higher"


def test_noise_is_reported_as_no_evidence(frame):
    noise = [Signal("tenure_days", "profile", "days", "none", "Tenure", None, "{value}")]
    found = fit(frame.assign(segment="one"), noise)
    assert not found.metrics.enough_evidence
    assert any("Not enough evidence that behaviour" in w for w in found.warnings)
    assert sum(found.model.weights["all"].values()) == 0


def test_few_positives_in_the_holdout_are_said(frame, signals):
    newest = frame["observation_date"] >= "2025-07-01"
    keep = np.flatnonzero(newest & (frame["happened"] == 1))[:3]
    rare = frame.assign(happened=frame["happened"].where(~newest, 0))
    rare.loc[keep, "happened"] = 1
    found = fit(rare, signals)
    said = "Only 3 positive(s) in the 1800 hold-out rows"
    assert any(warning.startswith(said) for warning in found.warnings)


def test_no_positive_in_the_holdout_is_no_traceback(frame, signals):
    newest = frame["observation_date"] >= "2025-07-01"
    found = fit(frame.assign(happened=frame["happened"].where(~newest, 0)), signals)
    assert found.metrics.auc.value is None
    assert found.metrics.reason == "no row is positive"


def test_two_dates_are_enough_when_far_enough_apart(frame, signals):
    two = frame[frame["observation_date"].isin(pd.to_datetime(["2025-01-01", "2025-04-01"]))]
    found = fit(two, signals)
    assert not found.choice["in_time"]
    assert any("Too few dates had matured" in warning for warning in found.warnings)


def test_one_dated_snapshot_is_judged_on_other_accounts_and_says_so(frame, signals):
    one = frame[frame["observation_date"] == frame["observation_date"].min()]
    found = fit(one, signals)
    assert len(found.holdout) == len(one)
    assert found.counts["holdout_from"] == "2025-01-01"
    assert not any("carry no dates" in warning for warning in found.warnings)
    assert [warning for warning in found.warnings if warning.startswith("No date lies")] == [
        "No date lies behind the outcome window of an earlier one: the model was judged on accounts"
        " it had not seen, not on later dates; train again when more have matured."
    ]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (0, "needs at least 30 positives in the matured rows, but 0 of 7200 rows are positive"),
        (
            1,
            "needs a row without the outcome in the matured rows, but 7200 of 7200",
        ),
    ],
)
def test_one_outcome(frame, signals, label, message):
    with pytest.raises(EvidenceError, match=message):
        fit(frame.assign(happened=label), signals)


def test_too_few_positives(frame, signals):
    few = frame.assign(happened=0)
    few.loc[:28, "happened"] = 1
    with pytest.raises(EvidenceError, match="at least 30 positives in the matured rows, but 29 of"):
        fit(few, signals)
    late = frame.assign(happened=0)
    late.loc[late.index[-60:], "happened"] = 1
    with pytest.raises(EvidenceError, match="at least 15 positives matured before the hold-out"):
        fit(late, signals)


@pytest.mark.parametrize("label", [np.nan, 2, "yes"])
def test_labels_are_zero_or_one(frame, signals, label):
    bad = frame.assign(happened=frame["happened"].astype(object))
    bad.loc[4, "happened"] = label
    with pytest.raises(DataError, match=r"must be 0 or 1 in every training row, but 1 row\(s\)"):
        fit(bad, signals)


def test_what_a_frame_and_signals_must_have(frame, signals):
    with pytest.raises(DataError, match="at least one signal"):
        fit(frame, [])
    with pytest.raises(DataError, match="must have a column 'happened'"):
        fit(frame.drop(columns="happened"), signals)
    with pytest.raises(DataError, match="'usage_28d' is absent"):
        fit(frame.drop(columns="usage_28d"), signals)
    named = Signal("segment", "usage", "count", "higher", "Segment", None, "{value}")
    with pytest.raises(DataError, match="No signal may be called 'segment'"):
        fit(frame, [*signals, named])
