"""Connections that begin a request and never end it, and how long others then wait for a page."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

# Addresses of this machine the visitor does not come from; each stays under the limit of one.
ADDRESSES, OF_ONE = [f"127.0.0.{last}" for last in range(2, 10)], 75
HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "


def begin(port: int, address: str) -> socket.socket:
    """Send half of a request."""
    opened = socket.create_connection(("127.0.0.1", port), 10, source_address=(address, 0))
    opened.sendall(HALF)
    opened.setblocking(False)
    return opened


def is_cut(opened: socket.socket) -> bool:
    """Whether the server ended a connection."""
    try:
        return opened.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def seconds_beside(port: int, ask: Callable[[], int], pages: int) -> tuple[int, float]:
    """Ask for pages while half-sent requests stand; whoever is cut begins again at once.

    Returns
    -------
    tuple of int and float
        How many half-sent requests stood or were begun anew before each page, and the seconds of
        the slowest page.
    """
    standing: list[tuple[str, socket.socket]] = []
    slowest = 0.0
    try:
        for _ in range(pages):
            cut = [each for each in standing if is_cut(each[1])]
            for each in cut:
                each[1].close()
                standing.remove(each)
            for address in ADDRESSES:
                held = sum(own == address for own, _ in standing)
                standing += [(address, begin(port, address)) for _ in range(OF_ONE - held)]
            began = time.perf_counter()
            status = ask()
            slowest = max(slowest, time.perf_counter() - began)
            if status != 200:
                raise SystemExit(f"a page was answered with {status} beside half-sent requests")
        return len(standing), slowest
    finally:
        for _, opened in standing:
            opened.close()
