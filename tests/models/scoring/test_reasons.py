from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Signal
from models.scoring.reasons import reasons, sentence
from models.weights.weights import group_points


def signal(unit, template="{value}", label="Thing", group="usage", name="thing"):
    return Signal(name, group, unit, "higher", label, 28, template)


@pytest.mark.parametrize(
    ("unit", "value", "said"),
    [
        ("change", -0.42, "Fell 42 %"),
        ("change", 0.42, "Rose 42 %"),
        ("change", 3.0, "Rose 300 %"),
        ("change", 0.004, "Held steady"),
        ("change", 0.0, "Held steady"),
        ("share", 0.18, "18 %"),
        ("share", 0.004, "0.4 %"),
        ("share", 0.0, "0 %"),
        ("share", 1.0, "100 %"),
        ("days", 1.0, "1 day"),
        ("days", 12.0, "12 days"),
        ("days", 0.0, "0 days"),
        ("days", -3.0, "−3 days"),
        ("days", 2.5, "2.5 days"),
        ("money", 12345.6, "12,346"),
        ("count", 1204.0, "1,204"),
        ("count", 9.97, "10"),
        ("count", 0.3, "0.3"),
        ("flag", 1.0, "Yes"),
        ("flag", 0.0, "No"),
        ("category", "annual", "Annual"),
        ("count", None, "Thing is not known"),
        ("count", float("nan"), "Thing is not known"),
        ("category", None, "Thing is not known"),
    ],
)
def test_values_by_unit(unit, value, said):
    assert sentence(signal(unit), value, -8.13) == f"{said}: −8.1 points"


@pytest.mark.parametrize(
    ("points", "said"),
    [(-8.13, "−8.1 points"), (3.25, "+3.2 points"), (1.0, "+1.0 point"), (-0.02, "0.0 points")],
)
def test_points_carry_their_sign(points, said):
    assert sentence(signal("count"), 1, points) == f"1: {said}"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (4.2, "4.2 (4: 'Meets monthly')"),
        (4.5, "4.5 (4: 'Meets monthly')"),
        (4.51, "4.5 (5: 'Meets {value} weekly')"),
        (9.0, "9 (5: 'Meets {value} weekly')"),
        (-3.0, "−3 (1.5: 'Gone for good')"),
        (None, "Sponsor is not known"),
    ],
)
def test_a_rating_is_said_with_the_text_of_the_nearest_level(value, said):
    levels = {"5": "Meets {value} weekly", "1.5": "Gone\nfor good", "4": "Meets monthly"}
    sponsor = signal("score", label="Sponsor").with_levels(levels)
    assert sentence(sponsor, value, 2) == f"{said}: +2.0 points"


def test_a_long_level_is_cut():
    said = sentence(signal("score").with_levels({"1": "x" * 500}), 1.0, 2)
    assert said == f"1 (1: '{'x' * 159}…'): +2.0 points"


@given(st.text(max_size=200))
def test_a_hostile_category_stays_on_one_line(text):
    said = sentence(signal("category", "The plan is {value}"), text, 1.5)
    assert len(said) < 100
    assert said.isprintable()
    assert said.endswith(": +1.5 points")


def test_braces_in_a_category_are_only_braces():
    said = sentence(signal("category", "Is {value}"), "{value} {0.__class__} %s", 1.5)
    assert said == "Is {value} {0.__class__} %s: +1.5 points"


SIGNALS = [
    signal("count", "{value} uses", name="uses"),
    signal("count", "{value} tickets", group="support", name="tickets"),
    signal("category", "Plan {value}", group="profile", name="plan"),
    signal("count", "{value} logins", name="logins"),
]
VALUES = pd.DataFrame(
    {"uses": [4.0, np.nan], "tickets": [2, 0], "plan": ["pro", None], "logins": [1.0, 2.0]}
)
POINTS = np.array([[1.0, -5.0, 0.0, 2.0], [-3.0, 0.0, 3.0, 0.5]])


def test_reasons_are_the_largest_points_in_order():
    first, second = reasons(POINTS, VALUES, SIGNALS, limit=2)
    assert [(reason.signal, reason.points) for reason in first] == [("tickets", -5), ("logins", 2)]
    assert [reason.signal for reason in second] == ["uses", "logins"]
    assert first[0].sentence == "2 tickets: −5.0 points"
    assert second[0].value is None
    assert second[1].sentence == "2 logins: +0.5 points"


def test_a_signal_without_points_is_no_reason():
    assert [reason.signal for reason in reasons(POINTS, VALUES, SIGNALS)[1]] == [
        "uses",
        "logins",
        "plan",
    ]
    assert reasons(np.zeros((2, 4)), VALUES, SIGNALS) == [[], []]


def test_reason_is_json_ready():
    reason = reasons(POINTS, VALUES, SIGNALS)[0][0]
    assert reason.to_dict() == {
        "signal": "tickets",
        "group": "support",
        "label": "Thing",
        "value": 2.0,
        "points": -5.0,
        "sentence": "2 tickets: −5.0 points",
    }


def test_groups_are_sums_in_catalogue_order():
    table = group_points(POINTS, SIGNALS)
    assert table.columns.tolist() == ["usage", "support", "profile"]
    assert table["usage"].tolist() == [3.0, -2.5]
    assert table.sum(axis=1).tolist() == POINTS.sum(axis=1).tolist()


def test_context_comes_after_behaviour_whatever_its_size():
    signals = [
        Signal("renewal_due", "profile", "flag", "none", "Renewal due", None, "Due: {value}"),
        Signal("tickets", "support", "count", "lower", "Tickets", None, "{value} tickets"),
        Signal("usage", "usage", "count", "higher", "Usage", 28, "{value} uses"),
    ]
    values = pd.DataFrame({"renewal_due": [1.0, 1.0], "tickets": [3.0, 0.0], "usage": [9.0, 1.0]})
    points = np.array([[-20.0, -1.0, 2.0], [-20.0, 0.0, -3.0]])
    told = reasons(points, values, signals, 2)
    assert [one.signal for one in told[0]] == ["usage", "tickets"]
    assert [one.signal for one in told[1]] == ["usage", "renewal_due"]
