"""The gate: who is let in, by a login, by a trusted proxy, or because the panel is their own."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import Response

from features.errors import SettingsError
from pipelines.dashboard.access.guards.addresses import is_within, place_of
from pipelines.dashboard.access.guards.csrf import CsrfTokens
from pipelines.dashboard.access.guards.throttle import LoginThrottle
from pipelines.dashboard.access.passwords import hash_password, outdated, verified
from pipelines.dashboard.access.sessions import Sessions, new_token
from pipelines.dashboard.access.tokens import PREFIX, TokensFile, tokens_file
from pipelines.dashboard.access.users import NAME, User, UsersFile
from pipelines.dashboard.access.visitor import Visitor
from pipelines.project.settings.serve import LOCAL_NAMES, ServeSettings, is_local
from pipelines.store.runs import now

if TYPE_CHECKING:
    from pipelines.project.project import Project

Mode = Literal["local", "login", "proxy"]
LOCAL_VISITOR = Visitor("local", "admin")
COOKIE = "healthscore"
# Marks of a proxy, a load balancer or a tunnel, which no browser sends: behind one, a request
# that seems to come from the machine itself need not.
PROXY_MARK = re.compile(
    r"forwarded|client-?ip|connecting-ip|real-ip|(^|-)via$|^cdn-loop$|^x-scheme$"
    r"|^x-(original|amz|amzn|azure|appengine|cloud|goog|envoy|ms|arr|proxy|varnish|nf|vercel)-"
    r"|^(cf|fly|fastly|akamai|ngrok|tailscale|x-auth-request|x-authentik|x-pomerium)-"
    r"|^(remote|x-webauth)-user$|-proxyuser-"
)
# Plain proxies speak it to what is behind them, and add no header; browsers have not for long.
OLD_HTTP = "1.0"
# Each password takes 19 MiB to check: a flood of logins must take neither all memory nor, where
# they wait for each other, the threads of the pages.
CHECKED_AT_ONCE = 2
# Where a login page may be asked for, nobody need be logged in.
OPEN_PATHS = ("/login", "/login/oidc", "/login/oidc/back", "/health", "/api/v1/session")
OPEN_FOLDER = "/static/"


class Gate:
    """Recognises visitors.

    Parameters
    ----------
    settings : ServeSettings
        The ``[serve]`` section.
    mode : {"local", "login", "proxy"}
        Whether everybody on the machine is let in, who logs in, or whom a proxy names.
    users : UsersFile or None
        Who there is.
    clock : callable
        Seconds that never go back.
    programs : TokensFile or None
        Tokens of programs; None where none opens anything.
    """

    def __init__(
        self,
        settings: ServeSettings,
        mode: Mode,
        users: UsersFile | None,
        clock: Callable[[], float] = time.monotonic,
        programs: TokensFile | None = None,
    ) -> None:
        self.settings, self.mode, self.users = settings, mode, users
        self.programs = programs
        idle, longest = 60 * settings.session_idle_minutes, 3600 * settings.session_hours
        self.sessions = Sessions(idle, longest, clock)
        self.throttle = LoginThrottle(clock)
        self.tokens = CsrfTokens()
        self.checking = CapacityLimiter(CHECKED_AT_ONCE)

    @property
    def has_sessions(self) -> bool:
        """Whether visitors log in, and out."""
        return self.mode == "login"

    @property
    def host_names(self) -> tuple[str, ...]:
        """Names by which browsers may call the panel; none for any.

        Where nobody logs in, a page of another site could otherwise be made to reach the panel
        under a name of its own ("DNS rebinding").
        """
        if self.mode == "local":
            return LOCAL_NAMES
        return (*LOCAL_NAMES, *self.settings.hosts) if self.settings.hosts else ()

    def visitor(self, request: Request) -> Visitor | None:
        """Recognise who sent a request.

        Raises
        ------
        SettingsError
            When the users file cannot be read: then nobody is let in.
        """
        shown = self.token_in(request)
        if shown is not None:
            return self._program(shown)
        if self.mode == "local":
            return LOCAL_VISITOR if self._comes_from_here(request) else None
        if self.mode == "proxy":
            return self._named_by_proxy(request)
        cookie = request.cookies.get(self.cookie_name(request), "")
        logged_in = self.sessions.user_of(cookie) if cookie else None
        if logged_in is None:
            return None
        # Whoever was removed or changed meanwhile has to log in again.
        expected = self._user(logged_in.name) or (logged_in if logged_in.is_external else None)
        if expected != logged_in:
            self.sessions.end(cookie)
            return None
        return logged_in.visitor

    def token_in(self, request: Request) -> str | None:
        """Return the token that a request bears, whether or not it opens anything (RFC 6750).

        What a proxy sends along of its own is none of ours.
        """
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        is_ours = kind.lower() == "bearer" and shown.strip().startswith(f"{PREFIX}_")
        return shown.strip() if is_ours else None

    def _program(self, shown: str) -> Visitor | None:
        """Recognise a program by its token, with the rights its user has now."""
        token = None if self.programs is None else self.programs.recognised(shown, now())
        user = None if token is None else self._user(token.user)
        return None if token is None or user is None else token.visitor(user)

    def log_in(self, name: str, password: str) -> str | None:
        """Log a user in: the token of a new session, or None where name or password is wrong."""
        user = self._user(name)
        if not verified(user, password) or user is None or self.users is None:
            return None
        if outdated(user):
            user = self._rehashed(user, password)
        return self.sessions.begin(user)

    def address(self, request: Request) -> str:
        """Return where a request comes from: the last address that no trusted proxy wrote.

        Of IPv6 it is the network, as
        :func:`~pipelines.dashboard.access.guards.addresses.place_of` says.
        """
        address = request.client.host if request.client else "unknown"
        before = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        while before and self._is_trusted(address):
            address = before.pop().strip() or address
        return place_of(address)

    def is_secure(self, request: Request) -> bool:
        """Tell whether a browser reached the panel over https."""
        if request.url.scheme == "https" or self.settings.secure_cookies:
            return True
        peer = request.client.host if request.client else ""
        return self._is_trusted(peer) and request.headers.get("x-forwarded-proto") == "https"

    def cookie_name(self, request: Request) -> str:
        """Return the cookie's name; over https one that no other host can set."""
        return f"__Host-{COOKIE}" if self.is_secure(request) else COOKIE

    def cookie(self, request: Request) -> str:
        """Return the visitor's cookie, or a fresh one that the response is to set."""
        held: str | None = getattr(request.state, "cookie", None)
        if held is None:
            held = request.cookies.get(self.cookie_name(request), "")
            if not held:
                held = request.state.fresh_cookie = new_token()
            request.state.cookie = held
        return held

    def set_cookie(self, request: Request, response: Response, token: str) -> None:
        """Have the browser keep a token, out of reach of scripts and of other sites' forms."""
        response.set_cookie(
            self.cookie_name(request),
            token,
            path="/",
            secure=self.is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def csrf_token(self, request: Request) -> str:
        """Return the token that forms of a page carry."""
        return self.tokens.token(self.cookie(request))

    def _comes_from_here(self, request: Request) -> bool:
        """Tell whether a browser of this machine sent a request, and nobody passed it on."""
        is_passed_on = request.scope.get("http_version") == OLD_HTTP or any(
            PROXY_MARK.search(name) for name in request.headers
        )
        return not is_passed_on and request.client is not None and is_local(request.client.host)

    def _named_by_proxy(self, request: Request) -> Visitor | None:
        peer = request.client.host if request.client else ""
        header = self.settings.proxy_header
        named = request.headers.getlist(header) if header else []
        # Two names are that of the proxy and one that somebody slipped in.
        if not self._is_trusted(peer) or len(named) != 1 or not NAME.fullmatch(named[0]):
            return None
        user = self._user(named[0])
        if user is not None:
            return user.visitor
        role = self.settings.proxy_role
        return None if role is None else Visitor(named[0], role)

    def _user(self, name: str) -> User | None:
        return None if self.users is None else self.users.find(name)

    def _is_trusted(self, address: str) -> bool:
        return is_within(address, self.settings.trusted_proxies)

    def _rehashed(self, user: User, password: str) -> User:
        """Hash a password anew, where the file can be written: today's parameters are stronger."""
        assert self.users is not None
        try:
            fresh = replace(user, hash=hash_password(password))
            with self.users.changing() as users:
                # Whoever was changed or removed meanwhile stays so.
                if users.get(user.name) != user:
                    return user
                users[user.name] = fresh
        except SettingsError:
            return user
        self.sessions.end_all_of(user.name)
        return fresh


def gate_of(project: Project, settings: ServeSettings) -> Gate:
    """Choose how visitors are recognised.

    Raises
    ------
    SettingsError
        When the panel would be open to other machines and nobody would be asked who they are, the
        users file is broken or named and not there, or users are limited by an owner that no
        column names.
    """
    path = (project.folder / settings.users).resolve()
    is_named = "users" in settings.model_fields_set
    users = UsersFile(path) if path.exists() or is_named else None
    listed = users.users() if users is not None else {}
    limited = [user.name for user in listed.values() if user.owners is not None]
    if limited and settings.owner is None:
        raise SettingsError(
            f"The users file '{path}' limits '{limited[0]}' to the accounts of some owners, and"
            " [serve] owner names no column of the accounts table; name it"
        )
    programs = tokens_file(project)
    # A broken file is told at the start, rather than to the first program.
    programs.tokens()
    if settings.proxy_header is not None:
        return Gate(settings, "proxy", users, programs=programs)
    if users is not None or settings.oidc is not None:
        return Gate(settings, "login", users, programs=programs)
    if settings.trusted_proxies:
        raise SettingsError(
            "[serve] trusted_proxies says that visitors come through a proxy, and nobody would be"
            " asked who they are: add a user with 'healthscore user add NAME', set [serve]"
            " proxy_header, or take trusted_proxies out"
        )
    if not is_local(settings.host):
        raise SettingsError(
            f"The control panel would be open to everybody who reaches '{settings.host}': add a"
            " user with 'healthscore user add NAME', set [serve] proxy_header, or listen on"
            " 127.0.0.1"
        )
    return Gate(settings, "local", None)


def users_path(project: Project) -> Path:
    """Return where the users file of a project is."""
    return (project.folder / project.settings.serve.users).resolve()
