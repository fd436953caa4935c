"""The gate as a layer around the panel: nothing inside is reached without passing it."""

from __future__ import annotations

import logging
from urllib.parse import quote, unquote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import SettingsError
from pipelines.dashboard.access.errors import API, problem
from pipelines.dashboard.access.gate import OPEN_FOLDER, OPEN_PATHS, Gate
from pipelines.dashboard.access.guards.csrf import HEADER, SAFE_METHODS, token_in_form
from pipelines.dashboard.access.tokens import IN_ADDRESS

log = logging.getLogger("healthscore.panel")
SAME_SITE = (None, "same-origin", "none")
LONGEST_COOKIE = 200
IN_URL = (
    "A token was in the address, where logs and histories keep it: revoke it, make another, and"
    " send that as the header 'Authorization: Bearer'"
)
UNKNOWN_TOKEN = "The token is not known, has ended or was revoked; ask an admin for another"


def closed(request: Request, error: SettingsError) -> Response:
    """Refuse everybody while the users file cannot be read; why is for the log."""
    log.error("%s", error)
    return problem(
        request, 503, "Nobody can enter: the users file cannot be read, and the log says why"
    )


class Gatekeeper:
    """Lets requests through the gate.

    A request that changes something must carry the token of a page of the panel; every other than
    for the login page must come from a visitor who is recognised.

    Parameters
    ----------
    app : ASGIApp
        What is inside.
    gate : Gate
        Who is let in.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":
            return
        request = Request(scope, receive)

        async def sent(message: Message) -> None:
            fresh = getattr(request.state, "fresh_cookie", None)
            if message["type"] == "http.response.start" and fresh:
                self._keep(request, fresh, message)
            await send(message)

        refusal = self._refusal(request)
        await (self.app if refusal is None else refusal)(scope, receive, sent)

    def _refusal(self, request: Request) -> Response | None:
        """Recognise the visitor, and return why a request may not pass, or None if it may."""
        request.state.visitor = None
        path = request.url.path
        if IN_ADDRESS.search(unquote(f"{path}?{request.url.query}")):
            return problem(request, 400, IN_URL)
        try:
            request.state.visitor = self.gate.visitor(request)
        except SettingsError as error:
            return closed(request, error)
        if self.gate.token_in(request) is not None:
            return self._refused_program(request)
        if request.method not in SAFE_METHODS and not self._is_ours(request):
            return problem(
                request,
                403,
                "This request did not come from a page of the panel, or the page was too old;"
                " load the page again and repeat it",
            )
        if request.state.visitor is not None or path in OPEN_PATHS or path.startswith(OPEN_FOLDER):
            return None
        return self._stranger(request)

    def _refused_program(self, request: Request) -> Response | None:
        """Keep a program to the addresses for programs.

        Nothing sends a token on its own, as browsers do with cookies: it needs none of a page's.
        """
        if request.state.visitor is None:
            headers = {"www-authenticate": 'Bearer error="invalid_token"'}
            return problem(request, 401, UNKNOWN_TOKEN, headers)
        if not request.url.path.startswith(API):
            return problem(request, 403, f"A token opens addresses below {API} alone; log in here")
        return None

    def _is_ours(self, request: Request) -> bool:
        if request.headers.get("sec-fetch-site") not in SAME_SITE:
            return False
        cookie = request.cookies.get(self.gate.cookie_name(request), "")
        if not cookie or len(cookie) > LONGEST_COOKIE:
            return False
        token = request.headers.get(HEADER) or token_in_form(
            request.headers.get("content-type", ""), getattr(request.state, "body", b"")
        )
        return self.gate.tokens.fits(cookie, token)

    def _stranger(self, request: Request) -> Response:
        path = request.url.path
        if self.gate.mode == "login":
            if path.startswith(API):
                return problem(request, 401, "Log in to see this")
            query = f"?{request.url.query}" if request.url.query else ""
            wanted = quote(f"{path}{query}", safe="") if request.method == "GET" else ""
            return RedirectResponse(f"/login?next={wanted}" if wanted else "/login", 303)
        if self.gate.mode == "proxy":
            return problem(
                request,
                401,
                "The proxy in front of the panel named no visitor that may enter; log in there, or"
                " ask for an entry in the users file",
            )
        return problem(
            request,
            403,
            "The panel is open to this machine alone, and the request came through a proxy; add a"
            " user with 'healthscore user add NAME' or set [serve] proxy_header",
        )

    def _keep(self, request: Request, token: str, message: Message) -> None:
        carrier = Response()
        self.gate.set_cookie(request, carrier, token)
        MutableHeaders(scope=message).append("set-cookie", carrier.headers["set-cookie"])
