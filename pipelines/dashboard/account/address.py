"""Addresses of accounts, whose ids may hold slashes, line breaks and whatever else people type."""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match
from starlette.types import Scope


class _AnyText(Convertor[str]):
    """A part of a path that may hold slashes and line breaks."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("account", _AnyText())


class AccountRoute(APIRoute):
    """A route below an account, such as ``/accounts/{account_id:account}/details``.

    Links write a slash of an id as ``%2F``. Servers turn that into a slash before routes are
    looked at, and an account "a/details" would be taken for the details of "a": what the address
    said before it was decoded decides.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as other routes do, but only where the last part was written out."""
        found, child = super().matches(scope)
        below = self.path.rpartition("}")[2].encode()
        raw = scope.get("raw_path")
        if found != Match.NONE and below and raw and not raw.partition(b"?")[0].endswith(below):
            return Match.NONE, {}
        return found, child
