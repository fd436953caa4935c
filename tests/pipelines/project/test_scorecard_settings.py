"""Today's weights: every mistake in them is named, and what is left open is filled in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.catalog import Signal
from features.errors import SettingsError
from pipelines.project.project import load_project
from pipelines.project.settings.scorecard import (
    ScorecardSettings,
    read_weights,
    scorecard_measures,
    weights_today,
)

GOOD = '[source]\nurl = "data"\n[tables.accounts]\n[tables.subscriptions]\n'
KNOWN = ["usage", "support", "surveys"]


def signal(name, group, healthy="higher", unit="count"):
    return Signal(name, group, unit, healthy, name, None, "{value}")


SIGNALS = (
    signal("usage_28d", "usage"),
    signal("tickets_open", "support", "lower"),
    signal("nps_last", "surveys"),
    signal("billing_period", "payments", "none", "category"),
    signal("discount", "payments", "none", "share"),
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[scorecard.weights]\nusage = 60\nsupport = 30",
            "[scorecard] weights must sum to 100 and sum to 90; correct the weights so that they"
            " do",
        ),
        (
            "[scorecard.weights]\nusge = 100",
            "[scorecard] weights names 'usge', which is no signal group and no measure; did you"
            " mean 'usage'?",
        ),
        (
            "[scorecard.weights]\nusage = 120\nsupport = -20",
            "[scorecard] weights gives 'usage' the weight 120, and a weight lies between 0 and 100;"
            " correct it",
        ),
        (
            "[scorecard.weights]\nusage = nan\nsupport = 100",
            "[scorecard] weights gives 'usage' the weight nan, and a weight lies between 0 and 100;"
            " correct it",
        ),
        (
            "[scorecard.weights]\nprofile = 100",
            "[scorecard] weights names 'profile', which is no signal group and no measure",
        ),
        (
            "[scorecard.weights]\nusage = 100\n[scorecard.segments.a]\nusage = 50",
            "[scorecard.segments] a must sum to 100 and sum to 50; correct the weights so that they"
            " do",
        ),
        (
            "[scorecard.segments.a]\nusage = 100",
            "[scorecard.segments] needs [scorecard] weights for the segments it does not name;"
            " write them",
        ),
        (
            "[scorecard]\nred_below = 70\ngreen_from = 40",
            "[scorecard] red_below must not be above green_from and is 70 against 40; correct one"
            " of them",
        ),
        (
            "[scorecard.measures.usage]\nsignals = ['usage_28d']",
            "[scorecard.measures] names a measure 'usage', which is a signal group; give it another"
            " name",
        ),
        (
            "[scorecard.measures.nps]\nsignals = ['nps_last']\ngrades = [[6, 0], [6, 100]]",
            "[scorecard.measures.nps] grades must hold at least two values in ascending order, each"
            " once, and hold '6.0', '6.0'; order them",
        ),
        (
            "[scorecard.measures.nps]\nsignals = ['nps_last']\ngrades = [[0, 0], [10, 101]]",
            "[scorecard.measures.nps] grades must lie between 0 and 100; correct those that do not",
        ),
        (
            "[plays.groups]\nusge = 'call'",
            "[plays.groups] names 'usge', no signal group; did you mean 'usage'?",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "healthscore.toml"
    path.write_text(GOOD + text, encoding="utf-8")
    with pytest.raises(SettingsError) as raised:
        load_project(path)
    said = str(raised.value).removeprefix(f"The configuration '{path}': ")
    assert said.startswith(message)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("usage", "--weights must read like usage=40,support=60, and 'usage' does not;"),
        ("usage=x,support=50", "--weights must read like usage=40,support=60, and 'usage=x'"),
        ("usage=50,usage=50", "--weights names 'usage' twice; leave one out"),
        ("usage=50,support=40", "--weights must sum to 100 and sum to 90;"),
        ("usage=-10,support=110", "--weights gives 'usage' the weight -10,"),
        ("=HYPERLINK(1)=100", "--weights must read like"),
        ("", "--weights must read like"),
    ],
)
def test_weights_on_the_command_line_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_weights(text, KNOWN)
    assert str(raised.value).startswith(message)


def test_weights_on_the_command_line_are_read() -> None:
    assert read_weights(" usage = 40, support=59.98 ", KNOWN) == {"usage": 40, "support": 59.98}


def test_without_weights_equal_ones_stand_in() -> None:
    measures = [measure.name for measure in scorecard_measures(ScorecardSettings(), SIGNALS)]
    assert measures == ["usage", "support", "surveys"]
    assert weights_today(ScorecardSettings(), measures)["all"].tolist() == [34, 33, 33]


def test_own_measures_stand_in_for_their_groups() -> None:
    given = ScorecardSettings(
        weights={"logins": 50, "payments": 50},
        measures={"logins": {"signals": ["usage_28d"], "grades": [[0, 0], [9, 100]]}},
    )
    measures = scorecard_measures(given, SIGNALS)
    assert [measure.name for measure in measures] == ["logins", "support", "payments", "surveys"]
    assert measures[0].signals[0].steps == ((0.0, 0.0), (9.0, 100.0))
    # A group that is weighed stays, though no signal of it has a healthy direction.
    assert measures[2].signals == ()
    today = weights_today(given, [measure.name for measure in measures])["all"]
    assert today.tolist() == [50, 0, 50, 0]


def test_segments_have_weights_of_their_own() -> None:
    given = ScorecardSettings(
        weights={"usage": 100}, segments={"plan=a": {"support": 99.97, "usage": 0.02}}
    )
    today = weights_today(given, KNOWN)
    assert today["all"].tolist() == [100, 0, 0]
    assert np.sum(today["plan=a"]) == pytest.approx(100)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (
            {"signals": ["usage_28"]},
            "[scorecard.measures.own] names 'usage_28', which is no signal of this company; did you"
            " mean 'usage_28d'?",
        ),
        (
            {"signals": ["billing_period"]},
            "[scorecard.measures.own] names 'billing_period', which holds names and not numbers to"
            " grade; choose another signal",
        ),
        (
            {"signals": ["discount"]},
            "[scorecard.measures.own] needs healthy or grades, for nobody declared which way"
            ' \'discount\' is healthy; write healthy = "higher" or "lower"',
        ),
    ],
)
def test_a_measure_that_cannot_be_graded_is_named(measure: dict, message: str) -> None:
    given = ScorecardSettings(measures={"own": measure})
    with pytest.raises(SettingsError) as raised:
        scorecard_measures(given, SIGNALS)
    assert str(raised.value) == message


def test_a_direction_of_ones_own_is_heeded() -> None:
    given = ScorecardSettings(
        measures={"own": {"signals": ["discount", "nps_last"], "healthy": "lower"}}
    )
    (own, *_) = scorecard_measures(given, SIGNALS)
    assert [graded.higher for graded in own.signals] == [False, False]


def test_the_weights_of_today_are_no_part_of_what_shapes_a_score(tmp_path: Path) -> None:
    prints = []
    for text in ("", "[scorecard.weights]\nusage = 100\n[plays.groups]\nusage = 'call'"):
        path = tmp_path / "healthscore.toml"
        path.write_text(GOOD + text, encoding="utf-8")
        prints.append(load_project(path).fingerprint)
    assert prints[0] == prints[1]
