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


@contextmanager
def show_rows(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show on standard error how many of some rows are done, how fast, and the time left.

    Parameters
    ----------
    title : str
        What is done to them, such as "Score".
    total : int
        Number of rows.

    Yields
    ------
    callable
        To be called with the number of rows that were done since.
    """
    if not sys.stderr.isatty():
        yield _log_rows(title, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(title, markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} rows", markup=False),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    began, done = time.monotonic(), 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, rate="")

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            bar.update(task, completed=done, rate=_rate(done, time.monotonic() - began))

        yield advance


def _log_rows(title: str, total: int) -> Callable[[int], None]:
    began = last = time.monotonic()
    done = 0

    def advance(rows: int) -> None:
        nonlocal last, done
        done += rows
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = (now - began) * (total - done) / done if done else 0
            rate = _rate(done, now - began)
            line = f"{title} [{done:,}/{total:,} rows] {rate}, {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)

    return advance


def _rate(rows: int, seconds: float) -> str:
    return f"{rows / seconds:,.0f} rows/s" if seconds > 0 else ""
