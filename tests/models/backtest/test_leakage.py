from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from features.catalog import Signal
from features.errors import EvidenceError
from models.backtest.leakage import leakage
from models.measures.metrics import Ranking


def signal(name, unit="count"):
    return Signal(name, "usage", unit, "none", name.title(), None, name + " is {value}")


def history(accounts=350, dates=9, seed=0):
    """Rows with one honest signal of middling strength."""
    rng = np.random.default_rng(seed)
    n = accounts * dates
    honest = rng.normal(size=n)
    return pd.DataFrame(
        {
            "account_id": np.tile([f"A-{i}" for i in range(accounts)], dates),
            "observation_date": np.repeat(
                pd.date_range("2025-01-01", periods=dates, freq="MS"), accounts
            ),
            "happened": (rng.random(n) < expit(-2.4 + 1.2 * honest)).astype(int),
            "honest": honest,
            "noise": rng.normal(size=n),
        }
    )


HONEST = [signal("honest"), signal("noise")]


@pytest.fixture(scope="module")
def planted():
    frame, rng = history(), np.random.default_rng(1)
    happened = frame["happened"].to_numpy()
    newest = frame["observation_date"] >= "2025-07-01"
    third = np.arange(len(frame)) % 3 == 0
    frame["closed_days"] = np.where(happened, 4.0, np.nan)
    frame["status"] = np.where(happened & (rng.random(len(frame)) < 0.97), "closed", "open")
    frame["cancelled"] = np.where(happened & third, "cancelled", "running")
    frame["backfilled"] = np.where(newest, 0.0, happened) + rng.normal(0, 0.01, len(frame))
    signals = [signal("closed_days"), signal("status", "category")]
    signals += [signal("cancelled", "category"), signal("backfilled")]
    return leakage(frame, HONEST + signals, maturity_days=44)


def test_a_sound_history_has_no_suspects_and_no_gap():
    found = leakage(history(), HONEST, maturity_days=44)
    assert found.suspects == []
    for gap in (found.random_gap, found.account_gap):
        assert abs(gap["auc"]) < 0.03
    assert found.time_split["low"] < found.time_split["auc"] < found.time_split["high"]
    assert found.verdict.startswith("No signal knows more than it should; ")
    assert found == leakage(history(), HONEST, maturity_days=44)
    json.dumps(found.to_dict(), allow_nan=False)


def test_each_planted_leak_is_named_and_the_honest_signals_are_not(planted):
    named = {suspect.signal: suspect.why for suspect in planted.suspects}
    assert set(named) == {"closed_days", "status", "cancelled", "backfilled"}
    assert named["closed_days"] == (
        "Signal 'closed_days' is missing in 0% of the rows where the outcome happened and in 100% "
        "of the others: is it written, or wiped, after the outcome?"
    )
    assert "'status' alone ranks the outcome with an AUC of 0.9" in named["status"]
    assert named["status"].endswith("is it written, or updated, after the outcome?")
    assert named["cancelled"].startswith(
        "Signal 'cancelled' has values after which the outcome happened in nearly all of "
    )
    assert "'backfilled' alone had an AUC of 1.00 on older dates and has 0." in named["backfilled"]
    assert named["backfilled"].endswith("was it filled in afterwards, or has its meaning changed?")
    assert planted.verdict.startswith("4 signal(s) know more than they should: ")


def test_aucs_of_suspects_are_those_of_the_signal_on_the_newest_dates(planted):
    aucs = {suspect.signal: suspect.auc for suspect in planted.suspects}
    assert aucs["closed_days"] == pytest.approx(1, abs=1e-9)
    frame = history()
    newest = (frame["observation_date"] >= "2025-08-01").to_numpy()
    happened = frame["happened"].to_numpy()
    marked = (happened & (np.arange(len(frame)) % 3 == 0)).astype(float)
    ranking = Ranking(happened[newest].astype(float), marked[newest])
    assert aucs["cancelled"] == pytest.approx(ranking.auc(np.ones(newest.sum())), abs=1e-9)
    assert [s.auc for s in planted.suspects] == sorted(aucs.values(), reverse=True)


def test_a_random_split_knows_the_weather_of_the_very_date():
    frame = history(seed=2)
    rng = np.random.default_rng(3)
    month = frame["observation_date"].dt.month.to_numpy()
    rate = np.array([0, 0.05, 0.4, 0.05, 0.3, 0.05, 0.4, 0.03, 0.45, 0.03])[month]
    frame["happened"] = (rng.random(len(frame)) < rate).astype(int)
    frame["days_since_2020"] = (frame["observation_date"] - pd.Timestamp("2020-01-01")).dt.days
    found = leakage(frame, [signal("noise"), signal("days_since_2020")], maturity_days=44)
    assert found.random_split["auc"] > 0.7
    assert found.time_split["auc"] < 0.6
    assert found.random_gap["low"] > 0
    assert f"would have claimed an AUC {found.random_gap['auc']:.3f} higher" in found.verdict
    gap = found.random_split["auc"] - found.time_split["auc"]
    assert found.random_gap["auc"] == pytest.approx(gap)


def test_other_accounts_cannot_be_recognised():
    frame = history(seed=4)
    rng = np.random.default_rng(5)
    codes, names = pd.factorize(frame["account_id"])
    frailty = rng.random(len(names)) < 0.25
    frame["happened"] = (rng.random(len(frame)) < np.where(frailty[codes], 0.5, 0.05)).astype(int)
    frame["address_number"] = rng.permutation(len(names))[codes].astype(float)
    found = leakage(frame, [signal("address_number"), signal("noise")], maturity_days=44)
    assert found.random_split["low"] > found.account_split["high"]
    assert found.account_split["auc"] < 0.6


def test_too_few_outcomes_to_compare():
    frame = history()
    newest = frame["observation_date"] >= "2025-08-01"
    frame["happened"] = frame["happened"].mask(newest, 0)
    found = leakage(frame, HONEST, maturity_days=44)
    assert found.random_split == {"auc": None, "low": None, "high": None}
    assert found.verdict == (
        "Leakage could not be checked: 0 of the 700 newest rows are positive and a comparison of "
        "splits needs at least 10 of either outcome."
    )
    frame["happened"] = history()["happened"].where(newest, 0)
    assert leakage(frame, HONEST, maturity_days=44).verdict == (
        "Leakage could not be checked: the rows before the newest dates do not hold both outcomes."
    )


def test_without_dates_there_is_no_later_split():
    frame = history(accounts=1500, dates=1)
    found = leakage(frame, HONEST, maturity_days=44, is_dated=False)
    assert found.time_split["auc"] is None
    assert found.random_gap == {"auc": None, "low": None, "high": None}
    assert found.account_split["auc"] == pytest.approx(found.random_split["auc"], abs=0.05)
    assert found.verdict.endswith("; without dates a random split is compared with no later one.")


def test_a_history_too_short_is_said_in_one_sentence():
    with pytest.raises(
        EvidenceError, match="needs at least 400 days between the first and the last"
    ):
        leakage(history(), HONEST, maturity_days=400)


def test_signals_without_content_do_no_harm():
    frame = history().assign(empty=np.nan, constant=3.0, nobody=None)
    signals = [*HONEST, signal("empty"), signal("constant"), signal("nobody", "category")]
    assert leakage(frame, signals, maturity_days=44).suspects == []
