"""Work on a stream by several threads at once, its results in the order of the stream."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Count the cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Work on items in threads, a few ahead of whoever takes the results.

    At most ``workers + 1`` items are under way or wait, so memory does not grow with their number.
    Items are fetched in the thread that asks for results.

    Parameters
    ----------
    work : callable
        Called with one item; several calls run at once.
    items : iterable
        What to work on.
    workers : int
        Number of threads.

    Yields
    ------
    result of ``work``
        In the order of the items. An exception of ``work`` or of ``items`` ends the stream.

    Examples
    --------
    >>> list(in_order(lambda number: number**2, range(4), workers=2))
    [0, 1, 4, 9]
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
