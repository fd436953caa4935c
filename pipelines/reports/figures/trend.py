"""Pictures of issued scores over time, as SVG that a screen reader can read out."""

from __future__ import annotations

import html
import io
import warnings
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from pipelines.reports.figures.tested_rows import BLUE, GREY, ORANGE

AMBER = "#E69F00"
# Of both kinds of outcome, from the highest probability: colour, marker and hatch, each enough.
BAND_LOOKS = {
    "at-risk": (ORANGE, "v", "////"),
    "watch": (AMBER, "D", ".."),
    "healthy": (BLUE, "^", ""),
    "likely": (BLUE, "^", ""),
    "possible": (AMBER, "D", ".."),
    "unlikely": (GREY, "v", "////"),
}
SIZE = (8.0, 4.2)
TALL = (8.0, 7.2)
# A single date stands in the middle of a month, not of a day.
LEAST_SPAN = timedelta(days=30)
NAMES_SHOWN = 8


def account_plot(trend: Mapping[str, Any], noun: str) -> str:
    """Draw one account's scores: a line, a mark per band, a rule where the model changed.

    Parameters
    ----------
    trend : mapping
        ``account_id``, ``scores`` (each with ``as_of``, ``score``, ``band``, ``model_version``) and
        ``model_changes`` (each with ``as_of``, ``before``, ``after``).
    noun : str
        What the scores foretell.

    Returns
    -------
    str
        The SVG.
    """
    scores = trend["scores"]
    days = _days(scores)
    figure = Figure(figsize=SIZE, layout="constrained")
    axes: Axes = figure.subplots()
    name = _one_line(trend["account_id"])
    _dress(axes, days, f"Health score of {name} ({noun})")
    axes.plot(days, [score["score"] for score in scores], color=GREY, linewidth=1.5, zorder=1)
    for band, (colour, marker, _) in BAND_LOOKS.items():
        here = [number for number, score in enumerate(scores) if score["band"] == band]
        if here:
            axes.scatter(
                [days[number] for number in here],
                [scores[number]["score"] for number in here],
                s=48,
                color=colour,
                marker=marker,
                edgecolors="white",
                linewidths=0.6,
                label=band,
                zorder=2,
            )
    axes.set(ylim=(-2, 102))
    axes.set_ylabel("Health score")
    _mark_models([axes], trend["model_changes"])
    _explain_bands(figure, axes)
    first, last = scores[0], scores[-1]
    told = (
        f"{len(scores)} issued scores: {first['score']:.1f} ({first['band']}) on {first['as_of']},"
        f" {last['score']:.1f} ({last['band']}) on {last['as_of']},"
        f" lowest {min(score['score'] for score in scores):.1f},"
        f" highest {max(score['score'] for score in scores):.1f}."
    )
    return _svg(figure, f"Health score of {name} over time, {noun}", told, trend["model_changes"])


def portfolio_plot(trend: Mapping[str, Any], noun: str) -> str:
    """Draw the portfolio: accounts per band, MRR per band where it is known, and the mean score.

    Parameters
    ----------
    trend : mapping
        ``runs`` (each with ``as_of``, ``mean_score``, ``mrr`` and ``bands``, whose items have
        ``band``, ``accounts`` and ``mrr``) and ``model_changes``.
    noun : str
        What the scores foretell.

    Returns
    -------
    str
        The SVG.
    """
    runs = trend["runs"]
    days = _days(runs)
    has_money = any(run["mrr"] for run in runs)
    figure = Figure(figsize=TALL if has_money else SIZE, layout="constrained")
    panels: Sequence[Axes] = figure.subplots(3 if has_money else 2, 1, sharex=True)
    _dress(panels[0], days, f"The portfolio over time ({noun})")
    _stack(panels[0], days, runs, "accounts", "Accounts")
    if has_money:
        _dress(panels[1], days)
        _stack(panels[1], days, runs, "mrr", "MRR")
    _dress(panels[-1], days)
    panels[-1].plot(days, [run["mean_score"] for run in runs], "o-", color=BLUE, markersize=4)
    panels[-1].set(ylim=(0, 100))
    panels[-1].set_ylabel("Mean score")
    _mark_models(panels, trend["model_changes"])
    figure.align_ylabels()
    _explain_bands(figure, panels[0])
    first, last = runs[0], runs[-1]
    told = " ".join(
        f"On {run['as_of']}: mean score {run['mean_score']:.1f}; accounts "
        + ", ".join(f"{band['band']} {band['accounts']:,}" for band in run["bands"])
        + "."
        for run in ([first, last] if len(runs) > 1 else [first])
    )
    title = f"Accounts per band and mean score over time, {noun}"
    return _svg(figure, title, f"{len(runs)} issued runs. {told}", trend["model_changes"])


def _days(dated: Sequence[Mapping[str, Any]]) -> Any:
    """Read the dates, which Matplotlib's own annotations do not know as coordinates."""
    return [date.fromisoformat(one["as_of"]) for one in dated]


def _stack(axes: Axes, days: Any, runs: Sequence[Any], amount: str, label: str) -> None:
    gaps = [(after - before) for before, after in pairwise(days)]
    width = min(0.85 * min(gaps, default=LEAST_SPAN), 0.05 * max(days[-1] - days[0], LEAST_SPAN))
    base = [0.0] * len(runs)
    for number, described in enumerate(runs[0]["bands"]):
        colour, _, hatch = BAND_LOOKS[described["band"]]
        heights = [run["bands"][number][amount] or 0 for run in runs]
        axes.bar(
            days,
            heights,
            bottom=base,
            width=width,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=described["band"],
        )
        base = [low + height for low, height in zip(base, heights, strict=True)]
    axes.set(ylim=(0, 1.15 * max(*base, 1)))
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter("{x:,.0f}")


def _mark_models(panels: Sequence[Axes], changes: Sequence[Mapping[str, str]]) -> None:
    for change in changes:
        day: Any = date.fromisoformat(change["as_of"])
        for axes in panels:
            axes.axvline(day, color="black", linewidth=1, linestyle=":")
    # Where models change often, names would cover one another; the rules stay.
    for change in changes[:: len(changes) // NAMES_SHOWN + 1]:
        day = date.fromisoformat(change["as_of"])
        panels[0].annotate(
            f"model {_one_line(change['after'])}",
            (day, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -3),
            textcoords="offset points",
            va="top",
            fontsize="small",
            parse_math=False,
        )


def _explain_bands(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)


def _dress(axes: Axes, days: Any, title: str = "") -> None:
    """Give axes the look of all pictures; somebody's name is no formula."""
    axes.set_title(title, loc="left", fontweight="bold", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    span = days[-1] - days[0]
    room = max(0.04 * span, (LEAST_SPAN - span) / 2)
    axes.set(xlim=(days[0] - room, days[-1] + room))
    locator = AutoDateLocator(minticks=2)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _one_line(text: object) -> str:
    clean = "".join(c if c.isprintable() else " " for c in str(text))
    clean = " ".join(clean.split())
    return clean if len(clean) <= 60 else clean[:59] + "…"


def _svg(figure: Figure, title: str, told: str, changes: Sequence[Mapping[str, str]]) -> str:
    """Write a figure as text, equal for equal figures, with a title and a description in it."""
    for change in changes:
        told += f" Model version {_one_line(change['after'])} from {change['as_of']}."
    drawn = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "healthscore"}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The text stays text: the viewer's own fonts have letters that ours lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    text = drawn.getvalue()
    start = text.index("<svg")
    end = text.index(">", start)
    labelled = ' role="img" aria-labelledby="picture-title picture-description"'
    said = (
        f'<title id="picture-title">{html.escape(title)}</title>'
        f'<desc id="picture-description">{html.escape(told)}</desc>'
    )
    return f"{text[:end]}{labelled}>\n {said}{text[end + 1 :]}"
