from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone

from features.errors import DataError, EvidenceError
from models.churn.segments import SegmentSettings
from models.training.learning import Learning, classifier_of, learn

EVERY = SegmentSettings(("plan",), min_rows=0, min_positives=0)
TUNED = {"learning_rate": 0.11, "num_leaves": 3, "shrinkage": 2.5}


@pytest.fixture(scope="module")
def past(frame):
    return frame[frame["observation_date"] < "2025-05-01"].reset_index(drop=True)


@pytest.fixture(scope="module")
def learnt(past, signals):
    return learn(
        past, signals, Learning(maturity_days=44, segments=SegmentSettings(("plan",)), seed=3)
    )


def test_parts_fit_together(learnt, frame):
    new = frame.iloc[-500:]
    inputs, segment = learnt.inputs(new), learnt.segment(new)
    margin = learnt.classifier.decision_function(inputs)
    split = learnt.classifier.base_margin(inputs) + learnt.contributions(new).sum(axis=1)
    assert split == pytest.approx(margin, abs=1e-9)
    assert learnt.log_odds(new) == pytest.approx(learnt.calibrator.log_odds(margin, segment))
    assert learnt.probability(new) == pytest.approx(expit(learnt.log_odds(new)))
    assert segment.tolist() == ("plan=" + new["plan"]).tolist()


def test_the_classifier_is_fitted_to_every_row_with_what_was_chosen(learnt, past):
    assert learnt.selection.parameters.items() <= learnt.classifier.get_params().items()
    inputs = learnt.inputs(past)
    again = clone(learnt.classifier).fit(inputs, past["happened"])
    assert (again.decision_function(inputs) == learnt.classifier.decision_function(inputs)).all()
    assert learnt.selection.in_time
    assert len(set(learnt.selection.rows)) == len(learnt.selection.rows)


def test_the_classifier_knows_what_is_declared(signals):
    settings = classifier_of(signals, seed=7, n_jobs=2, negatives=0.5).get_params()
    # A flag is a number; categories and signals without a healthy way are left out.
    assert settings["healthy"] == {
        "usage_28d": "higher",
        "usage_change": "higher",
        "tickets_90d": "lower",
        "never_known": "higher",
        "always_one": "higher",
    }
    # Terms of contracts are shrunk apart, whatever group they are shown in.
    assert settings["groups"]["billing_period"] == "contract"
    assert settings["groups"]["usage_28d"] == "usage"
    assert (settings["random_state"], settings["n_jobs"]) == (7, 2)
    assert settings["negatives"] == 0.5
    assert settings["segment_column"] == "segment"


def test_tuned_parameters_reach_the_classifier(past, signals, learnt):
    found = learn(past, signals, Learning(maturity_days=44, tuned=TUNED))
    settings = found.classifier.get_params()
    assert {name: settings[name] for name in TUNED} == TUNED
    assert found.classifier.backbone_.shrinkage == 2.5
    losses = [[c.log_loss for c in one.selection.candidates] for one in (found, learnt)]
    assert losses[0] != losses[1]
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        learn(past, signals, Learning(maturity_days=44, tuned={"depth": 3}))


def test_the_rows_taught_with_are_left_as_they_were(past, signals):
    before = past.copy(deep=True)
    learn(past, signals, Learning(maturity_days=44))
    pd.testing.assert_frame_equal(past, before)


def test_the_index_of_the_rows_does_not_matter(past, signals, learnt):
    strange = past.set_index(pd.Index(np.zeros(len(past), dtype=int)))
    how = Learning(maturity_days=44, segments=SegmentSettings(("plan",)), seed=3)
    again = learn(strange, signals, how)
    assert (again.log_odds(strange) == learnt.log_odds(past)).all()


@pytest.mark.parametrize("label", [0, 1])
def test_a_segment_with_one_outcome(past, signals, label):
    own = past["account_id"].isin([f"A-{i:04d}" for i in range(60)])
    changed = past.assign(
        plan=past["plan"].mask(own, "quiet"), happened=past["happened"].mask(own, label)
    )
    found = learn(changed, signals, Learning(maturity_days=44, segments=EVERY))
    assert "plan=quiet" in found.assignment.names
    # It speaks with the coefficients of all, from an intercept no other segment could give it.
    code = found.classifier.encoder_.segments.index("plan=quiet")
    assert found.classifier.backbone_.tree_.node[code] == 0
    risk = found.probability(changed)
    assert ((risk > 0) & (risk < 1)).all()
    rest = found.probability(changed[~own])
    observed = changed.loc[~own, "happened"].mean()
    assert rest.mean() == pytest.approx(observed, rel=0.25)


def test_a_segment_of_one_account(past, signals):
    alone = past["account_id"] == "A-0001"
    changed = past.assign(plan=past["plan"].mask(alone, "solo"))
    found = learn(changed, signals, Learning(maturity_days=44, segments=EVERY))
    assert "plan=solo" in found.assignment.names
    assert np.isfinite(found.log_odds(changed)).all()
    assert np.isfinite(found.contributions(changed)).all()


def test_a_segment_that_is_new_is_read_as_everybody(learnt, frame):
    new = frame.iloc[-20:].assign(plan="gold")
    assert set(learnt.segment(new)) == {"all"}
    assert np.isfinite(learnt.log_odds(new)).all()
    assert (learnt.log_odds(frame.iloc[-20:].assign(plan=None)) == learnt.log_odds(new)).all()


def test_a_category_that_is_new_is_unknown(learnt, frame):
    new, unknown = (frame.iloc[-20:].assign(billing_period=how) for how in ("weekly", None))
    assert (learnt.log_odds(new) == learnt.log_odds(unknown)).all()
    monthly = frame.iloc[-20:].assign(billing_period="monthly")
    assert (learnt.log_odds(monthly) != learnt.log_odds(unknown)).any()


def test_one_date_is_judged_on_other_accounts(past, signals):
    found = learn(past.iloc[:900], signals, Learning(maturity_days=44))
    assert not found.selection.in_time
    assert sorted(found.selection.rows) == list(range(900))


def test_undated_rows_are_never_judged_by_date(past, signals):
    found = learn(past, signals, Learning(maturity_days=44, is_dated=False))
    assert not found.selection.in_time
    assert sorted(found.selection.rows) == list(range(len(past)))


def test_one_account_is_not_enough(past, signals):
    one = past.iloc[:900].assign(account_id="A")
    with pytest.raises(EvidenceError, match="observe more dates or more accounts"):
        learn(one, signals, Learning(maturity_days=44))


def test_columns_must_be_there(past, signals):
    with pytest.raises(DataError, match="'tickets_90d' is absent"):
        learn(past.drop(columns="tickets_90d"), signals, Learning(maturity_days=44))
    with pytest.raises(DataError, match="the rows have no column 'region'"):
        learn(past, signals, Learning(maturity_days=44, segments=SegmentSettings(("region",))))
    with pytest.raises(DataError, match="'usage_28d' must hold finite numbers"):
        learn(past.assign(usage_28d=np.inf), signals, Learning(maturity_days=44))
