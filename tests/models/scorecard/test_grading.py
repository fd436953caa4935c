from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import percentileofscore

from features.catalog import Signal
from features.errors import DataError
from models.scorecard.grading import KNOTS, GradedSignal, Grading, Measure, group_measures

NUMBERS = arrays(float, st.integers(1, 80), elements=st.floats(-50, 50).map(lambda x: round(x, 1)))


def fitted(values, higher=True, segment=None, steps=()):
    frame = pd.DataFrame({"uses": np.asarray(values, dtype=float)})
    labels = (
        np.full(len(frame), "a", dtype=object) if segment is None else np.array(segment, object)
    )
    measure = Measure("usage", (GradedSignal("uses", higher, steps),))
    return Grading.fit([measure], frame, labels), frame, labels


@given(NUMBERS, st.booleans())
def test_a_grade_is_the_mean_percentile_of_its_value(values, higher):
    grading, frame, labels = fitted(values, higher)
    found = grading.grades(frame, labels)[:, 0]
    wanted = np.array([percentileofscore(values, value, kind="mean") for value in values])
    assert found == pytest.approx(wanted if higher else 100 - wanted, abs=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_many_values_are_graded_to_a_hundredth(seed):
    values = np.random.default_rng(seed).gamma(1.0, size=5_000).round(3)
    grading, frame, labels = fitted(values)
    found = grading.grades(frame, labels)[:, 0]
    order = np.sort(values)
    ranks = np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right")
    assert np.abs(found - 100 * ranks / (2 * len(values))).max() < 100 / (KNOTS - 1)
    assert (np.diff(found[np.argsort(values)]) >= -1e-9).all()


def test_fixed_grades_lie_on_lines_and_end_flat():
    steps = ((0.0, 0.0), (6.0, 40.0), (10.0, 100.0))
    grading, _, _ = fitted([3.0, 9.0], steps=steps)
    new = pd.DataFrame({"uses": [-5.0, 0.0, 3.0, 8.0, 10.0, 99.0, np.nan]})
    found = grading.grades(new, np.full(7, "a", dtype=object))[:, 0]
    assert found[:-1].tolist() == [0.0, 0.0, 20.0, 70.0, 100.0, 100.0]
    assert np.isnan(found[-1])


def test_segments_are_graded_among_themselves_and_new_ones_among_all():
    grading, _, _ = fitted([1.0, 2.0, 10.0, 20.0], segment=["a", "a", "b", "b"])
    new = pd.DataFrame({"uses": [2.0, 10.0, 10.0]})
    found = grading.grades(new, np.array(["a", "b", "never seen"], dtype=object))[:, 0]
    assert found.tolist() == [75.0, 25.0, 62.5]


def test_a_measure_is_the_mean_of_what_is_known_of_it():
    frame = pd.DataFrame({"uses": [1.0, 2.0, np.nan, np.nan], "users": [4.0, np.nan, 2.0, np.nan]})
    measure = Measure("usage", (GradedSignal("uses", True), GradedSignal("users", True)))
    labels = np.full(4, "a", dtype=object)
    grading = Grading.fit([measure], frame, labels)
    grades = grading.grades(frame, labels)[:, 0]
    assert grades[:3].tolist() == [(25 + 75) / 2, 75.0, 25.0]
    assert np.isnan(grades[3])
    assert grading.filled(grades[:, None], labels)[3, 0] == pytest.approx(grades[:3].mean())


@pytest.mark.parametrize("values", [[np.nan, np.nan], []])
def test_a_signal_nobody_knows_grades_nobody(values):
    grading, frame, labels = fitted(values)
    assert np.isnan(grading.grades(frame, labels)).all()
    assert grading.typical["all"] == [50.0]


def test_infinities_are_no_reference_but_extreme():
    grading, _, labels = fitted([1.0, 2.0, np.inf, -np.inf])
    new = pd.DataFrame({"uses": [np.inf, -np.inf, 1.0]})
    assert grading.grades(new, labels[:3])[:, 0].tolist() == [75.0, 25.0, 25.0]


def test_an_absent_signal_is_named():
    measure = Measure("usage", (GradedSignal("gone", True),))
    with pytest.raises(DataError) as raised:
        Grading.fit([measure], pd.DataFrame({"uses": [1.0]}), ["a"])
    assert str(raised.value) == (
        "The scorecard is graded by 'gone', which the feature rows do not hold; build them with "
        "the same settings or take the measure out."
    )


def test_group_measures_take_declared_numbers_alone():
    def signal(name, group, healthy, unit="count"):
        return Signal(name, group, unit, healthy, name, None, "{value}")

    signals = [
        signal("tickets", "support", "lower"),
        signal("uses", "usage", "higher"),
        signal("either", "usage", "none"),
        signal("plan_word", "payments", "higher", "category"),
        signal("seats", "profile", "higher"),
    ]
    measures = group_measures(signals)
    assert [measure.name for measure in measures] == ["usage", "support"]
    assert measures[1].signals == (GradedSignal("tickets", False),)


def test_what_a_platform_needs_is_told():
    grading, _, _ = fitted([1.0, 3.0])
    told = grading.to_dict()
    assert told["measures"] == {"usage": ["uses"]}
    assert told["tables"]["a"] == {"uses": [[1.0, 25.0], [3.0, 75.0]]}
    assert told["typical"]["a"] == {"usage": 50.0}
