"""What long work shows while it runs: a bar on a terminal, at most a line a second in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[[str, int, int], None]
"""Called with a step's name, its number from 1 and the number of steps."""

SECONDS_BETWEEN_LINES = 1.0


@contextmanager
def show_progress(title: str) -> Iterator[Step]:
    """Show the steps of one piece of work on standard error.

    Parameters
    ----------
    title : str
        What the work is, such as "Building signals".

    Yields
    ------
    callable
        To be called when a step begins.
    """
    if not sys.stderr.isatty():
        yield _log_lines(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[title]}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1, title=title)

        def step(name: str, number: int, total: int) -> None:
            bar.update(task, description=name, completed=number - 1, total=total)

        yield step


def _log_lines(title: str) -> Step:
    last = time.monotonic()

    def step(name: str, number: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"{title} [{number}/{total}] {name}", file=sys.stderr, flush=True)

    return step
