"""Figures of the forecast page: the waterfall of the ARR, and the renewals calendar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipelines.reports.figures.inline_svg import INK, QUIET, inline_svg
from pipelines.reports.figures.style import legend
from pipelines.reports.figures.tested_rows import BLUE, GREY, ORANGE
from pipelines.reports.figures.trend import BAND_LOOKS

WIDTH, HEIGHT = 5.6, 3.0
Write = Callable[[float], str]


def waterfall_plot(
    opening: float, lost: float, smaller: float, larger: float, write: Write, key: str
) -> str:
    """Draw how an opening sum comes to a closing one.

    Parameters
    ----------
    opening, lost, smaller, larger : float
        Sums, zero or more.
    write : callable
        Writes an amount for people.
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.

    Returns
    -------
    str
        The ``svg`` element.
    """
    closing = opening - lost - smaller + larger
    bars = [
        ("Opening", 0.0, opening, GREY, ""),
        ("Lost", opening - lost, lost, ORANGE, "////"),
        ("Smaller", opening - lost - smaller, smaller, ORANGE, ".."),
        ("Larger", opening - lost - smaller, larger, BLUE, ""),
        ("Closing", 0.0, closing, GREY, ""),
    ]
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    for place, (_, bottom, height, colour, hatch) in enumerate(bars):
        axes.bar(
            place,
            height,
            bottom=bottom,
            width=0.66,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
        )
        axes.text(
            place,
            bottom + height,
            f"{write(height)}\n",
            ha="center",
            va="center_baseline",
            color=INK,
            fontsize=9,
        )
    axes.set_xticks(range(len(bars)), [name for name, *_ in bars])
    axes.set_ylim(0, 1.15 * max(opening, closing, opening - lost - smaller + larger, 1e-9))
    _dress(axes, write)
    told = ", ".join(f"{name.lower()} {write(height)}" for name, _, height, _, _ in bars)
    return inline_svg(figure, key, "From opening to closing ARR", f"{told}.")


def calendar_plot(
    weeks: Sequence[date],
    bands: Sequence[str],
    amounts: Sequence[Sequence[float]],
    what: str,
    write: Write,
    key: str,
) -> str:
    """Draw what renews in each week, by band.

    Parameters
    ----------
    weeks : sequence of date
        Mondays.
    bands : sequence of str
        The bands, from the highest probability to the lowest.
    amounts : sequence of shape (n_weeks, n_bands)
        Money or contracts.
    what : str
        What they are.
    write : callable
        Writes an amount for people.
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.

    Returns
    -------
    str
        The ``svg`` element.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    places = np.array([(week - weeks[0]).days / 7 for week in weeks])
    held = np.array(amounts, dtype=float).reshape(len(weeks), len(bands))
    below = np.zeros(len(weeks))
    for column, band in enumerate(bands):
        colour, _, hatch = BAND_LOOKS[band]
        axes.bar(
            places,
            held[:, column],
            bottom=below,
            width=0.8,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=band,
        )
        below += held[:, column]
    marks = [
        place
        for place, week in enumerate(weeks)
        if not place or week.month != weeks[place - 1].month
    ]
    marks = marks[:: max(1, -(-len(marks) // 6))]
    axes.set_xticks(places[marks], [f"{weeks[mark]:%b %Y}" for mark in marks])
    axes.set_ylim(0, 1.05 * max(below.max(initial=0.0), 1e-9))
    axes.set_ylabel(what, color=INK, fontsize=9)
    _dress(axes, write)
    legend(figure, axes)
    told = "; ".join(
        f"week of {week.isoformat()}: {write(total)}"
        for week, total in zip(weeks, below.tolist(), strict=True)
    )
    return inline_svg(figure, key, f"{what}, by week", f"{told}.")


def _dress(axes: Axes, write: Write) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=INK, labelsize=9, color=QUIET)
    axes.tick_params(axis="x", length=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda amount, place: write(amount)))
    axes.grid(axis="y", color=QUIET, alpha=0.25)
    axes.set_axisbelow(True)
