"""What changes something comes from a page of the panel, the login included."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dashboard.access.guards.csrf import FORM, CsrfTokens, token_in_form
from tests.pipelines.dashboard.served import PASSWORD

CHANGES = ("/logout", "/admin/refresh", "/login", "/api/v1/what-if")
REFUSED = "This request did not come from a page of the panel, or the page was too old"


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("forgery", ["absent", "empty", "noise", "another's", "twice", "old"])
def test_a_change_without_the_right_token_is_refused(shared, path, forgery) -> None:
    browser = shared.browser("root")
    token = {
        "absent": None,
        "empty": "",
        "noise": "A" * 88,
        "another's": shared.browser("eve").token(),
        "twice": browser.token(),
        "old": browser.token(),
    }[forgery]
    if forgery == "old":
        other = shared.browser("root")
        browser.client.cookies.set("healthscore", other.client.cookies["healthscore"])
    form = [("user", "root"), ("password", PASSWORD)]
    form += [] if token is None else [("csrf_token", token)] * (2 if forgery == "twice" else 1)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        response = browser.client.request(
            method, path, content=urlencode(form), headers={"content-type": FORM}
        )
        assert response.status_code == 403
        assert REFUSED in response.text
    assert browser.get("/users").status_code == 200


def test_a_token_without_its_cookie_is_refused(shared) -> None:
    browser = shared.browser("root")
    token = browser.token()
    browser.client.cookies.clear()
    assert browser.client.post("/logout", data={"csrf_token": token}).status_code == 403
    assert browser.client.post("/login", headers={"x-csrf-token": token}).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_what_another_site_sends_is_refused_whatever_it_carries(shared, site) -> None:
    browser = shared.browser("root")
    header = {"x-csrf-token": browser.token(), "sec-fetch-site": site}
    assert browser.client.post("/logout", headers=header).status_code == 403
    header["sec-fetch-site"] = "same-origin"
    assert browser.client.post("/logout", headers=header).status_code == 303


def test_each_page_has_another_text_for_the_same_token(shared) -> None:
    browser = shared.browser("eve")
    tokens = {browser.token() for _ in range(5)}
    assert len(tokens) == 5
    for token in tokens:
        header = {"x-csrf-token": token}
        assert browser.client.post("/admin/refresh", headers=header).status_code == 403
        assert "This is for admins" in browser.client.post("/admin/refresh", headers=header).text
    page = browser.get("/accounts").text
    assert 'name="csrf-token" content="' in page
    assert browser.client.cookies["healthscore"] not in page


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_is_a_token_but_those_that_were_made(cookie, token) -> None:
    tokens = CsrfTokens()
    assert not tokens.fits(cookie, token)
    assert tokens.fits(cookie, tokens.token(cookie))
    assert not tokens.fits(cookie + "x", tokens.token(cookie))
    assert not CsrfTokens().fits(cookie, tokens.token(cookie))


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        (FORM, b"csrf_token=a%2Bb", "a+b"),
        (f"{FORM}; charset=utf-8", b"x=1&csrf_token=a", "a"),
        (FORM, b"csrf_token=a&csrf_token=a", ""),
        (FORM, b"\xff\xfe", ""),
        (FORM, b"&".join([b"x=1"] * 500), ""),
        ("application/json", b'{"csrf_token": "a"}', ""),
        ("text/plain", b"csrf_token=a", ""),
        ("multipart/form-data; boundary=x", b"csrf_token=a", ""),
        ("", b"csrf_token=a", ""),
    ],
)
def test_tokens_are_read_from_forms_alone(kind, body, found) -> None:
    assert token_in_form(kind, body) == found
