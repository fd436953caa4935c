"""Sending digests: by mail and to a webhook, each once, whatever the other side does."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
from collections.abc import Callable
from email.policy import SMTP as SMTP_POLICY
from typing import TYPE_CHECKING

from features.errors import SettingsError
from pipelines.monitor.alert import deliver
from pipelines.portfolio.outbox.forms import digest_mail, digest_message
from pipelines.portfolio.outbox.ledger import Ledger, delivery_of
from pipelines.portfolio.outbox.once import NOTHING_NEW, Delivery, Sent, hand_over
from pipelines.project.delivery.http import TryError, within
from pipelines.project.settings.alert import AlertSettings, DigestSettings
from pipelines.reports.terminal.console import plain

if TYPE_CHECKING:
    from email.message import EmailMessage

    from pipelines.portfolio.outbox.digest import Digest


def send_digest(
    settings: DigestSettings, ledger: Ledger, digest: Digest, *, again: bool = False
) -> list[Sent]:
    """Send a digest on every way that is configured for whoever looks after the book.

    A line of the ledger says that it is being sent before anything is: whatever ends the process,
    nothing is sent twice. Where it is certain that nothing arrived, the next run tries again.

    Parameters
    ----------
    settings : DigestSettings
        Where to, and by whom.
    ledger : Ledger
        What was sent so far, held.
    digest : Digest
        The digest.
    again : bool
        Whether to send what may or may not have arrived once more.
    """
    recipient = settings.everything_to if digest.owner is None else settings.to.get(digest.owner)
    if settings.smtp_host is not None and settings.smtp_user is not None:
        # Before a line of the ledger says that anything is being sent.
        password_of(settings)
    ways: list[tuple[str, str, Callable[[Digest, str], None]]] = []
    if settings.smtp_host is not None and recipient is not None:
        ways.append(("mail", recipient, lambda own, key: _mail(settings, own, recipient, key)))
    if settings.webhook is not None:
        ways.append(("webhook", "webhook", lambda own, key: _post(settings, own, key)))
    return [_once(ledger, digest, way, to, send, again=again) for way, to, send in ways]


def _once(
    ledger: Ledger,
    digest: Digest,
    way: str,
    to: str,
    send: Callable[[Digest, str], None],
    *,
    again: bool,
) -> Sent:
    book = delivery_of(digest.outcome, json.dumps(digest.owner), way, to)
    key = delivery_of(book, digest.as_of.isoformat(), digest.model_version)
    own = digest.without(ledger.told(book, key))
    delivery = Delivery(digest.owner, way, book, key)
    state = ledger.state_of(key)
    if own.is_empty and digest.parts and (state in (None, "failed") or (again and state != "sent")):
        return Sent(digest.owner, way, NOTHING_NEW)
    hint = "look, and send it with --again"
    return hand_over(ledger, delivery, own.keys, lambda: send(own, key), hint=hint, again=again)


def _post(settings: DigestSettings, digest: Digest, delivery: str) -> None:
    hook = AlertSettings(
        webhook=settings.webhook, retries=0, timeout_seconds=settings.timeout_seconds
    )
    body = json.dumps(digest_message(digest), allow_nan=False).encode()
    failures = deliver(hook, body, delivery, "digest")
    if failures:
        raise TryError(failures[0].said, is_certain=failures[0].is_certain)


def _mail(settings: DigestSettings, digest: Digest, recipient: str, delivery: str) -> None:
    """Hand a mail to the server; every step has its time, and all of them together too."""
    mail = digest_mail(digest, settings.sender or "", recipient, delivery)
    server = f"the mail server '{settings.smtp_host}' port {settings.smtp_port}"
    given = _Given()
    password = None if settings.smtp_user is None else password_of(settings)
    try:
        within(settings.timeout_seconds, lambda: _hand_over(settings, mail, password, given))
    except TryError as late:
        if given.taken:
            # The server has it; that it hangs when it is left changes nothing.
            return
        problem = f"{server} {late}"
        if not given.body:
            raise TryError(f"{problem}; check [digest]") from late
        said = f"{problem} after it was given the mail, which may have arrived"
        why = f"{said}; look, and send it with --again"
        raise TryError(why, is_certain=False) from late


class _Given:
    """Whether the server was given a mail, and whether it took it."""

    body = taken = False


def _hand_over(
    settings: DigestSettings, mail: EmailMessage, password: str | None, given: _Given
) -> None:
    seconds, host = settings.timeout_seconds, settings.smtp_host or ""
    context = ssl.create_default_context()
    try:
        server = (
            smtplib.SMTP_SSL(host, settings.smtp_port, timeout=seconds, context=context)
            if settings.smtp_security == "tls"
            else smtplib.SMTP(host, settings.smtp_port, timeout=seconds)
        )
        with server:
            if settings.smtp_security == "starttls":
                server.starttls(context=context)
            if settings.smtp_user is not None and password is not None:
                server.login(settings.smtp_user, password)
            server.ehlo_or_helo_if_needed()
            _taken(server.mail(mail["From"]))
            _taken(server.rcpt(mail["To"]))
            given.body = True
            _taken(server.data(mail.as_bytes(policy=SMTP_POLICY)), given)
            given.taken = True
    except smtplib.SMTPResponseException as error:
        given.body = False
        raise TryError(f"refused it ({_answer(error.smtp_code, error.smtp_error)})") from error
    except smtplib.SMTPException as error:
        raise TryError(f"could not take it ({type(error).__name__})") from error
    except TimeoutError as error:
        raise TryError(f"did not answer within {seconds:g} seconds") from error
    except ssl.SSLError as error:
        raise TryError(f"could not be trusted ({error.reason})") from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise TryError(f"could not be reached ({why})") from error


def _taken(answer: tuple[int, bytes], given: _Given | None = None) -> None:
    """Stop where a server does not take what it was told."""
    if not 200 <= answer[0] < 300:
        if given is not None:
            given.body = False
        raise TryError(f"refused it ({_answer(*answer)})")


def _answer(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return plain(f"{code} {text}", 200)


def password_of(settings: DigestSettings) -> str:
    """Read the password of the mail server from the environment.

    Raises
    ------
    SettingsError
        When it is not there.
    """
    password = os.environ.get(settings.smtp_password_env or "")
    if not password:
        raise SettingsError(
            f"The environment variable '{settings.smtp_password_env}' that [digest]"
            " smtp_password_env names is not set; set it"
        )
    return password
