"""The ``[alert]`` section: who is told of a decision."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from features.tables.mapping import Frozen

Told = Literal["ok", "watch", "retrain", "broken-feed"]
REFERENCE_MARK = "${"


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
