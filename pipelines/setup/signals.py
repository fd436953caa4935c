"""The list of signals: what a company's tables give, or everything that could be built."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipelines.project.company import open_company
from pipelines.project.project import Project

if TYPE_CHECKING:
    from features.catalog import Signal

UNITS = {
    "count": "number",
    "score": "points on a scale",
    "days": "days",
    "share": "share of 1",
    "money": "amount",
    "change": "relative change",
    "category": "text",
    "flag": "0 or 1",
}
HEALTHY = {"higher": "more is healthy", "lower": "less is healthy", "none": "either"}
_PAGE = """\
# Signals

Every signal, as `healthscore signals --all --markdown` lists it. A table or column that is not
mapped switches its signals off; `healthscore signals` lists those that your tables give. `NAME`
stands for a name of your own: a key feature, or a dimension of a rubric. All of them are computed
from what was known before the observation date.
"""


def company_signals(project: Project) -> tuple[Signal, ...]:
    """List the signals that a company's tables and configuration give.

    Raises
    ------
    DataError
        When a table or column is missing or cannot be read as what it must be.
    """
    from features.build import signals_of

    with open_company(project) as company:
        return signals_of(company, project.settings.signals)


def markdown(signals: Iterable[Signal]) -> str:
    """Write the documentation page, a table per group."""
    from features.catalog import groups_of

    listed = tuple(signals)
    parts = [_PAGE]
    for group in groups_of(listed):
        parts.append(f"\n## {group.capitalize()}\n")
        parts.append("| signal | what it says | unit | lookback | healthy |\n|---|---|---|---|---|")
        parts += [_row(signal) for signal in listed if signal.group == group]
    return "\n".join(parts) + "\n"


def _row(signal: Signal) -> str:
    said = signal.sentence.replace("{value}", "…").replace("{s}", "s")
    window = f"{signal.window_days} days" if signal.window_days else "state"
    cells = (f"`{signal.name}`", said, UNITS[signal.unit], window, HEALTHY[signal.healthy])
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
