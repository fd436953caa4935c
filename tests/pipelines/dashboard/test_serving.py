"""The command that serves the panel: its address, its refusals, its end."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import urllib.request
from contextlib import ExitStack, suppress

import pytest

from features.errors import SettingsError
from pipelines.dashboard.serving import bound
from pipelines.project.settings.serve import ServeSettings
from tests.pipelines.dashboard.served import users_of


def first_line(process) -> dict[str, object]:
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return json.loads(line)


def test_the_panel_is_served_and_ends_when_asked(empty, spawn) -> None:
    users_of(empty)
    with spawn("serve", "-c", empty.path, "--port", 0, "--host", "0.0.0.0") as process:
        line = process.stdout.readline()
        assert line.startswith("The control panel is at http://0.0.0.0:")
        assert line.endswith(" (visitors log in); end it with Ctrl+C\n")
        assert "Passwords travel in clear: set [serve] certificate" in process.stdout.readline()
        port = line.partition("0.0.0.0:")[2].partition(" ")[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as response:
            assert json.load(response) == {"status": "ok"}
            assert "server" not in response.headers
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (out, err) == ("", "")


def test_it_is_not_opened_to_strangers(empty, run) -> None:
    ran = run("serve", "-c", empty.path, "--host", "0.0.0.0", "--port", 0)
    assert ran.code == 2
    assert ran.sentence == (
        "The control panel would be open to everybody who reaches '0.0.0.0': add a user with"
        " 'healthscore user add NAME', set [serve] proxy_header, or listen on 127.0.0.1"
    )


@pytest.mark.parametrize("port", ["99999", "65536", "-1"])
def test_a_port_that_is_none_is_refused(empty, run, port) -> None:
    ran = run("serve", "-c", empty.path, "--port", port)
    assert ran.code == 2
    assert "Invalid value for '--port': Input should be " in ran.err
    assert "Traceback" not in ran.err


def test_half_sent_requests_shut_nobody_out(empty, spawn) -> None:
    users_of(empty)
    with spawn("serve", "-c", empty.path, "--port", 0, "--json") as process, ExitStack() as held:
        port = int(str(first_line(process)["url"]).rpartition(":")[2])
        for number in range(600):
            half = socket.create_connection(("127.0.0.1", port), timeout=60)
            held.callback(half.close)
            if number % 2:
                half.sendall(b"GET /login HTTP/1.1\r\nHost: localhost\r\nX-Half: ")
        for path in ("/health", "/login", "/login", "/health"):
            address = f"http://127.0.0.1:{port}{path}"
            with urllib.request.urlopen(address, timeout=60) as response:
                assert response.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == ("", "")


# Lines that no library would send: of roots, drives, other hosts, other protocols, and none at all.
LINES = (
    "GET /../../etc/passwd HTTP/1.1",
    "GET //etc/passwd HTTP/1.1",
    "GET /static/../../../../etc/passwd HTTP/1.1",
    "GET /static/..%2f..%2f..%2f..%2fetc%2fpasswd HTTP/1.1",
    "GET /static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
    "GET /static/..\\..\\healthscore.toml HTTP/1.1",
    "GET /static//etc/passwd HTTP/1.1",
    "GET /static/%00 HTTP/1.1",
    "GET /accounts/../users.toml HTTP/1.1",
    "GET file:///etc/passwd HTTP/1.1",
    "GET http://elsewhere.example/accounts HTTP/1.1",
    "GET * HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "CONNECT elsewhere.example:443 HTTP/1.1",
    "TRACE / HTTP/1.1",
    "GET /accounts HTTP/0.9",
    "GET /accounts",
    "G\x00T /accounts HTTP/1.1",
    "GET /accounts?\xff\xfe HTTP/1.1",
    f"GET /{'a' * 70_000} HTTP/1.1",
)


def test_no_request_line_opens_what_is_not_for_everybody(empty, spawn) -> None:
    users_of(empty)
    with spawn("serve", "-c", empty.path, "--port", 0, "--json") as process:
        port = int(str(first_line(process)["url"]).rpartition(":")[2])
        for line in LINES:
            answer = answered(port, f"{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status = answer.partition(b"\r\n")[0]
            assert status.split(b" ")[1] in {b"303", b"400", b"403", b"404"}, (line, status)
            assert b"root:" not in answer, line
            assert b"[source]" not in answer, line
        assert b" 200 OK" in answered(port, "GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert out == ""
    assert {line.partition(" uvicorn.error: ")[2] for line in err.splitlines()} <= {
        "Invalid HTTP request received."
    }


def answered(port: int, request: str, most: int = 2**16) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as asked:
        asked.sendall(request.encode("latin-1"))
        answer = b""
        with suppress(ConnectionResetError):
            while len(answer) < most and (part := asked.recv(4096)):
                answer += part
        return answer


def test_a_body_that_is_too_long_is_not_waited_for(empty, spawn) -> None:
    with spawn("serve", "-c", empty.path, "--port", 0, "--json") as process:
        port = int(str(first_line(process)["url"]).rpartition(":")[2])
        heads = (b"Content-Length: 99999999", b"Transfer-Encoding: chunked")
        for head in heads:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                client.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
                if head.endswith(b"chunked"):
                    client.sendall(b"10001\r\n" + b"x" * 65_537 + b"\r\n")
                answer = b"".join(iter(lambda: client.recv(65_536), b""))
            # The server has hung up, though the body is not at its end.
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"connection: close" in answer
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_who_may_escape_a_limit_under_another_name_is_warned_of(empty) -> None:
    users_of(empty)
    settings = ServeSettings(
        port=0,
        owner="csm",
        proxy_header="X-User",
        trusted_proxies=("127.0.0.1/32",),
        proxy_role="viewer",
    )
    panel = bound(empty, settings)
    panel.listening.close()
    assert panel.warnings == [
        "User 'ann' is limited to some owners' accounts, and whoever the proxy names otherwise"
        " sees all as viewer: take [serve] proxy_role out unless no limited user can come under"
        " another name"
    ]


def test_an_address_that_is_taken_is_named(empty) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as refused:
            bound(empty, ServeSettings(port=port))
    assert str(refused.value) == (
        f"The control panel cannot listen on '127.0.0.1' port {port}: Address already in use;"
        " choose others with --host and --port"
    )
    users_of(empty)
    for host in ("192.0.2.1", "no such host", "x" * 300):
        with pytest.raises(SettingsError, match=r"The control panel cannot listen on '"):
            bound(empty, ServeSettings(host=host, port=0, owner="csm"))


def test_it_speaks_https_with_a_certificate(empty, spawn, tmp_path) -> None:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    made = subprocess.run(
        [*"openssl req -x509 -nodes -days 2 -newkey rsa:2048".split(), *subject, *files],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("needs openssl")
    text = empty.path.read_text(encoding="utf-8")
    names = f'certificate = "{tmp_path}/cert.pem"\nkey = "{tmp_path}/key.pem"\n'
    empty.path.write_text(text + names, encoding="utf-8")
    trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    with spawn("serve", "-c", empty.path, "--port", 0, "--json") as process:
        said = first_line(process)
        assert said["login"] == "for this machine alone, without login"
        port = str(said["url"]).rpartition(":")[2]
        with urllib.request.urlopen(f"https://localhost:{port}/health", context=trusting) as told:
            assert told.headers["strict-transport-security"] == "max-age=31536000"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"certificate": "none.pem", "key": "none.pem"}, "No such file or directory; correct"),
        ({"certificate": "users.toml", "key": "users.toml"}, "cannot be used: "),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(empty, settings, why) -> None:
    users_of(empty)
    with pytest.raises(SettingsError, match=r"The certificate '.*' with the key") as refused:
        bound(empty, ServeSettings(port=0, owner="csm", **settings))
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('certificate = "x"', "[serve] certificate and key belong together, and one is missing;"),
        ('proxy_header = "X-User"', "[serve] proxy_header is believed from trusted_proxies alone,"),
        (
            'proxy_role = "viewer"',
            "[serve] proxy_role is that of visitors whom a proxy_header",
        ),
        (
            'trusted_proxies = ["10.0.0.1"]',
            "[serve] trusted_proxies says that visitors come",
        ),
        ('proxy_header = "X User"', "[serve] proxy_header: string should match pattern"),
        ("port = 70000", "[serve] port: input should be less than or equal to 65535"),
        ('memory = "lots"', "[serve] memory: string should match pattern"),
        ('hosst = "x"', "[serve] has no key 'hosst'; did you mean 'host'?"),
        ("refresh_seconds = 0", "[serve] refresh_seconds: input should be greater than or"),
    ],
)
def test_settings_that_cannot_be_are_refused(empty, run, line, says) -> None:
    text = empty.path.read_text(encoding="utf-8")
    empty.path.write_text(f"{text}{line}\n", encoding="utf-8")
    ran = run("serve", "-c", empty.path, "--port", 0)
    assert ran.code == 2
    assert says in ran.sentence


def test_how_it_is_served_does_not_shape_scores(empty) -> None:
    from pipelines.project.project import load_project

    before = empty.fingerprint
    text = empty.path.read_text(encoding="utf-8").replace("[serve]\n", "[serve]\nport = 9000\n")
    empty.path.write_text(text, encoding="utf-8")
    assert load_project(empty.path).fingerprint == before
