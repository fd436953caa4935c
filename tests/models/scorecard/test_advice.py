from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.measures.metrics import rate_row
from models.scorecard.advice import NARROW, Extremes, extremes_of, recommend
from models.scorecard.learning import SegmentLearning

NAMES = ("usage", "support", "surveys", "payments")
END = {"rows": 10, "positives": 1, "observed_rate": 0.1, "low": 0.0, "high": 0.3}
EXTREMES = {name: Extremes(END, END) for name in NAMES}


def learning(weights, spread=2.0, p_value=0.0, seed=0):
    """What a learning with independent uncertain weights looks like."""
    weights = np.asarray(weights, dtype=float)
    drawn = np.random.default_rng(seed).normal(weights, spread, (500, len(weights)))
    draws = np.clip(drawn, 0, None)
    draws = 100 * draws / draws.sum(axis=1, keepdims=True)
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    return SegmentLearning(
        weights, np.minimum(low, weights), np.maximum(high, weights), draws, p_value, 1_000, 50
    )


def advice(learnt, today, *, foretells=True, extremes=EXTREMES, names=NAMES):
    found = recommend(
        {"all": learnt},
        names,
        {"all": np.asarray(today, dtype=float)},
        foretells=foretells,
        extremes={"all": extremes},
    )["all"]
    return found, {line.measure: line for line in found.advice}


SHARES = st.lists(st.floats(0.5, 50), min_size=4, max_size=4).map(
    lambda raw: 100 * np.array(raw) / sum(raw)
)
WHOLE = st.lists(st.integers(1, 50), min_size=3, max_size=3).map(
    lambda raw: np.array([*raw, 0]) * 100 // sum(raw)
)


@settings(max_examples=60)
@given(SHARES, WHOLE, st.floats(0.5, 15), st.booleans())
def test_recommended_weights_sum_to_100_and_only_wanted_ones_move(learnt, today, spread, whole):
    today = today.astype(float)
    today[3] = 100 - today[:3].sum()
    if not whole:
        today = today * 0.9 + 2.5
    found = learning(learnt, spread)
    told, lines = advice(found, today)
    assert sum(line.recommended for line in lines.values()) == pytest.approx(100)
    for place, line in enumerate(lines.values()):
        assert line.recommended >= 0
        moved = line.recommended - today[place]
        assert line.verdict == ("keep" if moved == 0 else "raise" if moved > 0 else "lower")
        if line.why == "learnt":
            assert not found.low[place] <= today[place] <= found.high[place]
    if told.changes:
        assert told.enough_evidence


def test_a_weight_inside_its_interval_is_kept_to_the_point():
    _, lines = advice(learning([40, 30, 20, 10]), [41, 12, 37, 10])
    assert lines["usage"].verdict == lines["payments"].verdict == "keep"
    assert lines["usage"].recommended == 41
    assert lines["payments"].recommended == 10
    assert lines["support"].verdict == "raise"
    assert lines["surveys"].verdict == "lower"
    assert lines["support"].recommended == pytest.approx(30, abs=2)


def test_what_is_kept_says_whether_it_is_right_or_unknown():
    _, lines = advice(learning([40, 30, 20, 10], spread=[1, 1, 25, 1]), [40, 30, 20, 10])
    assert {line.verdict for line in lines.values()} == {"keep"}
    assert lines["surveys"].why == "not enough evidence"
    _, lines = advice(learning([40, 30, 20, 10], spread=1.0), [40, 30, 20, 10])
    assert lines["usage"].high - lines["usage"].low <= 2 * NARROW
    assert {line.why for line in lines.values()} == {"as it should be"}


@pytest.mark.parametrize(("p_value", "foretells"), [(0.4, True), (0.0, False)])
def test_without_evidence_everything_is_kept(p_value, foretells):
    told, lines = advice(learning([70, 10, 10, 10], p_value=p_value), [25] * 4, foretells=foretells)
    assert not told.enough_evidence
    assert not told.changes
    assert told.weights == dict.fromkeys(NAMES, 25.0)
    assert {(line.verdict, line.why) for line in lines.values()} == {
        ("keep", "not enough evidence")
    }


def test_a_segment_that_leans_on_the_others_says_so():
    learnt = {"all": learning([40, 30, 20, 10]), "tiny": learning([40, 30, 20, 10], p_value=0.5)}
    found = recommend(
        learnt,
        NAMES,
        {"all": np.full(4, 25.0)},
        foretells=True,
        extremes=dict.fromkeys(learnt, EXTREMES),
    )
    assert found["tiny"].borrowed
    assert found["tiny"].changes
    assert not found["all"].borrowed


def test_what_rises_alone_takes_from_whoever_is_most_too_heavy():
    # Only usage is outside its interval; of the others surveys is the furthest too heavy.
    found = learning([34, 25, 17, 24], spread=[2, 9, 9, 9])
    _, lines = advice(found, [25, 25, 25, 25])
    assert lines["usage"].verdict == "raise"
    assert lines["surveys"].verdict == "lower"
    assert lines["surveys"].why == "makes room"
    assert lines["support"].recommended == lines["payments"].recommended == 25


def test_what_falls_alone_gives_to_whoever_is_most_too_light():
    found = learning([16, 25, 34, 25], spread=[2, 9, 9, 9])
    _, lines = advice(found, [25, 25, 25, 25])
    assert lines["usage"].verdict == "lower"
    assert (lines["surveys"].verdict, lines["surveys"].why) == ("raise", "makes room")


def test_a_measure_without_data_is_kept_and_gives_nothing():
    extremes = {name: EXTREMES[name] for name in NAMES if name != "payments"}
    _, lines = advice(learning([60, 25, 15, 0], spread=1), [25] * 4, extremes=extremes)
    assert (lines["payments"].verdict, lines["payments"].why) == ("keep", "no data")
    assert lines["payments"].recommended == 25
    assert lines["payments"].extremes is None
    assert lines["usage"].recommended > 40


def test_weights_that_are_not_whole_stay_as_they_are_while_nothing_changes():
    told, lines = advice(learning([33.4, 33.3, 33.3, 0.0], spread=8), [33.4, 33.3, 33.3, 0.0])
    assert not told.changes
    assert lines["usage"].recommended == 33.4


def test_what_is_known_of_sums_is_used():
    # Usage and adoption tell the same: either's weight is unknown, their sum is not.
    rng = np.random.default_rng(0)
    swing = rng.normal(0, 10, 2_000)
    noise = rng.normal(0, 0.5, (2_000, 3))
    first = np.clip(30 + swing + noise[:, 0], 0, None)
    second = np.clip(30 - swing + noise[:, 1], 0, None)
    rest = np.clip(20 + noise[:, 2], 0, None)
    draws = np.column_stack([first, second, rest, 100 - first - second - rest])
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    found = SegmentLearning(np.array([30.0, 30, 20, 20]), low, high, draws, 0.0, 1_000, 50)
    _, lines = advice(found, [40, 5, 35, 20])
    assert lines["usage"].verdict == "keep"
    # With usage held at ten above what was learnt, its twin is to come out ten below.
    assert lines["support"].recommended == pytest.approx(20, abs=2)


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_extremes_are_the_fifths_of_the_known_grades(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 200))
    grades = rng.uniform(0, 100, (n, 2)).round(rng.integers(0, 3))
    grades[rng.random(n) < 0.3, 1] = np.nan
    happened = (rng.random(n) < 0.3).astype(float)
    accounts = rng.integers(0, 40, n)
    segment = rng.choice(["a", "b"], n).astype(object)
    found = extremes_of(grades, happened, accounts, segment, ["one", "two"])
    for place in {"all", *segment}:
        inside = np.ones(n, dtype=bool) if place == "all" else segment == place
        for column, measure in enumerate(["one", "two"]):
            known = inside & ~np.isnan(grades[:, column])
            if not known.any():
                assert measure not in found[place]
                continue
            low = np.quantile(grades[known, column], 0.2)
            rows = known & (grades[:, column] <= low)
            wanted = rate_row(happened[rows], happened[rows], accounts[rows])
            told = found[place][measure].worst
            assert told == {key: wanted[key] for key in told}


def test_it_can_be_written_as_json():
    import json

    told, _ = advice(learning([40, 30, 20, 10]), [25] * 4)
    again = json.loads(json.dumps(told.to_dict(), allow_nan=False))
    assert again["advice"][0]["measure"] == "usage"
    assert again["changes"]
