"""Sections of an account's page: what is computed of it, arranged."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from features.catalog import EVERYBODY, GROUPS
from pipelines.dashboard.account.charts import Step, curve_chart, waterfall
from pipelines.dashboard.account.view import LEAST_POINTS, rank_words
from pipelines.reports.labels import labels_of
from pipelines.reports.pieces import Section, Table
from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.console import plain
from pipelines.reports.wording import (
    UNKNOWN,
    day,
    name,
    percent,
    plural,
    score,
    signed_points,
    told,
)
from pipelines.scoring.moves.move_screen import KIND_WORDS, waterfall_steps

if TYPE_CHECKING:
    from features.catalog import Signal
    from pipelines.dashboard.account.details import AccountDetails, SignalLine
    from pipelines.dashboard.account.peers import Peers
    from pipelines.dashboard.account.view import AccountView
    from pipelines.scoring.moves.move import ExplainedMove

MOSTLY = 0.5
CURVE_SIGNALS = 5
HEALTHY = {"higher": "more", "lower": "less", "none": "either"}


def points_waterfall(view: AccountView) -> list[Step]:
    """Lay out the way from the segment's mean account to the score, the largest part first."""
    parts = sorted(view.groups.items(), key=lambda pair: -abs(pair[1]))
    small = view.row["score"] - view.row["baseline_score"] - sum(points for _, points in parts)
    if abs(small) >= LEAST_POINTS:
        parts.append(("All else", small))
    return waterfall(
        (_typical(view.row["segment"]), view.row["baseline_score"]),
        [(group.capitalize(), points) for group, points in parts],
        ("This account", view.row["score"]),
    )


def _typical(segment: str) -> str:
    if segment == EVERYBODY:
        return "Typical account"
    return f"Typical account of {plain(segment_words(segment), 60)}"


def move_waterfall(move: ExplainedMove) -> list[Step]:
    """Lay out the way from the score before to this one."""
    return waterfall(
        (f"Score of {day(move.start.as_of)}", move.start.score),
        [(plain(step.text, 200), step.points) for step in waterfall_steps(move.move)],
        (f"Score of {day(move.end.as_of)}", move.end.score),
    )


def move_totals(move: ExplainedMove) -> list[tuple[str, float]]:
    """Sum the move by kind of cause; empty where there is one kind only."""
    totals = [
        (KIND_WORDS[kind], points)
        for kind, points in move.move.totals().items()
        if abs(points) >= LEAST_POINTS
    ]
    return totals if len(totals) > 1 else []


@dataclass(frozen=True)
class CurveSection:
    """A curve ready to be drawn, with its numbers in words and as a table."""

    answer: str
    line: str
    usual: str
    shade: str
    levels: list[tuple[float, str]]
    days: list[tuple[float, str, str]]
    table: Table


def curve_section(details: AccountDetails) -> CurveSection:
    """Draw an account's risk over a year."""
    curve = details.curve
    assert curve is not None, "a page without a curve has no section of it"
    horizons = curve.horizons
    chart = curve_chart(horizons)
    near, last = horizons[2], horizons[-1]
    moved = sorted(last.signals, key=lambda signal: -abs(last.signals[signal]))[:CURVE_SIGNALS]
    rows: list[list[str | Markup]] = [
        ["Probability", *(percent(one.probability) for one in horizons)],
        ["90 % interval", *(_range(one.low, one.high) for one in horizons)],
        ["Typical account", *(percent(one.baseline) for one in horizons)],
        *(
            [
                name(curve.labels[signal]),
                *(f"{signed_points(100 * one.signals[signal])} points" for one in horizons),
            ]
            for signal in moved
        ),
    ]
    return CurveSection(
        answer=(
            f"{percent(near.probability)} within {near.days} days ({_range(near.low, near.high)}),"
            f" {percent(last.probability)} within {last.days} days ({_range(last.low, last.high)})"
        ),
        line=chart.line,
        usual=chart.usual,
        shade=chart.shade,
        levels=chart.levels,
        days=chart.days,
        table=Table(
            "Probability of a loss by horizon, and percentage points that signals add to that of a"
            " typical account of the segment with this contract.",
            ["Within", *(f">{one.days} days" for one in horizons)],
            rows,
        ),
    )


def _range(low: float, high: float) -> str:
    return f"{percent(low)} to {percent(high)}"


def signal_sections(details: AccountDetails) -> list[Section]:
    """List every signal by group, the group that moves the score most first."""
    labels = labels_of(line.signal for line in details.lines)
    by_group: dict[str, list[SignalLine]] = defaultdict(list)
    for line in details.lines:
        by_group[line.signal.group].append(line)
    points = {group: sum(line.reason.points for line in by_group[group]) for group in by_group}
    order = sorted(by_group, key=lambda group: (-abs(points[group]), GROUPS.index(group)))
    past = [f"{(details.as_of - day_).days} days before" for day_ in details.past_dates]
    columns = ["Signal", ">Now", ">Points", "Healthy is", "Among like accounts"]
    return [
        Section(
            f"signals-{group}",
            f"{group.capitalize()}: {signed_points(points[group])} points",
            plural(len(by_group[group]), "signal"),
            [
                Table(
                    f"Signals of {group}, the largest points first.",
                    [*columns, *(f">{heading}" for heading in past)],
                    [_row(line, labels, details) for line in by_group[group]],
                )
            ],
        )
        for group in order
    ]


def _row(line: SignalLine, labels: dict[str, str], details: AccountDetails) -> list[str]:
    signal, value = line.signal, line.reason.value
    return [
        name(labels[signal.name]),
        shown(signal, value),
        signed_points(line.reason.points),
        HEALTHY[signal.healthy],
        _standing(signal, value, details.peers),
        *(shown(signal, line.past[day_]) for day_ in details.past_dates),
    ]


def shown(signal: Signal, value: Any) -> Markup:
    """Write a signal's value for people."""
    from models.scoring.reasons import value_text

    if value is None:
        return Markup(UNKNOWN)
    text = value_text(signal, value)
    return name(text) if signal.is_categorical else told(text)


def _standing(signal: Signal, value: Any, peers: Peers | None) -> str:
    found = None if peers is None else peers.standings.get(signal.name)
    if found is None:
        return ""
    if value is None:
        return f"known of {100 * found.known:.0f} of 100"
    # Where most have the same, a rank would be that of a lot.
    if found.below is None or found.alike >= MOSTLY:
        return f"like {100 * found.alike:.0f} of 100"
    return rank_words(found.below, signal.healthy)


def ratings_table(details: AccountDetails) -> Table | None:
    """List what people said of the account."""
    if not details.ratings:
        return None
    meant = any(rating.meaning is not None for rating in details.ratings)
    rows = [
        [
            day(rating.rated_on),
            name(rating.rater),
            name(rating.dimension),
            score(rating.level),
            *(["" if rating.meaning is None else told(rating.meaning)] * meant),
        ]
        for rating in details.ratings
    ]
    return Table(
        "Ratings of the year before, the latest first, as they were given: who rates strictly and"
        " who kindly is taken off before they count.",
        ["Rated on", "By", "What", ">Level", *["What the level means"] * meant],
        rows,
    )
