from __future__ import annotations

import numpy as np
import pytest

from features.errors import EvidenceError
from features.outcomes.settings import WORDS
from models.churn.segments import SegmentSettings
from models.scorecard.grading import group_measures
from models.scorecard.prior.first_model import Scorecard
from models.scorecard.prior.first_training import fit_first_model
from models.scoring.health_model import HealthModel
from models.scoring.scale import ScaleSettings
from models.scoring.scorer import Scorer
from models.training.learning import Learning

MATURITY = 44


@pytest.fixture(scope="session")
def card(signals):
    measures = group_measures(signals)
    return Scorecard(measures, {"all": np.ones(len(measures))}, "equal weights")


@pytest.fixture(scope="session")
def few(make_company):
    """Eighty accounts of which twelve rows are positive."""
    frame = make_company(80, 8, seed=5)
    positive = np.flatnonzero(frame["happened"])
    frame.loc[positive[12:], "happened"] = 0
    return frame


@pytest.fixture(scope="session")
def taught(few, signals, card):
    return fit(few, signals, card)


def fit(frame, signals, card, *, window_days=30, scale=None, **how):
    learning = Learning(**{"maturity_days": MATURITY, **how})
    return fit_first_model(frame, signals, card, learning, window_days=window_days, scale=scale)


def test_twelve_outcomes_are_partly_believed_and_partly_learnt(taught):
    prior = taught.model.prior
    assert prior.positives == 12
    assert prior.source == "equal weights"
    assert 0.02 < prior.learnt < 0.9
    assert set(prior.groups) == {"usage", "support", "payments", "surveys", "referrals"}
    assert taught.choice["prior"]["learnt"] == prior.learnt


def test_the_more_outcomes_the_more_is_learnt(make_company, signals, card):
    frame = make_company(300, 8, seed=5)
    positive = np.flatnonzero(frame["happened"])
    learnt = []
    for count in (0, 6, 60):
        part = frame.copy()
        part.loc[positive[count:], "happened"] = 0
        learnt.append(fit(part, signals, card).model.prior.learnt)
    assert learnt == sorted(learnt)
    assert learnt[0] < 0.25 < learnt[2]


def test_points_add_up_to_the_score(taught, few):
    scored = Scorer(taught.model).score(few)
    total = scored.table["baseline_score"] + scored.points.sum(axis=1)
    assert total.to_numpy() == pytest.approx(scored.table["score"].to_numpy(), abs=1e-9)


def test_without_an_outcome_the_model_ranks_as_the_scorecard(few, signals, card):
    none = few.assign(happened=0)
    result = fit(none, signals, card)
    probability = Scorer(result.model).score(none).table["probability"]
    assert 0 < probability.mean() < 0.02
    usage = none["usage_28d"].rank()
    assert usage.corr(probability, method="spearman") < -0.2
    assert none["tickets_90d"].corr(probability, method="spearman") > 0.2
    assert result.metrics.auc.value is None
    assert 0 < result.model.scale.anchor_probability < 0.02


def test_a_first_model_is_read_back_as_it_was(taught, few, tmp_path):
    taught.model.save(tmp_path / "model")
    again = HealthModel.load(tmp_path / "model")
    assert again.prior == taught.model.prior
    assert again.spread == taught.model.spread
    one, other = (Scorer(model).score(few).table for model in (taught.model, again))
    for column in ("score", "probability_low", "probability_high"):
        assert one[column].to_numpy() == pytest.approx(other[column].to_numpy(), abs=1e-12)


def test_weights_sum_to_100_inside_their_intervals_and_claim_no_evidence(taught):
    for place, weights in taught.model.weights.items():
        assert sum(weights.values()) == pytest.approx(100)
        for name, weight in weights.items():
            sure = taught.model.certainty.groups[place][name]
            assert sure.low <= weight <= sure.high
            assert not sure.enough_evidence
    assert "profile" not in taught.model.weights["all"]


def test_segments_with_weights_of_their_own_are_told_apart(few, signals):
    measures = group_measures(signals)
    names = [measure.name for measure in measures]
    only = {name: np.array([float(m == name) for m in names]) for name in ("usage", "support")}
    weights = {"all": only["usage"], "plan=enterprise": only["support"]}
    result = fit(
        few.assign(happened=0),
        signals,
        Scorecard(measures, weights, "scorecard"),
        segments=SegmentSettings(("plan",)),
    )
    assert result.model.segments.names == ("all", "plan=enterprise")
    shares = result.model.weights
    assert shares["plan=enterprise"]["support"] > shares["all"]["support"] + 15


def test_one_date_is_judged_on_other_accounts_and_says_so(few, signals, card):
    first = few[few["observation_date"] == few["observation_date"].min()].reset_index(drop=True)
    result = fit(first, signals, card)
    assert len(result.holdout) == len(first)
    assert any("No date lies behind the outcome window of an" in text for text in result.warnings)


def test_labels_without_dates(few, signals, card):
    first = few[few["observation_date"] == few["observation_date"].min()].reset_index(drop=True)
    result = fit(first, signals, card, is_dated=False, maturity_days=0, window_days=0)
    assert any("carry no dates" in text for text in result.warnings)


def test_a_scale_that_was_set_stays(few, signals, card):
    result = fit(few, signals, card, scale=ScaleSettings(anchor_probability=0.07))
    assert result.model.scale.anchor_probability == 0.07


def test_every_row_positive_is_refused(few, signals, card):
    with pytest.raises(EvidenceError, match="Learning needs a row without the outcome"):
        fit(few.assign(happened=1), signals, card)


def test_one_account_on_one_date_is_refused(few, signals, card):
    with pytest.raises(EvidenceError, match="A first model is judged on other accounts, but all"):
        fit(few.iloc[:1], signals, card)


def test_it_says_how_much_is_prior(taught):
    prior = taught.model.prior
    learnt = round(100 * prior.learnt)
    assert prior.sentence(WORDS["churn"]) == (
        f"This first model is {100 - learnt} % prior, equal weights of the signal groups, and"
        f" {learnt} % learnt from 12 accounts that churned"
    )
