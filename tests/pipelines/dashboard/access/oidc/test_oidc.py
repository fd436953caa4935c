"""Logging in with a provider of identities, and with tokens that prove nothing."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest

from features.errors import SettingsError
from pipelines.dashboard.panel.oidc import BEGUN_SECONDS
from pipelines.project.project import load_project
from pipelines.project.settings.serve import OidcSettings
from tests.pipelines.dashboard.access.oidc.identity_provider import (
    CLIENT,
    SECRET,
    Provider,
    new_key,
    running_provider,
)
from tests.pipelines.dashboard.access.test_rights import refuse_wrong_answers
from tests.pipelines.dashboard.served import Browser, company, issue_scores, served, users_of

DAY = 86_400
BACK = "http://localhost/login/oidc/back"
NOT_PROVED = "Your company&#39;s login did not prove who you are; try again, or ask who runs it."
ELSEWHERE = "This login was not begun in this browser, or too long ago; begin again."
NOBODY = "Nobody of your name may enter this panel; ask whoever runs it."


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as running, pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        yield running


@pytest.fixture(scope="module")
def panel(provider, tmp_path_factory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("oidc") / "company"
    folder.mkdir()
    project = company(folder, 40)
    issue_scores(project, 40)
    users_of(project)
    oidc = OidcSettings(
        issuer=provider.url,
        client_id=CLIENT,
        client_secret_env="OIDC_SECRET",
        redirect_url=BACK,
        admins=("chiefs",),
        viewers=("all",),
        owners={"team-ann": ("Ann Lee",)},
        owners_claim="books",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OIDC_SECRET", SECRET)
        with served(project, oidc=oidc) as running:
            yield running


@pytest.fixture(autouse=True)
def _honest(provider) -> Iterator[None]:
    yield
    provider.spoil, provider.change = None, {}


def begun(browser: Browser, wanted: str = "/accounts") -> str:
    """Begin a login, and return where the browser is sent."""
    sent = browser.get(f"/login/oidc?{urlencode({'next': wanted})}")
    assert sent.status_code == 303
    return str(sent.headers["location"])


def back(browser: Browser, answer: dict[str, str]) -> Any:
    return browser.get(f"/login/oidc/back?{urlencode(answer)}")


def entered(panel, provider, **claims: Any) -> tuple[Browser, Any]:
    browser = panel.browser()
    answer = provider.agree(begun(browser), **{"preferred_username": "nora", **claims})
    return browser, back(browser, answer)


@pytest.mark.parametrize(
    ("claims", "role", "owners"),
    [
        # Whoever is in the users file has the rights that are written there, whatever the groups.
        ({"preferred_username": "ann", "groups": ["chiefs"]}, "viewer", ["Ann Lee"]),
        ({"preferred_username": "ROOT"}, "admin", None),
        ({"groups": ["x", "chiefs", "team-ann"]}, "admin", None),
        ({"groups": "all"}, "viewer", None),
        ({"groups": ["team-ann"]}, "viewer", ["Ann Lee"]),
        ({"books": ["Zoé", 7]}, "viewer", ["Zoé"]),
        ({"groups": ["team-ann"], "books": "Zoé"}, "viewer", ["Ann Lee", "Zoé"]),
    ],
)
def test_claims_say_who_it_is_and_what_they_see(panel, provider, claims, role, owners) -> None:
    browser, response = entered(panel, provider, **claims)
    assert (response.status_code, response.headers["location"]) == (303, "/accounts")
    said = browser.get("/api/v1/session").json()
    assert (said["role"], said["owners"]) == (role, owners)
    seen = browser.get("/api/v1/accounts?size=200").json()
    assert {one["owner"] for one in seen["accounts"]} <= set(owners or [*"x"]) or owners is None
    browser.post("/logout")
    assert browser.get("/api/v1/accounts").status_code == 401


@pytest.mark.parametrize(
    ("who", "claims"),
    [
        ("limited", {"groups": ["team-ann"]}),
        ("viewer", {"groups": ["all"]}),
        ("admin", {"groups": ["chiefs"]}),
    ],
)
def test_every_route_keeps_to_the_rights_that_claims_give(panel, provider, who, claims) -> None:
    browser, _ = entered(panel, provider, **claims)
    refuse_wrong_answers(panel, browser, who)


def test_a_login_is_asked_for_with_pkce_and_begins_a_session_of_its_own(panel, provider) -> None:
    browser = panel.browser()
    page = browser.get("/login?next=/accounts%3Fband%3Dwatch").text
    assert 'href="/login/oidc?next=/accounts%3Fband%3Dwatch"' in page
    address = begun(browser)
    asked = parse_qs(urlsplit(address).query)
    assert asked["redirect_uri"] == [BACK]
    assert asked["scope"] == ["openid profile email"]
    assert min(len(asked[name][0]) for name in ("state", "nonce", "code_challenge")) >= 43
    before = browser.client.cookies["healthscore"]
    back(browser, provider.agree(address, preferred_username="eve"))
    assert browser.client.cookies["healthscore"] != before
    assert browser.is_in()


def none_signed(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, None, "none")


def shared(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, SECRET * 5, "HS256", headers={"kid": "one"})


def unsigned_part(claims: dict[str, Any]) -> str:
    said = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    head = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"one"}').decode().rstrip("=")
    return f"{head}.{said}."


def foreign(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, new_key(), "RS256", headers={"kid": "one"})


def unknown_key(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, new_key(), "RS256", headers={"kid": "other"})


@pytest.mark.parametrize(
    "spoil", [none_signed, shared, unsigned_part, foreign, unknown_key, lambda _: "x", lambda _: 7]
)
def test_a_token_that_nobody_signed_opens_nothing(panel, provider, spoil) -> None:
    provider.spoil = spoil
    browser, response = entered(panel, provider, groups=["chiefs"])
    assert response.status_code == 401
    assert NOT_PROVED in response.text
    assert not browser.is_in()


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "another"},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"iss": "https://evil.example"},
        {"exp": int(time.time()) - 120},
        # Parameters are made long before their test runs.
        {"nbf": int(time.time()) + DAY},
        {"iat": int(time.time()) + DAY},
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": ["x"]},
        {"exp": None},
        {"aud": None},
        {"iss": None},
        {"sub": None},
        {"iat": None},
        {"exp": "soon"},
    ],
)
def test_a_token_that_says_what_it_must_not_opens_nothing(panel, provider, change) -> None:
    provider.change = change
    browser, response = entered(panel, provider, groups=["chiefs"])
    assert (response.status_code, NOT_PROVED in response.text) == (401, True)
    assert not browser.is_in()


def test_a_token_for_several_says_whose_it_is(panel, provider) -> None:
    provider.change = {"aud": [CLIENT, "another"], "azp": CLIENT}
    browser, _ = entered(panel, provider, groups=["chiefs"])
    assert browser.is_in()


def test_a_state_is_of_one_browser_and_of_one_use(panel, provider) -> None:
    browser, other = panel.browser(), panel.browser()
    answer = provider.agree(begun(browser), preferred_username="root")
    begun(other)
    # Somebody is handed the address of another's login.
    response = back(other, answer)
    assert (response.status_code, ELSEWHERE in response.text) == (401, True)
    assert not other.is_in()
    # It is used up by that, and by a login.
    assert back(browser, answer).status_code == 401
    answer = provider.agree(begun(browser), preferred_username="root")
    assert back(browser, answer).status_code == 303
    again = panel.browser()
    again.client.cookies.update(browser.client.cookies)
    assert back(again, answer).status_code == 401
    for made_up in ({}, {"state": ""}, {"state": "x", "code": "y"}, {"code": "code-0"}):
        assert back(panel.browser(), made_up).status_code == 401


def test_a_login_that_took_too_long_is_begun_again(panel, provider, monkeypatch) -> None:
    browser = panel.browser()
    answer = provider.agree(begun(browser), preferred_username="root")
    oidc = panel.panel.oidc
    now = oidc.clock()
    monkeypatch.setattr(oidc, "clock", lambda: now + BEGUN_SECONDS + 1)
    assert ELSEWHERE in back(browser, answer).text


def test_a_refusal_of_the_provider_is_a_sentence_and_its_words_are_for_the_log(
    panel, provider, caplog
) -> None:
    browser = panel.browser()
    state = provider.agree(begun(browser))["state"]
    with caplog.at_level(logging.WARNING, "healthscore.panel"):
        response = back(browser, {"state": state, "error": "<b>access_denied"})
    assert response.status_code == 401
    assert "did not let you in" in response.text
    assert "access_denied" not in response.text
    assert "access_denied" in caplog.text


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"groups": ["strangers"]},
        {"groups": {"chiefs": 1}},
        {"preferred_username": None, "groups": ["chiefs"]},
        {"preferred_username": "<b>x</b>", "groups": ["chiefs"]},
        {"preferred_username": ["root"], "groups": ["chiefs"]},
    ],
)
def test_who_may_not_enter_is_told_so(panel, provider, claims) -> None:
    browser, response = entered(panel, provider, **claims)
    assert (response.status_code, NOBODY in response.text) == (401, True)
    assert not browser.is_in()


def test_keys_that_change_are_asked_for_once(panel, provider, monkeypatch) -> None:
    entered(panel, provider, groups=["chiefs"])
    oidc = panel.panel.oidc
    now = oidc.clock()
    monkeypatch.setattr(oidc, "clock", lambda: now + 120)
    monkeypatch.setattr(provider, "key", new_key())
    monkeypatch.setattr(provider, "kid", "two")
    browser, _ = entered(panel, provider, groups=["chiefs"])
    assert browser.is_in()
    before = provider.asked.count("/keys")
    provider.spoil = unknown_key
    for _ in range(3):
        assert entered(panel, provider)[1].status_code == 401
    assert provider.asked.count("/keys") == before
    oidc._keys = None


def test_a_place_to_go_to_is_one_of_the_panel(panel, provider) -> None:
    browser = panel.browser()
    answer = provider.agree(begun(browser, "//evil.example/x"), preferred_username="eve")
    assert back(browser, answer).headers["location"] == "/"


def test_a_provider_that_is_away_is_a_sentence(panel, monkeypatch) -> None:
    oidc = panel.panel.oidc
    monkeypatch.setattr(oidc, "_described", None)
    away = oidc.settings.model_copy(update={"issuer": "http://127.0.0.1:1"})
    monkeypatch.setattr(oidc, "settings", away)
    response = panel.browser().get("/login/oidc")
    assert response.status_code == 401
    assert "cannot be reached just now" in response.text
    # Passwords still open.
    assert panel.browser("root").is_in()


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ('issuer = "http://login.example"', "issuer must begin with https://, for who listens"),
        ('issuer = "https://x"\nscopes = ["email"]', 'scopes must hold "openid"'),
        ('issuer = "https://x"\nname = "y"', "has no key 'name'"),
        ('issuer = "login"', "[serve.oidc] issuer"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, section, says) -> None:
    project = company(tmp_path, 3)
    text = project.path.read_text("utf-8")
    more = f'[serve.oidc]\n{section}\nclient_id = "p"\nredirect_url = "https://h/login/oidc/back"\n'
    project.path.write_text(text + more, "utf-8")
    with pytest.raises(SettingsError) as told:
        load_project(project.path)
    assert says in str(told.value)


def test_a_secret_that_is_not_there_ends_the_start(panel, monkeypatch) -> None:
    from pipelines.dashboard.panel.oidc import Oidc

    monkeypatch.delenv("OIDC_SECRET")
    with pytest.raises(SettingsError, match=r"'OIDC_SECRET' that .* names is not set; set it"):
        Oidc(panel.panel.oidc.settings)
