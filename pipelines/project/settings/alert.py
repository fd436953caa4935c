"""The ``[alert]`` and ``[digest]`` sections: who is told of a decision, and of a book."""

from __future__ import annotations

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from features.tables.mapping.mapping import Frozen

Told = Literal["ok", "watch", "retrain", "broken-feed"]
REFERENCE_MARK = "${"
ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}"


class AlertSettings(Frozen):
    """The ``[alert]`` section: who is told of a decision. Nobody is by default.

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
    retries : int
        Further tries after one that failed, each after twice the wait.
    timeout_seconds : float
        How long a try may take.
    """

    webhook: str | None = Field(None, repr=False)
    command: tuple[str, ...] = Field((), repr=False)
    secret_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    on: tuple[Told, ...] = ("watch", "retrain", "broken-feed")
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
        if self.command and not self.command[0].strip():
            raise ValueError("command must begin with a program, and its first word is empty")
        return self


def refuse_other_address(address: str) -> None:
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
            "webhook must hold no user and password before its host, which nothing is sent with;"
            " take them out and sign messages with secret_env"
        )
    if not usable or any(character.isspace() for character in address):
        raise ValueError(
            "webhook must be an address that starts with https:// or http:// and a host, or"
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
