from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.churn.classifier import ChurnClassifier
from models.weights.draws import DRAWS, REFITS_PER_DRAW, refits, sampled_rows

SIGNALS = ["usage_28d", "usage_change", "tickets_90d", "billing_period", "tenure_days"]
GROUP = np.array([0, 0, 1, 2, 3])


@pytest.fixture(scope="module")
def rows(frame):
    part = frame.iloc[:3600]
    X = part[[*SIGNALS, "plan"]].reset_index(drop=True)
    cluster = np.unique(part["account_id"], return_inverse=True)[1]
    return X, part["happened"].to_numpy(dtype=float), cluster


@pytest.fixture(scope="module")
def classifier(rows):
    X, happened, _ = rows
    model = ChurnClassifier(
        segment_column="plan",
        n_rounds=5,
        healthy={"usage_28d": "higher", "tickets_90d": "lower"},
        groups={name: str(group) for name, group in zip(SIGNALS, GROUP, strict=True)},
    )
    return model.fit(X, happened.astype(int))


def drawn(classifier, rows, wanted, seed=0, draws=20):
    alike = np.zeros((len(rows[2]), 1), dtype=int)
    return list(refits(classifier, *rows, GROUP, wanted, alike=alike, seed=seed, draws=draws).draws)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.integers(0, 2**31),
    st.integers(1, 20),
)
def test_sampled_rows_are_some_of_every_segment(codes, seed, most):
    segment = np.array(codes)
    chosen = sampled_rows(segment, seed, most)
    assert (np.diff(chosen) > 0).all()
    sizes = np.bincount(segment)
    assert np.bincount(segment[chosen]).tolist() == np.minimum(sizes, most).tolist()
    assert (chosen == sampled_rows(segment, seed, most)).all()


def test_sampled_rows_follow_the_seed_and_reach_everybody():
    segment = np.zeros(300, dtype=int)
    seen = [frozenset(sampled_rows(segment, seed, 100).tolist()) for seed in range(20)]
    assert len(set(seen)) == 20
    assert len(frozenset.union(*seen)) > 290


def test_draws_are_fixed_by_the_seed(classifier, rows):
    wanted = np.arange(0, 3600, 9)
    one, two, other = (drawn(classifier, rows, wanted, seed, draws=3) for seed in (4, 4, 5))
    for field in ("contributions", "free", "stress", "weight"):
        assert all(
            (getattr(a, field) == getattr(b, field)).all() for a, b in zip(one, two, strict=True)
        )
        assert (getattr(one[0], field) != getattr(other[0], field)).any()


def test_draws_do_not_depend_on_the_order_of_rows(classifier, rows):
    X, happened, cluster = rows
    order = np.random.default_rng(0).permutation(len(X))
    mixed = (X.iloc[order].reset_index(drop=True), happened[order], cluster[order])
    wanted = np.arange(0, 3600, 40)
    places = np.argsort(order)[wanted]
    straight = drawn(classifier, rows, wanted, draws=2)
    for one, two in zip(straight, drawn(classifier, mixed, places, draws=2), strict=True):
        assert two.contributions == pytest.approx(one.contributions, abs=1e-5)
        assert two.free == pytest.approx(one.free, abs=1e-5)
        assert two.stress == pytest.approx(one.stress, abs=1e-3)
        assert (two.weight == one.weight).all()


def test_draws_are_spread_around_the_model(classifier, rows):
    wanted = np.arange(0, 3600, 6)
    found = drawn(classifier, rows, wanted)
    assert len(found) == 20
    fitted = classifier.contributions(rows[0].iloc[wanted])
    plan = rows[0]["plan"].to_numpy()[wanted]
    inside = plan == "starter"

    def centred(parts):
        return parts[inside] - parts[inside].mean(axis=0)

    usage = [centred(draw.contributions)[:, 0] for draw in found]
    expected = centred(fitted)[:, 0]
    slopes = [one @ expected / (expected @ expected) for one in usage]
    assert np.mean(slopes) == pytest.approx(1, abs=0.1)
    assert 0.01 < np.std(slopes) < 0.3


def test_every_row_of_an_account_and_of_a_segment_is_treated_alike(classifier, rows):
    X, _, cluster = rows
    wanted = np.arange(len(X))
    (draw,) = drawn(classifier, rows, wanted, draws=1)
    by_account = [np.unique(draw.weight[cluster == account]) for account in (0, 7, 899)]
    assert all(len(found) == 1 for found in by_account)
    assert draw.weight.mean() == pytest.approx(1)
    assert draw.stress.shape == draw.contributions.shape == draw.free.shape == (3600, 5)
    assert (draw.stress[:, 0] == draw.stress[:, 1]).all()
    for plan in ("starter", "enterprise"):
        own = (X["plan"] == plan).to_numpy()
        assert (np.ptp(draw.stress[own], axis=0) == 0).all()


def test_declared_signs_hold_in_constrained_draws(classifier, rows):
    X, happened, cluster = rows
    X = X.copy()
    X.iloc[1] = X.iloc[0]
    X.loc[:1, "tickets_90d"] = [-1.0, 1.0]
    for draw in drawn(classifier, (X, happened, cluster), np.arange(2)):
        assert draw.contributions[1, 2] >= draw.contributions[0, 2] - 1e-9


def test_without_a_backbone_everything_is_refitted(rows):
    X, happened, _ = rows
    trees = ChurnClassifier(segment_column="plan", backbone=False, n_rounds=4)
    trees.fit(X, happened.astype(int))
    wanted = np.arange(0, 3600, 30)
    found = drawn(trees, rows, wanted)
    assert len(found) == round(REFITS_PER_DRAW * 20) == 4
    assert round(REFITS_PER_DRAW * DRAWS) == 20
    for draw in found:
        assert draw.free is draw.contributions
        assert (draw.stress == 1).all()
        assert (draw.weight == 1).all()
    assert (found[0].contributions != found[1].contributions).any()
    again = drawn(trees, rows, wanted)
    assert all(
        (a.contributions == b.contributions).all() for a, b in zip(found, again, strict=True)
    )
    # The model handed over is left as it was.
    assert trees.booster_.num_trees() == 4


def test_a_resample_without_both_outcomes_is_left_out(rows):
    X, _, cluster = rows
    happened = (cluster == 17).astype(float)
    trees = ChurnClassifier(segment_column="plan", backbone=False, n_rounds=1)
    trees.fit(X, happened.astype(int))
    found = drawn(trees, (X, happened, cluster), np.arange(50), draws=50)
    # An account is in a bootstrap sample with probability 1 - 1/e.
    assert 2 <= len(found) < 10


def test_a_model_read_from_a_file_has_no_draws(classifier, rows):
    read = ChurnClassifier.from_dict(classifier.to_dict(), classifier.correction_text())
    with pytest.raises(ValueError, match="cannot be refitted; train again"):
        drawn(read, rows, np.arange(10), draws=1)
