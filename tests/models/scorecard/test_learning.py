from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from models.scorecard.learning import learn_scorecard

TRUE = {"a": np.array([60.0, 30.0, 10.0, 0.0]), "b": np.array([20.0, 20.0, 60.0, 0.0])}
TODAY = {"all": np.full(4, 25.0)}
STEEP = 4.0


def company(rows=6_000, seed=0, weights=TRUE, repeat=1, base=-4.0):
    """Grades and outcomes of accounts; each account's grades come ``repeat`` times."""
    rng = np.random.default_rng(seed)
    accounts = rows // repeat
    segment = rng.choice(list(weights), accounts).astype(object)
    grades = rng.uniform(0, 100, (accounts, 4))
    theta = STEEP * np.array([weights[name] / 100 for name in segment])
    risk = expit(base + ((1 - grades / 100) * theta).sum(axis=1) * 1.5)
    happened = (rng.random(accounts) < risk).astype(float)
    place = np.repeat(np.arange(accounts), repeat)
    return grades[place], happened[place], place, segment[place]


def learnt(rows=6_000, draws=1_000, **how):
    grades, happened, accounts, segment = company(rows, **how)
    return learn_scorecard(grades, happened, accounts, segment, TODAY, draws=draws)


def test_weights_are_shares_inside_their_intervals():
    for found in learnt().values():
        assert found.weights.sum() == pytest.approx(100)
        assert (found.weights >= 0).all()
        assert (found.low <= found.weights).all()
        assert (found.weights <= found.high).all()
        assert found.draws.sum(axis=1) == pytest.approx(100)
        assert (found.draws >= 0).all()


def test_many_rows_find_the_true_weights_whatever_is_weighed_today():
    found = learnt(60_000)
    for name, weights in TRUE.items():
        assert found[name].weights == pytest.approx(weights, abs=4)
        assert found[name].p_value < 1e-6


def test_a_large_segment_alone_is_the_bounded_maximum_of_the_likelihood():
    grades, happened, accounts, _ = company(30_000, seed=1, weights={"a": TRUE["a"]})
    everybody = np.full(len(grades), "a", dtype=object)
    found = learn_scorecard(grades, happened, accounts, everybody, TODAY)
    apart = 1 - grades / 100

    def loss(theta):
        margin = theta[-1] + apart @ theta[:-1]
        return np.logaddexp(0, margin).sum() - happened @ margin

    best = minimize(loss, np.r_[np.ones(4), -2], bounds=[(0, None)] * 4 + [(None, None)]).x[:-1]
    assert found["a"].weights == pytest.approx(100 * best / best.sum(), abs=1.0)
    assert found["all"].weights == pytest.approx(found["a"].weights, abs=0.5)


def test_intervals_hold_the_truth_nine_times_in_ten():
    inside, width = [], []
    for seed in range(25):
        found = learnt(4_000, seed=seed, draws=300)
        for name, weights in TRUE.items():
            inside.append((found[name].low <= weights) & (weights <= found[name].high))
            width.append(found[name].high - found[name].low)
    assert 0.85 <= np.mean(inside) <= 0.97
    assert 4 < np.mean(width) < 30


def test_rows_that_repeat_an_account_count_once():
    once, thrice = learnt(2_000, seed=3), learnt(6_000, seed=3, repeat=3)
    for name in TRUE:
        wide = once[name].high - once[name].low
        again = thrice[name].high - thrice[name].low
        assert again == pytest.approx(wide, abs=5)


def test_without_evidence_the_weights_of_today_stay():
    rng = np.random.default_rng(0)
    grades = rng.uniform(0, 100, (2_000, 4))
    happened = (rng.random(2_000) < 0.05).astype(float)
    today = {"all": np.array([70.0, 10.0, 10.0, 10.0])}
    everybody = np.full(2_000, "a", dtype=object)
    found = learn_scorecard(grades, happened, np.arange(2_000), everybody, today)["all"]
    assert found.p_value > 0.05
    assert (found.low <= today["all"]).all()
    assert (today["all"] <= found.high).all()


def test_chance_doubts_the_weights_of_today_as_seldom_as_it_says():
    rng = np.random.default_rng(1)
    today = {"all": np.array([40.0, 30.0, 20.0, 10.0])}
    everybody = np.full(800, "a", dtype=object)
    doubted = 0
    for _ in range(60):
        grades = rng.uniform(0, 100, (800, 4))
        risk = expit(-3 + 3 * (1 - grades / 100) @ today["all"] / 100)
        happened = (rng.random(800) < risk).astype(float)
        found = learn_scorecard(grades, happened, np.arange(800), everybody, today, draws=1)
        doubted += found["all"].p_value < 0.05
    # More than seven of sixty at a chance of one in twenty: one time in fifty.
    assert doubted <= 7


def test_a_segment_of_few_rows_takes_what_all_share():
    grades, happened, accounts, segment = company(20_000, seed=2, weights={"a": TRUE["a"]})
    few = np.arange(60)
    segment[few] = "tiny"
    found = learn_scorecard(grades, happened, accounts, segment, TODAY)
    assert found["tiny"].weights == pytest.approx(found["all"].weights, abs=6)
    wide = (found["tiny"].high - found["tiny"].low).mean()
    assert wide > (found["a"].high - found["a"].low).mean()


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_a_segment_of_one_class_takes_what_all_share(outcome):
    grades, happened, accounts, segment = company(8_000, seed=4)
    lone = segment == "b"
    happened[lone] = outcome
    found = learn_scorecard(grades, happened, accounts, segment, TODAY)
    assert found["b"].p_value == 1.0
    assert found["b"].weights == pytest.approx(found["all"].weights, abs=1)


def test_separated_rows_have_an_answer():
    noise = np.random.default_rng(0).uniform(0, 100, 200)
    grades = np.column_stack([np.linspace(0, 100, 200), noise])
    happened = (grades[:, 0] < 30).astype(float)
    everybody = np.full(200, "a", dtype=object)
    today = {"all": np.array([50.0, 50.0])}
    found = learn_scorecard(grades, happened, np.arange(200), everybody, today)["a"]
    assert found.weights[0] > 80
    assert np.isfinite(found.draws).all()


def test_a_constant_measure_says_nothing_and_keeps_its_place():
    grades, happened, accounts, segment = company(8_000, seed=5)
    grades[:, 3] = 50.0
    found = learn_scorecard(grades, happened, accounts, segment, TODAY)["all"]
    assert found.high[3] - found.low[3] > found.high[0] - found.low[0]


def test_a_measure_that_is_healthy_the_other_way_gets_nothing():
    grades, happened, accounts, segment = company(20_000, seed=6, weights={"a": TRUE["a"]})
    grades[:, 0] = 100 - grades[:, 0]
    found = learn_scorecard(grades, happened, accounts, segment, TODAY)["a"]
    assert found.weights[0] == 0
    assert found.high[0] < 1


def test_a_good_outcome_is_likelier_with_better_grades():
    grades, happened, accounts, segment = company(20_000, seed=7)
    bad = learn_scorecard(grades, happened, accounts, segment, TODAY)
    good = learn_scorecard(100 - grades, happened, accounts, segment, TODAY, good=True)
    for name, found in bad.items():
        assert good[name].weights == pytest.approx(found.weights, abs=1e-6)


def test_equal_seeds_give_equal_intervals():
    again = [learnt(3_000, seed=8)["a"] for _ in range(2)]
    assert (again[0].draws == again[1].draws).all()


def test_rows_of_no_segment_join_what_all_share():
    grades, happened, accounts, segment = company(6_000, seed=9)
    segment[:500] = "all"
    found = learn_scorecard(grades, happened, accounts, segment, TODAY)
    assert set(found) == {"a", "b", "all"}
    assert found["all"].rows == 6_000
