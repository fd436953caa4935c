"""A mail server on this machine: it takes mails, refuses them, or hangs where it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage


class MailServer:
    """Speaks as much of SMTP (RFC 5321) as a client needs that logs in nowhere.

    ``hangs_at`` names the command that is never answered, ``refuses`` the one that is refused.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.hangs_at = self.refuses = ""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    def close(self) -> None:
        self._ended.set()
        # Closing alone does not wake who waits for a connection.
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        self._thread.join(10)
        self._listening.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            client, _ = self._listening.accept()
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client, suppress(OSError), client.makefile("rb") as lines:
            if self.hangs_at == "GREETING":
                self._ended.wait()
                return
            client.sendall(b"220 here\r\n")
            for line in lines:
                verb = line.split()[0].decode().upper() if line.split() else ""
                if verb == self.hangs_at:
                    self._ended.wait()
                    return
                if verb == self.refuses:
                    client.sendall(b"550 not today\r\n")
                elif verb == "DATA":
                    client.sendall(b"354 go on\r\n")
                    self._take(client, lines)
                elif verb == "QUIT":
                    client.sendall(b"221 bye\r\n")
                    return
                else:
                    if verb == "RCPT":
                        self.recipients.append(line.decode().strip())
                    client.sendall(b"250 yes\r\n")

    def _take(self, client: socket.socket, lines: Iterator[bytes]) -> None:
        body = []
        for line in lines:
            if line == b".\r\n":
                break
            body.append(line[1:] if line.startswith(b"..") else line)
        if self.hangs_at == "BODY":
            self._ended.wait()
            return
        mail = message_from_bytes(b"".join(body), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        client.sendall(b"554 too much\r\n" if self.refuses == "BODY" else b"250 taken\r\n")


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Run one."""
    server = MailServer()
    try:
        yield server
    finally:
        server.close()
