"""Figures of the weights report, each of which answers one question; as SVG for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models.arrays import Floats
from models.scorecard.advice import SegmentAdvice
from models.scorecard.replay import Replayed
from pipelines.reports.figures.inline_svg import INK, QUIET, inline_svg
from pipelines.reports.figures.style import dress, legend, percent, short
from pipelines.reports.figures.tested_rows import BLUE, ORANGE

# Narrow enough to be read on a phone, where a figure shrinks to the page.
WIDTH = 4.5
LINE = 0.3
SMALL = (2.7, 2.5)
GREEN = "#009E73"
# Colour, marker and filling: any one tells contenders apart.
LOOKS: dict[str, dict[str, Any]] = {
    "today": {"color": INK, "marker": "o", "markerfacecolor": "none", "zorder": 3},
    "recommended": {"color": BLUE, "marker": "D"},
    "full model": {"color": GREEN, "marker": "^"},
}
OTHER_LOOK: dict[str, Any] = {"color": ORANGE, "marker": "s"}


def weights_plot(advice: SegmentAdvice, name: str, key: str) -> str:
    """Draw each weight today and as recommended, over what outcomes alone say of it.

    Parameters
    ----------
    advice : SegmentAdvice
        Of one segment.
    name : str
        What the segment is called.
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.
    """
    lines = advice.advice
    figure, axes = _rows([line.measure for line in lines])
    places = np.arange(len(lines))
    axes.hlines(
        places,
        [line.low for line in lines],
        [line.high for line in lines],
        color=BLUE,
        alpha=0.4,
        linewidth=7,
        label="outcomes point to",
    )
    for contender, values in (
        ("today", [line.today for line in lines]),
        ("recommended", [line.recommended for line in lines]),
    ):
        axes.plot(values, places, **_dots(contender))
    axes.set_xlim(left=min(-1.0, axes.get_xlim()[0]))
    axes.set_xlabel("Weight in percent")
    legend(figure, axes, 3)
    told = "; ".join(
        f"{line.measure}: today {line.today:.0f}, recommended {line.recommended:.0f},"
        f" outcomes point to {line.low:.0f} to {line.high:.0f}"
        for line in lines
    )
    return inline_svg(figure, key, f"Weights of {name}, today and recommended", f"{told}.")


def caught_plot(replayed: Replayed, names: Mapping[str, str], past: str, key: str) -> str:
    """Draw the share of the outcomes that each contender flagged in time, per segment.

    Parameters
    ----------
    replayed : Replayed
        Of any contenders.
    names : mapping of str to str
        Segments to draw, in order, and what they are called.
    past : str
        As in "accounts that churned".
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.
    """
    table = replayed.table[replayed.table["caught"].notna()].set_index(["segment", "contender"])
    drawn = [segment for segment in names if segment in table.index.get_level_values(0)]
    contenders = list(dict.fromkeys(table.index.get_level_values(1)))
    figure, axes = _rows([names[segment] for segment in drawn], 0.12 * len(contenders) + 0.2)
    told = []
    for number, contender in enumerate(contenders):
        rows = table.xs(contender, level="contender").loc[drawn]
        middle, low, high = (rows[f"caught{end}"].to_numpy() for end in ("", "_low", "_high"))
        places = np.arange(len(drawn)) + 0.22 * (number - (len(contenders) - 1) / 2)
        bars = [np.clip(middle - low, 0, None), np.clip(high - middle, 0, None)]
        axes.errorbar(middle, places, xerr=bars, elinewidth=1.5, **_dots(contender))
        shares = zip(drawn, middle, low, high, strict=True)
        told += [
            f"{names[segment]}, {contender}: {100 * share:.0f} % ({100 * least:.0f} to"
            f" {100 * most:.0f} %)"
            for segment, share, least, most in shares
        ]
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(percent)
    axes.set_xlabel("Share flagged in time, with 90 % interval")
    legend(figure, axes, 3)
    return inline_svg(
        figure, key, f"Share of the accounts that {past} which were flagged", "; ".join(told) + "."
    )


def calibration_plot(table: pd.DataFrame, name: str, top: float, key: str) -> str:
    """Draw observed against foretold rates of one segment, small, to stand among others.

    Parameters
    ----------
    table : DataFrame
        From :func:`models.measures.metrics.calibration_table`.
    name : str
        What the segment is called.
    top : float
        End of both axes, the same for all that are compared.
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.
    """
    figure = Figure(figsize=SMALL, layout="constrained")
    axes: Axes = figure.subplots()
    dress(axes)
    axes.plot([0, top], [0, top], linestyle="--", linewidth=1, color=QUIET)
    expected, observed = (
        table[f"{kind}_rate"].to_numpy(float) for kind in ("expected", "observed")
    )
    low, high = (table[end].to_numpy(dtype=float) for end in ("low", "high"))
    axes.errorbar(
        expected,
        observed,
        yerr=[np.clip(observed - low, 0, None), np.clip(high - observed, 0, None)],
        fmt="o",
        markersize=4.5,
        color=BLUE,
        elinewidth=1.3,
    )
    # Most risks are small: square roots keep them from one corner, and the diagonal straight.
    for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        scale("function", functions=(_root, np.square))
        axis.set_major_formatter(percent)
    ticks = _root_ticks(top)
    axes.set(xlim=(0, top), ylim=(0, top), xticks=ticks, yticks=ticks)
    axes.set_xlabel("expected")
    axes.set_ylabel("happened")
    told = "; ".join(
        f"expected {100 * said:.1f} %, happened {100 * seen:.1f} % ({100 * least:.1f} to"
        f" {100 * most:.1f} %)"
        for said, seen, least, most in zip(expected, observed, low, high, strict=True)
    )
    return inline_svg(figure, key, f"Expected and observed rates of {name}", f"{told}.")


def calibration_top(tables: Mapping[str, pd.DataFrame]) -> float:
    """End of axes on which all the tables' rates and intervals fit.

    Examples
    --------
    >>> rates = pd.DataFrame({"expected_rate": [0.02, 0.1], "high": [0.04, 0.2]})
    >>> round(calibration_top({"all": rates}), 6)
    0.22
    """
    highest = max(table[["expected_rate", "high"]].max().max() for table in tables.values())
    return float(min(1.1 * max(highest, 0.01), 1.0))


def bands_plot(bands: Sequence[Mapping[str, Any]], noun: str, key: str) -> str:
    """Draw what was foretold of each band, and what happened.

    Parameters
    ----------
    bands : sequence of mapping
        See :class:`pipelines.weights.evidence.Evidence`; bands without rows are left out.
    noun : str
        As in "12 % churn".
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.
    """
    known = [band for band in bands if band["rows"]]
    figure, axes = _rows([str(band["band"]) for band in known], 0.42)
    for place, band in enumerate(known):
        axes.hlines(place, band["low"], band["high"], color=BLUE, alpha=0.4, linewidth=7)
    for column, look, label in (
        ("expected_rate", LOOKS["today"], "expected"),
        ("observed_rate", LOOKS["recommended"], "observed, with 90 % interval"),
    ):
        rates = [band[column] for band in known]
        axes.plot(rates, range(len(known)), linestyle="none", markersize=7, label=label, **look)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(percent)
    axes.set_xlabel(f"Rate of {noun}")
    legend(figure, axes, 2)
    told = "; ".join(
        f"{band['band']}: expected {100 * band['expected_rate']:.1f} %, observed"
        f" {100 * band['observed_rate']:.1f} % ({100 * band['low']:.1f} to"
        f" {100 * band['high']:.1f} %)"
        for band in known
    )
    return inline_svg(figure, key, f"Expected and observed {noun} of each band", f"{told}.")


def lead_plot(lead: pd.DataFrame, past: str, key: str) -> str:
    """Draw the share of the accounts that were at-risk some days before it happened.

    Parameters
    ----------
    lead : DataFrame
        From :func:`models.backtest.lead_time.lead_time`.
    past : str
        As in "accounts that churned".
    key : str
        See :func:`pipelines.reports.figures.inline_svg.inline_svg`.
    """
    # Time runs to the right, towards the outcome.
    rows = lead[lead["events"] > 0].sort_values("days_before", ascending=False)
    figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    axes: Axes = figure.subplots()
    dress(axes)
    share, low, high = (rows[f"at_risk{end}"].to_numpy(float) for end in ("", "_low", "_high"))
    places = np.arange(len(rows))
    bars = [np.clip(share - low, 0, None), np.clip(high - share, 0, None)]
    axes.bar(places, share, width=0.55, color=BLUE, alpha=0.35)
    axes.errorbar(
        places, share, yerr=bars, fmt="none", color=INK, ecolor=INK, elinewidth=1.5, capsize=4
    )
    for place, line in zip(places, rows.to_dict("records"), strict=True):
        # Beside the interval, which would run through the number.
        axes.annotate(
            f"{100 * line['at_risk']:.0f} %",
            (place, line["at_risk"]),
            xytext=(6, 4),
            textcoords="offset points",
            color=INK,
        )
    axes.set_xticks(
        places,
        [
            f"{days} days\n{events:,}"
            for days, events in zip(rows["days_before"], rows["events"].astype(int), strict=True)
        ],
    )
    axes.set(ylim=(0, min(1.15 * max([*high, 0.01]), 1.0)))
    axes.margins(x=0.08)
    axes.yaxis.set_major_formatter(percent)
    axes.set_xlabel("before it happened, and how many had a score then")
    axes.set_ylabel("Share at-risk")
    told = "; ".join(
        f"{line['days_before']} days before: {100 * line['at_risk']:.0f} % of {line['events']:,.0f}"
        f" ({100 * line['at_risk_low']:.0f} to {100 * line['at_risk_high']:.0f} %)"
        for line in rows.to_dict("records")
    )
    return inline_svg(figure, key, f"Share at-risk before accounts {past}", f"{told}.")


def _rows(names: Sequence[str], height: float = LINE) -> tuple[Figure, Axes]:
    """Make axes with a line per name, the first at the top."""
    figure = Figure(figsize=(WIDTH, 1.15 + height * len(names)), layout="constrained")
    axes: Axes = figure.subplots()
    dress(axes)
    # Somebody's name is no formula, and may not take the room of the figure.
    axes.set_yticks(range(len(names)), [short(name) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return figure, axes


def _dots(contender: str) -> dict[str, Any]:
    look = LOOKS.get(contender, OTHER_LOOK)
    # The ring is seen around whatever lies on it.
    size = 9 if contender == "today" else 6.5
    return {"linestyle": "none", "markersize": size, "label": short(contender), **look}


def _root(values: Floats) -> Floats:
    return np.sqrt(np.clip(values, 0, None))


def _root_ticks(top: float) -> list[float]:
    """Few round rates, even apart on a square-root axis."""
    rates = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
    shown = [0.0]
    for rate in rates[1:]:
        if rate <= top and np.sqrt(rate) - np.sqrt(shown[-1]) >= 0.24 * np.sqrt(top):
            shown.append(rate)
    return shown
