"""Draw the README's picture from the demo's scores: ``make demo``, then run this file."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

from pipelines.portfolio.portfolio import portfolio
from pipelines.portfolio.screen import show_portfolio
from pipelines.project.project import load_project
from pipelines.scoring.score import score_accounts

TARGET = Path(__file__).with_name("portfolio.svg")


def draw(config: Path, as_of: date | None = None) -> str:
    """Render the portfolio of a configuration as SVG that fetches no font."""
    project = load_project(config)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=170, file=nowhere, highlight=False)
        show_portfolio(console, portfolio(project, score_accounts(project, as_of)))
    drawn = console.export_svg(title="healthscore score", theme=DIMMED_MONOKAI)
    return re.sub(r"@font-face\s*{[^}]*}", "", drawn)


if __name__ == "__main__":
    TARGET.write_text(draw(Path("demo/healthscore.toml")), encoding="utf-8")
