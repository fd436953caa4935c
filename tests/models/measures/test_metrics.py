from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as oracle

from models.measures.metrics import Ranking, calibration_table, evaluate, rate_row
from models.measures.recalibration import recalibrate
from models.measures.resampling import AccountBootstrap


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(1)
    risk = rng.beta(1, 8, 3000).round(2)  # rounded: plenty of ties
    outcome = (rng.random(3000) < risk).astype(int)
    return outcome, risk, rng.integers(0, 400, 3000)


def test_point_values_are_those_of_scikit_learn(sample):
    outcome, risk, accounts = sample
    found = evaluate(outcome, risk, accounts, base_rate=0.11)
    assert found.auc.value == pytest.approx(oracle.roc_auc_score(outcome, risk), abs=1e-12)
    assert found.log_loss.value == pytest.approx(oracle.log_loss(outcome, risk), abs=1e-12)
    assert found.brier.value == pytest.approx(oracle.brier_score_loss(outcome, risk), abs=1e-12)
    base = oracle.log_loss(outcome, np.full(len(outcome), 0.11))
    assert found.log_loss_base == pytest.approx(base, abs=1e-12)
    assert (found.rows, found.accounts, found.positives) == (
        3000,
        len(set(accounts)),
        outcome.sum(),
    )


def test_evidence_needs_behaviour_to_rank_churn_too(sample):
    outcome, risk, accounts = sample
    noise = np.random.default_rng(2).random(len(outcome))
    ranked, guessed = (
        evaluate(outcome, risk, accounts, base_rate=0.11, behaviour=part) for part in (risk, noise)
    )
    assert ranked.auc_behaviour.value == ranked.auc.value
    assert ranked.enough_evidence
    assert guessed.auc_behaviour.value == pytest.approx(
        oracle.roc_auc_score(outcome, noise), abs=1e-12
    )
    assert guessed.auc.low > 0.5 > guessed.auc_behaviour.low
    assert not guessed.enough_evidence


@given(
    hnp.arrays(int, 40, elements=st.integers(0, 1)),
    hnp.arrays(float, 40, elements=st.sampled_from([0.1, 0.2, 0.3, 0.7])),
    hnp.arrays(float, 40, elements=st.integers(0, 3)),
)
def test_weighted_auc_is_that_of_scikit_learn(outcome, risk, weight):
    if not weight[outcome == 1].sum() or not weight[outcome == 0].sum():
        assert np.isnan(Ranking(outcome, risk).auc(weight))
        return
    expected = oracle.roc_auc_score(outcome, risk, sample_weight=weight)
    assert Ranking(outcome, risk).auc(weight) == pytest.approx(expected, abs=1e-12)


def test_interval_is_that_of_a_bootstrap_that_copies_rows(sample):
    outcome, risk, accounts = sample
    rng = np.random.default_rng(5)
    rows_of = [np.flatnonzero(accounts == name) for name in range(400)]
    aucs = []
    for _ in range(300):
        rows = np.concatenate([rows_of[i] for i in rng.integers(400, size=400)])
        aucs.append(oracle.roc_auc_score(outcome[rows], risk[rows]))
    found = evaluate(outcome, risk, accounts, base_rate=0.1, resamples=300)
    assert [found.auc.low, found.auc.high] == pytest.approx(
        np.quantile(aucs, [0.05, 0.95]), abs=0.006
    )


def test_interval_widens_when_an_account_repeats_itself(sample):
    outcome, risk, _ = sample
    apart = evaluate(outcome, risk, np.arange(3000), base_rate=0.1)
    copies = np.tile(np.arange(3000), 4)
    same = evaluate(outcome[copies], risk[copies], copies, base_rate=0.1)
    naive = evaluate(outcome[copies], risk[copies], np.arange(12000), base_rate=0.1)
    assert same.auc.high - same.auc.low == pytest.approx(apart.auc.high - apart.auc.low, rel=0.15)
    assert naive.auc.high - naive.auc.low < 0.6 * (same.auc.high - same.auc.low)


def test_lift_of_a_perfect_ranking_and_of_none():
    outcome = np.r_[np.ones(100), np.zeros(900)]
    assert Ranking(outcome, outcome).lift(np.ones(1000)) == pytest.approx(10)
    assert Ranking(outcome, np.full(1000, 0.3)).lift(np.ones(1000)) == pytest.approx(1)
    assert Ranking(outcome, -outcome).lift(np.ones(1000)) == 0


@given(
    hnp.arrays(int, 30, elements=st.integers(0, 1)),
    hnp.arrays(float, 30, elements=st.sampled_from([0.1, 0.2, 0.3, 0.7])),
    hnp.arrays(int, 30, elements=st.integers(0, 3)),
)
def test_weighted_lift_is_that_of_copied_rows(outcome, risk, weight):
    copies = np.repeat(np.arange(30), weight)
    found = Ranking(outcome, risk).lift(weight.astype(float))
    if not outcome[copies].sum():
        assert np.isnan(found)
        return
    # Ties at the cut count by their share, which is the mean over every order of them.
    reach, caught = 0.1 * len(copies), 0.0
    for level in np.unique(risk)[::-1]:
        same = copies[risk[copies] == level]
        if len(same):
            taken = min(max(reach, 0.0), len(same))
            caught += taken * outcome[same].mean()
            reach -= len(same)
    assert found == pytest.approx(caught / outcome[copies].sum() / 0.1)


def test_weights_of_accounts_are_weights_of_their_rows(sample):
    outcome, risk, accounts = sample
    weight = np.random.default_rng(0).integers(0, 4, 400).astype(float)
    by_account, by_row = Ranking(outcome, risk, accounts), Ranking(outcome, risk)
    assert by_account.auc(weight) == by_row.auc(weight[accounts])
    assert by_account.lift(weight) == by_row.lift(weight[accounts])


def test_every_row_may_have_a_base_rate_of_its_own(sample):
    outcome, risk, accounts = sample
    rates = np.where(np.arange(3000) < 1000, 0.1, 0.2)
    found = evaluate(outcome, risk, accounts, base_rate=rates, resamples=2)
    assert found.log_loss_base == pytest.approx(oracle.log_loss(outcome, rates), abs=1e-12)


def test_calibration_measures_are_those_of_their_modules(sample):
    outcome, risk, accounts = sample
    found = evaluate(outcome, risk, accounts, base_rate=0.1)
    line = recalibrate(outcome, risk, accounts)
    assert found.calibration_in_the_large.value == pytest.approx(line.offset.value)
    assert found.calibration_slope.low == pytest.approx(line.slope.low)
    assert found.brier.low < found.brier.value < found.brier.high
    bootstrap = AccountBootstrap(accounts, seed=0, resamples=300)
    interval = bootstrap.mean_interval((outcome - risk) ** 2)
    assert (found.brier.low, found.brier.high) == pytest.approx(interval)


def test_table_counts_rows_of_an_account_as_alike_as_they_were(sample):
    outcome, risk, _ = sample
    copies = np.tile(np.arange(3000), 4)
    once = calibration_table(outcome, risk, accounts=np.arange(3000))
    again = calibration_table(outcome[copies], risk[copies], accounts=copies)
    naive = calibration_table(outcome[copies], risk[copies])
    assert again["low"].tolist() == pytest.approx(once["low"].tolist())
    assert (naive["low"] > again["low"]).all()


def test_same_seed_same_interval(sample):
    assert evaluate(*sample, base_rate=0.1, seed=4) == evaluate(*sample, base_rate=0.1, seed=4)
    assert evaluate(*sample, base_rate=0.1, seed=4) != evaluate(*sample, base_rate=0.1, seed=5)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ([0, 0, 0], "no row is positive"),
        ([1, 1, 1], "every row is positive"),
        ([], "there are no rows"),
    ],
)
def test_one_class_has_a_reason_instead_of_a_ranking(outcome, reason):
    found = evaluate(outcome, [0.2] * len(outcome), list("abc")[: len(outcome)], base_rate=0.2)
    assert found.auc.value is None
    assert found.reason == reason
    assert not found.enough_evidence
    assert found.to_dict()["enough_evidence"] is False


def test_noise_is_not_enough_evidence(sample):
    outcome, risk, accounts = sample
    shuffled = np.random.default_rng(0).permutation(risk)
    assert evaluate(outcome, risk, accounts, base_rate=0.1).enough_evidence
    assert not evaluate(outcome, shuffled, accounts, base_rate=0.1).enough_evidence


def test_certain_and_wrong_is_finite():
    assert np.isfinite(evaluate([0, 1], [1.0, 0.0], ["a", "b"], base_rate=0.5).log_loss.value)


def test_ece_by_hand():
    risk = np.repeat([0.1, 0.6], 50)
    outcome = np.r_[np.ones(10), np.zeros(40), np.ones(25), np.zeros(25)]
    table = calibration_table(outcome, risk, bins=2)
    assert table["observed_rate"].tolist() == [0.2, 0.5]
    assert table["expected_rate"].tolist() == pytest.approx([0.1, 0.6])
    found = evaluate(risk > 1, risk, np.arange(100), base_rate=0.3)
    assert found.ece.value == pytest.approx(risk.mean())


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_interval_by_hand(positives, stayed):
    n, z = positives + stayed, 1.6448536269514722
    p = positives / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    row = rate_row(np.r_[np.ones(positives), np.zeros(stayed)], np.full(n, 0.1))
    assert [row["low"], row["high"]] == pytest.approx([middle - half, middle + half], abs=1e-9)


def test_no_rows_have_no_rate():
    assert rate_row(np.zeros(0), np.zeros(0))["observed_rate"] is None
    assert calibration_table([], []).empty


def test_rows_are_ranked_against_those_of_the_same_date_alone():
    rng = np.random.default_rng(0)
    dates = np.repeat([0, 1, 2], 400)
    base = np.array([0.05, 0.2, 0.5])[dates]
    happened = (rng.random(1200) < base).astype(float)
    accounts = np.tile(np.arange(400), 3)
    # The base rate of a date ranks nobody in it, however well it ranks the dates.
    said = evaluate(happened, base, accounts, base_rate=0.2, alike=dates)
    assert said.auc.value == 0.5
    assert not said.enough_evidence
    assert evaluate(happened, base, accounts, base_rate=0.2).auc.value > 0.7


def test_auc_within_dates_weighs_dates_by_their_pairs():
    rng = np.random.default_rng(1)
    dates, risk = rng.integers(0, 4, 300), rng.random(300).round(1)
    happened = (rng.random(300) < risk).astype(float)
    won = pairs = 0.0
    for date in range(4):
        ups, downs = (risk[(dates == date) & (happened == one)] for one in (1, 0))
        ahead = ups[:, None] - downs
        won += (ahead > 0).sum() + (ahead == 0).sum() / 2
        pairs += ahead.size
    ranking = Ranking(happened, risk, alike=dates)
    assert ranking.auc(np.ones(300)) == pytest.approx(won / pairs)


def test_dates_with_one_outcome_each_rank_nobody():
    said = evaluate(
        [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], list("abcd"), base_rate=0.5, alike=[1, 1, 2, 2]
    )
    assert said.auc.value is None
    assert said.reason == "no date has rows of both outcomes"
