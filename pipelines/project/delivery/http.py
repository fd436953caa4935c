"""One request to another server, bounded in time, and tried again where that may help."""

from __future__ import annotations

import hashlib
import hmac
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, TypeVar

from features.errors import SettingsError
from features.sources.url import with_environment
from pipelines.project.settings.alert import refuse_other_address

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
SIGNATURE, TIMESTAMP = "X-Healthscore-Signature", "X-Healthscore-Timestamp"
DELIVERY = "X-Healthscore-Delivery"
# What a server may get over by itself; any other refusal would only be repeated.
PASSING = {408, 425, 429}
LONGEST, MOST_BYTES = 200, 1 << 22
Value = TypeVar("Value")


class TryError(Exception):
    """A try that came to nothing.

    Parameters
    ----------
    why : str
        What happened, as the end of a sentence.
    again : bool
        Whether another try may do better.
    status : int or None
        The server's status, where it answered.
    body : bytes
        What it said.
    wait : float or None
        After how many seconds it may be asked again, where it says so.
    is_certain : bool
        Whether it is certain that nothing arrived.

    Attributes
    ----------
    tries : int
        How often it was tried.
    """

    def __init__(
        self,
        why: str,
        *,
        again: bool = True,
        status: int | None = None,
        body: bytes = b"",
        wait: float | None = None,
        is_certain: bool = True,
    ) -> None:
        super().__init__(why)
        self.again, self.status, self.body, self.wait = again, status, body, wait
        self.is_certain = is_certain
        self.tries = 1


@dataclass(frozen=True)
class Answer:
    """What a server answered: a status of success, its words, and whether all of them came."""

    status: int
    body: bytes
    is_whole: bool = True


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signed message goes where it was addressed to and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


def ask(
    address: str,
    *,
    method: str = "POST",
    body: bytes | None,
    headers: Mapping[str, str],
    seconds: float,
) -> Answer:
    """Send one request.

    Parameters
    ----------
    address : str
        Where to.
    method : str
        Of HTTP.
    body : bytes or None
        What to say.
    headers : mapping
        Of HTTP.
    seconds : float
        How long each packet may take.

    Raises
    ------
    TryError
        When nothing came of it.
    """
    told = {"User-Agent": "healthscore", **headers}
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        request = urllib.request.Request(address, data=body, headers=told, method=method)
        with opener.open(request, timeout=seconds) as answer:
            said = answer.read(MOST_BYTES)
            return Answer(answer.status, said, is_whole=not answer.length)
    except urllib.error.HTTPError as refused:
        with refused:
            raise TryError(
                f"answered with status {refused.code}",
                again=refused.code >= 500 or refused.code in PASSING,
                status=refused.code,
                body=_read(refused),
                wait=_seconds(refused.headers.get("Retry-After")),
            ) from refused
    except urllib.error.URLError as error:
        raise TryError(f"could not be reached ({str(error.reason)[:LONGEST]})") from error
    except (OSError, HTTPException) as error:
        raise TryError(f"broke off ({type(error).__name__})", is_certain=False) from error
    except ValueError as error:
        why = f"cannot be asked ({type(error).__name__}: a header or the address is none)"
        raise TryError(why, again=False) from error


def again_and_again(
    retries: int, seconds: float, once: Callable[[], Value], *, at_most_once: bool = False
) -> Value:
    """Try until it works or the tries are used up, each after twice the wait, or as asked for.

    Parameters
    ----------
    retries : int
        Further tries after the first.
    seconds : float
        How long each may take, whatever the other side does.
    once : callable
        One try.
    at_most_once : bool
        Whether to stop where something may have arrived.

    Raises
    ------
    TryError
        What went wrong with the last one.
    """
    tries = 0
    while True:
        tries += 1
        try:
            return within(seconds, once)
        except TryError as failed:
            failed.tries = tries
            wait = FIRST_WAIT_SECONDS * 2 ** (tries - 1) if failed.wait is None else failed.wait
            is_over = tries > retries or wait > LONGEST_WAIT_SECONDS
            if is_over or not failed.again or (at_most_once and not failed.is_certain):
                raise
            time.sleep(wait)


def within(seconds: float, work: Callable[[], Value]) -> Value:
    """Do some work in a thread, and leave it behind when its time is over.

    A timeout of a socket holds for each of its packets, and a server may send them one by one.

    Raises
    ------
    TryError
        When it failed, or took longer.
    """
    ended: queue.Queue[Value | _Raised] = queue.Queue()

    def run() -> None:
        try:
            ended.put(work())
        except Exception as error:
            ended.put(_Raised(error))

    threading.Thread(target=run, daemon=True, name="healthscore-delivery").start()
    try:
        came = ended.get(timeout=seconds)
    except queue.Empty:
        raise TryError(f"did not answer within {seconds:g} seconds", is_certain=False) from None
    if not isinstance(came, _Raised):
        return came
    if isinstance(came.error, TryError | SettingsError):
        raise came.error
    raise TryError(f"failed ({type(came.error).__name__})") from came.error


@dataclass(frozen=True)
class _Raised:
    error: Exception


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


def signed_headers(body: bytes, delivery: str, secret: str | None) -> dict[str, str]:
    """Return the headers of a message in JSON: which one it is, when, and who sent it."""
    timestamp = str(int(time.time()))
    headers = {"Content-Type": "application/json", DELIVERY: delivery, TIMESTAMP: timestamp}
    if secret is not None:
        headers[SIGNATURE] = sign(secret.encode(), timestamp, body)
    return headers


def resolved(address: str, section: str) -> str:
    """Return an address with what the environment says of it.

    Raises
    ------
    TryError
        When it is none.
    """
    try:
        whole = with_environment(address, section)
        refuse_other_address(whole)
    except (SettingsError, ValueError) as error:
        raise TryError(f"has no usable address ({str(error)[:LONGEST]})", again=False) from error
    return whole


def _read(refused: urllib.error.HTTPError) -> bytes:
    try:
        return refused.read(MOST_BYTES)
    except (OSError, HTTPException):
        return b""


def _seconds(said: str | None) -> float | None:
    """Read a header Retry-After (RFC 9110, section 10.2.3): seconds, or a moment."""
    if said is None:
        return None
    if said.strip().isdigit():
        return float(said.strip()[:9])
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return None
    whole = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (whole - datetime.now(UTC)).total_seconds())
