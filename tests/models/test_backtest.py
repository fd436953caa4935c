from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import EvidenceError
from models.backtest import (
    _clustered_error,
    out_of_time_margins,
    rolling_origins,
    select_rounds,
    time_holdout,
)
from models.churn import ChurnClassifier

NAMES = ["plan", "usage_28d", "usage_change", "tickets_90d", "billing_period"]
dates_of_rows = st.lists(st.integers(0, 400), min_size=2, max_size=60)


def as_dates(days):
    return pd.Timestamp("2025-01-01") + pd.to_timedelta(days, unit="D")


@given(dates_of_rows, st.integers(1, 120), st.integers(1, 5))
def test_no_training_window_reaches_into_the_test(days, maturity, count):
    """The purge: what a fold learns from was over before its first test date."""
    dates = as_dates(days)
    folds = rolling_origins(dates, maturity, n_folds=count)
    try:
        folds.append(time_holdout(dates, maturity, n_dates=count))
    except EvidenceError:
        assert not folds
        assert max(days) - min(days) < maturity
    for fold in folds:
        over = dates[fold.train] + pd.Timedelta(days=maturity)
        assert len(fold.train)
        assert len(fold.test)
        assert over.max() <= dates[fold.test].min()
        assert not set(fold.train) & set(fold.test)


@given(dates_of_rows, st.integers(1, 120), st.integers(1, 5))
def test_test_blocks_follow_each_other_and_use_every_row_that_may_be_used(days, maturity, count):
    dates = as_dates(days)
    folds = rolling_origins(dates, maturity, n_folds=count)
    assert len(folds) <= count
    for earlier, later in itertools.pairwise(folds):
        assert dates[earlier.test].max() < dates[later.test].min()
    for fold in folds:
        first = dates[fold.test].min()
        usable = np.flatnonzero(dates + pd.Timedelta(days=maturity) <= first)
        assert fold.train.tolist() == usable.tolist()


def test_holdout_takes_a_quarter_of_the_dates():
    dates = pd.date_range("2025-01-01", periods=12, freq="MS")
    fold = time_holdout(dates, 44)
    assert fold.test.tolist() == [9, 10, 11]
    assert fold.train.tolist() == list(range(8))
    assert time_holdout(dates, 44, n_dates=1).test.tolist() == [11]


def test_holdout_gives_way_to_a_short_history():
    dates = pd.date_range("2025-01-01", periods=3, freq="MS")
    fold = time_holdout(dates, 44, n_dates=3)
    assert (fold.train.tolist(), fold.test.tolist()) == ([0], [2])


@pytest.mark.parametrize("dates", [[], ["2025-01-01"], ["2025-01-01", "2025-02-01"]])
def test_history_too_short(dates):
    with pytest.raises(
        EvidenceError, match=r"needs at least 44 days between the first and the last"
    ):
        time_holdout(pd.to_datetime(dates), 44)


@pytest.fixture(scope="module")
def selection(frame):
    return select_rounds(
        ChurnClassifier(segment_column="plan"),
        frame[NAMES],
        frame["churned"],
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
    ).fit(frame[NAMES].iloc[fold.train], frame["churned"].iloc[fold.train])
    expected = model.decision_function(frame[NAMES].iloc[fold.test])
    assert selection.rows[: len(fold.test)].tolist() == fold.test.tolist()
    assert selection.margins[: len(fold.test)] == pytest.approx(expected, abs=1e-9)


def test_later_outcomes_cannot_change_what_was_said_earlier(frame):
    """Flip every outcome of the newest dates: they are tested on, so nobody learnt from them."""
    folds = rolling_origins(frame["observation_date"], 44)
    flipped = frame["churned"].to_numpy().copy()
    newest = (frame["observation_date"] >= "2025-07-01").to_numpy()
    flipped[newest] = 1 - flipped[newest]
    model = ChurnClassifier(segment_column="plan", n_rounds=10)
    rows, margins = out_of_time_margins(model, frame[NAMES], frame["churned"], folds)
    again_rows, again = out_of_time_margins(model, frame[NAMES], flipped, folds)
    assert newest[rows].any()
    assert (rows == again_rows).all()
    assert (margins == again).all()


def test_one_date_is_split_by_accounts(frame):
    one = frame[frame["observation_date"] == "2025-03-01"].reset_index(drop=True)
    found = select_rounds(
        ChurnClassifier(segment_column="plan"),
        one[NAMES],
        one["churned"],
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
