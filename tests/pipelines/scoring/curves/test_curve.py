"""``healthscore curve``: one account's risk over a year, the same as was issued."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from models.scoring.timing.curve import HORIZONS

DAY = "2025-07-01"
COLUMNS = ["probability_if_due", *(f"loss_{days}_days" for days in HORIZONS)]


def test_a_curve_is_what_was_issued_and_its_signals_sum(scored, run) -> None:
    rows = scored.sql(
        f"select account_id, {', '.join(COLUMNS)} from scores where as_of = date '{DAY}'"
        " and model_version = '1' order by score"
    )
    for account, if_due, *losses in (rows[0], rows[-1]):
        told = run("curve", account, "-c", scored.config, "--as-of", DAY, "--json").answer
        assert told["account_id"] == account
        assert told["probability_if_due"] == pytest.approx(if_due, abs=1e-9)
        horizons = told["horizons"]
        assert [one["days"] for one in horizons] == list(HORIZONS)
        assert [one["probability"] for one in horizons] == pytest.approx(losses, abs=1e-9)
        for one in horizons:
            assert one["low"] <= one["probability"] <= one["high"]
            total = one["baseline"] + sum(one["signals"].values())
            assert total == pytest.approx(one["probability"], abs=1e-9)
        for near, far in pairwise(horizons):
            assert all(near[name] <= far[name] for name in ("low", "probability", "high"))


def test_it_is_told_in_words(scored, run) -> None:
    ((account,),) = scored.sql(
        f"select account_id from scores where as_of = date '{DAY}' order by score limit 1"
    )
    shown = run("curve", account, "-c", scored.config, "--as-of", DAY).out
    assert "had it to decide now" in shown
    for days in HORIZONS:
        assert f"{days} days" in shown


def test_bands_follow_the_run_before_and_a_run_is_met_again(project, run) -> None:
    for day in ("2025-05-01", "2025-06-01"):
        assert run("score", "-c", project.config, "--as-of", day, "--json").code == 0
    verified = run("verify-run", "-c", project.config, "--as-of", "2025-06-01", "--json").answer
    assert verified["same"], verified["said"]
    stayed = project.sql(
        "select count(*), max(now.band_days) from scores as now join scores as before"
        " using (account_id) where now.as_of = date '2025-06-01'"
        " and before.as_of = date '2025-05-01' and now.band = before.band"
    )
    assert stayed[0][0] > 0
    assert stayed[0][1] == 31.0
    (told,) = project.sql("select facts from runs where as_of = date '2025-06-01'")
    assert '"as_of": "2025-05-01"' in json.loads(told[0])["bands_after"]


def test_an_account_that_is_not_there_is_named(scored, run) -> None:
    refused = run("curve", "nobody at all", "-c", scored.config)
    assert refused.code == 3
    assert "'nobody at all' is not in accounts" in refused.sentence
