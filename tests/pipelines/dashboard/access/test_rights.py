"""Who may ask what: every route of the panel, for every kind of visitor and of account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from pipelines.project.settings.serve import ServeSettings
from tests.pipelines.dashboard.served import Browser, Served, served

# Whoever adds a route says here whom it is for.
OPEN, VISITORS, WHOLE_BOOK, ADMINS = "open", "visitors", "whole book", "admins"
AUDIENCE = {
    "/static/{name}": OPEN,
    "/login": OPEN,
    "/login/oidc": OPEN,
    "/login/oidc/back": OPEN,
    "/health": OPEN,
    "/api/v1/session": OPEN,
    "/": VISITORS,
    "/logout": VISITORS,
    "/accounts": VISITORS,
    "/accounts.csv": VISITORS,
    "/pack.pdf": VISITORS,
    "/accounts/{account_id}": VISITORS,
    "/accounts/{account_id}/one-page.pdf": VISITORS,
    "/accounts/{account_id}/trend": VISITORS,
    "/accounts/{account_id}/details": VISITORS,
    "/api/openapi.json": VISITORS,
    "/accounts/{account_id}/calls": VISITORS,
    "/accounts/{account_id}/calls/undo": VISITORS,
    "/accounts/{account_id}/override": VISITORS,
    "/api/v1/accounts/{account_id}/calls": VISITORS,
    "/api/v1/accounts/{account_id}/overrides": VISITORS,
    "/api/v1/portfolio": VISITORS,
    "/api/v1/accounts": VISITORS,
    "/api/v1/changes": VISITORS,
    "/api/v1/accounts/{account_id}": VISITORS,
    "/api/v1/accounts/{account_id}/explanation": VISITORS,
    "/api/v1/accounts/{account_id}/history": VISITORS,
    "/weights": WHOLE_BOOK,
    "/weights/result": WHOLE_BOOK,
    "/model": WHOLE_BOOK,
    "/forecast": WHOLE_BOOK,
    "/plays": WHOLE_BOOK,
    "/api/v1/weights": WHOLE_BOOK,
    "/api/v1/what-if": WHOLE_BOOK,
    "/api/v1/model": WHOLE_BOOK,
    "/api/v1/forecast": WHOLE_BOOK,
    "/api/v1/plays": WHOLE_BOOK,
    "/users": ADMINS,
    "/users/remove": ADMINS,
    "/tokens": ADMINS,
    "/tokens/revoke": ADMINS,
    "/admin/refresh": ADMINS,
}
# What a program needs the scope "write-state" for; all else is read.
WRITES = {
    ("POST", "/api/v1/accounts/{account_id}/calls"),
    ("POST", "/api/v1/accounts/{account_id}/overrides"),
}
MAY: dict[str, set[str]] = {
    "nobody": {OPEN},
    "limited": {OPEN, VISITORS},
    "viewer": {OPEN, VISITORS, WHOLE_BOOK},
    "admin": {OPEN, VISITORS, WHOLE_BOOK, ADMINS},
}
NAMES = {"nobody": None, "limited": "ann", "viewer": "eve", "admin": "root"}
# Of an account of Ann's, of another, and of none.
OWN, FOREIGN, ABSENT = "A-0000", "A-0001", "A-9999"
PROXY: dict[str, Any] = {"host": "0.0.0.0", "proxy_header": "X-User", "proxy_role": "viewer"}


def routes_of(app: Any) -> set[tuple[str, str]]:
    """List the methods and paths of an application."""
    return {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in iter_route_contexts(app.routes)
        for method in (route.methods or ())
        if method != "HEAD"
    }


def ask(browser: Browser, method: str, path: str, headers: dict[str, str]) -> Any:
    if method == "GET":
        return browser.get(path, headers=headers)
    token = browser.get("/api/v1/session", headers=headers).json()["csrf_token"]
    return browser.client.request(method, path, json={}, headers={"x-csrf-token": token, **headers})


def addresses(app: Any, account: str) -> Iterator[tuple[str, str, str]]:
    for method, path in sorted(routes_of(app)):
        filled = path.replace("{account_id}", account).replace("{name}", "panel.css")
        yield method, filled, AUDIENCE[path]


def is_kept_out(response: Any) -> bool:
    """Whether somebody was told to log in, or that this is not for them."""
    to_login = response.status_code == 303 and response.headers["location"].startswith("/login")
    wrong = "The name or the password is wrong" in response.text
    return to_login or (response.status_code in (401, 403) and not wrong)


def refuse_wrong_answers(running: Served, browser: Browser, who: str, **headers: str) -> None:
    for account in (OWN, FOREIGN, ABSENT):
        is_seen = account == OWN or (account == FOREIGN and who != "limited")
        for method, path, audience in addresses(running.app, account):
            if account != OWN and account not in path:
                continue  # asked already
            if path.startswith(("/logout", "/login")) and who != "nobody":
                continue
            response = ask(browser, method, path, headers)
            said = f"{who}: {method} {path} is {response.status_code}"
            assert is_kept_out(response) == (audience not in MAY[who]), said
            assert response.status_code < 500 or account in path, said
            if is_kept_out(response):
                assert OWN not in response.text.replace(path, ""), said
            elif account in path:
                assert (response.status_code == 404) == (not is_seen), said


def test_every_route_says_whom_it_is_for(shared) -> None:
    assert {path for _, path in routes_of(shared.app)} == set(AUDIENCE)


@pytest.mark.parametrize("who", list(MAY))
def test_every_route_keeps_out_whom_it_is_not_for(shared, who) -> None:
    refuse_wrong_answers(shared, shared.browser(NAMES[who]), who)


@pytest.mark.parametrize(
    ("name", "who"), [(None, "nobody"), ("ann", "limited"), ("ANN", "limited"), ("zoe", "viewer")]
)
def test_every_route_keeps_to_whom_a_proxy_names(behind_proxy, name, who) -> None:
    headers = {} if name is None else {"x-user": name}
    refuse_wrong_answers(behind_proxy, behind_proxy.browser(), who, **headers)


@pytest.fixture(scope="module")
def behind_proxy(shared: Served) -> Iterator[Served]:
    trusted = ServeSettings(proxy_header="X", trusted_proxies=["127.0.0.1/32"]).trusted_proxies
    with served(shared.panel.project, **PROXY, trusted_proxies=trusted) as running:
        yield running


@pytest.mark.parametrize("below", ["", "/trend", "/details"])
def test_somebody_elses_account_is_as_one_that_is_not_there(shared, below) -> None:
    limited = shared.browser("ann")
    answers = [
        limited.get(f"{start}/accounts/{account}{below}")
        for account in (FOREIGN, ABSENT)
        for start in ("", "/api/v1")
        if not (start and below)
    ]
    halves = len(answers) // 2
    for foreign, absent in zip(answers[:halves], answers[halves:], strict=True):
        assert foreign.status_code == absent.status_code == 404
        told = [re.sub(r"A-\d{4}|[\w=-]{60,}", "", one.text) for one in (foreign, absent)]
        assert told[0] == told[1]
