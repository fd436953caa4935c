"""The control panel as a server: its socket, its log, and its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from features.errors import SettingsError, first_line
from pipelines.dashboard.access.gate import Gate, gate_of
from pipelines.dashboard.access.guards.addresses import Network
from pipelines.dashboard.app import create_app
from pipelines.dashboard.web.connections import PatientLoop, connections_behind
from pipelines.project.settings.serve import is_local

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from pipelines.project.project import Project
    from pipelines.project.settings.serve import ServeSettings

# For answers under way when the server ends.
LAST_SECONDS = 5
HOW = {
    "local": "for this machine alone, without login",
    "login": "visitors log in",
    "proxy": "a proxy names the visitors",
}


@dataclass(frozen=True)
class BoundPanel:
    """A panel that has its address, and can be served.

    Parameters
    ----------
    app : FastAPI
        The application.
    listening : socket
        Where it listens.
    url : str
        How it is called from this machine.
    login : str
        How visitors are recognised, in words.
    certificate, key : str or None
        Files for https.
    trusted_proxies : tuple of network
        Who may open as many connections as all their visitors.
    warnings : list of str
        What to think about, one sentence each.
    """

    app: FastAPI
    listening: socket.socket
    url: str
    login: str
    certificate: str | None
    key: str | None
    trusted_proxies: tuple[Network, ...]
    warnings: list[str]


def bound(project: Project, settings: ServeSettings) -> BoundPanel:
    """Make the panel and take its address.

    Raises
    ------
    SettingsError
        When it would be open to strangers, the address is taken or not this machine's, or the
        certificate cannot be used.
    """
    gate = gate_of(project, settings)
    app = create_app(project, settings, gate)
    files = [
        None if name is None else str((project.folder / name).resolve())
        for name in (settings.certificate, settings.key)
    ]
    certificate, key = files
    if certificate is not None:
        _refuse_bad_certificate(certificate, key)
    listening = _listening(settings)
    port = listening.getsockname()[1]
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{'http' if certificate is None else 'https'}://{name}:{port}"
    return BoundPanel(
        app,
        listening,
        url,
        HOW[gate.mode],
        certificate,
        key,
        settings.trusted_proxies,
        _warnings(settings, gate),
    )


def serve_panel(panel: BoundPanel) -> None:
    """Answer requests until the process is asked to end."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    serve_app(
        panel.app,
        panel.listening,
        panel.trusted_proxies,
        certificate=panel.certificate,
        key=panel.key,
    )


def serve_app(
    app: ASGIApp,
    listening: socket.socket,
    trusted_proxies: tuple[Network, ...],
    *,
    certificate: str | None = None,
    key: str | None = None,
) -> None:
    """Answer requests at a socket until the process is asked to end.

    Parameters
    ----------
    app : ASGIApp
        The application.
    listening : socket
        Where it listens.
    trusted_proxies : tuple of network
        Who may open as many connections as all their visitors.
    certificate, key : str or None
        Files for https.
    """
    config = uvicorn.Config(
        app,
        # Where they come from, and how many they may be, is for connections to say.
        http=connections_behind(trusted_proxies),
        ws="none",
        lifespan="on",
        log_config=None,
        # Addresses hold what people searched for.
        access_log=False,
        # Who is behind a proxy is for the gate to say.
        proxy_headers=False,
        server_header=False,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    try:
        with asyncio.Runner(loop_factory=PatientLoop) as runner:
            runner.run(uvicorn.Server(config).serve(sockets=[listening]))
    except KeyboardInterrupt:
        return


def _listening(settings: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        # The library adds its own words to the system's.
        number = getattr(error, "errno", None) or 0
        why = os.strerror(number) if number > 0 else first_line(error)
        raise SettingsError(
            f"The control panel cannot listen on '{settings.host}' port {settings.port}: {why};"
            " choose others with --host and --port"
        ) from error


def _refuse_bad_certificate(certificate: str, key: str | None) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:
        why = error.strerror or error.args[-1]
        raise SettingsError(
            f"The certificate '{certificate}' with the key '{key}' cannot be used: {why}; correct"
            " [serve] certificate and key"
        ) from error


def _warnings(settings: ServeSettings, gate: Gate) -> list[str]:
    if gate.mode == "login" and settings.certificate is None and not is_local(settings.host):
        return [
            "Passwords travel in clear: set [serve] certificate and key, or listen on 127.0.0.1"
            " behind a proxy that speaks https"
        ]
    limited = [one.name for one in gate.users.users().values() if one.owners] if gate.users else []
    if gate.mode == "proxy" and settings.proxy_role is not None and limited:
        return [
            f"User '{limited[0]}' is limited to some owners' accounts, and whoever the proxy names"
            f" otherwise sees all as {settings.proxy_role}: take [serve] proxy_role out unless no"
            " limited user can come under another name"
        ]
    return []
