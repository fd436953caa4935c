"""Alerts: what was decided, told to a webhook or a command, which may fail or hang at no cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines.project.delivery.http import (
    TryError,
    again_and_again,
    ask,
    resolved,
    signed_headers,
)
from pipelines.project.settings.alert import AlertSettings


@dataclass(frozen=True)
class Undelivered:
    """What did not arrive, or may not have.

    Parameters
    ----------
    said : str
        What went wrong, in a sentence without a full stop.
    is_certain : bool
        Whether it is certain that nothing arrived.
    """

    said: str
    is_certain: bool


def send_alert(settings: AlertSettings, message: Mapping[str, object], delivery: str) -> list[str]:
    """Tell whoever is configured of a decision.

    Each try ends after ``timeout_seconds`` whatever the other side does, and nothing is raised: a
    decision does not depend on who hears of it.

    Parameters
    ----------
    settings : AlertSettings
        Whom to tell, and of what.
    message : mapping
        JSON-ready; its ``status`` is the decision.
    delivery : str
        The same for every try, so that a receiver can tell a repeated message.

    Returns
    -------
    list of str
        What could not be told, one sentence each.
    """
    if message["status"] not in settings.on:
        return []
    body = json.dumps(message, allow_nan=False).encode()
    return [one.said for one in deliver(settings, body, delivery)]


def deliver(
    settings: AlertSettings,
    body: bytes,
    delivery: str,
    what: str = "alert",
    *,
    at_most_once: bool = False,
) -> list[Undelivered]:
    """Hand a message to the webhook and the command, and never raise.

    Parameters
    ----------
    settings : AlertSettings
        Whom to hand it to.
    body : bytes
        The message, as JSON.
    delivery : str
        The same for every try.
    what : str
        What it is, as its section of the configuration is called.
    at_most_once : bool
        Whether nothing is tried again that may have arrived.

    Returns
    -------
    list of Undelivered
        What could not be told.
    """
    tries: dict[str, Callable[[], None]] = {}
    if settings.webhook is not None:
        tries["webhook"] = lambda: _post(settings, body, delivery)
    if settings.command:
        tries["command"] = lambda: _run(settings, body)
    tried = (
        _tried(settings, (what, way), once, at_most_once=at_most_once)
        for way, once in tries.items()
    )
    return [one for one in tried if one is not None]


def _tried(
    settings: AlertSettings,
    named: tuple[str, str],
    once: Callable[[], None],
    *,
    at_most_once: bool,
) -> Undelivered | None:
    """Try until it works or the tries are used up; what went wrong, if it did."""
    what, way = named
    try:
        again_and_again(settings.retries, settings.timeout_seconds, once, at_most_once=at_most_once)
    except TryError as failed:
        kept = "; the decision stands," if what == "alert" else ";"
        often = "once" if failed.tries == 1 else f"{failed.tries} times"
        said = f"The {what} was not delivered: its {way} was tried {often} and {failed}{kept}"
        return Undelivered(f"{said} check [{what}]", failed.is_certain)
    return None


def _post(settings: AlertSettings, body: bytes, delivery: str) -> None:
    address, secret = resolved(settings.webhook or "", "alert"), None
    if settings.secret_env is not None:
        secret = os.environ.get(settings.secret_env)
        if not secret:
            raise TryError(
                f"the environment variable '{settings.secret_env}' that [alert] secret_env names"
                " is not set",
                again=False,
            )
    headers = signed_headers(body, delivery, secret)
    ask(address, body=body, headers=headers, seconds=settings.timeout_seconds)


def _run(settings: AlertSettings, body: bytes) -> None:
    """Run a command in a session of its own, so that what it starts ends with it."""
    program = settings.command[0]
    try:
        process = subprocess.Popen(
            settings.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise TryError(f"could not be started ('{program[:60]}': {why})", again=False) from error
    try:
        process.communicate(body, timeout=0.95 * settings.timeout_seconds)
    except subprocess.TimeoutExpired as late:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        why = f"did not end within {settings.timeout_seconds:g} seconds"
        raise TryError(why, is_certain=False) from late
    if process.returncode:
        raise TryError(f"ended with exit code {process.returncode}")
