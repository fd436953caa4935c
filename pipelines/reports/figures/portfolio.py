"""Figures of the portfolio page: where the money stands, and what became of earlier forecasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipelines.reports.figures.inline_svg import INK, QUIET, inline_svg
from pipelines.reports.figures.style import legend, short
from pipelines.reports.figures.tested_rows import BLUE, ORANGE
from pipelines.reports.figures.trend import BAND_LOOKS

# Narrow enough to be read on a phone, where a figure shrinks to the page.
WIDTH, LINE, SMALL = 5.6, 0.32, 3.4
Write = Callable[[float], str]


def bands_by_part_plot(
    parts: Sequence[str],
    bands: Sequence[str],
    amounts: Sequence[Sequence[float]],
    what: str,
    write: Write,
    key: str,
) -> str:
    """Draw how much of each part of a portfolio is in which band.

    Parameters
    ----------
    parts : sequence of str
        What the parts are called, the first at the top.
    bands : sequence of str
        The bands, from the highest probability to the lowest.
    amounts : sequence of shape (n_parts, n_bands)
        Accounts or money.
    what : str
        What they are, such as "ARR".
    write : callable
        Writes an amount for people.
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.

    Returns
    -------
    str
        The ``svg`` element.
    """
    figure, axes = _lines(parts, WIDTH)
    held = np.array(amounts, dtype=float).reshape(len(parts), len(bands))
    before = np.zeros(len(parts))
    for place, band in enumerate(bands):
        colour, _, hatch = BAND_LOOKS[band]
        axes.barh(
            range(len(parts)),
            held[:, place],
            left=before,
            height=0.62,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=band,
        )
        before += held[:, place]
    axes.set_xlim(0, 1.02 * max(before.max(initial=0.0), 1e-9))
    axes.xaxis.set_major_formatter(_formatter(write))
    axes.set_xlabel(what)
    legend(figure, axes)
    told = "; ".join(
        f"{short(part)}: "
        + ", ".join(f"{band} {write(amount)}" for band, amount in zip(bands, row, strict=True))
        for part, row in zip(parts, held.tolist(), strict=True)
    )
    return inline_svg(figure, key, f"{what} in each band", f"{told}.")


def matured_plot(
    dates: Sequence[str],
    intervals: Sequence[tuple[float, float, float]],
    happened: Sequence[float],
    what: str,
    write: Write,
    key: str,
) -> str:
    """Draw forecasts with their intervals, and what happened.

    Parameters
    ----------
    dates : sequence of str
        Dates of the forecasts, the first at the top.
    intervals : sequence of (float, float, float)
        Low, expected and high.
    happened : sequence of float
        What became of each.
    what : str
        What is counted, such as "Accounts that churned".
    write : callable
        Writes an amount for people.
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.

    Returns
    -------
    str
        The ``svg`` element.
    """
    figure, axes = _lines(dates, SMALL)
    places = np.arange(len(dates))
    low, expected, high = np.array(intervals, dtype=float).reshape(len(dates), 3).T
    axes.hlines(places, low, high, color=BLUE, alpha=0.3, linewidth=7)
    dots: Any = {"linestyle": "none", "markersize": 7}
    axes.plot(
        expected, places, **dots, marker="o", color=BLUE, markerfacecolor="none", label="expected"
    )
    axes.plot(happened, places, **dots, marker="D", color=ORANGE, label="happened")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(_formatter(write))
    axes.set_xlabel(what)
    legend(figure, axes)
    told = "; ".join(
        f"{day}: expected {write(middle)} ({write(least)} to {write(most)}), happened {write(seen)}"
        for day, (least, middle, most), seen in zip(dates, intervals, happened, strict=True)
    )
    return inline_svg(figure, key, f"{what}, expected and happened", f"{told}.")


def _lines(names: Sequence[str], width: float) -> tuple[Figure, Axes]:
    """Make axes with a line per name, the first at the top."""
    figure = Figure(figsize=(width, 1.15 + LINE * len(names)), layout="constrained")
    axes: Axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    # Somebody's name is no formula, and may not take the room of the figure.
    axes.set_yticks(range(len(names)), [short(name) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(colors=INK, labelsize=9, color=QUIET)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.label.set(color=INK, size=9)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="x", color=QUIET, alpha=0.25)
    axes.set_axisbelow(True)
    return figure, axes


def _formatter(write: Write) -> FuncFormatter:
    return FuncFormatter(lambda amount, place: write(amount))
