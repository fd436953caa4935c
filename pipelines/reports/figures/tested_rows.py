"""Figures of tested rows: are the probabilities true, and does the score rank the outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from models.arrays import Floats

# Okabe and Ito's palette, told apart by the colour-blind; outcomes also differ in shape or hatch.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6b6b6b"
SIZE = (6.4, 4.8)
RATES = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


def reliability_plot(calibration: pd.DataFrame) -> Figure:
    """Observed against expected rate per bin of risk, on axes that give low rates room.

    Parameters
    ----------
    calibration : DataFrame
        From :func:`models.measures.metrics.calibration_table`.
    """
    figure, axes = canvas("Are the probabilities true?")
    expected = calibration["expected_rate"].to_numpy(dtype=float)
    observed = calibration["observed_rate"].to_numpy(dtype=float)
    low = calibration["low"].to_numpy(dtype=float)
    high = calibration["high"].to_numpy(dtype=float)
    top = min(1.1 * max([*high, *expected, 0.01]), 1.0)
    axes.plot([0, top], [0, top], linestyle="--", color=GREY, label="exactly as expected")
    axes.errorbar(
        expected,
        observed,
        yerr=[np.clip(observed - low, 0, None), np.clip(high - observed, 0, None)],
        fmt="o",
        color=BLUE,
        ecolor=BLUE,
        capsize=3,
        label="a tenth of the tested rows, with 90 % interval",
    )
    # Most risks are small: square roots keep them from one corner, and the diagonal straight.
    ticks = _ticks(top)
    axes.set_xscale("function", functions=(_root, np.square))
    axes.set_yscale("function", functions=(_root, np.square))
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.set_xticks(ticks, [f"{100 * rate:g} %" for rate in ticks])
    axes.set_yticks(ticks, [f"{100 * rate:g} %" for rate in ticks])
    axes.set_xlabel("Expected probability (mean of the bin)")
    axes.set_ylabel("Observed rate")
    axes.legend(loc="upper left", frameon=False)
    return figure


def lift_plot(holdout: pd.DataFrame) -> Figure:
    """Share of positives found when accounts are worked through by risk.

    Parameters
    ----------
    holdout : DataFrame
        ``probability`` and ``happened``.
    """
    figure, axes = canvas("How many positives does a call list find?")
    ordered = holdout.sort_values("probability", ascending=False, kind="stable")
    happened = ordered["happened"].to_numpy(dtype=float)
    worked = np.arange(len(happened) + 1) / max(len(happened), 1)
    caught = np.concatenate([[0.0], happened.cumsum()]) / max(happened.sum(), 1.0)
    axes.plot(worked, caught, color=BLUE, linewidth=2, label="riskiest first")
    axes.plot([0, 1], [0, 1], linestyle="--", color=GREY, label="in random order")
    tenth = float(np.interp(0.1, worked, caught))
    axes.plot([0.1], [tenth], "o", color=ORANGE)
    axes.annotate(
        f"the riskiest 10 % hold {100 * tenth:.0f} % of positives",
        (0.1, tenth),
        xytext=(12, 0),
        textcoords="offset points",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel("Share of hold-out rows worked through")
    axes.set_ylabel("Share of positives among them")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.legend(loc="lower right", frameon=False)
    return figure


def score_plot(holdout: pd.DataFrame) -> Figure:
    """Scores of rows that happened against those that stayed.

    Parameters
    ----------
    holdout : DataFrame
        ``score`` and ``happened``.
    """
    figure, axes = canvas("Which scores did happened accounts have?")
    edges = [float(edge) for edge in range(0, 101, 5)]
    score = holdout["score"].to_numpy(dtype=float)
    happened = holdout["happened"].to_numpy(dtype=bool)
    stayed_style: dict[str, Any] = {
        "color": BLUE,
        "alpha": 0.45,
        "label": f"stayed ({(~happened).sum():,} rows)",
    }
    churned_style: dict[str, Any] = {
        "histtype": "step",
        "color": ORANGE,
        "linewidth": 2,
        "hatch": "///",
        "label": f"happened ({happened.sum():,} rows)",
    }
    for rows, style in ((~happened, stayed_style), (happened, churned_style)):
        share = np.full(rows.sum(), 1 / max(rows.sum(), 1))
        axes.hist(score[rows], bins=edges, weights=share, **style)
    axes.set(xlim=(0, 100))
    axes.set_xlabel("Health score on the observation date")
    axes.set_ylabel("Share of the outcome's rows")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.margins(y=0.25)
    axes.legend(loc="upper left", ncols=2, frameon=False)
    return figure


def _ticks(top: float) -> list[float]:
    """Choose round rates whose labels do not touch."""
    kept: list[float] = []
    for rate in RATES:
        if rate <= top and (not kept or np.sqrt(rate) - np.sqrt(kept[-1]) > 0.09 * np.sqrt(top)):
            kept.append(rate)
    return kept


def _root(rate: Floats) -> Floats:
    """Square root; the axes ask for values below zero too."""
    return np.sqrt(np.clip(rate, 0, None))


def canvas(title: str) -> tuple[Figure, Axes]:
    """Make a figure that belongs to no window and no global state."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes: Any = figure.subplots()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes
