"""What is said to have drifted, how much it matters, and how rarely it is said for nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Signal
from features.errors import DataError
from models.drift.reference import Reference, fit_reference, frame_histograms
from models.drift.statistics import DriftStatistics, _by_group, drift_statistics, holm

SIGNALS = tuple(
    Signal(f"signal_{i}", "usage", "count", "higher", f"Signal {i}", 28, "{value}")
    for i in range(8)
)
WEIGHTS = {"all": {f"signal_{i}": 12.5 for i in range(8)}, "small": {"signal_0": 100.0}}
AS_OF = date(2026, 6, 1)


def month(
    rng: np.random.Generator, number: int, state: np.ndarray, shift: float = 0.0
) -> pd.DataFrame:
    """One date of accounts that resemble themselves; a shift moves signal_0 of the small."""
    state[:] = 0.9 * state + 0.19**0.5 * rng.normal(size=state.shape)
    values = np.exp(state)
    segment = np.where(np.arange(len(state)) % 2, "small", "large")
    values[:, 0] *= np.where(segment == "small", np.exp(shift), 1.0)
    frame = pd.DataFrame(values, columns=[signal.name for signal in SIGNALS])
    return frame.assign(
        account_id=[f"A{i}" for i in range(len(state))],
        observation_date=pd.Timestamp(2025, number, 1),
        segment=segment,
        score=np.clip(50 + 10 * state[:, 0] + shift, 0, 100),
    )


def company(seed: int, accounts: int = 200) -> tuple[Reference, np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(seed)
    state = rng.normal(size=(accounts, len(SIGNALS)))
    rows = pd.concat([month(rng, n, state) for n in range(1, 9)], ignore_index=True)
    return fit_reference(rows, SIGNALS, rows["segment"], score=rows["score"]), rng, state


def check(reference: Reference, frame: pd.DataFrame, as_of: date = AS_OF) -> DriftStatistics:
    current = frame_histograms(reference, frame, frame["segment"], score=frame["score"])
    return drift_statistics(reference, current, WEIGHTS, as_of)


def test_nothing_is_said_of_accounts_that_only_wander() -> None:
    alarms = []
    for seed in range(8):
        reference, rng, state = company(seed)
        for _ in range(3):
            found = check(reference, month(rng, 9, state))
            every = [*found.signals, *found.score, found.mix]
            alarms.append(any(drift is not None and drift.adjusted < 0.05 for drift in every))
    assert np.mean(alarms) <= 0.15


def test_a_shift_in_one_segment_is_found_there_with_its_weight() -> None:
    reference, rng, state = company(0)
    found = check(reference, month(rng, 9, state, shift=-1.2))
    first = found.signals[0]
    assert (first.name, first.segment, first.weight) == ("signal_0", "small", 1.0)
    assert first.adjusted < 1e-4
    assert first.movement.shift is not None
    assert first.movement.shift < 0
    assert first.impact == pytest.approx(first.movement.psi - first.movement.psi_expected)
    named = {(drift.name, drift.segment) for drift in found.signals if drift.adjusted < 0.01}
    assert named == {("signal_0", "small"), ("signal_0", "all")}


def test_a_segment_without_weights_of_its_own_has_those_of_all() -> None:
    reference, rng, state = company(0)
    found = check(reference, month(rng, 9, state))
    weights = {d.weight for d in found.signals if d.segment == "large"}
    assert weights == {0.125}


def test_the_mix_of_segments_is_watched() -> None:
    reference, rng, state = company(1)
    frame = month(rng, 9, state)
    found = check(reference, frame[frame["segment"] == "large"])
    assert found.mix is not None
    assert found.mix.adjusted < 1e-3
    assert found.notes == (
        "Fewer than 20 accounts are left in 'small': judged only as part of all accounts.",
    )
    assert {drift.segment for drift in found.signals} == {"all", "large"}


def test_a_new_segment_and_a_sample_are_noted() -> None:
    reference, rng, state = company(1)
    frame = month(rng, 9, state)
    frame.loc[:29, "segment"] = "<b>brand new</b>"
    found = check(reference, frame)
    assert found.notes == (
        "30 accounts are in no segment the champion knows: judged only as part of all accounts.",
    )


def test_what_a_group_shows_together_is_found_though_no_signal_shows_it_alone() -> None:
    reference, rng, state = company(6, accounts=120)
    moved = month(rng, 9, state)
    for signal in SIGNALS:
        moved[signal.name] *= np.exp(0.5)
    alone = check(replace(reference, groups={}), moved)
    together = check(reference, moved)
    watched = [
        {drift.name for drift in found.signals if drift.segment == "all" and drift.adjusted < 0.05}
        for found in (alone, together)
    ]
    assert watched[0] < watched[1]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abc")), min_size=1, max_size=12),
    st.floats(0.1, 1),
)
def test_groups_are_pooled_as_published(tests: list[tuple[float, str]], share: float) -> None:
    p_values = np.array([p for p, _ in tests])
    names = [("all", name) for _, name in tests]
    found = _by_group(p_values, names, share)
    groups = sorted(set(names))
    ranked = {
        g: sorted(p for p, name in zip(p_values, names, strict=True) if name == g) for g in groups
    }
    simes = [min(len(ranked[g]) * p / (k + 1) for k, p in enumerate(ranked[g])) for g in groups]
    whole = dict(zip(groups, holm(simes) / share, strict=True))
    for value, p, group in zip(found, p_values, names, strict=True):
        others = ranked[group]
        steps = [len(others) * q / (k + 1) for k, q in enumerate(others) if q >= p]
        assert value == pytest.approx(max(min(1.0, *steps), whole[group]))


@pytest.mark.parametrize("rows", [0, 1])
def test_nobody_and_a_single_account_are_no_drift(rows: int) -> None:
    reference, rng, state = company(2)
    found = check(reference, month(rng, 9, state).iloc[:rows])
    assert found.rows == rows
    assert all(drift.adjusted == 1.0 for drift in found.signals)
    assert ("No account was there to compare." in found.notes) == (rows == 0)
    assert found.mix is None or rows == 1


def test_everything_missing_and_infinities_are_no_traceback() -> None:
    reference, rng, state = company(3)
    frame = month(rng, 9, state)
    frame["signal_1"] = np.nan
    frame.loc[::2, "signal_2"] = np.inf
    found = {(d.name, d.segment): d for d in check(reference, frame).signals}
    assert found["signal_1", "all"].movement.found_by == "missing"
    assert found["signal_1", "all"].adjusted < 1e-9
    assert found["signal_2", "all"].adjusted < 1e-9


def test_a_date_before_the_reference_is_refused_in_a_sentence() -> None:
    reference, rng, state = company(4)
    with pytest.raises(DataError, match=r"2025-07-31 lies before 2025-08-01; correct --as-of"):
        check(reference, month(rng, 9, state), date(2025, 7, 31))


def test_statistics_are_json() -> None:
    reference, rng, state = company(5)
    text = json.dumps(check(reference, month(rng, 9, state)).to_dict(), allow_nan=False)
    assert json.loads(text)["signals"][0].keys() >= {"psi", "psi_high", "weight", "impact"}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_steps_down_as_published(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for step, place in enumerate(np.argsort(p_values, kind="stable")):
            if p_values[place] * (len(p_values) - step) > level:
                break
            rejected.add(int(place))
        assert {i for i, value in enumerate(adjusted) if value <= level} == rejected
