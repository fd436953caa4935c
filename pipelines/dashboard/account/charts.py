"""Charts of an account: where their marks go; templates draw them, with the numbers beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from pipelines.reports.wording import short_day

if TYPE_CHECKING:
    from models.scoring.scale import ScoreScale
    from pipelines.scoring.curves.curve import Horizon

LEAST_SPAN = 20.0
"""A waterfall of smaller parts is drawn as small, not blown up to the whole width."""
WIDTH, HEIGHT = 480.0, 210.0
LEFT, RIGHT, TOP, BOTTOM = 30.0, 14.0, 16.0, 24.0
NAMES_SHOWN = 8
HIDDEN_DAYS = 60
"""Its text would cover those beside it."""
NARROW = 130.0
"""Dates nearer to each other than this would cover one another."""


@dataclass(frozen=True)
class Step:
    """One line of a waterfall.

    Parameters
    ----------
    label : str
        What it is.
    amount : float
        The score at either end, else points.
    kind : str
        "end" for a score, "gain" or "loss" for points.
    low, width : float
        Where its bar begins and how long it is, in percent of the line.
    """

    label: str
    amount: float
    kind: str
    low: float
    width: float


def waterfall(
    start: tuple[str, float], parts: Sequence[tuple[str, float]], end: tuple[str, float]
) -> list[Step]:
    """Lay out a waterfall from one score to another.

    Parameters
    ----------
    start, end : (str, float)
        What the scores are, and the scores.
    parts : sequence of (str, float)
        What lies between, and its points; they sum to the difference.

    Examples
    --------
    >>> steps = waterfall(("Typical", 50), [("Usage", -10), ("Support", 20)], ("Score", 60))
    >>> [(step.kind, step.low, step.width) for step in steps]
    [('end', 50.0, 0.0), ('loss', 0.0, 50.0), ('gain', 0.0, 100.0), ('end', 100.0, 0.0)]
    """
    reached = list(accumulate((points for _, points in parts), initial=start[1]))
    low, high = min(*reached, end[1]), max(*reached, end[1])
    room = max(LEAST_SPAN - (high - low), 0.0) / 2
    low, span = low - room, high - low + 2 * room

    def place(score: float) -> float:
        return round(100 * (score - low) / span, 2)

    def bar(label: str, before: float, after: float, kind: str, amount: float) -> Step:
        least, most = sorted((place(before), place(after)))
        return Step(label, amount, kind, least, round(most - least, 2))

    steps = [
        bar(label, before, after, "loss" if points < 0 else "gain", points)
        for (label, points), (before, after) in zip(parts, pairwise(reached), strict=True)
    ]
    ends = [bar(label, score, score, "end", score) for label, score in (start, end)]
    return [ends[0], *steps, ends[1]]


@dataclass(frozen=True)
class CurveChart:
    """A curve of risk, ready to be drawn.

    Parameters
    ----------
    line, usual, shade : str
        Corners of the account's curve, of the typical one, and of the interval around the first.
    levels : list of (float, str)
        Heights of rules, and the percentages they stand for.
    days : list of (float, str, str)
        Places of the horizons, what they are called, and where their text is anchored.
    """

    line: str
    usual: str
    shade: str
    levels: list[tuple[float, str]]
    days: list[tuple[float, str, str]]


def curve_chart(horizons: Sequence[Horizon]) -> CurveChart:
    """Lay out a curve from no risk on the date to that at its last horizon."""
    most = max(max(one.high, one.baseline) for one in horizons)
    top = next(level for level in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if most <= level)

    def across(days: float) -> float:
        return round(LEFT + days / horizons[-1].days * (WIDTH - LEFT - RIGHT), 1)

    def up(risk: float) -> float:
        return round(TOP + (1 - risk / top) * (HEIGHT - TOP - BOTTOM), 1)

    def corners(risks: Sequence[float]) -> list[str]:
        places = [(0, 0.0), *zip((one.days for one in horizons), risks, strict=True)]
        return [f"{across(days):g},{up(risk):g}" for days, risk in places]

    low, high = corners([one.low for one in horizons]), corners([one.high for one in horizons])
    labels = [one for one in horizons if one.days != HIDDEN_DAYS]
    return CurveChart(
        line=" ".join(corners([one.probability for one in horizons])),
        usual=" ".join(corners([one.baseline for one in horizons])),
        shade=" ".join([*high, *reversed(low)]),
        levels=[(up(part * top), f"{100 * part * top:g} %") for part in (0.0, 0.5, 1.0)],
        days=[
            (across(one.days), f"{one.days} days", "end" if one is horizons[-1] else "middle")
            for one in labels
        ],
    )


@dataclass(frozen=True)
class TrendChart:
    """An account's issued scores over time, ready to be drawn.

    Parameters
    ----------
    line : str
        Corners of the line, as an SVG ``polyline`` takes them.
    marks : list of (float, float, str, str)
        Place and band of each score, and what it says when pointed at.
    levels : list of (float, str)
        Heights of the rules at 0, 50 and 100, and what they are called.
    limits : list of (float, str)
        Heights of the limits of bands, and what lies below which score.
    dates : list of (float, str)
        Places of the dates that are written below.
    models : list of (float, str)
        Where another model version took over, and its name; empty where names would cover one
        another.
    told : str
        The chart in words.
    """

    line: str
    marks: list[tuple[float, float, str, str]]
    levels: list[tuple[float, str]]
    limits: list[tuple[float, str]]
    dates: list[tuple[float, str]]
    models: list[tuple[float, str]]
    told: str


def trend_chart(trend: Mapping[str, Any], scale: ScoreScale | None = None) -> TrendChart | None:
    """Lay out a trend; None where nothing was issued.

    Parameters
    ----------
    trend : mapping
        ``scores`` and ``model_changes``; see :class:`pipelines.scoring.moves.trend.AccountTrend`.
    scale : ScoreScale or None
        What cuts the bands; None where it is not at hand.
    """
    scores = trend["scores"]
    if not scores:
        return None
    days = [date.fromisoformat(score["as_of"]) for score in scores]
    span = max((days[-1] - days[0]).days, 1)

    def across(day: date) -> float:
        inside = WIDTH - LEFT - RIGHT
        # A single score stands in the middle.
        share = (day - days[0]).days / span if len(days) > 1 else 0.5
        return round(LEFT + share * inside, 1)

    def up(score: float) -> float:
        return round(TOP + (100 - score) / 100 * (HEIGHT - TOP - BOTTOM), 1)

    places = [(across(day), up(score["score"])) for day, score in zip(days, scores, strict=True)]
    changes = trend["model_changes"]
    named = set(range(0, len(changes), len(changes) // NAMES_SHOWN + 1))
    return TrendChart(
        line=" ".join(f"{x:g},{y:g}" for x, y in places),
        marks=[
            (x, y, score["band"], f"{_day(score)}: {score['score']:.1f}, {score['band']}")
            for (x, y), score in zip(places, scores, strict=True)
        ],
        levels=[(up(level), f"{level:g}") for level in (0.0, 50.0, 100.0)],
        limits=_limits(scale, up),
        dates=_dates(days, across),
        models=[
            (across(date.fromisoformat(one["as_of"])), one["after"] if place in named else "")
            for place, one in enumerate(changes)
        ],
        told=_told(scores, changes),
    )


def _limits(scale: ScoreScale | None, up: Callable[[float], float]) -> list[tuple[float, str]]:
    if scale is None:
        return []
    below = scale.bands[:0:-1] if scale.good else scale.bands[:2]
    limits = scale.limits[::-1] if scale.good else scale.limits
    return [
        (up(limit), f"{band} below {f'{limit:.1f}'.removesuffix('.0')}")
        for limit, band in zip(limits, below, strict=True)
        if 0 < limit < 100
    ]


def _dates(days: Sequence[date], across: Any) -> list[tuple[float, str]]:
    """Choose dates that have room: the last one, then from the first on."""
    labels = [(across(days[-1]), short_day(days[-1]))]
    for day in days[:-1]:
        place = across(day)
        if all(abs(place - other) >= NARROW for other, _ in labels):
            labels.append((place, short_day(day)))
    return sorted(labels)


def _told(scores: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, str]]) -> str:
    first, last = scores[0], scores[-1]
    values = [score["score"] for score in scores]
    text = (
        f"{len(scores)} issued scores: {first['score']:.1f} ({first['band']}) on {_day(first)},"
        f" {last['score']:.1f} ({last['band']}) on {_day(last)}, lowest {min(values):.1f},"
        f" highest {max(values):.1f}."
    )
    return text + "".join(f" Model version {one['after']} from {_day(one)}." for one in changes)


def _day(dated: Mapping[str, Any]) -> str:
    return short_day(date.fromisoformat(dated["as_of"]))
