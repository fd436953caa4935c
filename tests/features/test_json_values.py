"""JSON of dataclasses: the same there and back, whatever they hold."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from features.json_values import JsonReady, json_records, json_value


@dataclass(frozen=True)
class Line(JsonReady):
    name: str
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Sheet(JsonReady):
    made_at: datetime
    until: date
    lines: dict[str, tuple[Line, ...]]
    notes: list[str] = field(default_factory=list)


SHEET = Sheet(
    datetime(2025, 4, 1, 8, 30),
    date(2025, 3, 31),
    {"<script>": (Line("a", (0.1, 0.2)), Line("b"))},
    ["\x1b[31m"],
)


def test_what_is_written_is_read_again() -> None:
    assert Sheet.from_dict(json.loads(json.dumps(SHEET.to_dict()))) == SHEET


def test_days_are_iso_and_tuples_are_lists() -> None:
    assert SHEET.to_dict() == {
        "made_at": "2025-04-01T08:30:00",
        "until": "2025-03-31",
        "lines": {"<script>": [{"name": "a", "ends": [0.1, 0.2]}, {"name": "b", "ends": None}]},
        "notes": ["\x1b[31m"],
    }


@pytest.mark.parametrize("described", [{}, {"name": 3, "ends": None}, {"name": "a", "ends": [1]}])
def test_what_does_not_fit_is_a_value_error(described) -> None:
    with pytest.raises(ValueError, match="Line"):
        Line.from_dict(described)


def test_what_an_earlier_version_left_out_or_wrote_besides_does_not_matter() -> None:
    assert Line.from_dict({"name": "a", "more": 1}) == Line("a")


def test_names_of_an_object_are_texts() -> None:
    assert json_value({1: (date(2025, 1, 1),), None: 2}) == {"1": ["2025-01-01"], "None": 2}


def test_rows_of_a_table_are_plain() -> None:
    table = pd.DataFrame({"n": [1, 2], "x": [np.nan, 0.5], "s": ["a", None]})
    rows = json_records(table)
    assert rows == [{"n": 1, "x": None, "s": "a"}, {"n": 2, "x": 0.5, "s": None}]
    assert json.dumps(rows, allow_nan=False)
