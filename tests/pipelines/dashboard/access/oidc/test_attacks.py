"""Logging in with a provider, attacked on the panel as a process of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipelines.dashboard.access.users import User, UsersFile
from tests.pipelines.dashboard.access.oidc.identity_provider import (
    CLIENT,
    SECRET,
    Provider,
    running_provider,
)
from tests.pipelines.dashboard.served import company, issue_scores

HUGE = 64 << 20
SECTION = """
[serve.oidc]
issuer = "{issuer}"
client_id = "{client}"
client_secret_env = "OIDC_SECRET"
redirect_url = "http://localhost/login/oidc/back"
name_claim = "email"
admins = ["chiefs"]
owners = {{ team-ann = ["Ann Lee"] }}
"""


class Attacked:
    """The panel as a process, and its provider."""

    def __init__(self, url: str, process: Any, provider: Provider, users: UsersFile) -> None:
        self.url, self.process, self.provider, self.users = url, process, provider, users

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
            yield client

    def begin(self, browser: httpx.Client, wanted: str = "/accounts") -> str:
        sent = browser.get(f"/login/oidc?{urlencode({'next': wanted})}")
        assert sent.status_code == 303, sent.text
        return sent.headers["location"]

    def enter(self, browser: httpx.Client, wanted: str = "/accounts", **claims: Any) -> Any:
        said = {"email": "ann@example.com", "email_verified": True, **claims}
        answer = self.provider.agree(self.begin(browser, wanted), **said)
        return browser.get(f"/login/oidc/back?{urlencode(answer)}")

    @property
    def memory(self) -> int:
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            (line,) = (one for one in status if one.startswith("VmHWM"))
        return int(line.split()[1]) << 10


def who(browser: httpx.Client) -> tuple[str | None, list[str] | None]:
    said = browser.get("/api/v1/session").json()
    return said["role"], said["owners"]


def start(spawn, folder, provider: Provider) -> Attacked:
    """Serve a company whose only user of the file sees one owner's accounts."""
    project = company(folder, 40)
    issue_scores(project, 40)
    text = project.path.read_text("utf-8")
    section = SECTION.format(issuer=provider.url, client=CLIENT)
    project.path.write_text(text + section, "utf-8")
    users = UsersFile(folder / "users.toml")
    users.write({"ann@example.com": User("ann@example.com", "viewer", "", frozenset({"Zoé"}))})
    process = spawn("serve", "-c", project.path, "--port", 0, "--json")
    return Attacked(json.loads(process.stdout.readline())["url"], process, provider, users)


@contextmanager
def attacked_panel(spawn, folder) -> Iterator[Attacked]:
    with running_provider() as provider, pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        patch.setenv("OIDC_SECRET", SECRET)
        running = start(spawn, folder, provider)
        with running.process as process:
            yield running
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
    assert out == ""
    assert "Traceback" not in err
    assert SECRET not in err


@pytest.fixture(scope="module")
def attacked(spawn, tmp_path_factory) -> Iterator[Attacked]:
    with attacked_panel(spawn, tmp_path_factory.mktemp("attacked") / "company") as running:
        yield running


@pytest.fixture(autouse=True)
def _honest(request) -> Iterator[None]:
    yield
    if "attacked" in request.fixturenames:
        provider = request.getfixturevalue("attacked").provider
        provider.spoil, provider.change, provider.ill = None, {}, {}


def test_a_session_is_fresh_of_one_browser_and_ends_on_the_server(attacked) -> None:
    with attacked.browser() as browser, attacked.browser() as thief:
        # Somebody had the browser take a cookie that they know.
        browser.cookies.set("healthscore", "known")
        address = attacked.begin(browser, "/accounts?band=watch")
        answer = attacked.provider.agree(address, email="ANN@Example.com", email_verified=True)
        back = f"/login/oidc/back?{urlencode(answer)}"
        assert thief.get(back).status_code == 401
        assert browser.get(back).status_code == 401

        entered = attacked.enter(browser, "/accounts?band=watch")
        assert entered.headers["location"] == "/accounts?band=watch"
        kept = entered.headers["set-cookie"]
        assert "HttpOnly" in kept
        assert "SameSite=lax" in kept
        thief.cookies.set("healthscore", "known")
        assert who(thief) == (None, None)
        # Capitals of the address change no right of the users file.
        assert who(browser) == ("viewer", ["Zoé"])

        cookie = entered.cookies["healthscore"]
        assert browser.post("/logout").status_code == 403
        token = browser.get("/api/v1/session").json()["csrf_token"]
        assert browser.post("/logout", data={"csrf_token": token}).status_code == 303
        thief.cookies.clear()
        thief.cookies.set("healthscore", cookie)
        assert who(thief) == (None, None)


def test_an_answer_opens_once(attacked) -> None:
    with attacked.browser() as browser:
        said = {"email": "ann@example.com", "email_verified": True}
        answer = attacked.provider.agree(attacked.begin(browser), **said)
        # Of another provider (RFC 9207), of no code, and of another login's code.
        mixed = answer | {"iss": "https://evil.example"}
        assert browser.get(f"/login/oidc/back?{urlencode(mixed)}").status_code == 401
        assert browser.get(f"/login/oidc/back?{urlencode(answer)}").status_code == 401
        first = attacked.provider.agree(attacked.begin(browser), **said)
        second = attacked.provider.agree(attacked.begin(browser), **said)
        crossed = {"state": second["state"], "code": first["code"]}
        assert browser.get(f"/login/oidc/back?{urlencode(crossed)}").status_code == 401
        assert who(browser) == (None, None)
        answer = attacked.provider.agree(attacked.begin(browser), **said)
        assert browser.get(f"/login/oidc/back?{urlencode(answer)}").status_code == 303
        again = attacked.begin(browser)
        state = attacked.provider.agree(again)["state"]
        replayed = {"code": answer["code"], "state": state}
        assert browser.get(f"/login/oidc/back?{urlencode(replayed)}").status_code == 401


def keyed_with_the_public_key(provider: Provider) -> Callable[[dict[str, Any]], str]:
    """Sign with what everybody knows, as if it were a secret."""

    def part(told: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=")

    def spoilt(claims: dict[str, Any]) -> str:
        public = provider.key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        signed = part({"alg": "HS256", "kid": provider.kid}) + b"." + part(claims)
        mark = base64.urlsafe_b64encode(hmac.digest(public, signed, hashlib.sha256)).rstrip(b"=")
        return (signed + b"." + mark).decode()

    return spoilt


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": "ann@example.com\n"},
        {"email": "ann@example.com "},
        {"email": "\uff41nn@example.com", "groups": ["chiefs"]},
        {"email": None, "groups": ["chiefs"]},
        {"email": "eve@example.com"},
    ],
)
def test_an_address_that_nobody_verified_is_nobodys(attacked, claims) -> None:
    with attacked.browser() as browser:
        assert attacked.enter(browser, **claims).status_code == 401
        assert who(browser) == (None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"exp": float("inf")},
        {"iat": float("nan")},
        {"nonce": "\ud800"},
        {"aud": {"panel": 1}},
        {"aud": []},
        {"sub": 7},
    ],
)
def test_numbers_and_texts_that_are_none_open_nothing(attacked, change) -> None:
    attacked.provider.change = change
    with attacked.browser() as browser:
        assert attacked.enter(browser, groups=["chiefs"]).status_code == 401


def test_the_public_key_is_no_secret(attacked) -> None:
    attacked.provider.spoil = keyed_with_the_public_key(attacked.provider)
    with attacked.browser() as browser:
        assert attacked.enter(browser, groups=["chiefs"]).status_code == 401
        assert who(browser) == (None, None)


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example", r"/\evil.example", "https://evil.example", "/\t/evil.example",
        "javascript:alert(1)", "/login/oidc?next=/", "/logout", "", "/%0d%0aSet-Cookie:x=1",
    ],
)  # fmt: skip
def test_a_login_leads_nowhere_else(attacked, wanted) -> None:
    with attacked.browser() as browser:
        place = attacked.enter(browser, wanted).headers["location"]
    assert place in {"/", "/%0d%0aSet-Cookie:x=1"}


def test_who_is_changed_or_removed_is_out_at_once(attacked) -> None:
    with attacked.browser() as browser, attacked.browser() as external:
        attacked.enter(browser)
        attacked.enter(external, email="eve@example.com", groups=["team-ann"])
        assert who(external) == ("viewer", ["Ann Lee"])
        listed = external.get("/api/v1/accounts").json()["accounts"]
        assert {one["owner"] for one in listed} == {"Ann Lee"}
        before = attacked.users.users()
        eve = User("Eve@example.com", "viewer", "", frozenset({"Zoé"}))
        attacked.users.write({"Eve@example.com": eve})
        try:
            # The file is read a second after its last change.
            while who(browser) != (None, None):
                pass
            assert who(external) == (None, None)
        finally:
            attacked.users.write(dict(before))


def huge(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(HUGE))
    handler.end_headers()
    with suppress(OSError):
        for _ in range(HUGE >> 16):
            handler.wfile.write(b" " * (1 << 16))


def elsewhere(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "/keys")
    handler.end_headers()


def saying(text: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def told(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    return told


@pytest.mark.parametrize(
    "answer",
    [huge, elsewhere, *map(saying, (b"", b"[" * 100_000, b"[]", b"{}", b'{"id_token": {}}'))],
)
def test_a_provider_that_answers_nonsense_is_a_sentence(attacked, answer) -> None:
    before = attacked.memory
    attacked.provider.ill = {"/token": answer}
    with attacked.browser() as browser:
        refused = attacked.enter(browser)
        assert refused.status_code == 401
        assert refused.headers["content-type"].startswith("text/html")
        assert attacked.memory - before < HUGE
        attacked.provider.ill = {}
        assert attacked.enter(browser).status_code == 303


KEYS = (b'{"keys": 7}', b'{"keys": [7]}', b'{"keys": [{"kty": "RSA", "n": 1}]}', b'{"keys": []}')


def test_a_provider_that_hangs_or_has_no_keys_shuts_nobody_out(spawn, tmp_path) -> None:
    """Nothing of it was asked for before, and everybody asks for a login at once."""
    let_go = threading.Event()
    with attacked_panel(spawn, tmp_path / "company") as attacked:
        provider = attacked.provider
        for keys in KEYS:
            provider.ill = {"/keys": saying(keys)}
            with attacked.browser() as browser:
                refused = attacked.enter(browser, groups=["chiefs"])
                assert (refused.status_code, who(browser)) == (401, (None, None)), keys
        provider.ill = {"/token": lambda _: let_go.wait(60) and None}
        with ThreadPoolExecutor(60) as many, attacked.browser() as browser:

            def strange(_: int) -> int:
                with attacked.browser() as stranger:
                    return int(attacked.enter(stranger).status_code)

            asked = [many.submit(strange, number) for number in range(60)]
            while provider.asked.count("/token") < len(KEYS) + 4:
                assert not any(one.done() for one in asked)
            # More wait for the provider than the panel has threads, and pages are answered.
            for path in ("/login", "/health", "/login"):
                assert browser.get(path).status_code == 200
            assert not any(one.done() for one in asked)
            let_go.set()
            assert {one.result() for one in asked} == {401}
