from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from models.backtest.contenders import DEFAULT, Task, base_rate
from models.measures.metrics import row_log_loss
from models.scoring.health_model import SEGMENT

LEVELS = ("annual", "monthly", None)
BY_NAME = {contender.name: contender.forecast for contender in DEFAULT}
SIGNAL_NAMES = (
    "usage_28d",
    "usage_change",
    "tickets_90d",
    "billing_period",
    "never_known",
    "always_one",
)


def task_of(frame, **changes):
    """Learn from the first five months and forecast July."""
    inputs = frame[[*SIGNAL_NAMES, "segment"]].assign(
        billing_period=frame["billing_period"]
        .astype(object)
        .where(frame["billing_period"].notna(), np.nan)
    )
    old = (frame["observation_date"] < "2025-06-01").to_numpy()
    new = (frame["observation_date"] == "2025-07-01").to_numpy()
    parts = {
        "X": inputs[old].reset_index(drop=True),
        "happened": frame["happened"].to_numpy(dtype=float)[old],
        "dates": frame["observation_date"].to_numpy()[old],
        "accounts": frame["account_id"].to_numpy(dtype=object)[old],
        "new": inputs[new].reset_index(drop=True),
        "maturity_days": 44,
    }
    return Task(**parts | changes), frame[new]


@pytest.fixture(scope="module")
def small(make_company):
    return make_company(accounts=400, seed=1)


@pytest.fixture(scope="module")
def forecasts(small):
    task, _ = task_of(small)
    return {name: forecast(task) for name, forecast in BY_NAME.items()}


def test_every_contender_but_the_base_rate_learns(small, forecasts):
    _, new = task_of(small)
    happened = new["happened"].to_numpy(dtype=float)
    loss = {
        name: row_log_loss(happened, found.probability).mean() for name, found in forecasts.items()
    }
    truth = row_log_loss(happened, expit(new["truth"].to_numpy())).mean()
    for name in set(loss) - {"base rate"}:
        assert (loss["base rate"] - loss[name]) / (loss["base rate"] - truth) > 0.4, name
    # The company is linear in each segment, so that is who must win.
    assert min(loss, key=loss.__getitem__) == "logistic regression per segment"
    assert all(found.notes == () for found in forecasts.values())


def test_base_rate_is_that_of_the_rows_learnt_from(small):
    task, _ = task_of(small)
    assert set(base_rate(task).probability) == {task.happened.mean()}
    assert len(base_rate(task).probability) == len(task.new)


def test_logistic_regression_is_that_of_a_design_made_by_hand(small, forecasts):
    task, _ = task_of(small)

    def raw(X):
        signals = X[["usage_28d", "usage_change", "tickets_90d"]].to_numpy(dtype=float)
        signals = np.sign(signals) * np.log1p(np.abs(signals))
        return signals, np.isnan(signals[:, [1]]).astype(float)

    for name in ("starter", "growth", "enterprise"):
        own, asked = task.X[SEGMENT] == name, task.new[SEGMENT] == name
        known, _ = raw(task.X[own])
        middle = np.nanmedian(known, axis=0)

        def columns(X, middle=middle):
            signals, absent = raw(X)
            return np.hstack([np.where(np.isnan(signals), middle, signals), absent])

        design = columns(task.X[own])
        mean, deviation = design.mean(axis=0), design.std(axis=0)

        def whole(X, mean=mean, deviation=deviation, columns=columns):
            billing = X["billing_period"].astype(object).where(X["billing_period"].notna(), None)
            dummies = np.column_stack([[value == level for value in billing] for level in LEVELS])
            return np.hstack([(columns(X) - mean) / deviation, dummies])

        model = LogisticRegression(C=0.1, max_iter=5000, tol=1e-10)
        model.fit(whole(task.X[own]), task.happened[own.to_numpy()])
        expected = model.predict_proba(whole(task.new[asked]))[:, 1]
        found = forecasts["logistic regression per segment"].probability[asked.to_numpy()]
        assert found == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("name", ["LightGBM per segment", "logistic regression per segment"])
def test_a_segment_with_one_class_is_spoken_for(small, name):
    task, _ = task_of(small)
    starter = (task.X[SEGMENT] == "starter").to_numpy()
    single = Task(**vars(task) | {"happened": np.where(starter, 0.0, task.happened)})
    found = BY_NAME[name](single)
    kind = name.removesuffix(" per segment")
    assert found.notes == (
        f"Segment 'starter' has no {kind} of its own, for its {starter.sum()} earlier rows do not "
        "hold both outcomes: the pooled one speaks for it.",
    )
    assert np.isfinite(found.probability).all()


@pytest.mark.parametrize("name", ["LightGBM per segment", "logistic regression per segment"])
def test_a_segment_nobody_knew_is_spoken_for(small, name):
    task, _ = task_of(small)
    strange = task.new.assign(segment="<script>", billing_period="by the hour")
    found = BY_NAME[name](Task(**vars(task) | {"new": strange}))
    assert "'<script>' has no" in found.notes[0]
    assert ((found.probability > 0) & (found.probability < 1)).all()


def test_rounds_are_chosen_on_the_newest_date_and_purged(small):
    task, _ = task_of(small)
    fold = task.newest()
    assert set(task.dates[fold.test]) == {np.datetime64("2025-05-01")}
    assert task.dates[fold.train].max() + np.timedelta64(44, "D") <= np.datetime64("2025-05-01")
    undated = Task(**vars(task) | {"is_dated": False}).newest()
    assert not set(task.accounts[undated.test]) & set(task.accounts[undated.train])


def test_a_single_date_leaves_no_rounds_to_choose(small):
    dates = pd.to_datetime(["2025-01-01", "2025-07-01"])
    task, _ = task_of(small[small["observation_date"].isin(dates)])
    found = BY_NAME["pooled LightGBM"](task)
    assert np.ptp(found.probability) > 0


def test_names_alone_and_numbers_alone_are_enough(small):
    for columns in (["billing_period"], ["tickets_90d"]):
        task, _ = task_of(small)
        kept = {part: vars(task)[part][[*columns, SEGMENT]] for part in ("X", "new")}
        for name, forecast in BY_NAME.items():
            probability = forecast(Task(**vars(task) | kept)).probability
            assert np.isfinite(probability).all(), name


def test_frames_are_left_as_they_were(small):
    task, _ = task_of(small)
    before = task.X.copy(), task.new.copy()
    for forecast in BY_NAME.values():
        forecast(task)
    pd.testing.assert_frame_equal(before[0], task.X)
    pd.testing.assert_frame_equal(before[1], task.new)
