"""The sections ``[alert]``, ``[digest]`` and ``[writeback.NAME]``: who is told of what."""

from __future__ import annotations

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from features.tables.mapping.mapping import Frozen

Told = Literal["ok", "watch", "retrain", "broken-feed"]
FallenInto = Literal["at-risk", "watch", "likely", "possible"]
REFERENCE_MARK = "${"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"
WrittenField = Literal[
    "score",
    "band",
    "probability",
    "probability_if_due",
    "change",
    "reasons",
    "segment",
    "as_of",
    "kind",
]
HUBSPOT = "https://api.hubapi.com"
ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}"


class AlertSettings(Frozen):
    """The ``[alert]`` section: who is told of decisions and of accounts that fall into a band.

    Nobody is by default.

    Parameters
    ----------
    webhook : str or None
        Address that a JSON object is posted to; ``${NAME}`` takes it from the environment, which
        is where an address that is a secret belongs.
    command : tuple of str
        A program and its arguments, run without a shell, that reads the same object on its
        standard input.
    secret_env : str or None
        Name of the environment variable that holds the secret a webhook's messages are signed
        with; the secret itself is never in a file.
    on : tuple of str
        Decisions that are told.
    bands : tuple of str
        Bands ("at-risk", "watch"; of a good outcome "likely", "possible") that accounts which fall
        into them are told of, after ``healthscore score``; none by default.
    mute_days : int
        An account that was told is not told again of the same band for so many days.
    retries : int
        Further tries after one that failed, each after twice the wait.
    timeout_seconds : float
        How long a try may take.
    """

    webhook: str | None = Field(None, repr=False)
    command: tuple[str, ...] = Field((), repr=False)
    secret_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    on: tuple[Told, ...] = ("watch", "retrain", "broken-feed")
    bands: tuple[FallenInto, ...] = ()
    mute_days: int = Field(30, ge=0, le=366)
    retries: int = Field(3, ge=0, le=10)
    timeout_seconds: float = Field(10.0, gt=0, le=120)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.webhook is not None and not self.webhook.startswith(REFERENCE_MARK):
            refuse_other_address(self.webhook)
        if self.secret_env is not None and self.webhook is None:
            raise ValueError(
                "secret_env signs what is posted to a webhook, and there is none; add webhook or"
                " take secret_env out"
            )
        if self.bands and self.webhook is None and not self.command:
            raise ValueError(
                "bands are told to a webhook or a command, and there is neither; add one or take"
                " bands out"
            )
        if self.command and not self.command[0].strip():
            raise ValueError("command must begin with a program, and its first word is empty")
        return self


def refuse_other_address(address: str, key: str = "webhook") -> None:
    """Refuse what cannot be posted to, without saying it: it may be a secret.

    Raises
    ------
    ValueError
        When it is no HTTP address with a host.
    """
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        has_login = "@" in parts.netloc
    except ValueError:
        usable = has_login = False
    if has_login:
        raise ValueError(
            f"{key} must hold no user and password before its host, which nothing is sent with;"
            " take them out and sign messages with secret_env"
        )
    if not usable or any(character.isspace() for character in address):
        raise ValueError(
            f"{key} must be an address that starts with https:// or http:// and a host, or"
            " ${NAME} for one in the environment; correct it"
        )


class DigestSettings(Frozen):
    """The ``[digest]`` section: who hears each time what changed in their book.

    Parameters
    ----------
    to : dict of str to str
        Owner, as the accounts table names them, to the address of their mail.
    everything_to : str or None
        Address that the digest of the whole book is mailed to.
    sender : str or None
        Address that mails come from.
    smtp_host : str or None
        The mail server; without one nothing is mailed.
    smtp_port : int
        Its port.
    smtp_security : {"starttls", "tls", "none"}
        How the connection is kept from others: turned to TLS, TLS from the start, or not at all,
        which is for a server on this machine.
    smtp_user : str or None
        Who logs in; nobody does by default.
    smtp_password_env : str or None
        Name of the environment variable that holds the password; it is never in a file.
    webhook : str or None
        Address that each digest is posted to as JSON that Slack and its like take; ``${NAME}``
        takes it from the environment.
    timeout_seconds : float
        How long a mail or a post may take.
    ledger : str
        File that says what was sent, relative to the configuration; lines are only added.
    """

    to: dict[str, str] = Field({}, repr=False)
    everything_to: str | None = Field(None, repr=False)
    sender: str | None = None
    smtp_host: str | None = Field(None, min_length=1)
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    webhook: str | None = Field(None, repr=False)
    timeout_seconds: float = Field(20.0, gt=0, le=120)
    ledger: str = Field("digests.jsonl", min_length=1)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.webhook is not None and not self.webhook.startswith(REFERENCE_MARK):
            refuse_other_address(self.webhook)
        if self.smtp_host is not None and self.sender is None:
            raise ValueError("sender is the address that mails come from, and is missing; add it")
        if (self.smtp_user is None) != (self.smtp_password_env is None):
            raise ValueError(
                "smtp_user and smtp_password_env belong together, and one is missing; add it"
            )
        for address in (*self.to.values(), self.everything_to, self.sender):
            if address is not None and not re.fullmatch(ADDRESS, address):
                raise ValueError(
                    f"a mail address must be like ana@example.com, and one is {address[:60]!r};"
                    " correct it"
                )
        return self


class WritebackSettings(Frozen):
    """A section ``[writeback.NAME]``: where changed scores are written to.

    Parameters
    ----------
    kind : {"hubspot", "salesforce", "http"}
        HubSpot, by batches of its objects; Salesforce, by collections of its objects; or any server
        that takes JSON.
    url : str or None
        Address of the server, HubSpot's own by default; ``${NAME}`` takes it from the environment.
    object : str or None
        Which objects have scores: "companies" of HubSpot and "Account" of Salesforce by default.
    match : str
        Property or external id of those objects that holds the account's id; it must be unique.
    fields : dict of str to str
        What is written ("score", "band", "probability", "probability_if_due", "change", "reasons",
        "segment", "as_of", "kind") to the property that takes it. The score is made of
        "probability_if_due"; "probability" is that of the outcome window.
    token_env : str or None
        Name of the environment variable that holds the token which is sent along.
    client_id_env, client_secret_env : str or None
        Names of those that hold the id and the secret of a connected app of Salesforce, which gives
        a token for them.
    secret_env : str or None
        Name of the environment variable that holds the secret that messages to a server of one's
        own are signed with.
    version : str
        Of the interface of Salesforce.
    outcome : str
        Whose scores.
    batch : int
        Most accounts of one request; HubSpot takes 100, Salesforce 200.
    retries : int
        Further tries of a request that failed, each after twice the wait or as the server asks.
    timeout_seconds : float
        How long a try may take.
    """

    kind: Literal["hubspot", "salesforce", "http"]
    url: str | None = Field(None, repr=False)
    object: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,100}$")
    match: str = Field("account_id", pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")
    fields: dict[WrittenField, str] = Field({}, validate_default=True)
    token_env: str | None = Field(None, pattern=VARIABLE)
    client_id_env: str | None = Field(None, pattern=VARIABLE)
    client_secret_env: str | None = Field(None, pattern=VARIABLE)
    secret_env: str | None = Field(None, pattern=VARIABLE)
    version: str = Field("v61.0", pattern=r"^v[0-9]{2,3}\.0$")
    outcome: str = "main"
    batch: int = Field(100, ge=1, le=200)
    retries: int = Field(4, ge=0, le=10)
    timeout_seconds: float = Field(30.0, gt=0, le=120)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.url is None and self.kind != "hubspot":
            raise ValueError("url says where scores are written to, and is missing; add it")
        if self.url is not None and not self.url.startswith(REFERENCE_MARK):
            refuse_other_address(self.url, "url")
        if self.kind == "hubspot" and self.batch > 100:
            raise ValueError(f"batch is at most 100 for HubSpot, and is {self.batch}; lower it")
        if self.kind != "http" and not self.fields:
            raise ValueError(
                "fields names the properties that take what is written, such as"
                ' { score = "health_score" }, and is missing; add it'
            )
        has_client = self.client_id_env is not None and self.client_secret_env is not None
        if self.kind != "http" and self.token_env is None and not has_client:
            raise ValueError(
                "token_env names the variable that holds the token, and is missing; add it, or"
                " client_id_env and client_secret_env of an app of Salesforce"
            )
        return self

    @property
    def address(self) -> str:
        """Where the server is."""
        return self.url if self.url is not None else HUBSPOT
