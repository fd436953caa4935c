"""The figure of the plays page: how churn changes with a play, per segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipelines.reports.figures.inline_svg import INK, QUIET, inline_svg
from pipelines.reports.figures.style import legend, short
from pipelines.reports.figures.tested_rows import BLUE, ORANGE

WIDTH, LINE = 5.2, 0.36


def effects_plot(
    names: Sequence[str],
    intervals: Sequence[tuple[float, float, float]],
    naive: Sequence[float],
    what: str,
    key: str,
) -> str:
    """Draw the change in churn with its interval, and the plain difference beside it.

    Parameters
    ----------
    names : sequence of str
        Segments, the first at the top.
    intervals : sequence of (float, float, float)
        Low, estimate and high.
    naive : sequence of float
        Plain differences.
    what : str
        What the numbers are.
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.

    Returns
    -------
    str
        The ``svg`` element.
    """
    figure = Figure(figsize=(WIDTH, 1.2 + LINE * len(names)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(names))
    low, middle, high = np.array(intervals, dtype=float).reshape(len(names), 3).T
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.hlines(places, low, high, color=BLUE, alpha=0.35, linewidth=7)
    dots: Any = {"linestyle": "none", "markersize": 7}
    axes.plot(middle, places, **dots, marker="o", color=BLUE, label="among like accounts")
    axes.plot(
        naive,
        places,
        **dots,
        marker="D",
        color=ORANGE,
        markerfacecolor="none",
        label="plain difference",
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)
    axes.set_yticks(places, [short(name) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(colors=INK, labelsize=9, color=QUIET)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.label.set(color=INK, size=9)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(what)
    axes.grid(axis="x", color=QUIET, alpha=0.25)
    axes.set_axisbelow(True)
    legend(figure, axes)
    told = "; ".join(
        f"{short(name)}: {one:.1f} ({least:.1f} to {most:.1f}), plain difference {plain:.1f}"
        for name, (least, one, most), plain in zip(names, intervals, naive, strict=True)
    )
    return inline_svg(figure, key, what, f"{told}.")
