"""A brake on guessing passwords: whoever fails often waits ever longer."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Failures that cost no wait: of one user from one address, and of one user from anywhere.
FREE = {"pair": 5, "user": 25}
# An address that fails this often is left fewer free tries of each user: it may be an office, and
# the right password of somebody else in it must not have to wait.
SUSPECT, FREE_OF_SUSPECT = 50, 2
LONGEST_WAIT = 300.0
FORGET_AFTER = 3600.0
MOST = 50_000
# Logins that are being checked or wait for it: in all, and from one address.
MOST_UNDER_WAY, MOST_OF_ONE = 100, 10
Key = tuple[str, str]


@dataclass
class _Failures:
    count: int
    last: float


class LoginThrottle:
    """Counts failed logins, and says how long to wait.

    Each failure beyond the free ones doubles the wait, from one second to five minutes; an hour
    without any forgets them. A right password does not shorten a wait, or guessing would go on.
    Failures from elsewhere do not hold up a user at an address where they have logged in before.

    Parameters
    ----------
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._failed: OrderedDict[Key, _Failures] = OrderedDict()
        self._known: OrderedDict[Key, None] = OrderedDict()
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def place(self, user: str, address: str) -> Iterator[bool]:
        """Hold one of the places for logins under way; give whether there was one.

        A flood of slow checks would otherwise hold every connection of an address, or of the
        panel. Whoever has logged in at the address before needs no place.
        """
        with self._lock:
            taken = self._under_way[address] < MOST_OF_ONE
            taken = taken and self._under_way.total() < MOST_UNDER_WAY
            is_known = _keys(user, address)["pair"] in self._known
            self._under_way[address] += taken
        try:
            yield taken or is_known
        finally:
            with self._lock:
                self._under_way[address] -= taken
                if not self._under_way[address]:
                    del self._under_way[address]

    def begin(self, user: str, address: str) -> float:
        """Begin a login: return the seconds it has to wait yet, or count it as failed and return 0.

        It counts before the password is checked, which takes long: many tries at once are no
        more than as many one after the other.
        """
        now = self.clock()
        with self._lock:
            wait = self._wait(user, address, now)
            if wait > 0:
                return wait
            for key in _keys(user, address).values():
                held = self._held(key, now)
                self._failed.pop(key, None)
                self._failed[key] = _Failures(1 if held is None else held.count + 1, now)
            while len(self._failed) > MOST:
                self._failed.popitem(last=False)
            return 0.0

    def succeeded(self, user: str, address: str) -> None:
        """Take back a begun login, whose password was right, and the user's failures from there."""
        keys = _keys(user, address)
        with self._lock:
            self._take_back(keys)
            self._failed.pop(keys["pair"], None)
            self._known[keys["pair"]] = None
            self._known.move_to_end(keys["pair"])
            while len(self._known) > MOST:
                self._known.popitem(last=False)

    def unchecked(self, user: str, address: str) -> None:
        """Take back a begun login that could not be checked."""
        with self._lock:
            self._take_back(_keys(user, address))

    def _take_back(self, keys: dict[str, Key]) -> None:
        for key in keys.values():
            held = self._failed.get(key)
            if held is not None:
                held.count -= 1
                if held.count <= 0:
                    del self._failed[key]

    def _wait(self, user: str, address: str, now: float) -> float:
        keys = _keys(user, address)
        place = self._held(keys["address"], now)
        is_suspect = place is not None and place.count >= SUSPECT
        free = FREE_OF_SUSPECT if is_suspect else FREE["pair"]
        wait = self._wait_of(keys["pair"], free, now)
        if keys["pair"] in self._known:
            return wait
        return max(wait, self._wait_of(keys["user"], FREE["user"], now))

    def _wait_of(self, key: Key, free: int, now: float) -> float:
        held = self._held(key, now)
        if held is None or held.count < free:
            return 0.0
        doubled = 2.0 ** min(held.count - free, 20)
        return max(0.0, held.last + min(doubled, LONGEST_WAIT) - now)

    def _held(self, key: Key, now: float) -> _Failures | None:
        held = self._failed.get(key)
        if held is None or now - held.last > FORGET_AFTER:
            return None
        # Whoever still tries is remembered, however many others do.
        self._failed.move_to_end(key)
        return held


def _keys(user: str, address: str) -> dict[str, Key]:
    name = user.lower()
    texts = {"pair": f"{address}\n{name}", "user": name, "address": address}
    return {
        kind: (kind, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
        for kind, text in texts.items()
    }
