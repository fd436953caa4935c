"""Expected performance against simulated outcomes, matured outcomes against the truth."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import t as student
from sklearn.metrics import log_loss, roc_auc_score

from models.drift.performance import (
    Expected,
    expected_change,
    expected_performance,
    matured_performance,
)


def test_expected_figures_are_the_mean_of_drawn_ones() -> None:
    rng = np.random.default_rng(0)
    risk = expit(rng.normal(-1, 1.2, 300))
    drawn = rng.random((150, 300)) < risk
    expected = expected_performance(risk)
    loss = np.mean([log_loss(y, risk) for y in drawn])
    auc = np.mean([roc_auc_score(y, risk) for y in drawn])
    assert expected.log_loss == pytest.approx(loss, rel=0.02)
    assert expected.auc == pytest.approx(auc, abs=0.01)
    assert expected.rate == pytest.approx(drawn.mean(), abs=0.01)


def test_expected_auc_counts_every_pair_once() -> None:
    risk = np.array([0.1, 0.5, 0.5, 0.9])
    won = pairs = 0.0
    for i in range(4):
        for j in range(4):
            if i != j:
                chance = risk[i] * (1 - risk[j])
                pairs += chance
                won += chance * (float(risk[i] > risk[j]) + 0.5 * float(risk[i] == risk[j]))
    assert expected_performance(risk).auc == pytest.approx(won / pairs)


@pytest.mark.parametrize(("risk", "auc"), [([0.3], None), ([0.0, 0.0], None), ([0.0, 1.0], 1.0)])
def test_corners_of_expectation(risk: list[float], auc: float | None) -> None:
    found = expected_performance(risk)
    assert found.auc == auc
    assert Expected.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


def test_errors_are_those_of_resampling() -> None:
    rng = np.random.default_rng(1)
    figures = [expected_performance(expit(rng.normal(-2, 1, 400))) for _ in range(60)]
    for name in ("log_loss", "auc"):
        spread = np.std([getattr(one, name) for one in figures])
        error = np.mean([getattr(one, f"{name}_error") for one in figures])
        assert error == pytest.approx(spread, rel=0.35)


def test_a_flatter_risk_promises_less_and_the_same_one_does_not() -> None:
    rng = np.random.default_rng(2)
    before = tuple(expected_performance(expit(rng.normal(-2, 1.2, 800))) for _ in range(10))
    same = expected_change(before, expected_performance(expit(rng.normal(-2, 1.2, 800))))
    flat = expected_change(before, expected_performance(expit(rng.normal(-2, 0.4, 800))))
    assert same.auc_p > 0.01
    assert same.log_loss_p > 0.01
    assert flat.auc_p < 1e-4
    assert flat.now.auc is not None
    assert flat.auc_low is not None
    assert flat.now.auc < flat.auc_low


def test_one_earlier_date_gives_no_interval() -> None:
    now = expected_performance([0.1, 0.4])
    found = expected_change((now,), now)
    assert (found.auc_low, found.log_loss_low, found.auc_p) == (None, None, 1.0)


def outcomes(slope: float, offset: float, seed: int = 0, rows: int = 4_000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    margin = rng.normal(-2, 1, rows)
    return pd.DataFrame(
        {
            "account_id": np.arange(rows) // 4,
            "observation_date": pd.Timestamp(2025, 1, 1),
            "segment": np.where(np.arange(rows) % 8 < 4, "large", "small"),
            "probability": expit(margin),
            "happened": (rng.random(rows) < expit(slope * margin + offset)).astype(float),
        }
    )


def test_right_probabilities_are_rarely_blamed() -> None:
    blamed = []
    for seed in range(40):
        found = matured_performance(outcomes(1, 0, seed, 800))
        blamed.append(min(min(o.offset_p, o.slope_p, o.loss_p) for o in found) < 0.05)
    assert np.mean(blamed) <= 0.12


def test_a_higher_rate_and_a_changed_relation_are_told_apart() -> None:
    higher = matured_performance(outcomes(1, 0.6))[0]
    assert higher.segment == "all"
    assert higher.offset_p < 1e-6
    assert higher.observed_rate > higher.expected_rate
    assert higher.low < higher.observed_rate < higher.high
    turned = matured_performance(outcomes(-0.2, -2.2))[0]
    assert turned.slope_p < 1e-9
    assert turned.recalibration.slope.value == pytest.approx(-0.2, abs=0.15)
    assert turned.excess_loss > 3 * turned.excess_loss_error


def test_a_change_in_one_segment_is_found_there() -> None:
    rows = outcomes(1, 0)
    wrong = outcomes(1, 1.0, seed=1)
    small = rows["segment"] == "small"
    rows.loc[small, "happened"] = wrong.loc[small, "happened"]
    rows.loc[small, "probability"] = wrong.loc[small, "probability"]
    found = {one.segment: one for one in matured_performance(rows)}
    assert list(found) == ["all", "large", "small"]
    assert found["small"].offset_p < 1e-6 < found["large"].offset_p


def test_p_values_are_those_of_score_tests() -> None:
    rows = outcomes(0.7, 0.3, seed=5, rows=1_200)
    rows["account_id"] = np.arange(len(rows))
    rows["segment"] = "all"
    found = matured_performance(rows)[0]
    risk, off = rows["probability"], rows["happened"] - rows["probability"]
    odds = np.log(risk / (1 - risk))
    spread = risk * (1 - risk)
    raw = {}
    for name, by in (
        ("offset_p", odds * 0 + 1),
        ("slope_p", odds - np.average(odds, weights=spread)),
        ("loss_p", odds),
    ):
        variance = max(((off * by) ** 2).sum(), (spread * by**2).sum())
        deviate = abs((off * by).sum()) / variance**0.5
        raw[name] = 2 * student.sf(deviate, rows["happened"].sum() - 1)
    order = sorted(raw, key=lambda name: raw[name])
    adjusted = np.maximum.accumulate([raw[name] * (3 - k) for k, name in enumerate(order)])
    for name, value in zip(order, adjusted, strict=True):
        assert getattr(found, name) == pytest.approx(min(value, 1.0))


def test_few_outcomes_of_right_probabilities_are_not_blamed() -> None:
    surest = []
    for seed in range(150):
        rows = outcomes(1, 0, seed, 1_600)
        rng = np.random.default_rng((seed, 1))
        risk = expit(rng.normal(-3.5, 1, len(rows)))
        drawn = (rng.random(len(rows)) < risk).astype(float)
        found = matured_performance(rows.assign(probability=risk, happened=drawn))
        surest.append(min(min(o.offset_p, o.slope_p, o.loss_p) for o in found))
    assert (np.array(surest) < 0.01).sum() <= 3


def test_few_or_no_outcomes_have_no_verdict() -> None:
    rows = outcomes(1, 0).iloc[:30]
    assert matured_performance(rows.iloc[:0]) == ()
    for value in (0.0, 1.0):
        found = matured_performance(rows.assign(happened=value))[0]
        assert (found.offset_p, found.slope_p, found.loss_p) == (1.0, 1.0, 1.0)
        json.dumps(found.to_dict(), allow_nan=False)
