"""Pages for admins: who may enter, and the tokens of programs, listed and changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from anyio import to_thread
from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from features.errors import SettingsError, sample
from pipelines.dashboard.access.passwords import hash_password
from pipelines.dashboard.access.tokens import (
    MOST_DAYS,
    SCOPES,
    USUAL_DAYS,
    Token,
    TokensFile,
    made_token,
    revoke,
    revoke_all_of,
)
from pipelines.dashboard.access.users import (
    User,
    UsersFile,
    refuse_other_capitals,
    refuse_other_name,
    refuse_other_role,
)
from pipelines.dashboard.access.visitor import ROLES, AdminOf, Role, Visitor
from pipelines.dashboard.panel.notices import Notice
from pipelines.store.runs import now

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.dashboard.panel.panel import Panel

router = APIRouter(include_in_schema=False)
NO_USERS = (
    "Nobody logs in here: add the first user with 'healthscore user add NAME', and start again"
)
_WHO = "nobody is known by that name"


@dataclass(frozen=True)
class UserForm:
    """What the form about a user holds; ``said`` tells why it was not taken."""

    name: str = ""
    role: str = "viewer"
    owners: str = ""
    is_new: bool = True
    said: str = ""


@dataclass(frozen=True)
class TokenRow:
    """A token of the list."""

    token: Token
    used_at: datetime | None
    has_ended: bool


@router.get("/users")
def users_page(
    request: Request,
    admin: AdminOf,
    change: Annotated[str, Query()] = "",
    remove: Annotated[str, Query()] = "",
) -> HTMLResponse:
    """List who may enter, with a form for one of them."""
    users = {} if _panel(request).gate.users is None else dict(_users(request).users())
    known = users.get(change)
    form = UserForm()
    if known is not None:
        owners = "\n".join(sorted(known.owners or ()))
        form = UserForm(known.name, known.role, owners, is_new=False)
    return _users_page(request, form, removing=users.get(remove))


@router.post("/users")
async def change_user(
    request: Request,
    admin: AdminOf,
    name: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
    owners: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
) -> Response:
    """Add a user or change one; an empty password leaves the one there is."""
    panel, file = _panel(request), _users(request)
    listed = frozenset(line.strip() for line in owners.splitlines() if line.strip())
    try:
        refuse_other_name(name)
        refuse_other_role(role)
        if listed and panel.settings.owner is None:
            raise SettingsError(
                "Owners limit what a user sees, and [serve] owner names no column of the accounts"
                " table; name it in the configuration first"
            )
        _refuse_own_end(admin, name, role, listed)
        hashed = None
        if password:
            hashed = await to_thread.run_sync(hash_password, password, limiter=panel.gate.checking)
        with file.changing() as users:
            refuse_other_capitals(name, users)
            before = users.get(name)
            if before is None and hashed is None and panel.gate.mode == "login":
                raise SettingsError(
                    "A new user needs a password, and none was given; give one of 12 characters or"
                    " more"
                )
            kept = "" if before is None else before.hash
            users[name] = User(name, cast(Role, role), hashed or kept, listed or None)
            done = "Added" if before is None else "Changed"
    except SettingsError as error:
        is_new = name not in file.users()
        return _users_page(request, UserForm(name, role, owners, is_new, str(error)), status=422)
    panel.tell(request, Notice(f"{done} {name}, {role}"))
    return RedirectResponse("/users", 303)


@router.post("/users/remove")
def remove_user(
    request: Request, admin: AdminOf, name: Annotated[str, Form()] = ""
) -> RedirectResponse:
    """Remove a user, whose logins and tokens end at once."""
    panel, file = _panel(request), _users(request)
    if name.lower() == admin.name.lower():
        raise SettingsError("You cannot remove yourself; another admin can")
    with file.changing() as users:
        if users.pop(name, None) is None:
            raise HTTPException(422, f"Nothing was removed: {_WHO}")
    panel.gate.sessions.end_all_of(name)
    if panel.gate.programs is not None:
        revoke_all_of(panel.gate.programs, name)
    panel.tell(request, Notice(f"Removed {name}, whose logins and tokens ended"))
    return RedirectResponse("/users", 303)


@router.get("/tokens")
def tokens_page(request: Request, admin: AdminOf) -> HTMLResponse:
    """List the tokens of programs, with a form for a new one."""
    return _tokens_page(request)


@router.post("/tokens")
def add_token(
    request: Request,
    admin: AdminOf,
    user: Annotated[str, Form()] = "",
    label: Annotated[str, Form()] = "",
    scope: Annotated[list[str] | None, Form()] = None,
    days: Annotated[str, Form()] = str(USUAL_DAYS),
) -> HTMLResponse:
    """Make a token, and show it on this page and never again."""
    users, file = _users(request), _programs(request)
    try:
        named = users.find(user)
        if named is None:
            raise SettingsError(f"A token is for a user, and {_WHO}; choose one of the list")
        if not days.isdecimal() or len(days) > 4:
            raise SettingsError(f"A token lasts a number of days, and {sample([days])} is none")
        text, made = made_token(
            file, named, label=label, scopes=scope or [], days=int(days), made_by=admin.name
        )
    except SettingsError as error:
        return _tokens_page(request, said=str(error), status=422)
    return _tokens_page(request, text=text, made=made)


@router.post("/tokens/revoke")
def revoke_token(
    request: Request, admin: AdminOf, token: Annotated[str, Form()] = ""
) -> RedirectResponse:
    """Revoke a token, which opens nothing from now on."""
    revoke(_programs(request), token)
    _panel(request).tell(request, Notice(f"Revoked {token}, which opens nothing any more"))
    return RedirectResponse("/tokens", 303)


def _users_page(
    request: Request, form: UserForm, status: int = 200, removing: User | None = None
) -> HTMLResponse:
    panel = _panel(request)
    users = {} if panel.gate.users is None else panel.gate.users.users()
    return panel.render(
        request,
        "users.html.j2",
        status,
        page_title="Users",
        users=sorted(users.values(), key=lambda user: user.name),
        is_managed=panel.gate.users is not None,
        mode=panel.gate.mode,
        proxy_role=panel.settings.proxy_role,
        roles=ROLES,
        form=form,
        removing=removing,
        has_owners=panel.settings.owner is not None,
        idle=_owners_of_nothing(panel, users.values()),
    )


def _owners_of_nothing(panel: Panel, users: object) -> frozenset[str]:
    """List the owners whom users are limited to and who look after no account that was scored."""
    snapshot = panel.snapshots.current(panel.outcomes[0])
    if snapshot is None or not snapshot.has_owners:
        return frozenset()
    rows = snapshot.ask("select distinct owner from accounts where owner is not null")
    known = {row["owner"] for row in rows}
    named = {owner for user in cast("list[User]", users) for owner in user.owners or ()}
    return frozenset(named - known)


def _tokens_page(
    request: Request,
    *,
    status: int = 200,
    said: str = "",
    text: str = "",
    made: Token | None = None,
) -> HTMLResponse:
    panel = _panel(request)
    file, moment = panel.gate.programs, now()
    tokens = [] if file is None else sorted(file.tokens().values(), key=lambda one: one.made_at)
    return panel.render(
        request,
        "tokens.html.j2",
        status,
        page_title="Tokens",
        rows=[TokenRow(one, file.used_at(one), one.has_ended(moment)) for one in tokens if file],
        users=sorted(panel.gate.users.users()) if panel.gate.users is not None else [],
        scopes=SCOPES,
        most_days=MOST_DAYS,
        usual_days=USUAL_DAYS,
        said=said,
        text=text,
        made=made,
    )


def _refuse_own_end(admin: Visitor, name: str, role: str, owners: frozenset[str]) -> None:
    """Keep an admin from locking themselves out, and the panel's last admin with them."""
    if name.lower() == admin.name.lower() and (role != admin.role or owners):
        raise SettingsError("You cannot take rights from yourself; another admin can")


def _users(request: Request) -> UsersFile:
    users = _panel(request).gate.users
    if users is None:
        raise SettingsError(NO_USERS)
    return users


def _programs(request: Request) -> TokensFile:
    programs = _panel(request).gate.programs
    if programs is None:
        raise SettingsError(NO_USERS)
    return programs


def _panel(request: Request) -> Panel:
    panel: Panel = request.app.state.panel
    return panel
