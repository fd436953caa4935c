"""What is said of plays: sentences, the page and the screen, from a reading made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from features.errors import RegistryError
from models.plays.result import Placebo, PlayEffect, PlayResult, Verdict
from models.plays.savable import Trial
from pipelines.plays.effects import PlaysReport, kept_report
from pipelines.plays.report import answers, plays_html
from pipelines.plays.savable import Savable, SavableFirst
from pipelines.plays.screen import bar, show_calls, show_report
from pipelines.plays.words import (
    doubts,
    headline,
    places,
    range_words,
    sentence,
    settling,
    standing_words,
)
from pipelines.project.project import Project

HOSTILE = "<script>alert(1)</script> \u202e[red]"


def effect(segment: str = "all", verdict: Verdict = "helps", **given: Any) -> PlayEffect:
    made = PlayEffect(
        play="call",
        segment=segment,
        treated=200,
        churned=14,
        controls=321.4,
        overlap=0.9,
        with_play=0.07,
        without=0.13,
        naive=0.05,
        raw=-0.06,
        raw_low=-0.1,
        raw_high=-0.02,
        effect=-0.06,
        low=-0.09,
        high=-0.03,
        log_ratio=-0.6,
        log_ratio_low=-1.0,
        log_ratio_high=-0.3,
        unseen_reason=3.0,
        unseen_reason_for_certainty=2.04,
        more_needed=None,
        verdict=verdict,
    )
    return replace(made, **given)


OPEN = {"low": -0.04, "high": 0.01, "verdict": "not enough evidence"}
GROWTH = effect("plan=growth", **OPEN, more_needed=60)
CALL = PlayResult(
    "call", 200, 7, effect(), (effect("plan=free"), GROWTH), Placebo(0.001, -0.002, 0.004, True)
)
REPORT = PlaysReport(
    outcome="main",
    made_at=datetime(2025, 3, 1, 9, 30, tzinfo=UTC),
    rows=5000,
    accounts=400,
    dates=12,
    within_days=7,
    landmark=3,
    horizon_days=30,
    gone_before=11,
    later=45,
    plays=(CALL, PlayResult(HOSTILE, 3, 0, None, (), None, "it was made alone on 3 rows")),
    notes=["2 of 90 interventions are dated before the account was made, and count for nothing"],
)
CALLS = SavableFirst(
    as_of=date(2025, 3, 1),
    by_evidence=True,
    calls=(
        Savable(HOSTILE, "free", "ann", 0.2, 1200.0, "call", 0.5, 80.0, 40.0, 120.0, "savable"),
        Savable("B", "plan=free", None, 0.1, None, "", 1.0, 0.0, 0.0, 0.0, "no evidence"),
    ),
    standings={"savable": 3, "sure thing": 10},
)


def test_an_effect_is_said_as_a_leader_reads_it() -> None:
    assert sentence(effect(), REPORT) == (
        "call within 7 days of the score's date: 3 to 9 of 100 fewer churn"
    )
    assert sentence(GROWTH, REPORT, "growth") == (
        "call within 7 days of the score's date for growth: between 4 of 100 fewer and 1 of 100"
        " more churn; not enough evidence"
    )
    lonely = effect(overlap=0.25, verdict="no comparison")
    assert "nothing to compare with; 75\u202f% of those acted on are of a kind" in sentence(
        lonely, REPORT
    )
    assert range_words(0.0002, 0.0011, 1000) == "0.2 to 1 of 1,000 more churn"


def test_what_would_settle_it_is_said() -> None:
    assert settling(CALL) == "About 60 more would settle it for growth"
    hopeless = replace(CALL, segments=(replace(GROWTH, more_needed=None),), everywhere=GROWTH)
    chosen = replace(hopeless, everywhere=replace(GROWTH, more_needed=None))
    assert "leave a few accounts alone on purpose" in settling(chosen)
    assert settling(replace(CALL, segments=())) == ""
    enough = replace(CALL, segments=(), everywhere=replace(GROWTH, more_needed=0))
    assert settling(enough).startswith("A change by a fifth of the churn would have shown by now")


def test_segments_read_together_are_not_taken_for_all_accounts(capsys) -> None:
    small = replace(GROWTH, segment="all")
    play = replace(CALL, segments=(effect("plan=free"), small))
    assert [place for place, _ in places(play)] == [
        "all accounts",
        "free",
        "the smaller segments",
    ]
    assert settling(play) == "About 60 more would settle it for the smaller segments"
    assert "the smaller segments" in plays_html(replace(REPORT, plays=(play,)), CALLS)
    # Where there are no segments their one line would say the same twice.
    assert [place for place, _ in places(replace(CALL, segments=(small,)))] == ["all accounts"]
    console = Console(width=160, highlight=False, markup=False)
    show_report(console, replace(REPORT, plays=(play,)))
    shown = capsys.readouterr().out
    assert (shown.count("all accounts"), shown.count("the smaller segments")) == (1, 2)


def test_doubts_are_told() -> None:
    told = doubts(CALL)
    assert "200 dates on which an account was given it with as good as 321" in told[0]
    assert "2.0 times as likely" in told[1]
    assert told[2] == "7 more dates had another play too and count for nothing"
    assert told[3].endswith("as it should be")
    failing = replace(CALL, placebo=Placebo(0.02, 0.01, 0.03, False))
    assert doubts(failing)[3].endswith("so nothing is claimed")
    assert doubts(REPORT.plays[1]) == ["Not enough to compare: it was made alone on 3 rows"]


def test_the_headline_counts_what_was_shown() -> None:
    assert headline(REPORT) == "1 of 1 play shown to prevent churn"
    harmful = replace(CALL, segments=(effect("plan=free", "harms"),))
    assert headline(replace(REPORT, plays=(harmful,))) == (
        "1 of 1 play shown to prevent churn, 1 shown to do harm"
    )
    assert headline(replace(REPORT, plays=())) == "Nobody acted within the days after a date"
    assert headline(replace(REPORT, plays=REPORT.plays[1:])) == "Not enough was done to compare"


def test_what_an_experiment_settled_is_said_first(capsys) -> None:
    helps = Trial("mail", (), 0.2, -0.05, -0.08, -0.02)
    harms = Trial("call", ("plan=free",), 0.2, 0.05, 0.02, 0.08)
    report = replace(REPORT, trials=(helps, harms))
    assert headline(report) == "1 of 2 plays shown to prevent churn, 1 shown to do harm"
    assert headline(replace(report, plays=(), trials=(helps,))) == (
        "1 of 1 play shown to prevent churn"
    )
    assert answers(report)[:2] == [
        ("mail", "2 to 8 of 100 fewer churn", "settled by an experiment"),
        ("call", "2 to 8 of 100 more churn", "settled by an experiment"),
    ]
    said = "By an experiment call harms in free: 2 to 8 of 100 more churn"
    assert said in plays_html(report, CALLS)
    show_report(Console(width=160, highlight=False, markup=False), report)
    assert said in capsys.readouterr().out
    assert PlaysReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_the_page_holds_all_of_it_and_nobodys_markup() -> None:
    page = plays_html(REPORT, CALLS)
    for text in (
        "3 to 9 of 100 fewer churn",
        "About 60 more would settle it",
        "count for nothing",
        "Who to call first",
        "3 can be saved, 10 stay anyway",
    ):
        assert text in page
    assert "<script>" not in page
    assert "\u202e" not in page


def test_the_screen_holds_all_of_it(capsys) -> None:
    console = Console(width=160, highlight=False, markup=False)
    show_report(console, REPORT)
    show_calls(console, CALLS)
    shown = capsys.readouterr().out
    for text in ("3 to 9 of 100 fewer churn", "growth", "not enough evidence", "[red]"):
        assert text in shown
    assert "80 (40 to 120)" in shown


def test_hours_of_owners_who_left_are_told() -> None:
    assert standing_words(CALLS) == "3 can be saved, 10 stay anyway"
    gone = replace(CALLS, idle=("ann", HOSTILE))
    assert "'ann'" in standing_words(gone)
    assert "with none of these accounts: whoever took" in standing_words(gone)
    page = plays_html(REPORT, gone)
    assert "with none of these accounts" in page
    assert "<script>" not in page


def test_a_bar_shows_no_change_in_its_middle() -> None:
    drawn = bar(effect(low=-0.1, high=0.0, effect=-0.05), 0.1).plain
    assert len(drawn) == 17
    assert drawn[8] == "│"
    assert drawn[4] == "●"
    assert drawn[:4] == "─" * 4
    assert drawn[9:].strip() == ""


def test_bars_are_whole_on_a_narrow_terminal(capsys) -> None:
    whole = effect(low=-0.1, high=0.1, effect=0.05)
    play = replace(CALL, everywhere=whole, segments=(replace(GROWTH, segment="plan=enterprise"),))
    show_report(Console(width=80, highlight=False), replace(REPORT, plays=(play,)))
    assert bar(whole, 0.1).plain in capsys.readouterr().out


def test_a_reading_is_kept_and_a_broken_one_is_told(tmp_path: Path) -> None:
    project = cast(Project, SimpleNamespace(outcome_name="main", registry_folder=tmp_path))
    assert kept_report(project) is None
    file = tmp_path / "plays.json"
    file.write_text(json.dumps(REPORT.to_dict()), encoding="utf-8")
    assert kept_report(project) == REPORT
    file.write_text('{"outcome": 1}', encoding="utf-8")
    with pytest.raises(RegistryError, match="run 'healthscore plays' again"):
        kept_report(project)
