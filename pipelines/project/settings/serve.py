"""The ``[serve]`` section: where the control panel listens, who may enter, and what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from features.tables.mapping.mapping import Frozen

Network = IPv4Network | IPv6Network
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
HEADER = r"^[A-Za-z][A-Za-z0-9-]{0,99}$"
HOST_NAME = r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$"


class OidcSettings(Frozen):
    """The ``[serve.oidc]`` section: logging in with a provider of identities (OpenID Connect).

    Parameters
    ----------
    issuer : str
        Address of the provider, as its tokens name it; its description is asked for below it.
    client_id : str
        Name by which the provider knows the panel.
    client_secret_env : str or None
        Name of the environment variable that holds the panel's secret; None for a client without
        one, which PKCE protects.
    redirect_url : str
        Address that the provider sends browsers back to: that of the panel, ending in
        ``/login/oidc/back``.
    label : str
        What the login page calls it.
    scopes : tuple of str
        What the provider is asked for.
    name_claim : str
        Claim that names the user; "email" counts only where the provider verified it. Whoever is
        in the users file has the rights that are written there.
    groups_claim : str
        Claim that names groups of everybody else.
    admins, viewers : tuple of str
        Groups whose members are admins, or see every account.
    owners : dict of str to tuple of str
        Groups whose members see the accounts of these owners alone.
    owners_claim : str or None
        Claim that names owners whose accounts somebody sees.
    """

    issuer: str = Field(pattern=r"^https?://[^\s?#]+$")
    client_id: str = Field(min_length=1)
    client_secret_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    redirect_url: str = Field(pattern=r"^https?://[^\s?#]+/login/oidc/back$")
    label: str = Field("Log in with your company's account", min_length=1, max_length=60)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    admins: tuple[str, ...] = ()
    viewers: tuple[str, ...] = ()
    owners: dict[str, tuple[str, ...]] = Field({})
    owners_claim: str | None = None

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for name in ("issuer", "redirect_url"):
            parts = urlsplit(getattr(self, name))
            if parts.scheme != "https" and not is_local(parts.hostname or ""):
                raise ValueError(
                    f"{name} must begin with https://, for who listens on the way could log in as"
                    " anybody; plain http is for this machine alone"
                )
        if "openid" not in self.scopes:
            raise ValueError('scopes must hold "openid", by which the provider says who it is')
        return self


class ServeSettings(Frozen):
    """The ``[serve]`` section: the control panel.

    Parameters
    ----------
    host : str
        Address to listen on. Any but the machine's own asks for ``users`` or ``proxy_header``.
    port : int
        Port to listen on.
    hosts : tuple of str
        Names by which browsers may call the panel, such as "health.example.com"; by default any
        where visitors log in. Where they do not, it answers to the machine's own names alone.
    certificate, key : str or None
        Files of a TLS certificate and its key, relative to the configuration.
    secure_cookies : bool
        Whether cookies travel over https alone although a proxy in front speaks plain http here.
    users : str
        The users file, relative to the configuration; ``healthscore user add`` writes it. Where
        it is there, visitors log in.
    tokens : str
        The tokens file, relative to the configuration; ``healthscore token add`` writes it.
    proxy_header : str or None
        Header in which a proxy names the visitor it has recognised, such as "X-Forwarded-User".
    trusted_proxies : tuple of network
        Addresses of proxies: their header is believed, and where visitors log in, what they say
        of where a visitor comes from.
    proxy_role : {"viewer", "admin"} or None
        Role of a visitor of the proxy who is not in the users file; None refuses such visitors.
    owner : str or None
        Column of the accounts table that names who looks after an account. Users may be limited
        to their own accounts by it.
    oidc : section
        Logging in with a provider of identities, beside passwords; None for passwords alone.
    session_idle_minutes, session_hours : int
        A login ends after so long without a request, and after so long in any case.
    refresh_seconds : int
        How often the panel looks for a newer run.
    page_size : int
        Accounts on a page of the list.
    memory : str
        Most memory that the panel's own copy of the scores may take in its engine.
    """

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    hosts: tuple[str, ...] = ()
    certificate: str | None = None
    key: str | None = None
    secure_cookies: bool = False
    users: str = Field("users.toml", min_length=1)
    tokens: str = Field("tokens.toml", min_length=1)
    proxy_header: str | None = Field(None, pattern=HEADER)
    trusted_proxies: tuple[Network, ...] = ()
    proxy_role: Literal["viewer", "admin"] | None = None
    owner: str | None = Field(None, min_length=1)
    oidc: OidcSettings | None = None
    session_idle_minutes: int = Field(60, ge=1, le=1440)
    session_hours: int = Field(12, ge=1, le=168)
    refresh_seconds: int = Field(30, ge=1, le=86_400)
    page_size: int = Field(50, ge=10, le=200)
    memory: str = Field("256MB", pattern=r"^[1-9][0-9]{0,5}(MB|GB)$")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together, and one is missing; add it")
        if self.proxy_header is not None and not self.trusted_proxies:
            raise ValueError(
                "proxy_header is believed from trusted_proxies alone, and none is named; add the"
                " address of the proxy"
            )
        if self.oidc is not None and self.proxy_header is not None:
            raise ValueError("oidc and proxy_header both say who a visitor is; take one out")
        limits = self.oidc is not None and (self.oidc.owners or self.oidc.owners_claim)
        if limits and self.owner is None:
            raise ValueError(
                "owner names the column of the accounts table that oidc limits users by, and is"
                " missing; add it"
            )
        if self.proxy_header is None and self.proxy_role is not None:
            raise ValueError(
                "proxy_role is that of visitors whom a proxy_header names, and there is none; add"
                " it or take proxy_role out"
            )
        return self


def is_local(host: str) -> bool:
    """Tell whether an address can be reached from the machine itself alone.

    Examples
    --------
    >>> is_local("127.0.0.1"), is_local("localhost"), is_local("0.0.0.0")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def with_owner(raw: Any) -> Any:
    """Hand the owner column of ``[serve]`` to ``[signals]``, which keeps it from the inputs."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("serve"), Mapping):
        return raw
    owner, signals = raw["serve"].get("owner"), raw.get("signals", {})
    if not isinstance(owner, str) or not isinstance(signals, Mapping):
        return raw
    return {**raw, "signals": {**signals, "owners": [*signals.get("owners", ()), owner]}}
