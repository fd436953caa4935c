from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from features.errors import EvidenceError
from models.churn.classifier import ChurnClassifier
from models.training.splits import (
    account_folds,
    later_holdout,
    rolling_origins,
    time_holdout,
)

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


def test_later_outcomes_cannot_change_what_was_said_earlier(frame):
    """Flip every outcome of the newest dates: they are tested on, so nobody learnt from them."""
    folds = rolling_origins(frame["observation_date"], 44)
    flipped = frame["happened"].to_numpy().copy()
    newest = (frame["observation_date"] >= "2025-07-01").to_numpy()
    flipped[newest] = 1 - flipped[newest]
    model = ChurnClassifier(segment_column="plan", n_rounds=10)
    for fold in folds:
        train, test = frame[NAMES].iloc[fold.train], frame[NAMES].iloc[fold.test]
        said = clone(model).fit(train, frame["happened"].iloc[fold.train])
        again = clone(model).fit(train, flipped[fold.train])
        assert (said.decision_function(test) == again.decision_function(test)).all()
    assert newest[folds[-1].test].any()


def test_ids_issued_in_a_pattern_do_not_make_folds_of_a_kind():
    """Every fifth account is of another kind, as where ids carry a branch or a check digit."""
    clusters = np.repeat(np.arange(500), 2)
    kind = clusters % 5
    folds = account_folds(clusters, 5)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(1000))
    for fold in folds:
        assert not set(clusters[fold.train]) & set(clusters[fold.test])
        assert np.bincount(kind[fold.test], minlength=5).min() > 20
    again = account_folds(clusters, 5)
    assert all((a.test == b.test).all() for a, b in zip(folds, again, strict=True))


def test_where_no_date_is_late_enough_there_is_no_later_holdout():
    one = pd.to_datetime(["2025-01-01"] * 4)
    assert later_holdout(one, 30) is None
    two = pd.to_datetime(["2025-01-01", "2025-03-01"])
    assert later_holdout(two, 30).test.tolist() == time_holdout(two, 30).test.tolist()
