from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from models.measures.resampling import AccountBootstrap, clustered_rate_interval


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    accounts = np.array([f"A-{i}" for i in rng.integers(0, 60, 500)])
    return accounts, rng.normal(size=(500, 2))


def test_sums_are_those_of_copied_rows(rows):
    accounts, columns = rows
    bootstrap = AccountBootstrap(accounts, seed=3, resamples=20)
    sums = bootstrap.sums(columns)
    for weight, found in zip(bootstrap.draws(), sums, strict=True):
        copies = np.repeat(np.arange(500), weight.astype(int)[bootstrap.cluster])
        assert found == pytest.approx(columns[copies].sum(axis=0))
        assert weight.sum() == bootstrap.count == len(set(accounts))


def test_mean_interval_is_the_quantiles_of_resampled_means(rows):
    accounts, columns = rows
    bootstrap = AccountBootstrap(accounts, seed=3, resamples=100)
    means = []
    for weight in bootstrap.draws():
        copies = np.repeat(np.arange(500), weight.astype(int)[bootstrap.cluster])
        means.append(columns[copies, 0].mean())
    expected = np.quantile(means, [0.05, 0.95])
    assert bootstrap.mean_interval(columns[:, 0]) == pytest.approx(tuple(expected))


def test_draws_are_fixed_by_the_seed(rows):
    accounts, columns = rows
    first, again, other = (AccountBootstrap(accounts, seed=s, resamples=5) for s in (1, 1, 2))
    assert np.array_equal(first.sums(columns), again.sums(columns))
    assert np.array_equal(first.sums(columns), first.sums(columns))
    assert not np.array_equal(first.sums(columns), other.sums(columns))


@given(st.integers(0, 60), st.integers(1, 60))
def test_rate_of_single_rows_has_the_wilson_interval(positives, others):
    outcome = np.r_[np.ones(positives), np.zeros(others)]
    found = clustered_rate_interval(outcome, np.arange(len(outcome)))
    wilson = binomtest(positives, len(outcome)).proportion_ci(0.9, method="wilson")
    assert found == pytest.approx((wilson.low, wilson.high), abs=1e-9)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(2, 6))
def test_copies_of_a_row_tell_nothing_new(positives, others, copies):
    outcome = np.r_[np.ones(positives), np.zeros(others + 1)]
    cluster = np.arange(len(outcome))
    once = clustered_rate_interval(outcome, cluster)
    repeated = clustered_rate_interval(np.repeat(outcome, copies), np.repeat(cluster, copies))
    assert repeated == pytest.approx(once, abs=1e-9)


def test_rate_interval_holds_the_rate_of_accounts_that_are_alike():
    rng = np.random.default_rng(4)
    cluster = np.repeat(np.arange(150), 6)
    held, naive = 0, 0
    for _ in range(200):
        # The mean of a beta(1, 4) is a fifth.
        outcome = (rng.random(900) < rng.beta(1, 4, 150)[cluster]).astype(float)
        low, high = clustered_rate_interval(outcome, cluster)
        held += low <= 0.2 <= high
        low, high = clustered_rate_interval(outcome, np.arange(900))
        naive += low <= 0.2 <= high
    assert 0.85 <= held / 200 <= 0.96
    assert naive / 200 < 0.82
