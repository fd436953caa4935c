"""Notices: what a click came to, told once on the next page of whoever clicked."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST = 1000


@dataclass(frozen=True)
class Notice:
    """What was done.

    Parameters
    ----------
    sentence : str
        What it came to, without its full stop; it may hold somebody else's text.
    undo : str or None
        Path whose form takes it back; None where nothing can.
    fields : mapping of str to str
        What that form says.
    """

    sentence: str
    undo: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


class Notices:
    """Notices that wait for a page, one for each browser, the newest of them in memory alone.

    Examples
    --------
    >>> notices = Notices()
    >>> notices.leave("cookie", Notice("Kept"))
    >>> [one and one.sentence for one in (notices.take("other"), notices.take("cookie"))]
    [None, 'Kept']
    >>> notices.take("cookie") is None
    True
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Notice] = OrderedDict()
        self._lock = threading.Lock()

    def leave(self, cookie: str, notice: Notice) -> None:
        """Leave a notice for the browser that has a cookie, in the place of an earlier one."""
        with self._lock:
            self._waiting.pop(cookie, None)
            self._waiting[cookie] = notice
            while len(self._waiting) > MOST:
                self._waiting.popitem(last=False)

    def take(self, cookie: str) -> Notice | None:
        """Return the notice that waits for a browser, which waits no more."""
        with self._lock:
            return self._waiting.pop(cookie, None)
