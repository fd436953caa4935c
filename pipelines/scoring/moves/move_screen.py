"""What people see of a move: a waterfall from one score to the other, largest part first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.text import Text

from pipelines.reports.terminal.console import band_text, percent, plain, print_warnings, table_of

if TYPE_CHECKING:
    from models.scoring.move import MovePart, MoveSplit
    from pipelines.scoring.moves.move import ExplainedMove
    from pipelines.store.issued import DatedScore

WIDTH = 26
SIGNALS_SHOWN = 12
# A move of less is drawn as a short one, not blown up to the whole width.
LEAST_SPAN = 5.0
KIND_WORDS = {
    "behaviour": "signals that changed",
    "missing": "signals no longer known",
    "recovered": "signals known again",
    "interplay": "unchanged signals beside them",
    "segment": "another segment",
    "term": "another kind of contract term",
    "model": "another model version",
    "revised": "data or settings revised",
}


class Step(NamedTuple):
    """One line of the waterfall."""

    text: str
    points: float


def show_move(console: Console, explained: ExplainedMove) -> None:
    """Print why a score moved."""
    start, end = explained.start, explained.end
    change = end.score - start.score
    console.print(
        Text.assemble(
            (f"{plain(explained.account_id)}: {start.score:.1f} ", "bold"),
            band_text(start.band),
            (f" → {end.score:.1f} ", "bold"),
            band_text(end.band),
            (f", {_signed(change)} points", "bold"),
        ),
        soft_wrap=True,
    )
    if explained.verdict is not None:
        console.print(Text(explained.verdict))
    noun = explained.words.noun.capitalize()
    console.print(Text(f"{noun} {percent(start.probability)} → {percent(end.probability)}"))
    steps = waterfall_steps(explained.move)
    table = table_of("", ">points", "")
    for column in table.columns[1:]:
        column.no_wrap = True
    low, high = _span(start.score, [step.points for step in steps])
    table.add_row(_end_text(start), f"{start.score:.1f}", _mark(start.score, low, high))
    reached = start.score
    for step in steps:
        bar = _bar(reached, reached + step.points, low, high)
        table.add_row(plain(step.text, 200), _signed(step.points), bar)
        reached += step.points
    table.add_row(_end_text(end), f"{end.score:.1f}", _mark(end.score, low, high))
    console.print(table)
    totals = [
        f"{KIND_WORDS[kind]} {_signed(points)}"
        for kind, points in explained.move.totals().items()
        if abs(points) >= 0.05
    ]
    if len(totals) > 1:
        console.print(Text(f"In all: {' · '.join(totals)}"))
    print_warnings(console, explained.warnings)


def waterfall_steps(move: MoveSplit) -> list[Step]:
    """Choose the lines of a waterfall: the largest parts, then the small ones in two sums.

    They sum to the move as its parts do.
    """
    single = [part for part in move.parts if part.kind != "interplay"]
    signals = [part for part in single if part.signal is not None]
    small = signals[SIGNALS_SHOWN:]
    stayed = [part for part in move.parts if part.kind == "interplay"]
    return [
        *(Step(part.change, part.points) for part in single if part not in small),
        *_summed(small, "more signal{s} with smaller parts"),
        *_summed(stayed, "unchanged signal{s}, weighed beside the changed ones"),
    ]


def _summed(parts: Sequence[MovePart], words: str) -> list[Step]:
    if not parts:
        return []
    text = words.replace("{s}", "" if len(parts) == 1 else "s")
    return [Step(f"{len(parts)} {text}", math.fsum(part.points for part in parts))]


def _end_text(score: DatedScore) -> Text:
    origin = "computed" if score.issued_at is None else "issued"
    revision = f", revision {score.revision}" if (score.revision or 1) > 1 else ""
    version = plain(score.model_version, 20)
    return Text(f"Score of {score.as_of}, {origin} (model {version}{revision})", "bold")


def _span(start: float, points: Sequence[float]) -> tuple[float, float]:
    """Find what the running score passes through, with some room around a small move."""
    reached = [start]
    for gained in points:
        reached.append(reached[-1] + gained)
    low, high = min(reached), max(reached)
    room = max(LEAST_SPAN - (high - low), 0.0) / 2
    return low - room, high + room


def _cell(score: float, low: float, high: float) -> int:
    return round((WIDTH - 1) * (score - low) / (high - low))


def _mark(score: float, low: float, high: float) -> Text:
    return Text(" " * _cell(score, low, high) + "┃", style="bold")


def _bar(before: float, after: float, low: float, high: float) -> Text:
    """Draw a step; losses are shaded, so that nobody has to tell red from green."""
    cells = sorted((_cell(before, low, high), _cell(after, low, high)))
    glyph, style = ("▒", "red") if after < before else ("█", "green")
    return Text(" " * cells[0] + glyph * (cells[1] - cells[0] + 1), style=style)


def _signed(points: float) -> str:
    text = f"{points:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text
