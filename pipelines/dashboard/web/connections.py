"""Connections of the panel: half-sent requests are cut, and no address takes every place.

The server bounds how long an idle connection is kept after an answer, and nothing else: a request
whose headers or body never end would hold its connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipelines.dashboard.access.guards.addresses import Network, is_within, place_of

# Of connections at once: in all, and from one address that is no trusted proxy.
MOST, MOST_OF_ONE = 400, 100
# For a request from its first to its last byte, and for an answer that nobody takes.
REQUEST_SECONDS, READING_SECONDS = 10.0, 30.0


class GuardedConnection(H11Protocol):
    """A connection that is cut when it keeps the server waiting.

    It waits for its visitor while a request is not whole yet, or an answer is not taken. When all
    places are taken the one that has waited longest makes room, so that whoever sends a request at
    once always gets in.

    Attributes
    ----------
    place : str
        What counts as one address; empty for a trusted proxy, which stands for many visitors.
    waits_since : float or None
        When it began to wait, in the loop's seconds; None while an answer is worked out.
    """

    trusted_proxies: ClassVar[tuple[Network, ...]] = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.place = ""
        self.waits_since: float | None = None
        self._cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or somebody's who has waited longest."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        self.place = "" if is_within(address, self.trusted_proxies) else place_of(address)
        self._wait(REQUEST_SECONDS)
        everybody = list(self.connections)
        alike = [one for one in everybody if getattr(one, "place", "") == self.place]
        if self.place and len(alike) > MOST_OF_ONE:
            self._make_room(alike)
        elif len(everybody) > MOST:
            self._make_room(everybody)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the place."""
        self._work()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Read what came, and see whether the request is whole."""
        super().handle_events()
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the end."""
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """Wait for a visitor who does not take an answer."""
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        """Go on with an answer."""
        super().resume_writing()
        self._look()

    def _look(self) -> None:
        cycle = self.cycle
        is_whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        is_answering = cycle is not None and not cycle.response_complete and is_whole
        if is_answering and not self.flow.write_paused:
            self._work()
        elif self.waits_since is None:
            is_unread = self.transport.get_write_buffer_size() > 0
            self._wait(READING_SECONDS if is_unread else REQUEST_SECONDS)

    def _wait(self, seconds: float) -> None:
        self.waits_since = self.loop.time()
        self._cut = self.loop.call_later(seconds, self.transport.abort)

    def _work(self) -> None:
        self.waits_since = None
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None

    def _make_room(self, among: list[Any]) -> None:
        """Cut whoever has waited longest; the newcomer, where all others are being answered."""
        waiting = [one for one in among if getattr(one, "waits_since", None) is not None]
        longest: GuardedConnection = min(waiting, key=lambda one: float(one.waits_since))
        longest._work()
        self.connections.discard(longest)
        longest.transport.abort()


def connections_behind(trusted_proxies: tuple[Network, ...]) -> type[GuardedConnection]:
    """Return the kind of connection where some proxies may open as many as all their visitors."""
    return type("ProxiedConnection", (GuardedConnection,), {"trusted_proxies": trusted_proxies})


class PatientLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait for half-spoken TLS longer than for half-sent requests."""

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        """Listen, as any loop does."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", REQUEST_SECONDS)
        return await super().create_server(*args, **options)
