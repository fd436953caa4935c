"""Figures of the hold-out: are the probabilities true, and does the score rank churn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

# Okabe and Ito's palette, told apart by the colour-blind; outcomes also differ in shape or hatch.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6b6b6b"
SIZE = (6.4, 4.8)


def reliability_plot(calibration: pd.DataFrame) -> Figure:
    """Observed against expected churn rate per bin of risk.

    Parameters
    ----------
    calibration : DataFrame
        From :func:`models.metrics.calibration_table`.
    """
    figure, axes = _canvas("Are the churn probabilities true?")
    expected = calibration["expected_rate"].to_numpy(dtype=float)
    observed = calibration["observed_rate"].to_numpy(dtype=float)
    low = calibration["low"].to_numpy(dtype=float)
    high = calibration["high"].to_numpy(dtype=float)
    top = 1.05 * max([*high, *expected, 0.01])
    axes.plot([0, top], [0, top], linestyle="--", color=GREY, label="exactly as expected")
    axes.errorbar(
        expected,
        observed,
        yerr=[np.clip(observed - low, 0, None), np.clip(high - observed, 0, None)],
        fmt="o",
        color=BLUE,
        ecolor=BLUE,
        capsize=3,
        label="a tenth of the hold-out, with 90 % interval",
    )
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.set_xlabel("Expected churn probability (mean of the bin)")
    axes.set_ylabel("Observed churn rate")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.legend(loc="upper left", frameon=False)
    return figure


def lift_plot(holdout: pd.DataFrame) -> Figure:
    """Share of churns found when accounts are worked through by risk.

    Parameters
    ----------
    holdout : DataFrame
        ``churn_probability`` and ``churned``.
    """
    figure, axes = _canvas("How many churns does a call list find?")
    ordered = holdout.sort_values("churn_probability", ascending=False, kind="stable")
    churned = ordered["churned"].to_numpy(dtype=float)
    worked = np.arange(len(churned) + 1) / max(len(churned), 1)
    found = np.concatenate([[0.0], churned.cumsum()]) / max(churned.sum(), 1.0)
    axes.plot(worked, found, color=BLUE, linewidth=2, label="riskiest first")
    axes.plot([0, 1], [0, 1], linestyle="--", color=GREY, label="in random order")
    tenth = float(np.interp(0.1, worked, found))
    axes.plot([0.1], [tenth], "o", color=ORANGE)
    axes.annotate(
        f"the riskiest 10 % hold {100 * tenth:.0f} % of churns",
        (0.1, tenth),
        xytext=(12, 0),
        textcoords="offset points",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel("Share of hold-out rows worked through")
    axes.set_ylabel("Share of churns among them")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.legend(loc="lower right", frameon=False)
    return figure


def score_plot(holdout: pd.DataFrame) -> Figure:
    """Scores of rows that churned against those that stayed.

    Parameters
    ----------
    holdout : DataFrame
        ``score`` and ``churned``.
    """
    figure, axes = _canvas("Which scores did churned accounts have?")
    edges = [float(edge) for edge in range(0, 101, 5)]
    score = holdout["score"].to_numpy(dtype=float)
    churned = holdout["churned"].to_numpy(dtype=bool)
    stayed_style: dict[str, Any] = {
        "color": BLUE,
        "alpha": 0.45,
        "label": f"stayed ({(~churned).sum():,} rows)",
    }
    churned_style: dict[str, Any] = {
        "histtype": "step",
        "color": ORANGE,
        "linewidth": 2,
        "hatch": "///",
        "label": f"churned ({churned.sum():,} rows)",
    }
    for rows, style in ((~churned, stayed_style), (churned, churned_style)):
        share = np.full(rows.sum(), 1 / max(rows.sum(), 1))
        axes.hist(score[rows], bins=edges, weights=share, **style)
    axes.set(xlim=(0, 100))
    axes.set_xlabel("Health score on the observation date")
    axes.set_ylabel("Share of the outcome's rows")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.margins(y=0.25)
    axes.legend(loc="upper left", ncols=2, frameon=False)
    return figure


def _canvas(title: str) -> tuple[Figure, Axes]:
    """Make a figure that belongs to no window and no global state."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes: Any = figure.subplots()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes
