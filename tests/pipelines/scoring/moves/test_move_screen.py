"""The waterfall: lines that sum to the move, whatever its parts are."""

from __future__ import annotations

import io
import math
from datetime import date
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from features.outcomes.settings import WORDS
from models.scoring.move import KINDS, MovePart, MoveSplit
from pipelines.scoring.moves.move import ExplainedMove
from pipelines.scoring.moves.move_screen import SIGNALS_SHOWN, show_move, waterfall_steps
from pipelines.store.issued import DatedScore

HOSTILE = "[/red]\x1b[31m<b>\n\t{value}"


def split(parts: list[tuple[str, float]]) -> MoveSplit:
    made = [
        MovePart(
            kind,  # type: ignore[arg-type]
            None if kind in ("segment", "term", "model", "revised") else f"s{number}",
            None,
            f"Label {number}",
            "a",
            "b",
            f"{HOSTILE} {number}: a → b",
            points,
        )
        for number, (kind, points) in enumerate(parts)
    ]
    made.sort(key=lambda part: -abs(part.points))
    start = 50.0
    end = start + math.fsum(points for _, points in parts)
    return MoveSplit(start, end, SimpleNamespace(), tuple(made))  # type: ignore[arg-type]


def screen(move: MoveSplit, width: int) -> str:
    start, end = (
        DatedScore(day, score, band, 0.1, "all", "7")
        for day, score, band in (
            (date(2025, 1, 1), move.start, "unlikely"),
            (date(2025, 2, 1), move.end, "likely"),
        )
    )
    told = ExplainedMove(HOSTILE, "grow", start, end, move, WORDS["expansion"], [HOSTILE])
    console = Console(width=width, record=True, file=io.StringIO(), markup=False, emoji=False)
    show_move(console, told)
    return console.export_text()


points = st.floats(-60, 60)
parts_of_a_move = st.lists(st.tuples(st.sampled_from(KINDS), points), max_size=40)


@given(parts_of_a_move)
def test_lines_sum_to_the_move_and_the_largest_come_first(parts) -> None:
    move = split(parts)
    steps = waterfall_steps(move)
    assert math.fsum(step.points for step in steps) == pytest.approx(
        move.end - move.start, abs=1e-9
    )
    single = [step for step in steps if HOSTILE in step.text]
    sizes = [abs(step.points) for step in single]
    assert sizes == sorted(sizes, reverse=True)
    signals = sum(kind in ("behaviour", "missing", "recovered") for kind, _ in parts)
    whole = sum(kind in ("segment", "term", "model", "revised") for kind, _ in parts)
    assert len(single) == min(signals, SIGNALS_SHOWN) + whole
    assert len(steps) - len(single) == (signals > SIGNALS_SHOWN) + (
        "interplay" in {kind for kind, _ in parts}
    )


@given(parts_of_a_move, st.integers(60, 200))
def test_any_move_can_be_drawn_and_no_name_reaches_the_terminal_raw(parts, width) -> None:
    text = screen(split(parts), width)
    assert not [c for c in text if c != "\n" and not c.isprintable()]
    assert "▽ unlikely" in text
    assert "▲ likely" in text
    assert "Expansion 10.0 % → 10.0 %" in text
    table = [line for line in text.splitlines() if "┃" in line or set(line) & set("▒█")]
    assert max(map(len, table)) <= width


def test_a_move_of_nothing_is_drawn() -> None:
    lines = screen(split([]), 80).splitlines()
    assert lines[0].endswith("50.0 ▲ likely, 0.0 points")
    assert len([line for line in lines if "┃" in line]) == 2
    assert not [line for line in lines if line.startswith("In all")]
