"""Figures of the drift report: what a signal looked like before, and what it looks like now."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.arrays import Codes, Floats
from models.drift.bins import Bins
from models.drift.performance import Expected, Matured
from pipelines.reports.figures.inline_svg import INK, inline_svg
from pipelines.reports.figures.style import dress, legend, percent, short
from pipelines.reports.figures.tested_rows import BLUE, ORANGE

SMALL, WIDTH, LINE = (2.9, 2.6), 5.6, 0.36
LONGEST = 22
HALF = 0.42


def shares_plot(
    bins: Bins, labels: Sequence[str], before: Codes, now: Codes, name: str, key: str
) -> str:
    """Draw which share of accounts each bin of a signal held before, and holds now.

    Parameters
    ----------
    bins : Bins
        Of the signal.
    labels : sequence of str
        The bins in words.
    before, now : ndarray of int, shape (n_bins,)
        Accounts per bin.
    name : str
        What the signal is called.
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.

    Returns
    -------
    str
        The ``svg`` element; bins that hold nobody are left out.
    """
    was, is_now = _shares(before), _shares(now)
    held = np.flatnonzero((was > 0) | (is_now > 0)).tolist()
    names = [short(labels[place], LONGEST) for place in held]
    figure = Figure(figsize=(SMALL[0], 0.9 + 0.24 * max(len(held), 3)), layout="constrained")
    axes: Axes = figure.subplots()
    dress(axes)
    places = np.arange(len(held))
    # A line and a bar: told apart without colour.
    axes.barh(places, is_now[held], height=2 * HALF, color=BLUE, alpha=0.45, label="now")
    axes.vlines(
        was[held], places - HALF, places + HALF, color=ORANGE, linewidth=2.6, label="before"
    )
    axes.set_yticks(places, names, parse_math=False)
    # Numbers grow to the right and upwards; names stand in the order of their frequency.
    axes.set_ylim(*((len(held) - 0.4, -0.6) if bins.is_categorical else (-0.6, len(held) - 0.4)))
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.set_xlim(0, 1.08 * max(was.max(initial=0.0), is_now.max(initial=0.0), 0.01))
    axes.xaxis.set_major_formatter(percent)
    axes.locator_params(axis="x", nbins=4)
    legend(figure, axes)
    told = "; ".join(
        f"{labels[place]}: {100 * was[place]:.0f} % before, {100 * is_now[place]:.0f} % now"
        for place in held
    )
    return inline_svg(figure, key, f"Share of accounts by {name}, before and now", f"{told}.")


def expected_plot(
    before: Sequence[Expected], now: Expected, low: float | None, high: float | None, key: str
) -> str:
    """Draw how well accounts could be told apart on earlier dates, and can be now.

    Parameters
    ----------
    before : sequence of Expected
        Of each date the champion was judged on, the oldest first.
    now : Expected
        Of the date of the check.
    low, high : float or None
        Interval it is expected in.
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.
    """
    figure = Figure(figsize=(WIDTH, 2.3), layout="constrained")
    axes: Axes = figure.subplots()
    dress(axes)
    earlier = [np.nan if one.auc is None else one.auc for one in before]
    today = np.nan if now.auc is None else now.auc
    if low is not None and high is not None:
        axes.axhspan(low, high, color=BLUE, alpha=0.18, label="usual range")
    axes.plot(range(len(earlier)), earlier, "o", color=INK, fillstyle="none", label="judged on")
    axes.plot([len(earlier)], [today], "D", color=ORANGE, label="now")
    axes.set_xticks(
        [*range(len(earlier)), len(earlier)],
        [str(number) for number in range(1, len(earlier) + 1)] + ["now"],
    )
    axes.margins(x=0.08, y=0.25)
    axes.set_xlabel("dates it was judged on, the earliest first")
    axes.set_ylabel("Pairs ranked right")
    legend(figure, axes)
    told = ", ".join(f"{auc:.3f}" for auc in earlier if not np.isnan(auc))
    span = "" if low is None or high is None else f" The usual range is {low:.3f} to {high:.3f}."
    said = f"On dates it was judged on: {told}. Now: {today:.3f}.{span}"
    return inline_svg(figure, key, "Pairs ranked right (AUC), expected before and now", said)


def matured_plot(matured: Sequence[Matured], names: Sequence[str], noun: str, key: str) -> str:
    """Draw the rate that was expected of each segment, and what happened.

    Parameters
    ----------
    matured : sequence of Matured
        Segments, the first at the top.
    names : sequence of str
        What they are called.
    noun : str
        As in "12 % churn".
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.
    """
    figure = Figure(figsize=(WIDTH, 1.1 + LINE * len(matured)), layout="constrained")
    axes: Axes = figure.subplots()
    dress(axes)
    places = np.arange(len(matured))
    low, high = ([getattr(one, end) for one in matured] for end in ("low", "high"))
    axes.hlines(places, low, high, color=BLUE, alpha=0.4, linewidth=7)
    seen, said = (
        [getattr(one, f"{kind}_rate") for one in matured] for kind in ("observed", "expected")
    )
    axes.plot(seen, places, "D", color=BLUE, label="observed, with 90 % interval")
    axes.plot(said, places, "o", color=INK, fillstyle="none", markersize=8, label="expected")
    axes.set_yticks(places, [short(name, LONGEST) for name in names], parse_math=False)
    axes.set_ylim(len(matured) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(percent)
    axes.set_xlabel(f"Rate of {noun}")
    legend(figure, axes)
    told = "; ".join(
        f"{name}: expected {100 * one.expected_rate:.1f} %, observed"
        f" {100 * one.observed_rate:.1f} % ({100 * one.low:.1f} to {100 * one.high:.1f} %)"
        for name, one in zip(names, matured, strict=True)
    )
    return inline_svg(figure, key, f"Expected and observed {noun} since the training", f"{told}.")


def bin_labels(bins: Bins) -> list[str]:
    """Write bins for people: a whole number by itself, rather than a range that holds only it.

    Examples
    --------
    >>> bin_labels(Bins("tickets", edges=(0.0, 1.0, 4.5)))
    ['0 or less', '1', '1 to 4.5', 'above 4.5', 'not known']
    >>> bin_labels(Bins("margin", edges=(-5e-324, 0.0)))
    ['below 0', '0', 'above 0', 'not known']
    >>> bin_labels(Bins("plan", levels=("pro", "free"), is_categorical=True))
    ['pro', 'free', 'other', 'not known']
    """
    if bins.is_categorical:
        return [*bins.levels, "other", "not known"]
    edges = bins.edges
    if not edges:
        return ["any value", "not known"]
    between = [
        _number(high) if _is_single(low, high) else f"{_number(low)} to {_number(high)}"
        for low, high in pairwise(edges)
    ]
    # A value with a bin of its own is cut off right below itself.
    lowest = len(edges) > 1 and edges[1] == np.nextafter(edges[0], np.inf)
    first = f"below {_number(edges[1])}" if lowest else f"{_number(edges[0])} or less"
    return [first, *between, f"above {_number(edges[-1])}", "not known"]


def _is_single(low: float, high: float) -> bool:
    """Whether a bin holds one value: it was given one of its own, or counts go up by one."""
    return high == np.nextafter(low, np.inf) or (high - low == 1 and float(high).is_integer())


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _shares(counts: Codes) -> Floats:
    return counts / max(int(counts.sum()), 1)
