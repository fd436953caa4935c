"""What people see on the terminal: tables and sentences on standard output.

Account names and categories are somebody else's words: the console reads no markup in them, and
control characters are taken out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

BAND_STYLES = {"at-risk": "red", "watch": "yellow", "healthy": "green"}
BAND_STYLES |= {"unlikely": "dim", "possible": "yellow", "likely": "green"}
BAND_MARKS = {"at-risk": "▼", "watch": "◆", "healthy": "▲"}
BAND_MARKS |= {"unlikely": "▽", "possible": "◆", "likely": "▲"}
BAR_WIDTH = 12


def plain_console() -> Console:
    """Open standard output as a console that prints brackets and colons as they are."""
    return Console(highlight=False, markup=False, emoji=False)


def plain(text: object, limit: int = 80) -> str:
    r"""Make one printable line of any text.

    Examples
    --------
    >>> plain("Acme\x1b[31m\nLtd")
    'Acme [31m Ltd'
    """
    clean = str(text)
    if not clean.isprintable():
        clean = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in clean)
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def print_warnings(console: Console, warnings: Iterable[str]) -> None:
    """Print one line per warning."""
    for warning in warnings:
        console.print(Text.assemble(("! ", "yellow"), plain(warning, 400)), soft_wrap=True)


def table_of(*headings: str) -> Table:
    """Make a table; a heading that starts with ``>`` is aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        right = heading.startswith(">")
        table.add_column(heading.removeprefix(">"), justify="right" if right else "left")
    return table


def band_text(band: str) -> Text:
    """Write a band's name in its colour."""
    return Text(f"{BAND_MARKS[band]} {band}", style=BAND_STYLES[band])


def bar(points: float, most: float) -> Text:
    """Draw points as a bar, red where they take from the score."""
    width = round(BAR_WIDTH * abs(points) / most)
    return Text("█" * width, style="red" if points < 0 else "green")


def percent(share: float | None) -> str:
    """Write a share with one digit; what is unknown as a dash."""
    return "–" if share is None or share != share else f"{100 * share:.1f} %"


def money(amount: float | None) -> str:
    """Write an amount without digits; what is unknown as a dash."""
    return "–" if amount is None else f"{amount:,.0f}"


def figure(value: float | None, digits: int = 3) -> str:
    """Write a number; what is unknown as a dash."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"
