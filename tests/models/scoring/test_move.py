from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.churn.classifier import ChurnClassifier
from models.churn.segments import SegmentSettings
from models.scoring.calibration import LogisticCalibrator
from models.scoring.move import KINDS, MoveEnd, split_move
from models.scoring.scorer import Scorer

DAYS = date(2025, 1, 1), date(2025, 4, 1)


@pytest.fixture(scope="module")
def linear(result):
    return result.model


@pytest.fixture(scope="module")
def trees(result, frame, signals):
    """A model whose signals act together, in fewer segments than the other."""
    names = [signal.name for signal in signals]
    segments = replace(
        result.model.segments,
        names=("plan=starter", "plan=growth"),
        settings=SegmentSettings(("plan",)),
    )
    inputs = frame[names].assign(segment=segments.assign(frame))
    classifier = ChurnClassifier(
        segment_column="segment",
        backbone=False,
        n_rounds=40,
        learning_rate=0.3,
        num_leaves=16,
        healthy={signal.name: signal.healthy for signal in signals if signal.healthy != "none"},
    )
    return replace(
        result.model,
        classifier=classifier.fit(inputs, frame["happened"]),
        segments=segments,
        centres={"all": [0.1] * len(names), "plan=growth": [-0.3] * len(names)},
    )


def ends(frame, rows, models, versions, issued=(None, None)):
    return [
        MoveEnd(day, frame.iloc[[row]].reset_index(drop=True), model, version, score)
        for day, row, model, version, score in zip(
            DAYS, rows, models, versions, issued, strict=True
        )
    ]


def only(move, kind):
    return [part for part in move.parts if part.kind == kind]


def total(move, kind):
    return math.fsum(part.points for part in only(move, kind))


rows_of = st.integers(0, 7199)
probabilities = st.sampled_from([1e-9, 1e-3, 0.05, 0.5, 0.999, 1 - 1e-9])
scores = st.none() | st.floats(0, 100)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_parts_sum_to_the_change_whatever_moved(linear, trees, frame, signals, data):
    """Two models or one, clipped or not, issued scores or rebuilt ones, signals lost at will."""
    names = [signal.name for signal in signals]
    width = len(names)
    picked = data.draw(st.tuples(st.integers(0, 1), st.integers(0, 1)))
    anchors = data.draw(st.tuples(probabilities, probabilities))
    contributions = data.draw(st.lists(st.floats(-5, 5), min_size=width, max_size=width))
    line = data.draw(st.tuples(st.floats(-3, 3), st.floats(1e-3, 20)))
    models = []
    for which, anchor in zip(picked, anchors, strict=True):
        base = (linear, trees)[which]
        scale = replace(
            base.scale,
            anchor_probability=anchor,
            good=data.draw(st.booleans()),
        )
        calibrator = LogisticCalibrator.from_dict(
            {**base.calibrator.to_dict(), "shared": list(line)}
        )
        centres = {**base.centres, "all": contributions}
        models.append(replace(base, scale=scale, calibrator=calibrator, centres=centres))
    same = data.draw(st.booleans())
    models[0] = models[1] if same else models[0]
    versions = ("4", "4") if same else ("3", "4")
    issued = data.draw(st.tuples(scores, scores))
    before, after = ends(frame, data.draw(st.tuples(rows_of, rows_of)), models, versions, issued)
    for end in (before, after):
        for name in data.draw(st.sets(st.sampled_from(names))):
            end.row[name] = None if name == "billing_period" else np.nan
    move = split_move(before, after)

    scored = [Scorer(end.model).score(end.row).table["score"].iloc[0] for end in (before, after)]
    expected = [s if given is None else given for s, given in zip(scored, issued, strict=True)]
    assert (move.start, move.end) == pytest.approx(expected, abs=1e-9)
    parts = [part.points for part in move.parts]
    assert math.fsum(parts) == pytest.approx(move.end - move.start, abs=1e-9)
    assert sum(move.totals().values()) == pytest.approx(move.end - move.start, abs=1e-9)
    assert [abs(p) for p in parts] == sorted((abs(p) for p in parts), reverse=True)
    revised = [a - b for a, b in ((scored[0], expected[0]), (expected[1], scored[1]))]
    assert total(move, "revised") == pytest.approx(sum(revised), abs=1e-9)
    # The oracle of the model's part: the same old signals, read by either.
    old, new = (Scorer(model).score(before.row).table["score"].iloc[0] for model in models)
    assert total(move, "model") == pytest.approx(new - old, abs=1e-9)
    assert not (same and only(move, "model"))
    for part in move.parts:
        if part.signal is None:
            continue
        here = [pd.notna(end.row[part.signal].iloc[0]) for end in (before, after)]
        assert here != [True, False] or part.kind == "missing"
        assert here != [False, True] or part.kind == "recovered"
        values = [end.row[part.signal].iloc[0] for end in (before, after)]
        if here == [True, True]:
            assert part.kind == ("interplay" if values[0] == values[1] else "behaviour")
            assert [part.before, part.after] == values


def test_within_a_segment_a_part_is_the_difference_of_the_points_people_saw(trees, frame, signals):
    """Points of the new model on both dates, read through the public interface."""
    starters = frame.index[frame["plan"] == "starter"][[3, 700]]
    move = split_move(*ends(frame, starters, [trees, trees], ["4", "4"]))
    scored = Scorer(trees).score(frame.loc[starters])
    gained = dict(zip([s.name for s in signals], scored.points[1] - scored.points[0], strict=True))
    told = {part.signal: part.points for part in move.parts}
    assert told == pytest.approx({name: by for name, by in gained.items() if by}, abs=1e-9)
    assert {part.kind for part in move.parts} <= {"behaviour", "missing", "recovered", "interplay"}


@pytest.mark.parametrize("plans", [("starter", "growth"), ("growth", "enterprise")])
def test_the_segment_s_part_is_the_old_signals_in_the_new_segment(linear, frame, plans):
    """The plan is no signal of this model, so a row with another plan is the oracle."""
    settled = frame[frame["tenure_days"] > 90]
    rows = [settled.index[settled["plan"] == plan][5] for plan in plans]
    before, after = ends(frame, rows, [linear, linear], ["4", "4"])
    move = split_move(before, after)
    other = Scorer(linear).score(before.row.assign(plan=plans[1])).table["score"].iloc[0]
    (part,) = only(move, "segment")
    assert part.points == pytest.approx(other - move.start, abs=1e-9)
    assert part.change == f"Segment: plan={plans[0]} → plan={plans[1]}"
    behaviour = total(move, "behaviour") + total(move, "missing") + total(move, "recovered")
    assert behaviour + total(move, "interplay") == pytest.approx(move.end - other, abs=1e-9)


def test_a_stage_of_life_is_a_segment_too(linear, frame):
    young = frame.iloc[[frame.index[(frame["plan"] == "starter") & (frame["tenure_days"] < 80)][0]]]
    grown = young.assign(tenure_days=200.0)
    before, after = (
        MoveEnd(day, row.reset_index(drop=True), linear, "4")
        for day, row in zip(DAYS, (young, grown), strict=True)
    )
    move = split_move(before, after)
    (part,) = only(move, "segment")
    assert part.change == "Segment: plan=starter / onboarding → plan=starter"
    assert {p.signal for p in only(move, "behaviour")} <= {"tenure_days"}


def test_an_account_that_stood_still_moved_by_the_model_alone(linear, trees, frame):
    move = split_move(*ends(frame, (10, 10), [linear, trees], ["3", "4"]))
    (part,) = move.parts
    assert (part.kind, part.before, part.after) == ("model", "3", "4")
    assert part.change == "Model version: 3 → 4"
    assert part.points == move.end - move.start
    still = split_move(*ends(frame, (10, 10), [trees, trees], ["4", "4"]))
    assert still.parts == ()
    assert still.start == still.end
    assert still.totals() == dict.fromkeys(KINDS, 0.0)


def test_what_the_trees_read_together_is_told_apart(trees, frame):
    """One signal moves; the difference of another one's points is interplay, not behaviour."""
    starters = frame[(frame["plan"] == "starter") & frame["usage_change"].notna()]
    found = set()
    for row in range(30):
        before = starters.iloc[[row]].reset_index(drop=True)
        after = before.assign(tickets_90d=before["tickets_90d"] + 2)
        old, new = (
            MoveEnd(day, end, trees, "4") for day, end in zip(DAYS, (before, after), strict=True)
        )
        move = split_move(old, new)
        assert {part.signal for part in only(move, "behaviour")} <= {"tickets_90d"}
        assert only(move, "segment") == only(move, "model") == only(move, "revised") == []
        found |= {part.change for part in only(move, "interplay")}
    assert found
    assert all(change.endswith(" as before") for change in found)


def test_words_of_values(linear, trees, frame):
    row = frame[frame["usage_change"].notna() & frame["billing_period"].notna()].iloc[[0]]
    row = row.assign(usage_28d=53.2, usage_change=0.42, billing_period="annual", tickets_90d=0.3)
    other = row.assign(
        usage_28d=52.9, usage_change=np.nan, billing_period="mon\x1b[31mthly", tickets_90d=1.2
    )
    before, after = (
        MoveEnd(day, end.reset_index(drop=True), linear, "4", score)
        for day, end, score in zip(DAYS, (row, other), (61.04, 12.0), strict=True)
    )
    move = split_move(before, after)
    said = {part.signal or part.label: part.change for part in move.parts}
    assert said["usage_28d"] == "Usage: still about 53"
    assert said["usage_change"] == "Usage: rose 42 % → not known"
    assert said["billing_period"] == "Billing: annual → mon [31mthly"
    assert said["tickets_90d"] == "Tickets: 0.3 → 1.2"
    start, end = (scored.table["score"].iloc[0] for scored in move.scored)
    assert (
        said["Data or settings of 2025-01-01 revised since"]
        == f"Data or settings of 2025-01-01 revised since: 61.0 → {start:.1f}"
    )
    assert (
        said["Data or settings of 2025-04-01 revised since"]
        == f"Data or settings of 2025-04-01 revised since: {end:.1f} → 12.0"
    )
    back = {p.signal or p.label: p.change for p in split_move(after, before).parts}
    assert back["usage_change"] == "Usage: not known → rose 42 %"
    (lost,) = only(move, "missing")
    assert lost.to_dict() == {
        "kind": "missing",
        "signal": "usage_change",
        "group": "usage",
        "label": "Usage",
        "before": 0.42,
        "after": None,
        "change": "Usage: rose 42 % → not known",
        "points": lost.points,
    }


def test_an_issued_score_that_can_be_rebuilt_is_no_revision(linear, frame):
    rows = (4, 900)
    scored = Scorer(linear).score(frame.iloc[list(rows)]).table["score"].tolist()
    nearly = (scored[0] + 3e-11, scored[1] - 3e-11)
    move = split_move(*ends(frame, rows, [linear, linear], ["4", "4"], nearly))
    assert only(move, "revised") == []
    assert math.fsum(p.points for p in move.parts) == pytest.approx(nearly[1] - nearly[0], abs=1e-9)
