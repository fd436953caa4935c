from __future__ import annotations

import numpy as np
import pytest

from features.errors import EvidenceError
from models.churn.classifier import ChurnClassifier
from models.training.selection import _clustered_error, select_rounds
from models.training.splits import rolling_origins

NAMES = ["plan", "usage_28d", "usage_change", "tickets_90d", "billing_period"]


@pytest.fixture(scope="module")
def selection(frame):
    return select_rounds(
        ChurnClassifier(segment_column="plan"),
        frame[NAMES],
        frame["happened"],
        dates=frame["observation_date"],
        accounts=frame["account_id"],
        maturity_days=44,
        rounds=(0, 10, 40),
    )


def test_candidates_and_choice(selection):
    tried = [(c.backbone, c.rounds) for c in selection.candidates]
    assert tried == [(True, 0), (True, 10), (True, 40), (False, 10), (False, 40)]
    assert min(c.behind_best for c in selection.candidates) == 0
    assert selection.chosen.behind_best <= selection.chosen.noise
    simpler = selection.candidates[: selection.candidates.index(selection.chosen)]
    assert all(c.behind_best > c.noise for c in simpler)
    # Churn is linear in the signals and differs by plan: trees alone cannot be within noise.
    assert selection.chosen.backbone
    assert selection.in_time


def test_margins_are_those_of_a_model_that_had_not_seen_the_rows(frame, selection):
    fold = rolling_origins(frame["observation_date"], 44)[0]
    model = ChurnClassifier(
        segment_column="plan",
        backbone=selection.chosen.backbone,
        n_rounds=selection.chosen.rounds,
    ).fit(frame[NAMES].iloc[fold.train], frame["happened"].iloc[fold.train])
    expected = model.decision_function(frame[NAMES].iloc[fold.test])
    assert selection.rows[: len(fold.test)].tolist() == fold.test.tolist()
    assert selection.margins[: len(fold.test)] == pytest.approx(expected, abs=1e-9)


def test_one_date_is_split_by_accounts(frame):
    one = frame[frame["observation_date"] == "2025-03-01"].reset_index(drop=True)
    found = select_rounds(
        ChurnClassifier(segment_column="plan"),
        one[NAMES],
        one["happened"],
        dates=one["observation_date"],
        accounts=one["account_id"],
        maturity_days=44,
        rounds=(0, 10),
    )
    assert not found.in_time
    assert sorted(found.rows) == list(range(len(one)))


def test_nothing_to_learn_from(frame):
    one = frame.iloc[:50]
    with pytest.raises(EvidenceError, match="Neither earlier dates nor other accounts"):
        select_rounds(
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
