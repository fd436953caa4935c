"""Who is logged in: sessions that the server keeps, and that a cookie alone is not enough for."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.dashboard.access.users import User

TOKEN_BYTES = 32
MOST = 10_000


@dataclass
class Session:
    """One login.

    Attributes
    ----------
    user : User
        The entry of the users file that the login was made with.
    began, seen : float
        When it was made and last used, in the clock's seconds.
    """

    user: User
    began: float
    seen: float


class Sessions:
    """The logins of now; they end with the server.

    Parameters
    ----------
    idle, longest : float
        Seconds without a request, and in all, after which a login ends.
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, idle: float, longest: float, clock: Callable[[], float]) -> None:
        self.idle, self.longest, self.clock = idle, longest, clock
        self._held: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, user: User) -> str:
        """Log a user in, and return the token of the session."""
        token, now = new_token(), self.clock()
        with self._lock:
            self._held[_key(token)] = Session(user, now, now)
            while len(self._held) > MOST:
                self._held.popitem(last=False)
        return token

    def user_of(self, token: str) -> User | None:
        """Return who is logged in with a token, if anybody still is, and count the visit."""
        key, now = _key(token), self.clock()
        with self._lock:
            session = self._held.get(key)
            if session is None:
                return None
            if now - session.seen > self.idle or now - session.began > self.longest:
                del self._held[key]
                return None
            session.seen = now
            self._held.move_to_end(key)
            return session.user

    def end(self, token: str) -> None:
        """Log out."""
        with self._lock:
            self._held.pop(_key(token), None)

    def end_all_of(self, name: str) -> None:
        """Log a user out everywhere."""
        with self._lock:
            for key in [key for key, held in self._held.items() if held.user.name == name]:
                del self._held[key]


def new_token() -> str:
    """Return a fresh token of 256 random bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def _key(token: str) -> str:
    # What is kept does not log anybody in, and finding it takes no time that tells of it.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
