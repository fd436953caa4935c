"""Tokens that a page of another site cannot know, which every change must carry.

A token is bound to the visitor's cookie and masked anew on each page, so that its compressed
length tells nothing of it (Gluck, Harris and Prado, "BREACH", 2013).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from urllib.parse import parse_qs

HEADER, FIELD = "x-csrf-token", "csrf_token"
FORM = "application/x-www-form-urlencoded"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_BYTES = hashlib.sha256().digest_size


class CsrfTokens:
    """Makes and checks tokens, with a secret that the server draws when it starts."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(_BYTES)

    def token(self, cookie: str) -> str:
        """Return a token for whoever holds a cookie; another text each time."""
        mask = secrets.token_bytes(_BYTES)
        return base64.urlsafe_b64encode(mask + _xor(mask, self._bound(cookie))).decode()

    def fits(self, cookie: str, token: str) -> bool:
        """Tell whether a token was made for a cookie."""
        try:
            held = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            return False
        if len(held) != 2 * _BYTES:
            return False
        return hmac.compare_digest(_xor(held[:_BYTES], held[_BYTES:]), self._bound(cookie))

    def _bound(self, cookie: str) -> bytes:
        told = cookie.encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, told, hashlib.sha256).digest()


def token_in_form(content_type: str, body: bytes) -> str:
    """Read the token of a posted form; empty where there is none, or more than one."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        return ""
    try:
        found = parse_qs(body.decode("ascii"), max_num_fields=100).get(FIELD, [])
    except (UnicodeDecodeError, ValueError):
        return ""
    return found[0] if len(found) == 1 else ""


def _xor(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first, second, strict=True))
