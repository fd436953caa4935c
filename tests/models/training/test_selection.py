from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from features.errors import EvidenceError
from models.churn.classifier import ChurnClassifier
from models.training.selection import (
    BACKBONE,
    DIRECTED,
    FREE,
    _clustered_error,
    _tree_share,
    select_shapes,
)
from models.training.splits import rolling_origins

NAMES = ["plan", "usage_28d", "usage_change", "tickets_90d", "billing_period"]


ROUNDS = {"rounds": (0, 10, 40), "tree_rounds": (20, 60)}
HEALTHY = {"usage_28d": "higher", "usage_change": "higher", "tickets_90d": "lower"}


def chosen(frame, classifier):
    return select_shapes(
        classifier,
        frame[NAMES],
        frame["happened"],
        dates=frame["observation_date"],
        accounts=frame["account_id"],
        maturity_days=44,
        **ROUNDS,
    )


@pytest.fixture(scope="module")
def selection(frame):
    return chosen(frame, ChurnClassifier(segment_column="plan", healthy=HEALTHY))


def test_candidates_and_choice(selection):
    tried = [(c.shape, c.rounds) for c in selection.candidates]
    assert tried == [
        *((BACKBONE, count) for count in (0, 10, 40)),
        *((DIRECTED, count) for count in (20, 60)),
        *((FREE, count) for count in (20, 60)),
    ]
    assert min(c.behind_best for c in selection.candidates) == 0
    losses = {(c.shape, c.rounds): c.log_loss for c in selection.candidates}
    parameters = selection.parameters
    straight = {k: v for k, v in losses.items() if k[0] == BACKBONE}
    assert (BACKBONE, parameters["n_rounds"]) == min(straight, key=straight.get)
    # Churn is linear in the signals and differs by plan: trees alone do not get most of the margin.
    assert 0 < parameters["tree_share"] < 0.5
    # The pull toward halves costs next to nothing where one shape is all that is needed.
    assert selection.gain > -1e-3
    assert selection.in_time
    assert selection.to_dict()["tree_share"] == parameters["tree_share"]


def test_margins_are_those_of_a_model_that_had_not_seen_the_rows(frame, selection):
    fold = rolling_origins(frame["observation_date"], 44)[0]
    model = ChurnClassifier(segment_column="plan", healthy=HEALTHY, **selection.parameters)
    model.fit(frame[NAMES].iloc[fold.train], frame["happened"].iloc[fold.train])
    expected = model.decision_function(frame[NAMES].iloc[fold.test])
    assert selection.rows[: len(fold.test)].tolist() == fold.test.tolist()
    assert selection.margins[: len(fold.test)] == pytest.approx(expected, abs=1e-9)


def test_a_direction_against_all_evidence_is_overruled(frame):
    wrong = {"usage_28d": "lower", "usage_change": "lower", "tickets_90d": "higher"}
    selection = chosen(frame, ChurnClassifier(segment_column="plan", healthy=wrong))
    assert not selection.parameters["hold_directions"]


def test_the_share_is_the_most_likely_one_with_halves_as_its_prior():
    rng = np.random.default_rng(0)
    pair = rng.normal(size=(20_000, 2))
    outcome = (rng.random(20_000) < expit(pair @ [0.2, 0.8])).astype(float)
    assert _tree_share(pair, outcome) == pytest.approx(0.8, abs=0.03)
    assert _tree_share(pair[:10], outcome[:10]) == pytest.approx(0.5, abs=0.05)
    useless = (rng.random(20_000) < expit(pair[:, 0])).astype(float)
    assert _tree_share(pair, useless) == pytest.approx(0, abs=0.03)


def test_one_date_is_split_by_accounts(frame):
    one = frame[frame["observation_date"] == "2025-03-01"].reset_index(drop=True)
    selection = chosen(one, ChurnClassifier(segment_column="plan"))
    assert not selection.in_time
    assert {candidate.shape for candidate in selection.candidates} == {BACKBONE, FREE}
    assert sorted(selection.rows) == list(range(len(one)))


def test_nothing_to_learn_from(frame):
    one = frame.iloc[:50]
    with pytest.raises(EvidenceError, match="Neither earlier dates nor other accounts"):
        select_shapes(
            ChurnClassifier(),
            one[NAMES[1:]],
            np.zeros(50),
            dates=one["observation_date"],
            accounts=one["account_id"],
            maturity_days=44,
        )


def test_clustered_error_is_that_of_a_bootstrap_over_accounts():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(200), 5)
    values = np.repeat(rng.normal(size=200), 5) + 0.1 * rng.normal(size=1000)
    means = [values.reshape(200, 5)[rng.integers(200, size=200)].mean() for _ in range(2000)]
    assert _clustered_error(values, clusters) == pytest.approx(np.std(means), rel=0.1)
