"""Login pages: logging in and out, and what an admin may do."""

from __future__ import annotations

import logging
from typing import Annotated
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel

from features.errors import SettingsError
from pipelines.dashboard.access.gatekeeper import closed
from pipelines.dashboard.access.visitor import AdminOf, Role, Scope
from pipelines.dashboard.panel.notices import Notice
from pipelines.dashboard.panel.oidc import RefusedLogin
from pipelines.dashboard.panel.panel import Panel, link_to

log = logging.getLogger("healthscore.panel")
router = APIRouter()
NO_PROVIDER = "This panel knows no provider of identities; log in with a password"
LOGIN_PATHS = ("/login", "/login/oidc", "/login/oidc/back")
WRONG = "The name or the password is wrong."
BUSY = "Too many log in at this moment: wait a few seconds and try again."


class SessionAnswer(BaseModel):
    """Who a program's requests are from, and the token that its changes must carry."""

    name: str | None
    role: Role | None
    owners: list[str] | None
    scopes: list[Scope] | None
    csrf_token: str


@router.get("/login", include_in_schema=False)
def login_page(request: Request, next: Annotated[str, Query()] = "/") -> Response:
    """Ask who it is; whoever is known already is sent on."""
    if request.state.visitor is not None:
        return RedirectResponse(safe_path(next), 303)
    return _form(request, next)


@router.post("/login", include_in_schema=False)
async def log_in(
    request: Request,
    user: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Check a name and a password, and begin a session."""
    gate = _panel(request).gate
    if not gate.has_sessions:
        return RedirectResponse("/", 303)
    address = gate.address(request)
    with gate.throttle.place(user, address) as has_place:
        if not has_place:
            return _form(request, next, BUSY, 503, {"retry-after": "5"}, user)
        return await _checked(request, user, password, next, address)


async def _checked(request: Request, user: str, password: str, next: str, address: str) -> Response:
    gate = _panel(request).gate
    wait = gate.throttle.begin(user, address)
    if wait > 0:
        seconds = int(wait) + 1
        said = f"Too many logins failed: wait {seconds} seconds and try again."
        return _form(request, next, said, 429, {"retry-after": str(seconds)}, user)
    try:
        token = await to_thread.run_sync(gate.log_in, user, password, limiter=gate.checking)
    except SettingsError as error:
        gate.throttle.unchecked(user, address)
        return closed(request, error)
    if token is None:
        return _form(request, next, WRONG, 401, user=user)
    gate.throttle.succeeded(user, address)
    # A token from before the login must not become that of a session.
    gate.sessions.end(gate.cookie(request))
    response = RedirectResponse(safe_path(next), 303)
    gate.set_cookie(request, response, token)
    return response


@router.get("/login/oidc", include_in_schema=False)
async def begin_oidc(
    request: Request, next: Annotated[str, Query(max_length=4000)] = "/"
) -> Response:
    """Send a browser to the provider of identities."""
    oidc = _panel(request).oidc
    if oidc is None:
        raise HTTPException(404, NO_PROVIDER)
    cookie, wanted = _panel(request).gate.cookie(request), safe_path(next)
    try:
        place = await to_thread.run_sync(oidc.begin, cookie, wanted, limiter=oidc.asking)
    except RefusedLogin as refused:
        return _refused(request, next, refused)
    return RedirectResponse(place, 303)


@router.get("/login/oidc/back", include_in_schema=False)
async def end_oidc(request: Request) -> Response:
    """Take the provider's answer, and begin a session."""
    panel = _panel(request)
    oidc, gate = panel.oidc, panel.gate
    if oidc is None:
        raise HTTPException(404, NO_PROVIDER)
    before = request.cookies.get(gate.cookie_name(request), "")
    try:
        user, wanted = await to_thread.run_sync(
            oidc.finish, before, dict(request.query_params), gate.users, limiter=oidc.asking
        )
    except RefusedLogin as refused:
        return _refused(request, "/", refused)
    except SettingsError as error:
        return closed(request, error)
    gate.sessions.end(before)
    response = RedirectResponse(wanted, 303)
    gate.set_cookie(request, response, gate.sessions.begin(user))
    return response


def _refused(request: Request, wanted: str, refused: RefusedLogin) -> Response:
    """Say that a login came to nothing; why is for the log."""
    log.warning("a login by the provider of identities was refused: %s", refused)
    return _form(request, wanted, refused.said, 401)


@router.post("/logout", include_in_schema=False)
def log_out(request: Request) -> Response:
    """End the session, on the server too."""
    gate = _panel(request).gate
    gate.sessions.end(gate.cookie(request))
    response = RedirectResponse("/login" if gate.has_sessions else "/", 303)
    response.delete_cookie(
        gate.cookie_name(request),
        path="/",
        secure=gate.is_secure(request),
        httponly=True,
        samesite="lax",
    )
    response.headers["clear-site-data"] = '"cache", "storage"'
    return response


@router.post("/admin/refresh", include_in_schema=False)
def refresh(request: Request, admin: AdminOf) -> Response:
    """Read the newest scores, names and owners now, although no newer run is known."""
    panel = _panel(request)
    panel.snapshots.refresh(anew=True)
    snapshot = panel.snapshots.current(panel.outcome_of(request))
    if snapshot is not None:
        newest = f"{snapshot.run.key.as_of:%Y-%m-%d}"
        panel.tell(request, Notice(f"Looked: the newest scores are those of {newest}"))
    return RedirectResponse(link_to("/", panel.outcome_of(request)), 303)


@router.get("/health", include_in_schema=False)
def health(request: Request) -> JSONResponse:
    """Tell a load balancer that the panel answers; it says nothing of what is in it."""
    return JSONResponse({"status": "ok"})


@router.get("/api/v1/session", tags=["session"])
def session(request: Request) -> SessionAnswer:
    """Say who the request is from, and give the token that changes must carry."""
    visitor, gate = request.state.visitor, _panel(request).gate
    token = gate.csrf_token(request)
    if visitor is None:
        return SessionAnswer(name=None, role=None, owners=None, scopes=None, csrf_token=token)
    owners = None if visitor.owners is None else sorted(visitor.owners)
    return SessionAnswer(
        name=visitor.name,
        role=visitor.role,
        owners=owners,
        scopes=None if visitor.scopes is None else sorted(visitor.scopes),
        csrf_token=token,
    )


def safe_path(wanted: str) -> str:
    r"""Return where to go after a login: a path of the panel, whatever was asked for.

    Browsers take ``//host`` and ``/\host`` for another site, and drop tabs and line breaks.

    Examples
    --------
    >>> safe_path("/accounts?band=watch"), safe_path("//evil.example"), safe_path(r"/\evil.example")
    ('/accounts?band=watch', '/', '/')
    """
    plain = all(character.isprintable() and character != "\\" for character in wanted)
    if not plain or not wanted.startswith("/") or wanted.startswith("//") or len(wanted) > 2000:
        return "/"
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    is_own = not parts.scheme and not parts.netloc and parts.path not in (*LOGIN_PATHS, "/logout")
    return wanted if is_own else "/"


def _form(
    request: Request,
    wanted: str,
    said: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
    user: str = "",
) -> Response:
    panel = _panel(request)
    page = panel.render(
        request,
        "login.html.j2",
        status,
        page_title="Log in",
        wanted=safe_path(wanted),
        said=said,
        user=user[:100],
        oidc=panel.settings.oidc.label if panel.settings.oidc is not None else None,
        has_passwords=panel.gate.users is not None,
    )
    page.headers.update(headers or {})
    return page


def _panel(request: Request) -> Panel:
    panel: Panel = request.app.state.panel
    return panel
