"""Connections that keep the server waiting, on a clock and a wire of the tests' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from pipelines.dashboard.web.connections import (
    MOST,
    MOST_OF_ONE,
    READING_SECONDS,
    REQUEST_SECONDS,
    GuardedConnection,
    connections_behind,
)

WHOLE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: loc"


class Timer:
    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due, self.call = due, call

    def cancel(self) -> None:
        self.due = float("inf")


class Loop:
    """Time that passes when it is told to, and tasks that are done when they are told to."""

    def __init__(self) -> None:
        self.now, self.timers, self.tasks = 0.0, [], []

    def time(self) -> float:
        # No two moments are the same.
        self.now += 1e-6
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + seconds, call))
        return self.timers[-1]

    def create_task(self, work: Any, **_: Any) -> Any:
        self.tasks.append(work)
        return self

    def add_done_callback(self, _: Any) -> None:
        pass

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        for timer in [one for one in self.timers if one.due <= self.now]:
            timer.cancel()
            timer.call()

    def answer(self) -> None:
        for work in self.tasks:
            with pytest.raises(StopIteration):
                work.send(None)
        self.tasks = []


class Wire:
    """Stands for the system's end of a connection."""

    def __init__(self, address: str) -> None:
        self.address, self.cut, self.closed, self.unread = address, False, False, 0
        self.taken = b""

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else None

    def getpeername(self) -> tuple[str, int]:
        return self.address, 1

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 80

    def write(self, content: bytes) -> None:
        self.taken += content

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.closed or self.cut

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.cut = True

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def app(scope: Any, receive: Any, send: Any) -> None:
    head = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b"ok"})


class Server:
    """Opens connections of one server."""

    def __init__(self, kind: type[GuardedConnection]) -> None:
        self.kind, self.loop, self.state = kind, Loop(), ServerState()
        self.config = uvicorn.Config(app, http=kind, ws="none", lifespan="off", log_config=None)

    def open(self, address: str = "192.0.2.1", sent: bytes = b"") -> tuple[Any, Wire]:
        one = self.kind(self.config, self.state, {}, _loop=self.loop)
        wire = Wire(address)
        one.connection_made(wire)
        if sent:
            one.data_received(sent)
        return one, wire


@pytest.fixture
def server() -> Iterator[Server]:
    opened = Server(GuardedConnection)
    yield opened
    for work in opened.loop.tasks:
        work.close()


BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1234"


@pytest.mark.parametrize("sent", [b"", b"G", HALF, BODY, WHOLE[:-2]])
def test_a_request_that_does_not_end_is_cut_however_slowly_it_goes_on(server, sent) -> None:
    one, wire = server.open(sent=sent)
    server.loop.pass_by(REQUEST_SECONDS - 1)
    if sent == HALF:
        one.data_received(b"a")
    assert not wire.cut
    server.loop.pass_by(1)
    assert wire.cut


def test_a_whole_request_may_take_its_time_to_be_answered(server) -> None:
    one, wire = server.open(sent=WHOLE)
    server.loop.pass_by(1000)
    assert not wire.cut
    server.loop.answer()
    assert wire.taken.endswith(b"ok")
    # The next one on it has as long as the first.
    one.data_received(HALF)
    server.loop.pass_by(REQUEST_SECONDS)
    assert wire.cut


def test_an_answer_that_nobody_takes_is_cut(server) -> None:
    one, wire = server.open(sent=WHOLE)
    wire.unread = 100_000
    one.pause_writing()
    server.loop.pass_by(READING_SECONDS - 1)
    one.resume_writing()
    server.loop.pass_by(1000)
    assert not wire.cut
    one.pause_writing()
    server.loop.pass_by(READING_SECONDS)
    assert wire.cut


def test_who_waits_longest_of_an_address_makes_room(server) -> None:
    other = server.open("192.0.2.2", HALF)[1]
    wires = [server.open(sent=HALF)[1] for _ in range(MOST_OF_ONE)]
    assert not any(wire.cut for wire in wires)
    late = [server.open(sent=HALF)[1] for _ in range(5)]
    assert [wire.cut for wire in wires] == [True] * 5 + [False] * (MOST_OF_ONE - 5)
    assert not other.cut
    assert not any(wire.cut for wire in late)
    assert len(server.state.connections) == MOST_OF_ONE + 1


def test_who_is_being_answered_keeps_its_place(server) -> None:
    wires = [server.open(sent=WHOLE)[1] for _ in range(MOST_OF_ONE)]
    late = server.open()[1]
    assert late.cut
    assert not any(wire.cut for wire in wires)
    server.loop.answer()


def test_an_ipv6_network_is_one_address(server) -> None:
    first = server.open("2001:db8::1", HALF)[1]
    for number in range(MOST_OF_ONE):
        server.open(f"2001:db8::{number + 2:x}", HALF)
    assert first.cut


def test_many_addresses_do_not_take_every_place(server) -> None:
    first = server.open("198.51.100.1", HALF)[1]
    for number in range(MOST):
        server.open(f"10.0.{number // 250}.{number % 250}", HALF)
    assert first.cut
    assert len(server.state.connections) == MOST


def test_a_trusted_proxy_stands_for_many() -> None:
    server = Server(connections_behind((ip_network("10.0.0.0/24"),)))
    wires = [server.open("10.0.0.5", HALF)[1] for _ in range(MOST)]
    assert not any(wire.cut for wire in wires)
    server.open("10.0.0.5", HALF)
    assert wires[0].cut


def test_a_connection_that_ends_leaves_no_timer(server) -> None:
    one, wire = server.open(sent=HALF)
    one.connection_lost(None)
    server.loop.pass_by(1000)
    assert not wire.cut
    assert not server.state.connections
