from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from features.catalog import Signal
from models.scoring.health_model import HealthModel
from models.training.fit import fit_health_model
from models.training.learning import Learning, classifier_of
from models.weights.certainty import GroupCertainty, WeightCertainty
from models.weights.intervals import best_weights

# Of usage and tickets in the log-odds of the simulated company.
SLOPES = {"starter": (1.6, 0.3), "growth": (0.9, 0.9), "enterprise": (0.3, 1.6)}
NOT_ENOUGH = "not enough evidence"
NOISE = Signal("noise", "adoption", "count", "none", "Noise", None, "{value}")


def best_of(frame, signals, age_days=None, dates=None, good=False, seed=0, **settings):
    """Fit one classifier and ask what its signals weigh."""
    X = frame[[signal.name for signal in signals]].assign(segment=frame["plan"])
    happened = frame["happened"].to_numpy(dtype=float)
    classifier = classifier_of(signals, seed=0, n_jobs=1)
    classifier.set_params(**({"n_rounds": 0} | settings)).fit(X, happened.astype(int))
    return best_weights(
        classifier,
        X,
        happened,
        frame["account_id"].to_numpy(dtype=object),
        X["segment"].to_numpy(dtype=object),
        signals,
        age_days=age_days,
        dates=dates,
        good=good,
        seed=seed,
        draws=20,
    )


def certainty_of(*args, **settings):
    """Ask how sure the weights are; also return the weights."""
    best = best_of(*args, **settings)
    return best.certainty, best.groups


@pytest.fixture(scope="module")
def noisy(make_company):
    frame = make_company(seed=1)
    return frame.assign(noise=np.random.default_rng(8).normal(size=len(frame)))


@pytest.fixture(scope="module")
def declared(signals):
    return (*signals, NOISE)


@pytest.fixture(scope="module")
def found(noisy, declared):
    return certainty_of(noisy, declared)[0]


def test_intervals_hold_the_weights(result, signals):
    model = result.model
    for points, certain in (
        (model.weights, model.certainty.groups),
        (model.signal_weights, model.certainty.signals),
    ):
        assert certain.keys() == points.keys()
        for place, parts in certain.items():
            assert parts.keys() == points[place].keys()
            for name, interval in parts.items():
                assert 0 <= interval.low <= points[place][name] <= interval.high <= 100 + 1e-9
    assert "profile" not in model.certainty.groups["all"]
    low, high = model.weight_intervals["plan=starter"]["usage"]
    assert low < high
    assert model.certainty.groups["plan=starter"]["usage"].low == low
    assert set(model.certainty.signals["all"]) == {signal.name for signal in signals}


def test_evidence_is_found_where_there_is_some(found):
    assert found.groups["starter"]["usage"].enough_evidence
    assert found.groups["enterprise"]["support"].enough_evidence
    assert found.groups["all"]["usage"].enough_evidence
    assert found.groups["all"]["support"].enough_evidence
    for place in ("starter", "growth", "enterprise", "all"):
        assert not found.groups[place]["adoption"].enough_evidence
        for silent in ("surveys", "referrals"):
            assert found.groups[place][silent] == GroupCertainty(0.0, 0.0, False)


def test_what_only_tells_the_date_is_credited_with_nothing(make_company, declared):
    frame = make_company(seed=1)
    place = frame["observation_date"].rank(method="dense").to_numpy() - 1
    # Nothing is on record of the first dates, and a window fills up meanwhile.
    filling = np.minimum(place, 4) + np.random.default_rng(9).normal(size=len(frame))
    young = frame.assign(noise=filling, happened=frame["happened"].where(place > 3, 0))
    told = best_of(young, declared, dates=young["observation_date"])
    untold = best_of(young, declared)
    for segment in ("starter", "growth", "enterprise"):
        assert told.groups[segment]["adoption"] < untold.groups[segment]["adoption"] / 2
    assert untold.certainty.groups["all"]["adoption"].enough_evidence
    assert not told.certainty.groups["all"]["adoption"].enough_evidence


def test_directions_are_learnt(found):
    assert found.signals["starter"]["usage_28d"].learnt == "higher"
    assert found.signals["all"]["usage_28d"].learnt == "higher"
    assert found.signals["enterprise"]["tickets_90d"].learnt == "lower"
    assert found.signals["all"]["tickets_90d"].learnt == "lower"


@pytest.mark.parametrize("name", ["billing_period", "never_known", "always_one"])
def test_what_has_no_direction(found, name):
    assert {parts[name].learnt for parts in found.signals.values()} == {NOT_ENOUGH}


def test_noise_has_no_direction(found):
    assert found.signals["all"]["noise"].learnt == NOT_ENOUGH


def test_a_good_outcome_turns_directions_round(noisy, declared, found):
    good = certainty_of(noisy, declared, good=True)[0]
    flipped = {"higher": "lower", "lower": "higher", NOT_ENOUGH: NOT_ENOUGH}
    for place, parts in found.signals.items():
        for name, one in parts.items():
            assert good.signals[place][name].learnt == flipped[one.learnt]
    assert good.groups == found.groups


def test_a_direction_declared_wrongly_is_noticed_and_in_nobodys_way(noisy, signals):
    wrong = tuple(
        replace(signal, healthy="higher") if signal.name == "tickets_90d" else signal
        for signal in signals
    )
    found, weights = certainty_of(noisy, wrong)
    assert weights["all"]["support"] > 20
    assert found.signals["all"]["tickets_90d"].learnt == "lower"
    assert found.groups["all"]["support"].enough_evidence


def test_the_seed_fixes_everything(noisy, declared, found):
    assert certainty_of(noisy, declared)[0] == found
    assert certainty_of(noisy, declared, seed=1)[0] != found


def test_only_trees(noisy, signals):
    found, weights = certainty_of(noisy, signals, backbone=False, n_rounds=10)
    for place, parts in found.groups.items():
        for name, interval in parts.items():
            assert 0 <= interval.low <= weights[place][name] <= interval.high <= 100 + 1e-9
    assert found.groups["all"]["usage"].enough_evidence
    assert found.signals["all"]["usage_28d"].learnt == "higher"


def test_true_shares_are_within_the_intervals(make_company, signals):
    """Slopes of the simulation are known, and so is what share each group has in the log-odds."""
    held, wide = [], []
    for seed in (0, 2, 3, 4, 5):
        frame = make_company(seed=seed)
        found, _ = certainty_of(frame, signals)
        for plan, (usage, tickets) in SLOPES.items():
            # The mean distance of a normal variable from its mean is sqrt(2 / pi); a third pays
            # monthly, which adds 0.7.
            sizes = np.array([usage, tickets, 0.7 * 2 * (1 / 3) * (2 / 3) / np.sqrt(2 / np.pi)])
            true = 100 * sizes / sizes.sum()
            for name, share in zip(("usage", "support"), true[:2], strict=True):
                interval = found.groups[plan][name]
                held.append(interval.low <= share <= interval.high)
                wide.append(interval.high - interval.low)
    assert np.mean(held) >= 0.7
    # An interval over everything would cover as well.
    assert np.mean(wide) < 40


def test_save_and_load_keep_certainty(result, tmp_path):
    result.model.save(tmp_path)
    again = HealthModel.load(tmp_path)
    assert again.certainty == result.model.certainty
    assert again.weight_intervals == result.model.weight_intervals


def test_json_round_trip(found):
    described = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert WeightCertainty.from_dict(described) == found
    nothing = WeightCertainty({}, {})
    assert WeightCertainty.from_dict(nothing.to_dict()) == nothing


def test_without_evidence_only_evidence_is_taken_away(found):
    bare = found.without_evidence()
    assert bare.signals == found.signals
    for place, parts in found.groups.items():
        for name, one in parts.items():
            assert bare.groups[place][name] == GroupCertainty(one.low, one.high, False)


def test_shuffled_outcomes_give_no_group_evidence(frame, signals):
    shuffled = np.random.default_rng(6).permutation(frame["happened"])
    found = fit_health_model(frame.assign(happened=shuffled), signals, Learning(maturity_days=44))
    assert not found.metrics.enough_evidence
    groups = found.model.certainty.groups
    assert set(groups) == {"starter", "growth", "enterprise", "all"}
    assert not any(one.enough_evidence for parts in groups.values() for one in parts.values())


def test_a_signal_that_only_follows_age_has_no_weight_among_accounts_of_like_age(make_company):
    frame = make_company(seed=5)
    young = frame["tenure_days"] < 61
    rng = np.random.default_rng(5)
    usage = np.where(young, 1.0, 40.0) + rng.random(len(frame))
    tickets = rng.poisson(2, len(frame)).astype(float)
    risk = expit(-2.0 + 1.5 * young + 0.5 * (tickets - 2))
    frame = frame.assign(
        usage_28d=usage,
        tickets_90d=tickets,
        happened=(rng.random(len(frame)) < risk).astype("int8"),
    )
    signals = (
        Signal("usage_28d", "usage", "count", "higher", "Usage", 28, "{value}"),
        Signal("tickets_90d", "support", "count", "lower", "Tickets", 90, "{value}"),
    )
    alike = best_of(frame, signals, age_days=frame["tenure_days"].to_numpy(dtype=float))
    apart = best_of(frame, signals)
    assert alike.groups["all"]["usage"] < 10 < apart.groups["all"]["usage"]
    for best in (alike, apart):
        for place, parts in best.certainty.groups.items():
            for name, interval in parts.items():
                assert interval.low <= best.groups[place][name] <= interval.high
                assert interval.enough_evidence or interval.low == 0
