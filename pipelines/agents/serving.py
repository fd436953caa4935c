"""The server of tools: over standard input and output, or over HTTP with tokens."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from features.errors import SettingsError, nearest, sample
from pipelines.agents.asking import Pages
from pipelines.agents.tools import Agents
from pipelines.dashboard.access.gate import Gate, gate_of, users_path
from pipelines.dashboard.access.gatekeeper import IN_URL, UNKNOWN_TOKEN
from pipelines.dashboard.access.guards.addresses import Network
from pipelines.dashboard.access.tokens import IN_ADDRESS
from pipelines.dashboard.access.users import UsersFile
from pipelines.dashboard.access.visitor import Visitor
from pipelines.dashboard.serving import serve_app

if TYPE_CHECKING:
    from pipelines.project.project import Project

PATH = "/mcp"
MOST_BYTES = 64 * 1024
EVERYBODY = Visitor("agent", "viewer")


def caller_of(project: Project, user: str | None) -> Visitor:
    """Return for whom tools answer on standard input: a user, or whoever reads the tables anyway.

    Raises
    ------
    SettingsError
        When there is no such user.
    """
    if user is None:
        return EVERYBODY
    users = UsersFile(users_path(project))
    known = users.find(user)
    if known is None:
        hint = nearest(user, users.users()) or "; 'healthscore user list' names them"
        raise SettingsError(f"There is no user {sample([user])} in '{users.path}'{hint}")
    return Visitor(known.name, "viewer", known.owners)


def stdio_server(project: Project, caller: Visitor) -> MCPServer:
    """Return the server for one caller."""
    return Agents(Pages(project), lambda context: caller).server()


class TokensAlone:
    """Lets programs with a token in, and tells the tools whom each is for.

    Parameters
    ----------
    app : ASGIApp
        What is inside.
    gate : Gate
        Who has which token.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is None:
            await self.app(scope, receive, send)
            return
        await refusal(scope, receive, send)

    def _refusal(self, request: Request) -> JSONResponse | None:
        if IN_ADDRESS.search(unquote(f"{request.url.path}?{request.url.query}")):
            return JSONResponse({"detail": f"{IN_URL}."}, 400)
        shown = self.gate.token_in(request)
        visitor = None if shown is None else self.gate.visitor(request)
        if visitor is None:
            headers = {"www-authenticate": 'Bearer error="invalid_token"'}
            return JSONResponse({"detail": f"{UNKNOWN_TOKEN}."}, 401, headers)
        if not visitor.may("read"):
            return JSONResponse({"detail": "This token lacks the scope 'read'."}, 403)
        request.scope["agent"] = visitor
        return None


@dataclass(frozen=True)
class HttpServer:
    """A server over HTTP that has its address.

    Parameters
    ----------
    app : ASGIApp
        The application.
    listening : socket
        Where it listens.
    url : str
        How it is called from this machine.
    trusted_proxies : tuple of network
        Who may open as many connections as all their visitors.
    """

    app: ASGIApp
    listening: socket.socket
    url: str
    trusted_proxies: tuple[Network, ...]


def http_app(project: Project) -> ASGIApp:
    """Make the application that answers programs with tokens.

    Raises
    ------
    SettingsError
        When nobody could have a token.
    """
    gate = gate_of(project, project.settings.serve)
    if gate.programs is None:
        raise SettingsError(
            "Over HTTP a tool answers for the user of a token, and there are no users: add one with"
            " 'healthscore user add NAME' and a token with 'healthscore token add NAME'"
        )

    def caller(context: Context) -> Visitor:
        request = context.request_context.request
        visitor = request.scope.get("agent") if isinstance(request, Request) else None
        assert isinstance(visitor, Visitor), "no request passes without one"
        return visitor

    server = Agents(Pages(project), caller).server()
    hosts = project.settings.serve.hosts
    names = ["localhost", "127.0.0.1", "[::1]", *hosts]
    inside = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MOST_BYTES,
        transport_security=TransportSecuritySettings(
            allowed_hosts=[*names, *(f"{name}:*" for name in names)],
            allowed_origins=[],
        ),
    )
    return TokensAlone(inside, gate)


def http_server(project: Project, host: str, port: int) -> HttpServer:
    """Make the server and take its address.

    Raises
    ------
    SettingsError
        When nobody could have a token, or the address is taken.
    """
    app = http_app(project)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"The tools cannot listen on '{host}' port {port}: {error}; choose others with --host"
            " and --port"
        ) from error
    name = f"[{host}]" if ":" in host else host
    url = f"http://{name}:{listening.getsockname()[1]}{PATH}"
    return HttpServer(app, listening, url, project.settings.serve.trusted_proxies)


def serve_http(server: HttpServer) -> None:
    """Answer requests until the process is asked to end."""
    serve_app(server.app, server.listening, server.trusted_proxies)
