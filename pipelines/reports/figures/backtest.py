"""Figures of a backtest: who foretold best on each origin, how early, and for whose call list."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from models.arrays import Floats
from pipelines.reports.figures.tested_rows import BLUE, GREY, ORANGE, canvas

OURS = "healthscore"
# The rest of Okabe and Ito's palette; contenders differ in marker and dash too.
PEER_COLOURS = (ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PEER_MARKERS = ("s", "^", "D", "v", "P")
PEER_DASHES = ("--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
BASE = "base rate"


def origin_plot(measures: pd.DataFrame) -> Figure:
    """Log loss of each contender on each origin, with its 90 % interval.

    Parameters
    ----------
    measures : DataFrame
        As :class:`models.backtest.backtest.Backtest` holds them.
    """
    figure, axes = canvas("How well were later dates predicted?")
    rows = measures[
        (measures["origin"] != "all")
        & (measures["segment"] == "all")
        & (measures["population"] == "all")
    ]
    origins = list(dict.fromkeys(rows["origin"]))
    styles = contender_styles(rows["contender"])
    for number, (name, style) in enumerate(styles.items()):
        own = rows[rows["contender"] == name].set_index("origin").reindex(origins)
        middle = own["log_loss"].to_numpy(dtype=float)
        low, high = (own[f"log_loss_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
        # Side by side, so that intervals do not cover each other.
        place = np.arange(len(origins)) + 0.1 * (number - (len(styles) - 1) / 2)
        axes.errorbar(
            place, middle, yerr=[middle - low, high - middle], capsize=2, label=name, **style
        )
    width, height = figure.get_size_inches()
    figure.set_size_inches(max(width, 1.1 * len(origins)), height)
    axes.set_xticks(range(len(origins)), origins)
    axes.margins(x=0.1, y=0.3)
    axes.set_xlabel("First tested date of the origin")
    axes.set_ylabel("Log loss (less is better), with 90 % interval")
    axes.legend(loc="upper center", ncols=2, frameon=False, fontsize="small")
    return figure


def gain_plot(predictions: pd.DataFrame) -> Figure:
    """Share of positives found when each contender orders the call list.

    Parameters
    ----------
    predictions : DataFrame
        As :class:`models.backtest.backtest.Backtest` holds them.
    """
    figure, axes = canvas("How many positives does a call list find?")
    happened = predictions["happened"].to_numpy(dtype=float)
    names = [name[2:] for name in map(str, predictions) if name.startswith("p_")]
    axes.plot([0, 1], [0, 1], linewidth=1, color=GREY, label="in random order")
    for name, style in contender_styles(names).items():
        if name == BASE:
            continue
        worked, found = _gain(happened, predictions[f"p_{name}"].to_numpy(dtype=float))
        tenth = f"{100 * np.interp(0.1, worked, found):.0f} % in the first tenth"
        line = {key: value for key, value in style.items() if key != "marker"}
        axes.plot(worked, found, label=f"{name}: {tenth}", **line)
    axes.axvline(0.1, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel("Share of tested rows worked through, likeliest first")
    axes.set_ylabel("Share of positives among them")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.legend(loc="lower right", frameon=False, fontsize="small")
    return figure


def lead_plot(lead: pd.DataFrame) -> Figure:
    """Scores that accounts had some days before it happened: median and quartiles.

    Parameters
    ----------
    lead : DataFrame
        As :class:`models.backtest.backtest.Backtest` holds it.
    """
    figure, axes = canvas("How early does the score warn?")
    # Time runs to the right, towards the outcome.
    rows = lead[lead["events"] > 0].sort_values("days_before", ascending=False)
    boxes = [
        {
            "med": row["median_score"],
            "q1": row["low_quartile"],
            "q3": row["high_quartile"],
            "whislo": row["low_quartile"],
            "whishi": row["high_quartile"],
            "label": f"{row['days_before']} days\n{row['events']:,} events\n"
            f"{100 * row['at_risk']:.0f} % at-risk",
        }
        for row in rows.to_dict("records")
    ]
    axes.bxp(
        boxes,
        showfliers=False,
        showcaps=False,
        widths=0.5,
        patch_artist=True,
        boxprops={"facecolor": BLUE, "alpha": 0.35, "edgecolor": BLUE},
        medianprops={"color": ORANGE, "linewidth": 2.5},
    )
    axes.set(ylim=(0, 100))
    axes.set_xlabel("Before it happened")
    axes.set_ylabel("Health score (median, middle half)")
    return figure


def contender_styles(names: Any) -> dict[str, dict[str, Any]]:
    """Give each contender colour, marker and dash: ours first and bold, the base rate grey."""
    peers = [name for name in dict.fromkeys(names) if name not in (OURS, BASE)]
    styles: dict[str, dict[str, Any]] = {
        OURS: {"color": BLUE, "marker": "o", "linestyle": "-", "linewidth": 2.5, "zorder": 3}
    }
    for name, colour, marker, dash in zip(
        peers, cycle(PEER_COLOURS), cycle(PEER_MARKERS), cycle(PEER_DASHES), strict=False
    ):
        styles[name] = {"color": colour, "marker": marker, "linestyle": dash, "linewidth": 1.4}
    if BASE in set(names):
        styles[BASE] = {"color": GREY, "marker": "x", "linestyle": "-", "linewidth": 1}
    return styles


def _gain(happened: Floats, risk: Floats) -> tuple[Floats, Floats]:
    """Share worked through and share found; rows of equal risk are worked through at random."""
    order = np.argsort(-risk, kind="stable")
    caught = np.concatenate([[0.0], happened[order].cumsum()]) / max(happened.sum(), 1.0)
    last = np.flatnonzero(np.r_[risk[order][1:] != risk[order][:-1], True]) + 1
    ends = np.r_[0, last]
    # A picture has fewer points than a company rows.
    worked = np.linspace(0, 1, 1001)
    return worked, np.interp(worked, ends / max(len(happened), 1), caught[ends])
