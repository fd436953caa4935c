"""Alerts: what was decided, told to a webhook or a command, which may fail or hang at no cost."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from features.errors import SettingsError
from features.sources.url import with_environment
from pipelines.project.settings.alert import AlertSettings, refuse_other_address

FIRST_WAIT_SECONDS = 1.0
SIGNATURE, TIMESTAMP = "X-Healthscore-Signature", "X-Healthscore-Timestamp"
DELIVERY = "X-Healthscore-Delivery"
# What a server may get over by itself; any other refusal would only be repeated.
PASSING = {408, 425, 429}
LONGEST = 200


class TryError(Exception):
    """A try that came to nothing: why, and whether another may do better."""

    def __init__(self, why: str, *, again: bool = True) -> None:
        super().__init__(why)
        self.again = again


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
    return deliver(settings, json.dumps(message, allow_nan=False).encode(), delivery)


def deliver(settings: AlertSettings, body: bytes, delivery: str, what: str = "alert") -> list[str]:
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

    Returns
    -------
    list of str
        What could not be told, one sentence each.
    """
    tries: dict[str, Callable[[], None]] = {}
    if settings.webhook is not None:
        tries["webhook"] = lambda: _post(settings, body, delivery)
    if settings.command:
        tries["command"] = lambda: _run(settings, body)
    return [said for way, once in tries.items() if (said := _tried(settings, (what, way), once))]


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """Sign a message, so that its receiver knows who sent it and when.

    The receiver computes the same from the header :data:`TIMESTAMP` and the body as it came,
    compares in constant time, and refuses what is older than some minutes.

    Returns
    -------
    str
        HMAC with SHA-256 of ``timestamp.body`` (RFC 2104) in hexadecimal digits.

    Examples
    --------
    >>> sign(b"secret", "1767225600", b"{}")
    'sha256=fa7eaa06bf97d7815f3f456e97cde70c9e50cb005f01660c8d10b10c21964887'
    """
    signed = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


def _tried(settings: AlertSettings, named: tuple[str, str], once: Callable[[], None]) -> str | None:
    """Try until it works or the tries are used up; what went wrong, if it did."""
    tries, (what, way) = 0, named
    kept = "; the decision stands," if what == "alert" else ";"
    while True:
        tries += 1
        try:
            within(settings.timeout_seconds, once)
        except TryError as failed:
            if failed.again and tries <= settings.retries:
                time.sleep(FIRST_WAIT_SECONDS * 2 ** (tries - 1))
                continue
            often = "once" if tries == 1 else f"{tries} times"
            return (
                f"The {what} was not delivered: its {way} was tried {often} and {failed}{kept}"
                f" check [{what}]"
            )
        return None


def within(seconds: float, work: Callable[[], None]) -> None:
    """Do some work in a thread, and leave it behind when its time is over.

    A timeout of a socket holds for each of its packets, and a server may send them one by one.
    """
    ended: queue.Queue[Exception | None] = queue.Queue()

    def run() -> None:
        try:
            work()
        except Exception as error:
            ended.put(error)
        else:
            ended.put(None)

    threading.Thread(target=run, daemon=True, name="healthscore-alert").start()
    try:
        error = ended.get(timeout=seconds)
    except queue.Empty:
        raise TryError(f"did not answer within {seconds:g} seconds") from None
    if isinstance(error, TryError):
        raise error
    if error is not None:
        raise TryError(f"failed ({type(error).__name__})") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signed message goes where it was addressed to and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


def _post(settings: AlertSettings, body: bytes, delivery: str) -> None:
    address = _environment(settings.webhook or "")
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "healthscore",
        DELIVERY: delivery,
        TIMESTAMP: timestamp,
    }
    if settings.secret_env is not None:
        secret = os.environ.get(settings.secret_env)
        if not secret:
            raise TryError(
                f"the environment variable '{settings.secret_env}' that [alert] secret_env names"
                " is not set",
                again=False,
            )
        headers[SIGNATURE] = sign(secret.encode(), timestamp, body)
    request = urllib.request.Request(address, data=body, headers=headers, method="POST")
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=settings.timeout_seconds):
            pass
    except urllib.error.HTTPError as refused:
        with refused:
            again = refused.code >= 500 or refused.code in PASSING
            raise TryError(f"answered with status {refused.code}", again=again) from refused
    except urllib.error.URLError as error:
        raise TryError(f"could not be reached ({str(error.reason)[:LONGEST]})") from error
    except (OSError, HTTPException) as error:
        raise TryError(f"broke off ({type(error).__name__})") from error


def _environment(address: str) -> str:
    try:
        resolved = with_environment(address, "alert")
        refuse_other_address(resolved)
    except (SettingsError, ValueError) as error:
        raise TryError(f"has no usable address ({str(error)[:LONGEST]})", again=False) from error
    return resolved


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
        raise TryError(f"did not end within {settings.timeout_seconds:g} seconds") from late
    if process.returncode:
        raise TryError(f"ended with exit code {process.returncode}")
