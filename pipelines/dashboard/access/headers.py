"""What every response says to the browser, and what a request must say to be heard at all."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.dashboard.access.errors import problem

log = logging.getLogger("healthscore.panel")
HEADERS = {
    # Nothing from elsewhere, no script or style within a page, and no frame around it.
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# The port of an address, after a name or an IPv6 address in brackets.
PORT = re.compile(r"(?<=[^:]):[0-9]{1,5}$")
A_YEAR = "max-age=31536000"


class SecureResponses:
    """Adds the headers to every response, and answers where a page failed.

    Parameters
    ----------
    app : ASGIApp
        What is inside.
    is_secure : callable
        Whether a request came over https.
    """

    def __init__(self, app: ASGIApp, is_secure: Callable[[Request], bool]) -> None:
        self.app, self.is_secure = app, is_secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, begun = Request(scope, receive), False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                if self.is_secure(request):
                    headers["strict-transport-security"] = A_YEAR
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except ClientDisconnect:
            return
        except Exception:
            # The path alone: a query may hold what somebody searched for.
            log.exception("%s %r failed", scope["method"], scope["path"][:200])
            if not begun:
                response = problem(
                    request, 500, "Something went wrong here, and it was written to the log"
                )
                await response(scope, receive, sent)


class KnownHosts:
    """Answers only requests that name the panel as it is called.

    Parameters
    ----------
    app : ASGIApp
        What is inside.
    names : sequence of str
        Host names, in lower case; none for any.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self.app, self.names = app, frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http" or not self.names:
            await self.app(scope, receive, send)
            return
        if PORT.sub("", Headers(scope=scope).get("host", "")).lower().strip("[]") in self.names:
            await self.app(scope, receive, send)
            return
        response = problem(
            Request(scope),
            400,
            "The panel does not go by the name in this address; call it by one of [serve] hosts,"
            " or by localhost",
        )
        await response(scope, receive, send)


class BodyLimit:
    """Reads the body of a request at once, and refuses one that is too long.

    Parameters
    ----------
    app : ASGIApp
        What is inside.
    most : int
        Bytes.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        body = bytearray()
        if declared.isdecimal() and int(declared[:20]) > self.most:
            await self._refuse(scope, receive, send)
            return
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.most:
                await self._refuse(scope, receive, send)
                return
        scope.setdefault("state", {})["body"] = bytes(body)
        await self.app(scope, _replayed(bytes(body), receive), send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        sentence = f"A request may have {self.most:,} bytes, and this one has more"
        # The rest of it is not waited for.
        response = problem(Request(scope), 413, sentence, {"connection": "close"})
        await response(scope, receive, send)


def _replayed(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
