"""Work that takes longer than a visitor waits: done once, beside the requests, and kept."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from features.errors import HealthscoreError
from pipelines.dashboard.access.notes import Note, note_of
from pipelines.dashboard.access.visitor import Visitor

Value = TypeVar("Value")
LOG = logging.getLogger(__name__)
FAILED_SECONDS = 30.0
UNEXPECTED = Note("Something went wrong that nobody foresaw; the server's log tells what")


@dataclass(frozen=True)
class Done(Generic[Value]):
    """What came of some work: a value, or a note on why there is none."""

    value: Value | None = None
    failure: Note | None = None

    def why_not(self, visitor: Visitor) -> str | None:
        """Tell a visitor why there is no value; None where there is one."""
        return None if self.failure is None else self.failure.as_seen_by(visitor)


@dataclass
class _Kept(Generic[Value]):
    future: Future[Done[Value]]
    since: float


class Background(Generic[Value]):
    """Work done once per key by a few threads, whoever asks for it how often.

    Parameters
    ----------
    name : str
        What its threads are called.
    threads : int
        How many pieces of work are done at the same time.
    keep : int
        Most keys that are remembered; what was asked for longest ago is forgotten first.
    waiting : int
        Most pieces of work that wait or are under way; further ones are turned away.
    seconds : float or None
        How long a value is good for; None as long as it is remembered.
    failed_seconds : float
        How long a failure is told again before the work is tried again.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        keep: int,
        waiting: int,
        seconds: float | None = None,
        failed_seconds: float = FAILED_SECONDS,
    ) -> None:
        self.keep, self.waiting = keep, waiting
        self.seconds, self.failed_seconds = seconds, failed_seconds
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._kept: OrderedDict[Hashable, _Kept[Value]] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, key: Hashable, work: Callable[[], Value]) -> Future[Done[Value]] | None:
        """Return the work of a key, begun by whoever asked first.

        Parameters
        ----------
        key : hashable
            What the work is about.
        work : callable
            Does it; a :class:`~features.errors.HealthscoreError` becomes the note of
            :attr:`Done.failure`.

        Returns
        -------
        Future of Done, or None
            It never raises; None where too much is waiting already.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and not self._is_stale(kept):
                self._kept.move_to_end(key)
                return kept.future
            under_way = sum(not one.future.done() for one in self._kept.values())
            if under_way >= self.waiting:
                return None
            fresh = _Kept(self._threads.submit(_done, work), time.monotonic())
            self._kept[key] = fresh
            self._kept.move_to_end(key)
            self._forget()
            return fresh.future

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_stale(self, kept: _Kept[Value]) -> bool:
        if not kept.future.done():
            return False
        failed = kept.future.cancelled() or kept.future.result().failure is not None
        seconds = self.failed_seconds if failed else self.seconds
        return seconds is not None and time.monotonic() - kept.since > seconds

    def _forget(self) -> None:
        for key in list(self._kept):
            if len(self._kept) <= self.keep:
                return
            # What is under way is wanted by somebody.
            if self._kept[key].future.done():
                del self._kept[key]


async def ready(future: Future[Done[Value]], seconds: float) -> Done[Value] | None:
    """Wait for some work without holding a thread; None where it takes longer."""
    await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)
    return future.result() if future.done() and not future.cancelled() else None


def _done(work: Callable[[], Value]) -> Done[Value]:
    try:
        return Done(work())
    except HealthscoreError as error:
        return Done(failure=note_of(error))
    except Exception:
        LOG.exception("Work beside the requests failed")
        return Done(failure=UNEXPECTED)
