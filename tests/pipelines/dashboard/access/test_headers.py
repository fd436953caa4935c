"""What every response tells the browser, and what a failure tells nobody."""

from __future__ import annotations

import re

import pytest

from pipelines.dashboard.accounts import pages
from pipelines.dashboard.app import MOST_BYTES

POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
SAID = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/accounts", 200),
        ("/accounts.csv", 200),
        ("/login", 303),
        ("/nothing", 404),
        ("/accounts?score_from=high", 422),
        ("/users", 403),
        ("/api/v1/accounts", 200),
        ("/api/v1/nothing", 404),
        ("/api/openapi.json", 200),
        ("/health", 200),
    ],
)
def test_every_response_is_guarded_and_kept_nowhere(shared, path, status) -> None:
    response = shared.browser("eve").get(path)
    assert response.status_code == status
    assert {name: response.headers[name] for name in SAID} == SAID
    assert response.headers["cache-control"] == "no-store"
    assert "camera=()" in response.headers["permissions-policy"]
    assert "server" not in response.headers


def test_files_of_the_package_may_be_kept_and_need_no_login(shared) -> None:
    stranger = shared.browser()
    page = stranger.get("/login").text
    for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        response = stranger.get(address)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert {name: response.headers[name] for name in SAID} == SAID
    for name in ("..%2fpanel.py", "%2e%2e%2fusers.py", "nothing.css", "panel.css%00"):
        assert stranger.get(f"/static/{name}").status_code in (303, 404)


def test_no_page_has_scripts_or_styles_of_its_own(shared) -> None:
    browser = shared.browser("root")
    for path in ("/", "/accounts", "/users", "/accounts?band=watch&unknown=owner", "/nothing"):
        page = browser.get(path).text
        assert not re.search(r"<style|<script(?! src=)|\sstyle=|\son\w+=|javascript:", page)
        assert "http://" not in page.replace("http://www.w3.org", "").replace(
            "http://evil.example", ""
        )


def test_a_failure_is_told_without_its_insides(shared, monkeypatch, caplog) -> None:
    browser = shared.browser("root")

    def fail(*_, **__):
        raise RuntimeError("secret inside")

    monkeypatch.setattr(pages, "page_of", fail)
    for path in ("/accounts?q=somebody", "/api/v1/accounts?q=somebody"):
        response = browser.get(path)
        assert response.status_code == 500
        assert "Something went wrong here, and it was written to the log" in response.text
        assert "secret" not in response.text
        assert "Traceback" not in response.text
        assert response.headers["content-security-policy"] == POLICY
    assert "secret inside" in caplog.text
    assert "somebody" not in caplog.text


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_long_is_refused_unread(shared, declared) -> None:
    browser = shared.browser()
    taken = []

    def pieces():
        for _ in range(1000):
            taken.append(1)
            yield b"x" * 1024

    content = b"x" * (MOST_BYTES + 1) if declared else pieces()
    response = browser.client.post("/login", content=content)
    assert response.status_code == 413
    assert "A request may have 65,536 bytes, and this one has more" in response.text
    assert browser.client.post("/login", content=b"x" * MOST_BYTES).status_code == 403


def test_pages_are_packed_for_those_who_ask(shared) -> None:
    browser = shared.browser("eve")
    assert browser.get("/accounts").headers["content-encoding"] == "gzip"
    plain = browser.get("/accounts", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers


def test_other_methods_are_refused(shared) -> None:
    browser = shared.browser("eve")
    header = {"x-csrf-token": browser.token()}
    for path in ("/accounts", "/api/v1/accounts"):
        response = browser.client.put(path, headers=header)
        assert response.status_code == 405
        assert response.headers["allow"] == "GET"
        assert "This address does not take that method" in response.text
