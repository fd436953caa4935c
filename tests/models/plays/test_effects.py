"""Plays of a small company whose truth is known: one helps, one does nothing, one harms."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models.plays.effects import PlayRows, play_effects
from models.plays.result import PlayResult

ACCOUNTS, DATES = 900, 8
TRUE = {"call": -1.2, "mail": 0.0, "discount": 0.9}


def company(seed: int = 0) -> tuple[PlayRows, np.ndarray]:
    rng = np.random.default_rng(seed)
    account = np.repeat(np.arange(ACCOUNTS), DATES)
    worry = np.repeat(rng.normal(0, 1, ACCOUNTS), DATES) * 0.6 + rng.normal(0, 0.8, len(account))
    segment = np.where(account % 2, "large", "small").astype(object)
    risk = worry - 1.8
    which = rng.random(len(account))
    chance = expit(1.2 * worry - 0.6)
    acted = {}
    for place, play in enumerate(TRUE):
        acted[play] = (which >= place / 3 * chance) & (which < (place + 1) / 3 * chance)
    helped = risk + sum(TRUE[play] * acted[play] for play in TRUE)
    happened = (rng.random(len(account)) < expit(helped)).astype(float)
    rows = PlayRows(
        inputs=pd.DataFrame({"worry": worry, "segment": segment}),
        accounts=account.astype(str).astype(object),
        days=np.tile(np.arange(DATES), ACCOUNTS) * 30,
        happened=happened,
        acted=acted,
    )
    return rows, expit(helped) - expit(risk)


@pytest.fixture(scope="module")
def learnt() -> tuple[dict[str, PlayResult], PlayRows, np.ndarray]:
    rows, change = company()
    return {one.play: one for one in play_effects(rows)}, rows, change


def test_effects_lie_in_their_intervals_and_plain_differences_do_not(learnt) -> None:
    found, rows, change = learnt
    for play, one in found.items():
        whole = one.everywhere
        assert whole is not None
        true = change[rows.acted[play]].mean()
        assert whole.low <= true <= whole.high
        assert abs(whole.effect - true) < abs(whole.naive - true)
        assert whole.low <= whole.effect <= whole.high
        assert [each.segment for each in one.segments] == ["large", "small"]
        assert one.acted == rows.acted[play].sum()
        assert one.with_others == 0
        assert one.placebo is not None
        assert one.placebo.passes
    assert found["call"].everywhere.verdict == "helps"
    assert found["call"].everywhere.more_needed is None
    assert found["call"].everywhere.unseen_reason_for_certainty > 1
    assert found["mail"].everywhere.verdict == "not enough evidence"
    assert found["discount"].everywhere.verdict == "harms"


def test_a_reading_survives_json(learnt) -> None:
    for one in learnt[0].values():
        assert PlayResult.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_too_little_is_said_and_not_guessed() -> None:
    rows, _ = company()
    few = {"call": np.arange(len(rows.happened)) < 12}
    [one] = play_effects(replace(rows, acted=few))
    assert one.everywhere is None
    assert one.why_not == "it was made alone on 12 rows, and takes 30"
    nobody_churned = replace(rows, happened=np.zeros_like(rows.happened))
    found = play_effects(nobody_churned)
    assert len(found) == 3
    assert {one.why_not.split(" rows ")[1] for one in found} == {
        "on which nobody acted churned, and it takes 20"
    }


def test_plays_made_together_are_left_out(learnt) -> None:
    rows = learnt[1]
    both = replace(rows, acted={"call": rows.acted["call"], "visit": rows.acted["call"]})
    for one in play_effects(both):
        assert one.everywhere is None
        assert one.acted == 0
        assert one.with_others == rows.acted["call"].sum()
