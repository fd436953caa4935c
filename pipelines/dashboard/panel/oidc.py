"""Logging in with a provider of identities: OpenID Connect, by authorization code and PKCE.

What is asked follows OpenID Connect Core 1.0 (sections 3.1.2 and 3.1.3.7) and RFC 7636; the
signature is PyJWT's work.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from anyio import CapacityLimiter

from features.errors import SettingsError
from pipelines.dashboard.access.users import NAME, User, UsersFile
from pipelines.project.delivery.http import TryError, ask, within

if TYPE_CHECKING:
    from pipelines.project.settings.serve import OidcSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Signatures with a key that only the provider has: a secret that is shared proves nothing."""
BEGUN_SECONDS, MOST_BEGUN = 600.0, 10_000
KEPT_SECONDS, KEYS_AGAIN_SECONDS, LEEWAY_SECONDS = 3600.0, 60.0, 60
TRY_SECONDS, AWAY_SECONDS, ASKED_AT_ONCE = 10.0, 5.0, 4
WELL_KNOWN = "/.well-known/openid-configuration"


class RefusedLogin(Exception):  # noqa: N818
    """A login came to nothing.

    Parameters
    ----------
    said : str
        What its visitor is told, as a sentence.
    why : str
        What the log is told.
    """

    def __init__(self, said: str, why: str) -> None:
        super().__init__(why)
        self.said = said


@dataclass(frozen=True)
class _Begun:
    """A login that was begun in a browser."""

    cookie: str
    nonce: str
    verifier: str
    wanted: str
    at: float


class Oidc:
    """The provider, and the logins that were begun with it.

    Parameters
    ----------
    settings : OidcSettings
        The section ``[serve.oidc]``.
    clock : callable
        Seconds that never go back.

    Raises
    ------
    SettingsError
        When what checks signatures is not installed, or the client's secret is not there.
    """

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings, self.clock = settings, clock
        self._begun: OrderedDict[str, _Begun] = OrderedDict()
        self._lock = threading.Lock()
        self._described: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, dict[str, Any]] | None = None
        self._away_until = clock()
        # Logins wait for the provider in places of their own, and keep no page from being answered.
        self.asking = CapacityLimiter(ASKED_AT_ONCE)
        try:
            import jwt  # noqa: F401
            from cryptography.hazmat.primitives import hashes  # noqa: F401
        except ImportError as error:
            raise SettingsError(
                "[serve.oidc] needs a package that is not installed; install it with"
                " pip install 'healthscore[oidc]'"
            ) from error
        self._secret()

    def begin(self, cookie: str, wanted: str) -> str:
        """Begin a login in a browser, and return the provider's address to send it to.

        Raises
        ------
        RefusedLogin
            When the provider cannot be asked.
        """
        described = self._description()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = _unpadded(hashlib.sha256(verifier.encode()).digest())
        with self._lock:
            self._begun[state] = _Begun(cookie, nonce, verifier, wanted, self.clock())
            while len(self._begun) > MOST_BEGUN:
                self._begun.popitem(last=False)
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.redirect_url,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        place = str(described["authorization_endpoint"])
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"

    def finish(
        self, cookie: str, answer: Mapping[str, str], users: UsersFile | None
    ) -> tuple[User, str]:
        """Take the provider's answer to a login: who it is, and where they wanted to go.

        Raises
        ------
        RefusedLogin
            When it is no answer to a login of this browser, the provider refused, its token does
            not hold, or nobody of that name may enter.
        """
        with self._lock:
            begun = self._begun.pop(answer.get("state", ""), None)
        is_theirs = begun is not None and _is_same(begun.cookie, cookie)
        if begun is None or not is_theirs or self.clock() - begun.at > BEGUN_SECONDS:
            raise RefusedLogin(
                "This login was not begun in this browser, or too long ago; begin again.",
                "a state that is unknown, used, old or another browser's",
            )
        if "code" not in answer or answer.get("iss", self.settings.issuer) != self.settings.issuer:
            raise RefusedLogin(
                "Your company's login did not let you in; try again, or ask who runs it.",
                f"the provider answered {answer.get('error', 'without a code')[:100]!r}",
            )
        claims = self._claims(self._token(answer["code"], begun.verifier), begun.nonce)
        return self._user(claims, users), begun.wanted

    def _token(self, code: str, verifier: str) -> str:
        """Change a code for a token that says who it is."""
        settings = self.settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": settings.redirect_url,
            "client_id": settings.client_id,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        secret = self._secret()
        if secret is not None:
            # Both are encoded before they are put together (RFC 6749, section 2.3.1).
            both = f"{quote(settings.client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        place = str(self._description()["token_endpoint"])
        token = self._asked(place, urlencode(form).encode(), headers).get("id_token")
        if not isinstance(token, str):
            raise RefusedLogin(_NOT_PROVED, "the provider gave no id_token")
        return token

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        """Check a token, and return what it says (OpenID Connect Core, section 3.1.3.7)."""
        import jwt

        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise RefusedLogin(_NOT_PROVED, f"a token signed by {header.get('alg')!r}")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(header.get("kid")),
                algorithms=list(ALGORITHMS),
                audience=self.settings.client_id,
                issuer=self.settings.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "aud", "iss", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise RefusedLogin(_NOT_PROVED, f"a token that does not hold: {error}") from error
        said = claims.get("nonce")
        if not isinstance(said, str) or not _is_same(said, nonce):
            raise RefusedLogin(_NOT_PROVED, "a token with the nonce of another login")
        audience = claims["aud"]
        is_shared = isinstance(audience, list) and len(audience) > 1
        if claims.get("azp", self.settings.client_id if not is_shared else None) != (
            self.settings.client_id
        ):
            raise RefusedLogin(_NOT_PROVED, "a token that was made for another client")
        return claims

    def _user(self, claims: Mapping[str, Any], users: UsersFile | None) -> User:
        """Say who of the panel it is: as the users file says, else as their groups do."""
        settings = self.settings
        name = claims.get(settings.name_claim)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise RefusedLogin(_NOBODY, f"the claim {settings.name_claim!r} is no name of a user")
        if settings.name_claim == "email" and claims.get("email_verified") is not True:
            raise RefusedLogin(_NOBODY, f"the address {name!r} was not verified by the provider")
        known = None if users is None else users.find(name)
        if known is not None:
            return known
        groups = set(_texts(claims.get(settings.groups_claim)))
        if groups & set(settings.admins):
            return User(name, "admin", is_external=True)
        if groups & set(settings.viewers):
            return User(name, "viewer", is_external=True)
        owners = {one for group in groups for one in settings.owners.get(group, ())}
        if settings.owners_claim is not None:
            owners |= set(_texts(claims.get(settings.owners_claim)))
        if owners:
            return User(name, "viewer", owners=frozenset(owners), is_external=True)
        raise RefusedLogin(_NOBODY, f"{name!r} is no user and in no group of [serve.oidc]")

    def _description(self) -> dict[str, Any]:
        """Return what the provider says of itself, and ask anew after an hour."""
        if self._described is None or self.clock() - self._described[0] > KEPT_SECONDS:
            told = self._asked(self.settings.issuer.rstrip("/") + WELL_KNOWN)
            places = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if told.get("issuer") != self.settings.issuer or not all(
                _is_safe(told.get(place), self.settings.issuer) for place in places
            ):
                raise RefusedLogin(_AWAY, "the provider's description is of another, or not safe")
            self._described = (self.clock(), told)
        return self._described[1]

    def _key(self, name: object) -> Any:
        """Return a key of the provider; an unknown one is asked for at most once a minute."""
        import jwt

        age = None if self._keys is None else self.clock() - self._keys[0]
        is_known = self._keys is not None and str(name) in self._keys[1]
        is_old = age is None or age > KEPT_SECONDS
        if is_old or (not is_known and age is not None and age > KEYS_AGAIN_SECONDS):
            told = self._asked(str(self._description()["jwks_uri"]))
            try:
                held = jwt.PyJWKSet.from_dict(told).keys
            except (AttributeError, KeyError, TypeError) as error:
                raise RefusedLogin(_AWAY, "the provider's keys are none") from error
            named = {str(one.key_id): one.key for one in held if one.public_key_use != "enc"}
            self._keys = (self.clock(), named)
        assert self._keys is not None
        if str(name) not in self._keys[1]:
            raise RefusedLogin(_NOT_PROVED, "a token signed with a key that is not the provider's")
        return self._keys[1][str(name)]

    def _asked(
        self, place: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        if self.clock() < self._away_until:
            raise RefusedLogin(_AWAY, "the provider was away a moment ago, and is not asked yet")
        method = "GET" if body is None else "POST"
        try:
            answer = within(
                TRY_SECONDS,
                lambda: ask(
                    place, method=method, body=body, headers=headers or {}, seconds=TRY_SECONDS
                ),
            )
            told = json.loads(answer.body)
        except (TryError, ValueError, RecursionError) as error:
            if isinstance(error, TryError) and error.status is None:
                self._away_until = self.clock() + AWAY_SECONDS
            raise RefusedLogin(_AWAY, f"the provider {error}") from error
        if not isinstance(told, dict):
            raise RefusedLogin(_AWAY, "the provider answered with no object")
        return told

    def _secret(self) -> str | None:
        variable = self.settings.client_secret_env
        if variable is None:
            return None
        secret = os.environ.get(variable)
        if not secret:
            raise SettingsError(
                f"The environment variable '{variable}' that [serve.oidc] client_secret_env names"
                " is not set; set it"
            )
        return secret


_NOT_PROVED = "Your company's login did not prove who you are; try again, or ask who runs it."
_NOBODY = "Nobody of your name may enter this panel; ask whoever runs it."
_AWAY = "Your company's login cannot be reached just now; try again in a moment."


def _is_safe(place: object, issuer: str) -> bool:
    """Whether an address of the provider is one that nobody listens to on the way."""
    needed = "https://" if issuer.startswith("https://") else "http"
    return isinstance(place, str) and place.startswith(needed)


def _is_same(said: str, held: str) -> bool:
    return hmac.compare_digest(*(one.encode("utf-8", "surrogatepass") for one in (said, held)))


def _texts(value: object) -> list[str]:
    """Return a claim as texts: one, or a list of them."""
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
