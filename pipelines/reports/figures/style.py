"""How the figures of reports look: frame, legend, and names and shares on their axes."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.reports.figures.inline_svg import INK, QUIET

LONGEST = 28


def dress(axes: Axes) -> None:
    """Leave of the frame what is read by, with a grid behind what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=INK, labelsize=9, color=QUIET)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, size=9)
    axes.grid(color=QUIET, alpha=0.25)
    axes.set_axisbelow(True)


def legend(figure: Figure, axes: Axes, columns: int = 3) -> None:
    """Say above the axes what is what."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handletextpad=0.4,
        columnspacing=1.2,
    )


def short(name: str, limit: int = LONGEST) -> str:
    r"""Write somebody's name in one line that leaves room for the figure.

    Examples
    --------
    >>> short("plan=[/bold]\x1b[31mstarter", 12)
    'plan=[/bold…'
    """
    clean = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def percent(share: float, _: float) -> str:
    """Write a share on an axis."""
    return f"{100 * share:.3g} %"
