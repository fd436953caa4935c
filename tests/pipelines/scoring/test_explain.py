"""``healthscore explain``: one account's points, the same as were issued."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import cache
from io import StringIO
from types import SimpleNamespace

import duckdb
import pandas as pd
import pytest
from rich.console import Console

from features.errors import DataError
from pipelines.project.company import open_company
from pipelines.project.project import load_project
from pipelines.scoring.explain import (
    Explained,
    explain_account,
    refuse_unknown_account,
    timing_words,
)
from pipelines.scoring.explain_screen import show_explained

LAST, EARLIER = "2025-07-01", "2025-03-15"


@pytest.fixture(scope="module")
def accounts(scored) -> list[str]:
    """The best and the worst of each band."""
    found = scored.sql(
        f"select account_id from scores where as_of = date '{LAST}' qualify 1 in ("
        " row_number() over (partition by band order by score),"
        " row_number() over (partition by band order by score desc)) order by score"
    )
    return [account for (account,) in found]


def stored(scored, account: str, day: str) -> dict:
    names = "score band probability coverage baseline_score segment".split()
    (row,) = scored.sql(
        f"select {', '.join(names)} from scores where account_id = ? and as_of = ?::date",
        account,
        day,
    )
    return dict(zip(names, row, strict=True))


@pytest.fixture(scope="module")
def attack(scored, hostile_ids) -> str:
    """An account whose name is an attack on whoever prints it."""
    here = {
        account
        for (account,) in scored.sql(f"select account_id from scores where as_of = date '{LAST}'")
    }
    return min(here & set(hostile_ids.values()))


@pytest.fixture(scope="module")
def explained(scored) -> Callable[[str, str], Explained]:
    """Explain an account on a date, once."""
    project = load_project(scored.config)
    return cache(lambda account, day: explain_account(project, account, date.fromisoformat(day)))


def test_signals_sum_to_the_score_that_was_issued(scored, explained, accounts, attack) -> None:
    for account, day in ((accounts[0], LAST), (attack, LAST), (accounts[-1], EARLIER)):
        told = explained(account, day).to_dict()
        issued = stored(scored, account, day)
        assert told["account_id"] == account
        assert (told["as_of"], told["model_version"]) == (day, "1")
        for name, value in issued.items():
            # What points lose to their decimals is put to the issued baseline.
            room = {"baseline_score": 5e-4, "coverage": 1e-4}.get(name, 1e-9)
            assert told[name] == (pytest.approx(value, abs=room) if name in told else value)
        signals = told["signals"]
        total = told["baseline_score"] + sum(signal["points"] for signal in signals)
        assert total == pytest.approx(told["score"], abs=1e-9)
        groups = dict.fromkeys(told["groups"], 0.0)
        for signal in signals:
            groups[signal["group"]] += signal["points"]
        assert told["groups"] == pytest.approx(groups, abs=1e-9)
        # What an account is comes after what it does; the larger first among either.
        order = [(signal["group"] == "profile", -abs(signal["points"])) for signal in signals]
        assert order == sorted(order)
        reasons = scored.sql(
            "select signal, points from score_reasons where account_id = ? and as_of = ?::date"
            " order by rank",
            account,
            day,
        )
        assert reasons == [(s["signal"], pytest.approx(s["points"], abs=1e-3)) for s in signals[:5]]
        assert told["band_rate"]["band"] == told["band"]


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (32, "renews 2 February 2026, in 32 days"),
        (1, "renews 2 January 2026, in 1 day"),
        (0, "renews 1 January 2026, in 0 days"),
        (None, None),
    ],
)
def test_when_a_contract_renews_is_one_line(ahead: int | None, words: str | None) -> None:
    row = pd.DataFrame({"days_to_renewal": [ahead]}, dtype=float)
    timed, plain = (SimpleNamespace(timing=timing) for timing in ("a timing", None))
    assert timing_words(timed, row, date(2026, 1, 1)) == words
    assert timing_words(plain, row, date(2026, 1, 1)) is None


def test_the_renewal_is_told_beside_the_score_and_is_no_reason(scored, explained, accounts) -> None:
    renewals = dict(
        scored.sql(
            f"select account_id, min(renewal_at)::date from '{scored.data}/subscriptions.parquet'"
            " where renewal_at > date '2025-09-01' group by all"
        )
    )
    account = next(account for account in accounts if account in renewals)
    told, renewal = explained(account, LAST).to_dict(), renewals[account]
    assert told["timing"].startswith(f"renews {renewal.day} {renewal:%B %Y}, in ")
    assert not {"days_to_renewal", "renewal_due"} & {one["signal"] for one in told["signals"]}
    assert told["probability"] < told["probability_if_due"]


def test_which_risk_scores_50_is_said_where_kinds_of_terms_differ(explained, accounts) -> None:
    told = explained(accounts[0], LAST)
    # Here those on long terms lost too few for an anchor of their own.
    assert told.to_dict()["usual"] is None
    said = "50 is the 20.0 % that is usual at decisions about terms of its kind"
    for usual in (None, said):
        screen = StringIO()
        show_explained(Console(file=screen, width=100), replace(told, usual=usual))
        assert (f"A score of {said}\n" in screen.getvalue()) == (usual is not None)


def test_the_command_says_the_same_and_prints_hostile_names_harmless(
    scored, run, explained, attack
) -> None:
    asked = ("explain", attack, "-c", scored.config, "--as-of", LAST)
    told = run(*asked, "--json").answer
    assert told == json.loads(json.dumps(explained(attack, LAST).to_dict()))
    assert told["account_id"] == attack
    assert "starter" not in told["segment"] or "[/bold]\x1b[31mstarter" in told["segment"]
    ran = run(*asked)
    assert ran.code == 0, ran.err
    assert not [c for c in ran.out if c != "\n" and not c.isprintable()]
    assert f"{told['score']:.1f}" in ran.out.splitlines()[0]
    assert "in the outcome window" in " ".join(ran.out.split())
    for group, points in told["groups"].items():
        assert any(line.split()[:2] == [group, f"{points:+.1f}"] for line in ran.out.splitlines())


UNKNOWN = {
    "A-0002": "Account 'A-0002' is not in accounts; did you mean 'A-0",
    "nobody at all": "Account 'nobody at all' is not in accounts; check its id in accounts",
    "": "Account '' is not in accounts; check its id in accounts",
    "x" * 5000: f"Account '{'x' * 60}' is not in accounts; check its id in accounts",
    "'; delete": "Account ''; delete' is not in accounts; check its id in accounts",
    "A\x1b[31mred": "Account 'A\x1b[31mred' is not in accounts; did you mean 'A\x1b[31mred\x1b[0m'",
}


def test_an_unknown_account_is_answered_with_the_nearest(taught, run) -> None:
    ran = run("explain", "-c", taught.config, "--", "A\x1b[31mred")
    assert ran.code == 3
    said = "Account 'A [31mred' is not in accounts; did you mean 'A [31mred [0m'?"
    assert said in ran.sentence
    assert "\x1b" not in ran.err
    with open_company(load_project(taught.config)) as company:
        for account, sentence in UNKNOWN.items():
            with pytest.raises(DataError, match=re.escape(sentence)):
                refuse_unknown_account(company, account)


def test_an_account_that_has_left_is_refused(taught, run) -> None:
    (gone,) = duckdb.sql(
        f"select account_id from '{taught.data}/subscriptions.parquet' group by all"
        " having count(ended_at) = count(*) and max(ended_at) < date '2025-06-01'"
        " and account_id like 'A-%' and length(account_id) = 7 order by 1 limit 1"
    ).fetchall()[0]
    ran = run("explain", gone, "-c", taught.config)
    assert (ran.code, ran.sentence) == (
        3,
        f"Account '{gone}' was not active on 2025-07-01; choose a date on which a subscription of"
        " it was running",
    )


def test_no_champion_and_no_such_day(small, taught, run) -> None:
    ran = run("explain", "C1", "-c", small())
    assert ran.code == 5
    assert "No champion of 'healthscore'" in ran.sentence
    ran = run("explain", "A-00001", "-c", taught.config, "--as-of", "2019-01-01")
    assert ran.code == 3
    assert "lies before the data" in ran.sentence
