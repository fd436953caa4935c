"""Alerts over real sockets and processes: delivered, signed, retried, and never in the way."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.monitor.alert import send_alert
from pipelines.project.delivery import http
from pipelines.project.settings.alert import AlertSettings

MESSAGE = {"status": "retrain", "as_of": "2026-03-01", "reasons": ["<b>“unit”</b> \u202e changed"]}


@dataclass
class Hook:
    """A webhook that answers with each status in turn, the last one for ever."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [204])
    got: list[tuple[dict[str, str], bytes, str]] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    made.silent.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append((dict(self.headers), body, self.path))
            if not made.silent.wait(30):
                return
            status = made.statuses.pop(0) if len(made.statuses) > 1 else made.statuses[0]
            self.send_response(status)
            self.send_header("Location", f"{made.url}/elsewhere")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.silent.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch) -> None:
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_message_arrives_signed_and_dated(hook, monkeypatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "p@ss ünicode")
    settings = AlertSettings(webhook=f"{hook.url}/path?x=1", secret_env="HOOK_SECRET")
    assert send_alert(settings, MESSAGE, "run-1") == []
    ((headers, body, path),) = hook.got
    assert json.loads(body) == MESSAGE
    assert path == "/path?x=1"
    # The receiver's side, as the manual tells it.
    stamp = headers["X-Healthscore-Timestamp"]
    mac = hmac.new("p@ss ünicode".encode(), f"{stamp}.".encode() + body, hashlib.sha256)
    assert headers["X-Healthscore-Signature"] == f"sha256={mac.hexdigest()}"
    assert int(stamp) > 1_700_000_000
    assert headers["X-Healthscore-Delivery"] == "run-1"
    assert headers["Content-Type"] == "application/json"


def test_nothing_is_signed_without_a_secret_and_nothing_sent_of_other_decisions(hook) -> None:
    settings = AlertSettings(webhook=hook.url)
    assert send_alert(settings, MESSAGE, "1") == []
    assert "X-Healthscore-Signature" not in hook.got[0][0]
    assert send_alert(settings, {**MESSAGE, "status": "ok"}, "2") == []
    assert send_alert(AlertSettings(webhook=hook.url, on=()), MESSAGE, "3") == []
    assert len(hook.got) == 1


@pytest.mark.parametrize(
    ("statuses", "tries", "said"),
    [
        ([503, 500, 204], 3, None),
        ([429, 204], 2, None),
        ([500], 4, "its webhook was tried 4 times and answered with status 500"),
        ([404], 1, "its webhook was tried once and answered with status 404"),
        # A signed message goes nowhere else, and is not turned into a GET.
        ([302], 1, "its webhook was tried once and answered with status 302"),
        ([307], 1, "its webhook was tried once and answered with status 307"),
    ],
)
def test_what_passes_is_tried_again_and_what_does_not_is_told(hook, statuses, tries, said) -> None:
    hook.statuses = list(statuses)
    told = send_alert(AlertSettings(webhook=hook.url), MESSAGE, "same")
    assert len(hook.got) == tries
    assert {headers["X-Healthscore-Delivery"] for headers, _, _ in hook.got} == {"same"}
    if said is None:
        assert told == []
    else:
        assert told == [f"The alert was not delivered: {said}; the decision stands, check [alert]"]


def test_a_hook_that_hangs_is_left_behind(hook) -> None:
    hook.silent.clear()
    settings = AlertSettings(webhook=hook.url, retries=1, timeout_seconds=0.2)
    (told,) = send_alert(settings, MESSAGE, "1")
    assert "was tried 2 times and" in told
    assert "did not answer within 0.2 seconds" in told or "broke off" in told


def test_a_hook_that_is_not_there_is_told(hook) -> None:
    settings = AlertSettings(webhook="http://127.0.0.1:9/x", retries=1)
    (told,) = send_alert(settings, MESSAGE, "1")
    assert "was tried 2 times and could not be reached" in told
    assert "127.0.0.1:9" not in told


@pytest.mark.parametrize(
    ("webhook", "said"),
    [
        ("${NO_SUCH_HOOK}", "the environment variable 'NO_SUCH_HOOK', which is not set"),
        ("${FILE_HOOK}", "webhook must be an address that starts with https:// or http://"),
    ],
)
def test_an_address_from_the_environment_is_checked(monkeypatch, webhook, said) -> None:
    monkeypatch.delenv("NO_SUCH_HOOK", raising=False)
    monkeypatch.setenv("FILE_HOOK", "file:///etc/passwd")
    (told,) = send_alert(AlertSettings(webhook=webhook), MESSAGE, "1")
    assert "was tried once and has no usable address" in told
    assert said in told
    assert "passwd" not in told


def test_a_missing_secret_sends_nothing_rather_than_unsigned(hook, monkeypatch) -> None:
    monkeypatch.delenv("HOOK_SECRET", raising=False)
    settings = AlertSettings(webhook=hook.url, secret_env="HOOK_SECRET")
    (told,) = send_alert(settings, MESSAGE, "1")
    assert "the environment variable 'HOOK_SECRET' that [alert] secret_env names is not set" in told
    assert hook.got == []


def test_a_command_reads_the_message_and_no_shell_reads_its_words(tmp_path: Path, capfd) -> None:
    script = 'import sys; open(sys.argv[1], "wb").write(sys.stdin.buffer.read()); print("noise")'
    file = tmp_path / "$(touch owned); x"
    settings = AlertSettings(command=("python3", "-c", script, str(file)))
    assert send_alert(settings, MESSAGE, "1") == []
    assert json.loads(file.read_bytes()) == MESSAGE
    # Standard output is kept for the command's own answer.
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("sh", "-c", "exit 7"), "its command was tried 2 times and ended with exit code 7"),
        (("no-such-program-here",), "tried once and could not be started ('no-such-program-here'"),
        (("sh", "-c", "sleep 60 & wait"), "did not"),
    ],
)
def test_a_command_that_fails_or_hangs_is_told(command, said) -> None:
    settings = AlertSettings(command=command, retries=1, timeout_seconds=0.5)
    (told,) = send_alert(settings, MESSAGE, "1")
    assert said in told


def test_both_are_tried_and_each_is_told(hook) -> None:
    hook.statuses = [400]
    settings = AlertSettings(webhook=hook.url, command=("false",), retries=0)
    told = send_alert(settings, MESSAGE, "1")
    assert [line.split(" was tried")[0].rpartition(" ")[2] for line in told] == [
        "webhook",
        "command",
    ]
