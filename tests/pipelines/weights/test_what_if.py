"""Weights replayed before they are used: every number against a recomputation, every message."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise

import duckdb
import numpy as np
import pandas as pd
import pytest

from features.errors import SettingsError, sample
from pipelines.commands.answer import answering
from pipelines.weights import what_if as module
from pipelines.weights.report.screen import show_what_if
from pipelines.weights.rows import FULL_MODEL, RECOMMENDED, TODAY
from pipelines.weights.what_if import WHAT_IF, what_if
from tests.models.ranked import auc_within
from tests.pipelines.screens import screen
from tests.pipelines.weighed_company import weighed_company

pytestmark = pytest.mark.xdist_group("recommend")

ASKED = {"usage": 40, "support": 35, "payments": 25}
TEXT = "usage=40, support=35,payments = 25"


@pytest.fixture(scope="module")
def weighed(taught):
    return weighed_company(taught.folder)


@pytest.fixture
def ask(weighed, monkeypatch):
    """Ask as the command does, of rows that were built once."""
    project, known = weighed
    monkeypatch.setattr(module, "replay_rows", lambda *_: known)
    monkeypatch.setattr(module, "open_company", nullcontext)
    return lambda text=TEXT, **more: what_if(project, text, **more)


def _percentiles(past, values, higher):
    """Grade values by the percentile among the past ones, mid-ranked, off 101 order statistics."""
    known = np.sort(past[~np.isnan(past)])
    if not len(known):
        return np.full(len(values), np.nan)
    places = [int(np.floor(step * (len(known) - 1) / 100 + 1e-9)) for step in range(101)]
    knots = sorted({known[place] for place in places})
    ranks = [100 * ((known < knot).mean() + (known <= knot).mean()) / 2 for knot in knots]
    grade = np.array([np.nan if np.isnan(v) else np.interp(v, knots, ranks) for v in values])
    return grade if higher else 100 - grade


@pytest.fixture(scope="module")
def grades(weighed):
    """Grade the hold-out by hand: (m, measures)."""
    _, known = weighed
    past = known.frame.iloc[known.past]
    found = pd.DataFrame(index=known.rows.index, columns=list(known.names), dtype=float)
    for segment, rows in known.rows.groupby("segment"):
        # Accounts of no segment of their own are graded by everybody's percentiles.
        own = past if segment == "all" else past[past["segment"] == segment]
        for measure in known.measures:

            def grade(frame, measure=measure, own=own):
                values = [
                    (own[s.name].to_numpy(float), frame[s.name].to_numpy(float), s.higher)
                    for s in measure.signals
                ]
                graded = [_percentiles(*each) for each in values]
                return pd.DataFrame(graded).mean(axis=0).to_numpy()

            if measure.signals:
                graded, typical = grade(rows), np.nanmean(grade(own))
                found.loc[rows.index, measure.name] = np.where(np.isnan(graded), typical, graded)
            else:
                found.loc[rows.index, measure.name] = 50.0
    return found


def _score(grades, segments, weighting):
    weights = pd.DataFrame([weighting[segment] for segment in segments])[list(grades)]
    return (weights.to_numpy() * grades.to_numpy()).sum(axis=1) / 100


def _lift(happened, score):
    """Positives among the tenth with the lowest scores, rows of one score in equal parts."""
    left, caught = len(score) / 10, 0.0
    for value in np.unique(score):
        same = score == value
        part = min(left / same.sum(), 1.0)
        caught += part * happened[same].sum()
        left -= part * same.sum()
    return caught / happened.sum() * 10


def test_every_number_is_that_of_a_recomputation(weighed, grades, ask) -> None:
    _, known = weighed
    found, rows = ask(), known.rows
    happened = rows["happened"].to_numpy(float)
    scores = {
        name: _score(grades, rows["segment"], found.weights[name])
        for name in (TODAY, WHAT_IF, RECOMMENDED)
    }
    scores[FULL_MODEL] = rows["score"].to_numpy()
    table = found.replayed.table.set_index(["segment", "contender"])
    places = {"all": np.ones(len(rows), dtype=bool)}
    if rows["segment"].nunique() > 1:
        named = set(rows["segment"]) - {"all"}
        places |= {name: (rows["segment"] == name).to_numpy() for name in named}
    assert set(table.index.get_level_values(0)) == set(places)
    assert found.replayed.cuts[TODAY].red_below == 42
    for name, score in scores.items():
        cuts = found.replayed.cuts[name]
        for place, inside in places.items():
            told, positive = table.loc[(place, name)], happened[inside] == 1
            assert told["rows"] == inside.sum()
            assert told["positives"] == positive.sum()
            assert told["accounts"] == rows["account_id"][inside].nunique()
            if not 0 < positive.sum() < len(positive):
                assert np.isnan(told["auc"])
                continue
            assert told["auc"] == pytest.approx(
                auc_within(positive, -score[inside], rows["observation_date"][inside]), abs=1e-9
            )
            lift = _lift(happened[inside], np.round(score[inside], 9))
            assert told["top_decile_lift"] == pytest.approx(lift, abs=1e-6)
            # A cut of the full model may be one of its scores to the last digit.
            compared = score[inside] if name == FULL_MODEL else np.round(score[inside], 9)
            red = compared < cuts.red_below
            assert told["red"] == pytest.approx(red.mean())
            assert told["green"] == pytest.approx((compared >= cuts.green_from).mean())
            assert told["caught"] == pytest.approx(red[positive].mean())
            ahead = told["auc"] - table.loc[(place, TODAY)]["auc"]
            assert told["auc_ahead"] == pytest.approx(ahead)
            assert told["auc_low"] <= told["auc"] <= told["auc_high"]
    # As many accounts are red and green by all of them, to what one decimal of a cut allows.
    shares = table.loc["all"][["red", "green"]]
    assert (shares - shares.loc[TODAY]).abs().to_numpy().max() < 0.01


def test_accounts_that_change_colour_are_counted_by_sql(weighed, grades, ask) -> None:
    _, known = weighed
    found = ask()
    told = known.rows[["account_id", "observation_date", "arr"]].copy()
    for name, column in ((TODAY, "before"), (WHAT_IF, "after")):
        score = np.round(_score(grades, known.rows["segment"], found.weights[name]), 9)
        cuts = found.replayed.cuts[name]
        told[column] = np.select(
            [score < cuts.red_below, score >= cuts.green_from], ["red", "green"], "amber"
        )
    (counted,) = duckdb.sql("""
        select count(*), sum(arr), count_if(before <> after), sum(arr) filter (before <> after),
               count_if(after = 'red' and before <> 'red'),
               sum(arr) filter (after = 'red' and before <> 'red'),
               count_if(before = 'red' and after <> 'red'),
               count_if(after = 'green' and before <> 'green'),
               sum(arr) filter (before = 'green' and after <> 'green')
        from told where observation_date = (select max(observation_date) from told)
    """).fetchall()
    moves = found.replayed.moves.set_index(["segment", "contender"]).loc[("all", WHAT_IF)]
    names = ("accounts", "arr", "moved", "moved_arr", "to_red", "to_red_arr", "from_red")
    names += ("to_green", "from_green_arr")
    expected = [number or 0.0 for number in counted]
    assert [moves[name] for name in names] == pytest.approx(expected)
    assert moves["moved"] > 0


def test_flags_90_days_before_are_counted_by_hand(weighed, grades, ask) -> None:
    _, known = weighed
    found = ask()
    score = _score(grades, known.rows["segment"], found.weights[WHAT_IF])
    red = np.round(score, 9) < found.replayed.cuts[WHAT_IF].red_below
    dates = sorted(known.rows["observation_date"].unique())
    apart = max(b - a for a, b in pairwise(dates))
    flags = []
    for event in known.events.itertuples():
        day = event.happened_at - pd.Timedelta(days=90)
        own = known.rows[
            (known.rows["account_id"] == event.account_id)
            & (known.rows["observation_date"] <= day)
            & (known.rows["observation_date"] >= day - apart)
        ]
        if len(own):
            newest = own["observation_date"].idxmax()
            flags.append(red[known.rows.index.get_loc(newest)])
    told = found.replayed.table.set_index(["segment", "contender"]).loc[("all", WHAT_IF)]
    assert told["early_events"] == len(flags) > 0
    assert told["early"] == pytest.approx(np.mean(flags))


def test_a_segment_is_weighed_alone(weighed, ask) -> None:
    _, known = weighed
    (segment,) = set(known.rows["segment"]) - {"all"}
    found = ask(segment=segment)
    for name in found.weights[WHAT_IF]:
        same = found.weights[WHAT_IF][name] == found.weights[TODAY][name]
        assert same == (name != segment)
    assert found.weights[WHAT_IF][segment]["usage"] == 40
    every = ask()
    assert all(row["usage"] == 40 for row in every.weights[WHAT_IF].values())
    told = found.replayed.table.set_index(["segment", "contender"])
    for place in set(known.rows["segment"]) - {segment, "all"}:
        assert told.loc[(place, WHAT_IF)]["auc_ahead"] == pytest.approx(0, nan_ok=True)
    assert found.to_dict()["segment"] == segment
    words = " ".join(screen(show_what_if, found, width=100).split())
    assert ask(segment=segment.removeprefix("plan=")).segment == segment
    assert "in [/bold] [31mstarter: AUC" in words
    assert "Weights in [/bold] [31mstarter" in words


def test_weights_are_refused_in_a_sentence(ask, monkeypatch) -> None:
    def no_data(*_):
        raise AssertionError

    monkeypatch.setattr(module, "replay_rows", no_data)
    known = "known are usage, adoption, support, payments, referrals, surveys, enablement"
    for text, message in {
        "usage=60": "--weights must sum to 100 and sum to 60; correct the weights so that they do",
        "": "--weights must read like usage=40,support=60, and '' does not; write a name, an"
        " equals sign and a number",
        "usage": "--weights must read like usage=40,support=60, and 'usage' does not; write a name,"
        " an equals sign and a number",
        "usage=50,usage=50": "--weights names 'usage' twice; leave one out",
        "usage=150,support=-50": "--weights gives 'usage' the weight 150, and a weight lies between"
        " 0 and 100; correct it",
        "usage=nan,support=50": "--weights gives 'usage' the weight nan, and a weight lies between"
        " 0 and 100; correct it",
        "support=110,usage=-10": "--weights gives 'support' the weight 110, and a weight lies"
        " between 0 and 100; correct it",
        "usge=100": "--weights names 'usge', which is no signal group and no measure; did you mean"
        " 'usage'?",
        "<script>=100": "--weights names '<script>', which is no signal group and no measure;"
        f" {known}, relationship",
    }.items():
        with pytest.raises(SettingsError) as refused:
            ask(text)
        assert str(refused.value) == message


def test_a_measure_without_a_line_is_refused(weighed, ask, monkeypatch) -> None:
    _, known = weighed
    fewer = replace(known, measures=known.measures[:2])
    monkeypatch.setattr(module, "replay_rows", lambda *_: fewer)
    lines = ", ".join(fewer.names)
    with pytest.raises(SettingsError) as refused:
        ask("usage=50,surveys=50")
    assert str(refused.value) == (
        "--weights names 'surveys', of which this company's scorecard has no line: no table tells"
        f" of it, or a measure of your own is graded by its signals; the lines are {lines}"
    )


def test_an_unknown_segment_is_refused(weighed, ask) -> None:
    _, known = weighed
    names = sorted(set(known.rows["segment"]))
    with pytest.raises(SettingsError) as refused:
        ask(segment="<script>alert(1)</script>")
    assert str(refused.value) == (
        "There is no segment '<script>alert(1)</script>' of the model; there are"
        f" {sample(names, 8)}"
    )


def test_the_screen_is_narrow_printable_and_says_who_is_better(weighed, ask) -> None:
    _, known = weighed
    found = ask()
    for width in (80, 120):
        text = screen(show_what_if, found, width=width)
        assert not [c for c in text if c != "\n" and not c.isprintable()]
        assert max(map(len, text.splitlines())) <= width
    row = found.replayed.table.set_index(["segment", "contender"]).loc[("all", WHAT_IF)]
    low, high = row["auc_ahead_low"], row["auc_ahead_high"]
    said = "better than" if low > 0 else "worse than" if high < 0 else "no better and no worse than"
    words = " ".join(text.split())
    assert words.startswith(f"These weights rank {said} today's")
    assert f"AUC {row['auc_ahead']:+.3f}".replace("-", "−") in words
    assert f"{100 * row['caught']:.0f} % were red before" in words
    assert f"Replayed on {known.from_until[0]} to {known.from_until[1]}" in words


def test_today_against_itself_is_a_draw(ask, weighed) -> None:
    project, _ = weighed
    same = ",".join(f"{k}={v}" for k, v in project.settings.scorecard.weights.items())
    found = ask(same)
    row = found.replayed.table.set_index(["segment", "contender"]).loc[("all", WHAT_IF)]
    assert row["auc_ahead"] == row["auc_ahead_high"] == row["caught_ahead"] == 0
    words = " ".join(screen(show_what_if, found, width=100).split())
    assert words.startswith(
        "These weights rank no better and no worse than today's, as far as can be told:"
        " AUC +0.000 (+0.000 to +0.000)."
    )


def test_json_holds_all_of_it(ask, capsys) -> None:
    found = ask()
    with answering(as_json=True) as answer:
        answer.give(found.to_dict())
    told = json.loads(capsys.readouterr().out)
    assert told["weights"][WHAT_IF]["all"]["usage"] == ASKED["usage"]
    assert told["outcome"] == "main"
    assert told["segment"] is None
    contenders = {row["contender"] for row in told["replayed"]["table"]}
    assert contenders == {TODAY, WHAT_IF, RECOMMENDED, FULL_MODEL}
    assert told["replayed_from"] > told["taught_until"]
