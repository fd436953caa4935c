"""Risk curves: held against a walk through months, month by month, in plain Python."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from models.scoring.timing.curve import AT, EDGES, HORIZONS, RiskCurve
from models.scoring.timing.curve_learning import Seen, ageing_of, lags_of, learn_curve
from models.scoring.timing.decisions import KINDS, Decisions

CURVE = RiskCurve(
    decisions=Decisions(0, 31),
    is_dated=True,
    lags=tuple(float(day) for day in range(0, 33, 3)),
    levels=(-3.0, -2.8, -2.6, -2.5, -2.4),
    centre=-2.9,
    slope=0.9,
    fade=1.2,
    dated=0.4,
    between=0.03,
    wobble=0.3,
)
AGEING = (0.0, 0.1, 0.9, 0.3, 0.0)
HOSTILE = pd.DataFrame(
    {
        "days_to_renewal": [10.0, 31, 59.5, 200, -5, -4000, None, 400, 20, 0, 90, 3650],
        "term_days": [365.0, 365, 365, 730, 365, 90, None, None, 30, 0, 40, 3650],
    }
)


def walk(curve: RiskCurve, ahead: float, term: float, log_odds: float, usual: float) -> list[float]:
    """Walk through the steps of an account on terms of a known length, renewing in the future."""
    there, found = 1.0, []
    for step, (start, end) in enumerate(pairwise(EDGES)):
        part = 0.0
        for decision in (ahead - term, ahead, ahead + term, ahead + 2 * term):
            for day in np.arange(0.0005, 30, 0.001):
                part += (start <= decision + day < end) * 0.001 / 30
        share = part + (1 - part) * curve.between * (end - start) / 30
        horizon = next(place for place, last in enumerate(AT) if step <= last)
        time = (start + end) / 2 / 365
        own = math.exp(-curve.fade * time) * (log_odds - usual)
        logit = curve.levels[horizon] + curve.slope * (usual - curve.centre + own) + curve.dated
        there *= 1 - share / (1 + math.exp(-logit))
        if step in AT:
            found.append(1 - there)
    return found


@pytest.mark.parametrize(("ahead", "term"), [(10.0, 365.0), (170.0, 365.0), (300.0, 730.0)])
def test_a_curve_is_what_a_walk_through_its_steps_gives(ahead: float, term: float) -> None:
    rows = pd.DataFrame({"days_to_renewal": [ahead], "term_days": [term]})
    told = CURVE.within(rows, np.array([-1.5]), np.array([-2.5]))[0]
    assert told == pytest.approx(walk(CURVE, ahead, term, -1.5, -2.5), abs=2e-4)


def test_no_curve_crosses_and_riskier_accounts_lie_above_at_every_horizon() -> None:
    usual = np.full(len(HOSTILE), -2.5)
    low, high = (CURVE.within(HOSTILE, usual + by, usual) for by in (-1.0, 2.0))
    for told in (low, high):
        assert np.isfinite(told).all()
        assert (told >= 0).all()
        assert (told <= 1).all()
        assert (np.diff(told, axis=1) >= 0).all()
    assert (high >= low).all()
    curves = CURVE.told(CURVE.shares(HOSTILE), usual, usual)
    assert (curves.low <= curves.within).all()
    assert (curves.within <= curves.high).all()
    assert (np.diff(curves.low, axis=1) >= 0).all()


def test_points_sum_at_every_horizon_and_keep_their_signs() -> None:
    rng = np.random.default_rng(3)
    contributions = rng.normal(0, 0.5, (len(HOSTILE), 6))
    contributions[0] = 0.0
    usual, slope = rng.normal(-2.5, 0.5, len(HOSTILE)), rng.uniform(0.8, 1.2, len(HOSTILE))
    curve = replace(CURVE, ageing=AGEING)
    shares, middle = curve.shares(HOSTILE), curve.at_decisions(HOSTILE, usual)
    points = curve.points(shares, contributions, usual, middle, slope)
    told = curve.told(shares, usual + slope * contributions.sum(axis=1), middle).within
    start = curve.told(shares, usual, middle).within
    assert start + points.sum(axis=2) == pytest.approx(told, abs=1e-9)
    assert (points * contributions[:, None, :] >= 0).all()


def test_an_account_that_may_leave_at_will_is_at_risk_in_every_month() -> None:
    rows = pd.DataFrame({"days_to_renewal": [None, 20.0], "term_days": [None, 30.0]})
    told = CURVE.within(rows, np.full(2, -2.5), np.full(2, -2.5))
    assert told[0] == pytest.approx(told[1])
    assert (np.diff(told[0]) > 0.01).all()


def test_what_is_usual_far_ahead_is_what_is_usual_at_decisions() -> None:
    rows = pd.DataFrame({"days_to_renewal": [150.0, 150.0], "term_days": [200.0, 365.0]})
    usual = np.full(2, -2.5)
    curve = replace(CURVE, fade=50.0, ageing=AGEING)
    half_year, year = AGEING[KINDS.index("half_year")], AGEING[KINDS.index("year")]
    for row, ageing in ((0, half_year), (1, year)):
        plain = replace(curve, ageing=()).within(rows, usual, usual + ageing)
        assert curve.within(rows, usual, usual)[row] == pytest.approx(plain[row], abs=1e-12)
    # Of a decision that is near, the account's own risk is told.
    now = rows.assign(days_to_renewal=5.0)
    slow = replace(curve, fade=1e-9)
    assert slow.within(now, usual, usual) == pytest.approx(
        replace(slow, ageing=()).within(now, usual, usual), abs=1e-6
    )


def test_ageing_is_how_much_riskier_accounts_are_when_they_decide() -> None:
    kinds = np.array([0, 0, *[2] * 60, *[3] * 40])
    due = np.array([True, True, *[True] * 20, *[False] * 80])
    above = np.array([5.0, -5.0, *[0.9] * 20, *[-0.45] * 40, *[0.0] * 40])
    # Twenty decisions say 0.9, twenty that were not seen say nothing.
    assert ageing_of(kinds, due, above) == pytest.approx((0.0, 0.0, 0.45, 0.0, 0.0))


def test_a_curve_learns_that_accounts_are_riskier_when_they_decide() -> None:
    frame, truth = drawn(8000)
    seen = truth - np.where(frame["days_to_renewal"] < 31, 0.0, 1.0)
    curve = learn_curve(
        Decisions(0, 31), frame, lambda taught: seen, np.repeat("all", len(frame)), is_dated=True
    )
    assert curve is not None
    share = (frame["days_to_renewal"] < 31).mean()
    assert curve.ageing[KINDS.index("year")] == pytest.approx(1 - share, abs=0.1)


def test_it_is_rebuilt_from_its_description_and_says_what_cannot_be() -> None:
    assert RiskCurve.from_dict(CURVE.to_dict()) == CURVE
    aged = replace(CURVE, ageing=AGEING)
    assert RiskCurve.from_dict(aged.to_dict()) == aged
    assert list(aged.faults()) == []
    (fault,) = replace(CURVE, ageing=(0.1,)).faults()
    assert fault == "the curve must have 5 ageings, and has 1"
    assert list(CURVE.faults()) == []
    wrong = replace(CURVE, lags=(1.0, 0.0), slope=-1.0)
    assert [fault.split(",")[0] for fault in wrong.faults()] == [
        "the curve must have 5 levels and 11 lags",
        "the lags of the curve must rise",
        "the curve must rise with the risk",
    ]


def drawn(rows: int, seed: int = 5) -> tuple[pd.DataFrame, np.ndarray]:
    """Accounts observed month by month on annual terms, lost at them with a known risk."""
    rng = np.random.default_rng(seed)
    ahead = rng.uniform(0, 365, rows)
    truth = rng.normal(-1.5, 1.0, rows)
    lost = rng.random(rows) < 1 / (1 + np.exp(-truth))
    day = np.where(lost, ahead + rng.uniform(0, 20, rows), np.nan)
    dates = pd.Timestamp("2024-01-01") + pd.to_timedelta(30 * rng.integers(0, 14, rows), unit="D")
    frame = pd.DataFrame(
        {
            "account_id": [f"A-{number}" for number in range(rows)],
            "observation_date": dates,
            "days_to_renewal": ahead,
            "term_days": 365.0,
            "days_to_loss": day,
        }
    )
    return frame, truth


def test_a_curve_learns_when_and_how_much_of_the_risk_comes() -> None:
    frame, truth = drawn(8000)
    curve = learn_curve(
        Decisions(0, 31), frame, lambda taught: truth, np.repeat("all", len(frame)), is_dated=True
    )
    assert curve is not None
    assert curve.wobble == pytest.approx(0.0, abs=1e-9)
    assert curve.slope == pytest.approx(1.0, abs=0.15)
    assert curve.fade < 0.4
    assert curve.between < 0.02
    fresh, risk = drawn(8000, seed=6)
    told = curve.within(fresh, risk, np.full(len(fresh), truth.mean()))
    loss = fresh["days_to_loss"].to_numpy()
    for place, days in enumerate(HORIZONS):
        assert told[:, place].mean() == pytest.approx((loss < days).mean(), abs=0.01)


def test_too_few_losses_or_no_dates_of_them_teach_no_curve() -> None:
    frame, truth = drawn(200)
    few = frame.assign(days_to_loss=np.where(np.arange(200) < 3, frame["days_to_loss"], np.nan))
    for rows in (few, frame.drop(columns="days_to_loss")):
        segment = np.repeat("all", len(rows))
        assert learn_curve(Decisions(0, 31), rows, lambda _: truth, segment, is_dated=True) is None


def test_what_is_not_known_yet_is_no_evidence() -> None:
    frame = pd.DataFrame(
        {
            "observation_date": pd.to_datetime(["2025-01-01", "2025-01-01", "2025-03-02"]),
            "days_to_loss": [45.0, 400.0, None],
        }
    )
    seen = Seen.of(frame, Decisions(14, 44))
    # 60 days to the newest date and 44 more are known of the first two, 44 of the last.
    assert seen.open.sum(axis=1).tolist() == [2, 3, 1]
    assert seen.lost.sum(axis=1).tolist() == [1, 0, 0]
    assert seen.lost[0, 1] == 1


def test_lags_are_from_the_nearest_decision_known_and_count_a_loss_once() -> None:
    rows = pd.DataFrame(
        {
            "account_id": [f"A-{number // 2}" for number in range(80)],
            "observation_date": [
                pd.Timestamp("2025-01-01") + pd.Timedelta(days=30 * (number % 2))
                for number in range(80)
            ],
            "days_to_renewal": [40.0, 10.0] * 40,
            "term_days": 365.0,
            "days_to_loss": [45.0, 15.0] * 40,
        }
    )
    loss = rows["days_to_loss"].to_numpy()
    assert lags_of(rows, loss) == (5.0,) * 11
    assert lags_of(rows.head(20), loss[:20]) == (0.0,) * 11
