"""Whom to call first, against a loop over every account and play."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.plays.result import PlayEffect, PlayResult, Verdict
from models.plays.savable import Trial, kept_per_hour, levers, within_capacity


def effect(play: str, segment: str, ratio: float, verdict: Verdict) -> PlayEffect:
    return PlayEffect(
        play=play, segment=segment, treated=100, churned=10, controls=90.0, overlap=1.0,
        with_play=0.1, without=0.2, naive=0.0, raw=-0.1, raw_low=-0.15, raw_high=-0.05,
        effect=-0.1, low=-0.15, high=-0.05, log_ratio=ratio, log_ratio_low=ratio - 0.2,
        log_ratio_high=ratio + 0.2, unseen_reason=2.0, unseen_reason_for_certainty=1.5,
        more_needed=None, verdict=verdict,
    )  # fmt: skip


def play(
    name: str, ratio: float, verdict: Verdict, **segments: tuple[float, Verdict]
) -> PlayResult:
    own = tuple(effect(name, segment, *given) for segment, given in segments.items())
    return PlayResult(name, 100, 0, effect(name, "all", ratio, verdict), own, None)


CALL = play("call", -0.5, "helps", small=(-0.7, "helps"), large=(0.4, "harms"))
VISIT = play("visit", -0.9, "helps")
HOPE = play("hope", -2.0, "not enough evidence")
ROWS = pd.DataFrame(
    {
        "segment": ["small", "large", "other", "small", "small", "small"],
        "probability": [0.2, 0.2, 0.2, 0.001, 0.99, 0.5],
        "arr": [100.0, 1000.0, 50.0, 10.0, 10.0, 0.0],
    }
)


def kept_by_hand(probability: float, arr: float, ratio: float) -> float:
    """Shift log-odds by what the ratio does at the base of 0.2."""
    after = 0.2 * math.exp(ratio)
    shift = math.log(after / (1 - after)) - math.log(0.2 / 0.8)
    odds = probability / (1 - probability) * math.exp(shift)
    return arr * (probability - odds / (1 + odds))


def test_the_best_play_for_an_hour_is_chosen_for_each_account() -> None:
    hours = {"visit": 3.0, "call": 0.5}
    found = kept_per_hour(ROWS, levers([CALL, VISIT, HOPE], ["small", "large", "other"], hours))
    assert found["play"].tolist()[:3] == ["call", "visit", "call"]
    expected = [kept_by_hand(0.2, 100, -0.7), kept_by_hand(0.2, 1000, -0.9)]
    assert found["kept"].tolist()[:2] == pytest.approx(expected)
    assert found["kept_low"][0] == pytest.approx(kept_by_hand(0.2, 100, -0.5))
    assert found["kept_high"][0] == pytest.approx(kept_by_hand(0.2, 100, -0.9))
    assert found["kept_per_hour"][1] == pytest.approx(expected[1] / 3)
    assert found["standing"].tolist()[3:5] == ["sure thing", "lost cause"]


def test_without_evidence_nothing_is_kept_and_harm_is_told() -> None:
    found = kept_per_hour(ROWS, levers([HOPE], ["small", "large", "other"], {}))
    assert set(found["standing"]) == {"no evidence"}
    assert found["kept"].sum() == 0
    assert set(found["play"]) == {""}
    harmed = kept_per_hour(ROWS, levers([CALL], ["small", "large", "other"], {}))
    assert harmed["standing"][1] == "better left alone"


def test_an_open_segment_goes_by_what_is_known_of_all() -> None:
    open_one = replace(CALL, segments=(effect("call", "small", -0.3, "not enough evidence"),))
    assert levers([open_one], ["small"], {})["small"][0].play == "call"
    no_comparison = replace(CALL, segments=(effect("call", "small", -0.3, "no comparison"),))
    assert levers([no_comparison], ["small"], {})["small"] == ()


def test_an_experiment_stands_before_a_comparison() -> None:
    hope = Trial("hope", (), 0.2, -0.05, -0.09, -0.01)
    wide = replace(hope, change=-0.1, low=-0.19, high=-0.005)
    harm = Trial("call", ("small",), 0.2, 0.1, 0.02, 0.2)
    found = levers([CALL, HOPE], ["small", "large"], {"hope": 2.0}, [hope, wide, harm])
    shift = math.log(0.15 / 0.85) - math.log(0.2 / 0.8)
    by_play = {one.play: one for one in found["small"]}
    assert by_play["hope"].shift == pytest.approx(shift)
    assert by_play["hope"].hours == 2.0
    assert by_play["hope"].low < shift < by_play["hope"].high < 0
    assert [one.harms for one in (by_play["hope"], by_play["call"])] == [False, True]
    # In the other segment the call goes by what was compared.
    assert [(one.play, one.harms) for one in found["large"]] == [("hope", False), ("call", True)]
    assert levers([], ["large"], {}, [harm])["large"] == ()


def test_hours_are_spent_once() -> None:
    ranked = pd.DataFrame({"hours": [2.0, 2.0, 1.0, 5.0, 1.0]})
    owners = np.array(["ann", "ann", "ann", "bob", None], dtype=object)
    assert within_capacity(ranked, owners, {"ann": 3.0}).tolist() == [True, False, True, True, True]
