"""A brake on guessing passwords: whoever fails often waits ever longer."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

# Failures that cost no wait: of one user from one address, of one user from anywhere, and of one
# address, which an office may share.
FREE = {"pair": 5, "user": 25, "address": 50}
LONGEST_WAIT = 300.0
FORGET_AFTER = 3600.0
MOST = 50_000


@dataclass
class _Failures:
    count: int
    last: float


class LoginThrottle:
    """Counts failed logins, and says how long to wait.

    Each failure beyond the free ones doubles the wait, from one second to five minutes; an hour
    without any forgets them. A right password does not shorten a wait, or guessing would go on.

    Parameters
    ----------
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._failed: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, user: str, address: str) -> float:
        """Return how many seconds a login has to wait yet; 0 for none."""
        now = self.clock()
        with self._lock:
            return max(self._wait_of(key, now) for key in _keys(user, address))

    def failed(self, user: str, address: str) -> None:
        """Count a failed login."""
        now = self.clock()
        with self._lock:
            for key in _keys(user, address):
                held = self._failed.pop(key, None)
                if held is None or now - held.last > FORGET_AFTER:
                    held = _Failures(0, now)
                self._failed[key] = _Failures(held.count + 1, now)
            while len(self._failed) > MOST:
                self._failed.popitem(last=False)

    def succeeded(self, user: str, address: str) -> None:
        """Forget what a user failed at from an address before the right password came."""
        with self._lock:
            self._failed.pop(_keys(user, address)[0], None)

    def _wait_of(self, key: tuple[str, str], now: float) -> float:
        held = self._failed.get(key)
        if held is None or now - held.last > FORGET_AFTER:
            return 0.0
        beyond = held.count - FREE[key[0]]
        if beyond < 0:
            return 0.0
        return max(0.0, held.last + min(2.0 ** min(beyond, 20), LONGEST_WAIT) - now)


def _keys(user: str, address: str) -> list[tuple[str, str]]:
    texts = {"pair": f"{address}\n{user}", "user": user, "address": address}
    return [
        (kind, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
        for kind, text in texts.items()
    ]
