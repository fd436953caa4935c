from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import confusion_matrix

from models.measures.fairness_audit import MOST_LEVELS, fairness_audit, levels


def portfolio(n=3000, seed=0, unfair=0.0, accounts=None):
    rng = np.random.default_rng(seed)
    gender = rng.choice(["f", "m", "x"], n, p=[0.5, 0.45, 0.05])
    margin = rng.normal(-2, 1, n)
    happened = (rng.random(n) < expit(margin + unfair * (gender == "m"))).astype(int)
    risk = expit(margin)
    accounts = np.arange(n) if accounts is None else accounts
    return pd.DataFrame({"gender": gender}), happened, risk, risk > 0.2, accounts


def test_rates_are_those_of_a_confusion_matrix():
    attributes, happened, risk, at_risk, accounts = portfolio()
    table = fairness_audit(attributes, happened, risk, at_risk, accounts).set_index("level")
    assert table.index.tolist() == ["f", "m", "x"]
    for name, row in table.iterrows():
        own = (attributes["gender"] == name).to_numpy()
        tn, fp, fn, tp = confusion_matrix(happened[own], at_risk[own]).ravel()
        assert (row["rows"], row["positives"]) == (own.sum(), fn + tp)
        assert row["false_negative_rate"] == pytest.approx(fn / (fn + tp))
        assert row["false_positive_rate"] == pytest.approx(fp / (fp + tn))
        assert row["expected_rate"] == pytest.approx(risk[own].mean())
        assert row["observed_rate"] == pytest.approx(happened[own].mean())
        for rate in ("false_negative_rate", "false_positive_rate", "observed_rate"):
            assert row[f"{rate}_low"] < row[rate] < row[f"{rate}_high"]


def test_a_level_that_is_misjudged_is_flagged_with_its_measure():
    table = fairness_audit(*portfolio(unfair=1.0)).set_index("level")
    assert table.loc["m", "flagged"]
    expected, elsewhere = (
        table.loc[["m", "f"], "observed_rate"] - table.loc[["m", "f"], "expected_rate"]
    )
    assert f"observed less expected rate {expected:.1%} against " in table.loc["m", "why"]
    assert elsewhere < 0.02 < expected


def test_false_flags_are_as_rare_as_promised():
    flagged = [fairness_audit(*portfolio(1500, seed))["flagged"].any() for seed in range(60)]
    # One in ten is promised; a binomial of 60 exceeds 11 in 2 of 100 cases.
    assert sum(flagged) <= 11


def test_copies_of_the_same_accounts_are_no_evidence():
    attributes, happened, risk, at_risk, _ = portfolio(300, seed=5, unfair=0.3)
    once = fairness_audit(attributes, happened, risk, at_risk, np.arange(300))
    copies = np.tile(np.arange(300), 12)
    arguments = attributes.iloc[copies], happened[copies], risk[copies], at_risk[copies]
    clustered = fairness_audit(*arguments, copies)
    naive = fairness_audit(*arguments, np.arange(3600))
    assert not once["flagged"].any()
    assert not clustered["flagged"].any()
    assert naive["flagged"].any()


def test_a_small_level_is_reported_but_not_tested():
    attributes, happened, risk, at_risk, accounts = portfolio(600)
    attributes["gender"] = np.where(np.arange(600) < 40, "x", "f")
    happened[:40] = 1
    table = fairness_audit(attributes, happened, risk, at_risk, accounts).set_index("level")
    assert table.loc["x", "too_small"]
    assert not table.loc["x", "flagged"]
    assert table.loc["x", "why"] == "Too small to test: under 50 rows or 5 positives."


def test_one_level_has_nobody_to_differ_from():
    _, happened, risk, at_risk, accounts = portfolio(300)
    same = pd.DataFrame({"country": ["DK"] * 300, "unknown": [None] * 300})
    table = fairness_audit(same, happened, risk, at_risk, accounts)
    assert table["level"].tolist() == ["DK", "unknown"]
    assert not table["flagged"].any()


def test_nothing_sensitive_nothing_audited():
    _, *rest = portfolio(100)
    table = fairness_audit(pd.DataFrame(index=range(100)), *rest)
    assert table.empty
    assert "false_negative_rate_low" in table


def test_without_positives_there_is_no_false_negative_rate():
    attributes, _, risk, at_risk, accounts = portfolio(200)
    table = fairness_audit(attributes, np.zeros(200), risk, at_risk, accounts)
    assert table["false_negative_rate"].isna().all()
    assert table["too_small"].all()


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=60))
def test_numbers_fall_into_at_most_five_bins_and_unknown(numbers):
    column = pd.Series(numbers, dtype=float, index=[7] * len(numbers))
    named = levels(column)
    assert named.nunique() <= 6
    assert ((named == "unknown").to_numpy() == column.isna().to_numpy()).all()
    known = column.to_numpy()[column.notna()]
    labels = named.to_numpy()[column.notna()]
    order = np.argsort(known, kind="stable")
    # Ordered by value, each label is one run.
    runs = 1 + (labels[order][1:] != labels[order][:-1]).sum() if len(known) else 0
    assert runs == len(set(labels))


def test_hundreds_of_levels_are_bounded():
    column = pd.Series([f"<b>{i}</b>" for i in range(200)] + ["common"] * 5)
    named = levels(column)
    assert named.nunique() == MOST_LEVELS + 1
    assert (named == "181 other levels").sum() == 181
    assert (named == "common").sum() == 5


def test_flags_are_words_not_numbers():
    assert levels(pd.Series([True, False, None], dtype="boolean")).tolist() == [
        "True",
        "False",
        "unknown",
    ]
    assert levels(pd.Series([1.0, 0.0, 1.0])).tolist() == ["1", "0", "1"]
