"""Who a request is from, and what that visitor may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, HTTPException, Request

Role = Literal["viewer", "admin"]
Scope = Literal["read", "write-state"]
ROLES: tuple[Role, ...] = ("viewer", "admin")


@dataclass(frozen=True)
class Visitor:
    """Whoever sent a request.

    Parameters
    ----------
    name : str
        Name in the users file, or as a trusted proxy gives it.
    role : {"viewer", "admin"}
        What they may do.
    owners : frozenset of str or None
        They see the accounts of these owners alone; None for every account.
    scopes : frozenset of {"read", "write-state"} or None
        What a program that asks with a token may do; None for people, who may do what their role
        allows.
    """

    name: str
    role: Role
    owners: frozenset[str] | None = None
    scopes: frozenset[Scope] | None = None

    @property
    def sees_all(self) -> bool:
        """Whether no account is kept from them."""
        return self.owners is None

    def may(self, scope: Scope) -> bool:
        """Tell whether a token's scopes, if it is one, allow this."""
        return self.scopes is None or scope in self.scopes


def visitor_of(request: Request) -> Visitor:
    """Return who sent a request, whom :mod:`pipelines.dashboard.access.gate` has let in.

    Raises
    ------
    HTTPException
        401 when nobody is known to have, 403 when a token may not read.
    """
    return _within(request, "read")


def writer_of(request: Request) -> Visitor:
    """Return who sent a request that writes what was done.

    Raises
    ------
    HTTPException
        401 when nobody is known to have, 403 when a token may not write.
    """
    return _within(request, "write-state")


def _within(request: Request, scope: Scope) -> Visitor:
    visitor = getattr(request.state, "visitor", None)
    if not isinstance(visitor, Visitor):
        raise HTTPException(401, "Log in to see this")
    if not visitor.may(scope):
        raise HTTPException(403, f"This token lacks the scope '{scope}'; ask an admin for another")
    return visitor


def admin_of(request: Request) -> Visitor:
    """Return the admin who sent a request.

    Raises
    ------
    HTTPException
        403 when it is no admin.
    """
    visitor = visitor_of(request)
    if visitor.role != "admin":
        raise HTTPException(403, "This is for admins; ask one of them")
    return visitor


def whole_book_of(request: Request) -> Visitor:
    """Return a visitor who may see what is said of the whole book of accounts.

    Raises
    ------
    HTTPException
        403 when they see the accounts of some owners alone.
    """
    visitor = visitor_of(request)
    if not visitor.sees_all:
        raise HTTPException(
            403, "This is about all accounts, and you see your own; ask an admin for more"
        )
    return visitor


VisitorOf = Annotated[Visitor, Depends(visitor_of)]
WriterOf = Annotated[Visitor, Depends(writer_of)]
AdminOf = Annotated[Visitor, Depends(admin_of)]
WholeBookOf = Annotated[Visitor, Depends(whole_book_of)]
