"""AUCs against scikit-learn's, intervals against a bootstrap by hand, tables against the model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from features.catalog import Signal
from models.backtest.signal_evidence import (
    alone,
    group_carriers,
    healthy_direction,
    high_is_risk,
    learnt_directions,
    side_by_side,
    some_accounts,
)
from models.measures.estimate import Estimate
from models.weights.certainty import SignalCertainty, WeightCertainty

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(5)
    accounts = np.array([f"{HOSTILE}{i}" for i in rng.integers(80, size=600)], dtype=object)
    first, second = rng.normal(size=(2, 600)).round(1)
    happened = (rng.random(600) < 1 / (1 + np.exp(1.5 + first - 0.5 * second))).astype(float)
    first[rng.random(600) < 0.3] = np.nan
    second[rng.random(600) < 0.2] = np.nan
    return pd.DataFrame(
        {"account_id": accounts, "first": first, "second": second, "happened": happened}
    )


def drawn_by_hand(part, columns, seed):
    """AUC of each of 300 draws of accounts, rows repeated as often as their account was drawn."""
    names = list(dict.fromkeys(part["account_id"]))
    place = np.array([names.index(name) for name in part["account_id"]])
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(300):
        drawn = generator.integers(len(names), size=len(names))
        weight = np.bincount(drawn, minlength=len(names))[place]
        found.append([roc_auc_score(part["happened"], r, sample_weight=weight) for r in columns])
    return np.array(found)


def test_it_is_the_auc_of_the_known_rows_with_accounts_drawn_whole(rows):
    part = rows[rows["first"].notna()]
    found = alone(rows["first"], rows["happened"], rows["account_id"], high_is_risk=False, seed=3)
    assert found.rows == len(part) < 600
    assert found.positives == part["happened"].sum()
    assert found.accounts == part["account_id"].nunique()
    assert found.auc == pytest.approx(roc_auc_score(part["happened"], -part["first"]))
    drawn = drawn_by_hand(part, [-part["first"]], 3)[:, 0]
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=1e-12)
    assert found.low < found.auc < found.high


def test_two_columns_are_compared_on_the_rows_that_know_both(rows):
    part = rows.dropna()
    found = side_by_side(
        rows["first"],
        rows["second"],
        rows["happened"],
        rows["account_id"],
        high_is_risk=(False, True),
        seed=4,
    )
    assert found.first.rows == found.second.rows == len(part) < rows["first"].notna().sum()
    aucs = [roc_auc_score(part["happened"], r) for r in (-part["first"], part["second"])]
    assert [found.first.auc, found.second.auc] == pytest.approx(aucs)
    assert found.ahead.value == pytest.approx(aucs[0] - aucs[1])
    drawn = drawn_by_hand(part, [-part["first"], part["second"]], 4)
    bounds = np.quantile(drawn[:, 0] - drawn[:, 1], [0.05, 0.95])
    assert [found.ahead.low, found.ahead.high] == pytest.approx(bounds, abs=1e-12)
    assert [found.second.low, found.second.high] == pytest.approx(
        np.quantile(drawn[:, 1], [0.05, 0.95]), abs=1e-12
    )


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, 0.0, 1.0, 2.5, 7.0]), st.booleans(), st.integers(0, 4)),
        min_size=2,
        max_size=25,
    )
)
def test_of_every_pair_it_counts_who_ranks_higher(cells):
    values = np.array([np.nan if value is None else value for value, _, _ in cells])
    happened = np.array([float(flag) for _, flag, _ in cells])
    accounts = [str(account) for _, _, account in cells]
    found = alone(values, happened, accounts, high_is_risk=True, seed=0)
    known = ~np.isnan(values)
    bad, fine = values[known & (happened == 1)], values[known & (happened == 0)]
    if not len(bad) or not len(fine):
        assert (found.auc, found.low, found.high) == (None, None, None)
        assert found.positives == len(bad)
        return
    pairs = [(b > f) + (b == f) / 2 for b in bad for f in fine]
    assert found.auc == pytest.approx(np.mean(pairs))
    turned = alone(values, happened, accounts, high_is_risk=False, seed=0)
    assert turned.auc == pytest.approx(1 - found.auc)


@pytest.mark.parametrize("known", [0, 1])
def test_without_two_outcomes_there_is_no_comparison(known):
    second = np.full(4, np.nan)
    second[:known] = 1.0
    found = side_by_side(
        [1.0, 2, 3, 4], second, [1, 0, 1, 0], list("abcd"), high_is_risk=(True, True), seed=0
    )
    assert found.first.rows == found.second.rows == known
    assert (found.ahead, found.first.auc) == (Estimate(), None)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(1, 70), st.integers(0, 9))
def test_accounts_are_drawn_whole_and_within_the_limit(accounts, most, seed):
    places = some_accounts([str(account) for account in accounts], seed=seed, most_rows=most)
    chosen = {accounts[place] for place in places}
    assert places.tolist() == [i for i, account in enumerate(accounts) if account in chosen]
    assert len(places) <= most or len(chosen) == 1
    if len(accounts) <= most:
        assert len(places) == len(accounts)
    again = some_accounts([str(account) for account in accounts], seed=seed, most_rows=most)
    assert places.tolist() == again.tolist()


def test_every_account_has_the_same_chance_to_be_drawn():
    accounts = np.repeat(np.arange(10), 3).astype(str)
    drawn = [some_accounts(accounts, seed=seed, most_rows=9)[::3] // 3 for seed in range(300)]
    counts = np.bincount(np.concatenate(drawn), minlength=10)
    assert counts.sum() == 900
    assert counts.min() > 60
    assert counts.max() < 120


def test_declared_directions_are_held_against_learnt_ones(result):
    table = learnt_directions(result.model).set_index("signal")
    declared = {s.name: s for s in result.model.signals if s.healthy != "none"}
    assert set(table.index) == set(declared)
    assert table["weight"].is_monotonic_decreasing
    for name, row in table.iterrows():
        certainty = result.model.certainty.signals["all"][name]
        assert row["declared"] == declared[name].healthy
        assert (row["label"], row["group"]) == (declared[name].label, declared[name].group)
        assert row["weight"] == result.model.signal_weights["all"][name]
        assert (row["low"], row["high"]) == (certainty.low, certainty.high)
        assert row["learnt"] == certainty.learnt
    assert table.loc["usage_28d", ["learnt", "agrees"]].tolist() == ["higher", True]
    assert table.loc["tickets_90d", ["learnt", "agrees"]].tolist() == ["lower", True]
    assert table.loc["never_known", ["learnt", "agrees"]].tolist() == ["not enough evidence", None]


def turned(model, name, learnt):
    """The same model, had its refits said something else of a signal."""
    told = dict(model.certainty.signals["all"])
    told[name] = SignalCertainty(told[name].low, told[name].high, learnt)
    return replace(
        model, certainty=WeightCertainty(model.certainty.groups, {"all": told}), shap=None
    )


def test_a_signal_that_points_the_other_way_is_told(result):
    model = turned(result.model, "usage_28d", "lower")
    row = learnt_directions(model).set_index("signal").loc["usage_28d"]
    assert (row["declared"], row["learnt"], row["agrees"]) == ("higher", "lower", False)


def test_without_refits_nothing_is_learnt_and_without_declarations_nothing_listed(result):
    unsure = replace(result.model, certainty=WeightCertainty({}, {}), shap=None)
    table = learnt_directions(unsure)
    assert set(table["learnt"]) == {"not enough evidence"}
    assert table[["low", "high"]].isna().all(axis=None)
    assert table["agrees"].tolist() == [None] * len(table)
    silent = tuple(replace(signal, healthy="none") for signal in result.model.signals)
    assert learnt_directions(replace(result.model, signals=silent, shap=None)).empty


def test_what_is_risky_follows_declaration_then_evidence_and_turns_with_good_news(result):
    model = result.model
    assert healthy_direction(model, "tickets_90d") == ("lower", True)
    assert (high_is_risk(model, "tickets_90d"), high_is_risk(model, "usage_28d")) == (True, False)
    assert healthy_direction(model, "tenure_days")[1] is False
    learnt = turned(model, "tenure_days", "lower")
    assert healthy_direction(learnt, "tenure_days") == ("lower", False)
    assert high_is_risk(learnt, "tenure_days") is True
    good = replace(learnt, scale=replace(model.scale, good=True), shap=None)
    assert high_is_risk(good, "tenure_days") is False
    assert healthy_direction(model, HOSTILE) == ("not enough evidence", False)
    assert high_is_risk(model, HOSTILE) is None


def test_carriers_are_shares_of_what_the_groups_signals_move(result):
    model = result.model
    table = group_carriers(model)
    sizes = {name: pd.Series(weights) for name, weights in model.signal_weights.items()}
    assert list(dict.fromkeys(table["segment"])) == ["all", *sorted(set(sizes) - {"all"})]
    assert "profile" not in set(table["group"])
    for (name, group), part in table.groupby(["segment", "group"]):
        own = sizes[name][[s.name for s in model.signals if s.group == group]]
        expected = (100 * own / own.sum()).sort_values(ascending=False)
        expected = expected[expected > 0]
        assert part["weight"].sum() == pytest.approx(100)
        assert part["weight"].is_monotonic_decreasing
        np.testing.assert_allclose(part.set_index("signal")["weight"], expected[part["signal"]])
        assert set(part["signal"]) == set(expected.index)
    # Nobody ever knew the only signal of the surveys, and all were alike in referrals.
    assert set(table["group"]) == {"usage", "support", "payments"}


def test_only_the_heaviest_carriers_are_listed():
    signals = tuple(
        Signal(f"s{i}", "usage", "count", "higher", f"{HOSTILE}{i}", 28, "") for i in range(8)
    )
    weights = {f"s{i}": float(i) for i in range(8)}
    model = SimpleNamespace(signals=signals, signal_weights={"all": weights})
    table = group_carriers(model)
    assert table["signal"].tolist() == ["s7", "s6", "s5", "s4", "s3"]
    assert table["label"].tolist()[0] == f"{HOSTILE}7"
    assert table["weight"].tolist() == pytest.approx([100 * i / 28 for i in (7, 6, 5, 4, 3)])
    model.signal_weights = {"all": dict.fromkeys(weights, 0.0)}
    assert group_carriers(model).empty
    assert group_carriers(model).columns.tolist() == table.columns.tolist()
