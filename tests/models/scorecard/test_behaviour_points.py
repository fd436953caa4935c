from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.catalog import Signal
from models.scorecard.behaviour_points import LEAST_ROWS, MOST_BINS, MOST_SIGNALS, behaviour_points


def signal(name, healthy, group="usage", unit="count"):
    return Signal(name, group, unit, healthy, name.capitalize(), 28, "{value}")


SIGNALS = (
    signal("uses", "higher"),
    signal("tickets", "lower", "support"),
    signal("noise", "higher", "surveys"),
    signal("seats", "higher", "profile"),
    signal("either", "none"),
    signal("colour", "higher", "payments", "category"),
    signal("unknown", "higher", "referrals"),
)


def company(n=8_000, seed=0):
    rng = np.random.default_rng(seed)
    uses, tickets = rng.gamma(2, 5, n).round(), rng.poisson(1.0, n).astype(float)
    log_odds = -1.5 - 0.15 * uses + 0.8 * tickets
    frame = pd.DataFrame(
        {
            "account_id": [f"A-{i // 2}" for i in range(n)],
            "uses": np.where(rng.random(n) < 0.2, np.nan, uses),
            "tickets": tickets,
            "noise": rng.normal(size=n),
            "seats": rng.poisson(5, n).astype(float),
            "either": uses,
            "colour": "red",
            "unknown": np.nan,
        }
    )
    return frame, (rng.random(n) < expit(log_odds)).astype(float)


@pytest.fixture(scope="module")
def points():
    frame, happened = company()
    return frame, happened, behaviour_points(frame, SIGNALS, happened)


def test_the_best_of_every_signal_sum_to_a_hundred(points):
    found = points[-1]
    assert sum(one.most for one in found) == 100
    assert [one.signal.name for one in found][:2] in (["tickets", "uses"], ["uses", "tickets"])
    assert {one.signal.group for one in found}.isdisjoint({"profile", "payments", "referrals"})
    assert sum(one.most for one in found[:2]) >= 90
    for one in found:
        assert max(behaviour.points for behaviour in one.behaviours) == one.most
        assert min(behaviour.points for behaviour in one.behaviours) == 0


def test_points_rise_the_healthy_way(points):
    by_name = {one.signal.name: one.behaviours for one in points[-1]}
    for name, rises in (("uses", True), ("tickets", False)):
        worth = [one.points for one in by_name[name] if not (one.at_least is one.below is None)]
        assert worth == sorted(worth, reverse=not rises)
        assert 2 <= len(worth) <= MOST_BINS


def test_ranges_cover_every_row_once_and_tell_what_became_of_it(points):
    frame, happened, found = points
    for one in found:
        values, counted = frame[one.signal.name], 0
        for behaviour in one.behaviours:
            if behaviour.at_least is behaviour.below is None:
                rows = values.isna()
            else:
                low = -np.inf if behaviour.at_least is None else behaviour.at_least
                high = np.inf if behaviour.below is None else behaviour.below
                rows = (values >= low) & (values < high)
                assert rows.sum() >= LEAST_ROWS
            assert behaviour.rows == rows.sum()
            assert behaviour.positives == happened[rows].sum()
            assert behaviour.observed_rate == pytest.approx(happened[rows].mean())
            assert behaviour.low <= behaviour.observed_rate <= behaviour.high
            counted += behaviour.rows
        assert counted == len(frame)


def test_a_good_outcome_turns_the_points_around():
    frame, happened = company(seed=1)
    found = behaviour_points(frame, SIGNALS, 1 - happened, good=True)
    uses = next(one for one in found if one.signal.name == "uses").behaviours
    known = [one for one in uses if not (one.at_least is one.below is None)]
    assert [one.points for one in known] == sorted(one.points for one in known)


@pytest.mark.parametrize("rows", [0, 30, 8_000])
def test_where_nothing_tells_there_are_no_points(rows):
    frame, _ = company()
    frame = frame.iloc[:rows]
    assert behaviour_points(frame, SIGNALS, np.zeros(rows)) == []


def test_no_more_signals_than_a_team_can_keep_in_mind():
    rng = np.random.default_rng(0)
    n = 6_000
    X = rng.normal(size=(n, 14))
    happened = (rng.random(n) < expit(-2 - 0.5 * X.sum(axis=1))).astype(float)
    names = [f"s{i}" for i in range(14)]
    frame = pd.DataFrame(X, columns=names).assign(account_id=np.arange(n).astype(str))
    found = behaviour_points(frame, [signal(name, "higher") for name in names], happened)
    assert len(found) == MOST_SIGNALS
    assert sum(one.most for one in found) == 100


def test_it_can_be_written_as_json(points):
    told = json.loads(json.dumps([one.to_dict() for one in points[-1]], allow_nan=False))
    assert {"signal", "label", "group", "most", "behaviours"} == set(told[0])
