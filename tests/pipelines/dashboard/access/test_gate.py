"""Who is let in: logins, sessions and what each may do."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack

import pytest
from httpx import ASGITransport, AsyncClient

from pipelines.dashboard.access.guards.throttle import MOST_OF_ONE
from pipelines.dashboard.access.users import User
from pipelines.dashboard.panel.pages import safe_path
from tests.pipelines.dashboard.served import PASSWORD, served, users_of

PAGES = ("/", "/accounts", "/accounts.csv", "/users", "/accounts/A-0001", "/weights", "/model")
ANSWERS = ("/api/v1/accounts", "/api/v1/portfolio", "/api/v1/accounts/A-0001", "/api/openapi.json")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_strangers_to_log_in_and_leads_back(shared, path) -> None:
    response = shared.browser().get(f"{path}?band=watch")
    assert response.status_code == 303
    back = path.replace("/", "%2F")
    assert response.headers["location"] == f"/login?next={back}%3Fband%3Dwatch"
    assert "A-0001" not in response.text


@pytest.mark.parametrize("path", [*ANSWERS, "/api/v1/nothing"])
def test_an_answer_to_a_stranger_is_a_refusal(shared, path) -> None:
    response = shared.browser().get(path)
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "title": "Unauthorized",
        "status": 401,
        "detail": "Log in to see this.",
    }


@pytest.mark.parametrize("path", ["/admin/refresh", "/logout", "/api/v1/what-if", "/accounts"])
def test_a_stranger_changes_nothing(shared, path) -> None:
    stranger = shared.browser()
    assert stranger.post(path).status_code in (303, 401)
    assert stranger.client.post(path).status_code == 403


def test_a_login_shows_the_pages_and_ends(shared) -> None:
    browser = shared.browser()
    assert "Log in" in browser.get("/login").text
    response = browser.log_in("eve", wanted="/accounts?band=watch")
    assert (response.status_code, response.headers["location"]) == (303, "/accounts?band=watch")
    assert browser.get("/accounts").status_code == 200
    assert browser.get("/login?next=/users").headers["location"] == "/users"
    kept = browser.client.cookies["healthscore"]
    ended = browser.post("/logout")
    assert (ended.status_code, ended.headers["location"]) == (303, "/login")
    assert ended.headers["clear-site-data"] == '"cache", "storage"'
    # The server has forgotten it too: a copy of the cookie is worth nothing.
    browser.client.cookies.set("healthscore", kept)
    assert browser.get("/accounts").status_code == 303


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("eve", PASSWORD + "x"),
        ("eve", ""),
        ("eve ", PASSWORD),
        ("nobody", PASSWORD),
        ("", ""),
        ("eve", "x" * 10_000),
        ("eve'--", "' or 1=1"),
        ("eve\0", PASSWORD),
        ("\udcff", "\udcff"),
    ],
)
def test_a_wrong_name_and_a_wrong_password_are_told_alike(shared, name, password) -> None:
    browser = shared.browser(client=(f"127.0.0.{2 + len(name)}", 1))
    form = {"user": name, "password": password, "csrf_token": browser.token()}
    from urllib.parse import urlencode

    body = urlencode(form, errors="surrogatepass")
    kind = {"content-type": "application/x-www-form-urlencoded"}
    response = browser.client.post("/login", content=body, headers=kind)
    assert response.status_code == 401
    assert "The name or the password is wrong." in response.text
    assert browser.get("/").status_code == 303


def test_an_unknown_user_takes_a_verification_too(shared, monkeypatch) -> None:
    from pipelines.dashboard.access import passwords

    seen: list[str] = []
    real = passwords.hasher()
    passwords._nobody()

    class Counting:
        def verify(self, known: str, password: bytes) -> bool:
            seen.append(known)
            return bool(real.verify(known, password))

    monkeypatch.setattr(passwords, "hasher", Counting)
    for name in ("eve", "nobody"):
        assert shared.gate.log_in(name, "wrong password it is") is None
    assert len(seen) == 2
    # Equal parameters take equal time.
    assert {one.rpartition("$")[0].rpartition("$")[0] for one in seen} == {
        "$argon2id$v=19$m=19456,t=2,p=1"
    }


@pytest.mark.parametrize(
    "forged",
    [
        "x" * 43,
        "",
        "../../users.toml",
        "a" * 5000,
        "'; drop table sessions; --",
        '{"name": "root", "role": "admin"}',
        "\u00e9",
    ],
)
def test_a_forged_cookie_is_nobody(shared, forged) -> None:
    browser = shared.browser()
    header = {"cookie": f"healthscore={forged}".encode()}
    assert browser.get("/accounts", headers=header).status_code == 303
    assert browser.get("/api/v1/accounts", headers=header).status_code == 401


def test_a_login_takes_a_fresh_token_and_ends_the_earlier_one(shared) -> None:
    browser = shared.browser()
    browser.get("/login")
    before = browser.client.cookies["healthscore"]
    browser.log_in("eve")
    first = browser.client.cookies["healthscore"]
    browser.log_in("root")
    second = browser.client.cookies["healthscore"]
    assert len({before, first, second}) == 3
    for old in (before, first):
        other = shared.browser()
        other.client.cookies.set("healthscore", old)
        assert other.get("/").status_code == 303
    assert len(second) == 43  # 256 bits


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(shared) -> None:
    browser = shared.browser()
    for response in (browser.get("/login"), browser.log_in("eve")):
        said = response.headers["set-cookie"]
        parts = {part.strip().lower() for part in said.split(";")[1:]}
        assert parts == {"httponly", "path=/", "samesite=lax"}
    secure = shared.browser(base_url="https://localhost")
    said = secure.get("/login").headers["set-cookie"]
    assert said.startswith("__Host-healthscore=")
    assert "secure" in {part.strip().lower() for part in said.split(";")}
    assert secure.log_in("eve").headers["strict-transport-security"] == "max-age=31536000"
    assert secure.get("/").status_code == 200
    assert "strict-transport-security" not in browser.get("/").headers


def test_sessions_end_by_themselves(empty) -> None:
    users_of(empty)
    with served(empty, session_idle_minutes=10, session_hours=1) as running:
        idle, busy = running.browser("eve"), running.browser("eve")
        for _ in range(7):
            running.clock.now += 9 * 60
            busy.get("/users")
        assert not idle.is_in()
        assert not busy.is_in()
        fresh = running.browser("eve")
        running.clock.now += 9 * 60
        assert fresh.is_in()


@pytest.mark.parametrize(
    "change",
    [
        None,
        User("eve", "viewer", "", frozenset({"Ann Lee"})),
        User("eve", "admin"),
    ],
)
def test_a_removed_or_changed_user_is_logged_out(empty, change) -> None:
    file = users_of(empty)
    with served(empty) as running:
        browser, other = running.browser("eve"), running.browser("root")
        users = dict(file.users())
        if change is None:
            del users["eve"]
        else:
            users["eve"] = change
        file.write(users)
        assert not browser.is_in()
        assert other.is_in()


def test_a_broken_users_file_lets_nobody_in(empty, caplog) -> None:
    file = users_of(empty)
    with served(empty) as running:
        browser = running.browser("root")
        file.path.write_text("[users", encoding="utf-8")
        os.utime(file.path, (1_000_000_000, 1_000_000_000))
        stranger = running.browser()
        for response in (browser.get("/"), browser.get("/api/v1/session"), stranger.log_in("root")):
            assert response.status_code == 503
            assert "the users file cannot be read, and the log says why" in response.text
            assert str(file.path) not in response.text
        assert "is not valid TOML" in caplog.text
        file.path.unlink()
        assert browser.get("/").status_code == 503


def test_guessing_takes_ever_longer(empty) -> None:
    users_of(empty)
    with served(empty) as running:
        browser = running.browser()
        for _ in range(5):
            assert browser.log_in("eve", "wrong password").status_code == 401
        held = browser.log_in("eve")
        assert held.status_code == 429
        assert held.headers["retry-after"] == "2"
        assert "Too many logins failed: wait 2 seconds and try again." in held.text
        # Another user, and the same one from elsewhere, may still try.
        assert running.browser().log_in("root").status_code == 303
        elsewhere = running.browser(client=("127.0.0.9", 1))
        assert elsewhere.log_in("eve").status_code == 303
        running.clock.now += 1.5
        assert browser.log_in("eve", "wrong password").status_code == 401
        running.clock.now += 1.5
        assert browser.log_in("eve").status_code == 429
        running.clock.now += 1
        assert browser.log_in("eve").status_code == 303


def test_many_guesses_at_once_are_no_more_than_one_after_the_other(empty) -> None:
    users_of(empty)

    async def at_once(running) -> list[int]:
        transport = ASGITransport(running.app, client=("127.0.0.1", 1))
        async with AsyncClient(transport=transport, base_url="http://localhost") as client:
            token = (await client.get("/api/v1/session")).json()["csrf_token"]
            form = {"user": "eve", "password": "wrong password", "csrf_token": token}
            tries = [client.post("/login", data=form) for _ in range(20)]
            return [response.status_code for response in await asyncio.gather(*tries)]

    with served(empty) as running:
        statuses = asyncio.run(at_once(running))
        elsewhere = running.browser(client=("127.0.0.9", 1))
        assert elsewhere.log_in("root").status_code == 303
    # Five are tried; of the rest those that find no place do not wait for one either.
    assert statuses.count(401) == 5
    assert set(statuses) <= {401, 429, 503}


def test_a_login_that_finds_no_place_is_told_to_come_again(empty) -> None:
    users_of(empty)
    with served(empty) as running, ExitStack() as held:
        for number in range(MOST_OF_ONE):
            held.enter_context(running.gate.throttle.place(f"name {number}", "127.0.0.1"))
        refused = running.browser().log_in("eve")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        assert "Too many log in at this moment: wait a few seconds and try again." in refused.text
        held.close()
        assert running.browser().log_in("eve").status_code == 303


def test_nobody_is_locked_out_by_others_at_the_same_address(empty) -> None:
    users_of(empty)
    with served(empty) as running:
        for number in range(200):
            running.gate.throttle.begin(f"name {number}", "127.0.0.1")
        assert running.browser().log_in("root").status_code == 303
        # Nor by guesses from everywhere, where they have been before.
        for number in range(200):
            running.gate.throttle.begin("root", f"192.0.2.{number}")
        assert running.browser().log_in("root").status_code == 303
        assert running.browser(client=("127.0.0.7", 1)).log_in("root").status_code == 429


def test_a_login_that_cannot_be_checked_is_no_failure(empty) -> None:
    file = users_of(empty)
    text = file.path.read_text("utf-8")
    with served(empty) as running:
        browser = running.browser()
        token = browser.token()
        file.path.unlink()
        for _ in range(9):
            form = {"user": "root", "password": PASSWORD, "csrf_token": token}
            assert browser.client.post("/login", data=form).status_code == 503
        file.path.write_text(text, "utf-8")
        assert browser.log_in("root").status_code == 303


@pytest.mark.parametrize("name", ["EVE", "Eve", "eVe"])
def test_a_name_is_one_in_capitals_and_not(shared, name) -> None:
    browser = shared.browser(client=("127.0.0.99", 1))
    assert browser.log_in(name).status_code == 303
    assert browser.get("/api/v1/session").json()["name"] == "eve"


def test_a_viewer_does_not_do_what_admins_do(shared) -> None:
    viewer = shared.browser("eve")
    for response in (viewer.get("/users"), viewer.post("/admin/refresh")):
        assert response.status_code == 403
        assert "This is for admins; ask one of them" in response.text
    assert "Look for newer scores" not in viewer.get("/").text
    admin = shared.browser("root")
    text = admin.get("/users").text
    assert "Bob &lt;b&gt;Ray&lt;/b&gt;" in text
    assert "argon2" not in text
    assert "Look for newer scores" in admin.get("/").text
    assert admin.post("/admin/refresh").headers["location"] == "/"


def test_who_sees_some_accounts_does_not_see_what_is_about_all(shared) -> None:
    limited = shared.browser("ann")
    for path in ("/weights", "/model", "/forecast"):
        response = limited.get(path)
        assert response.status_code == 403
        assert "This is about all accounts, and you see your own" in response.text
        assert f'href="{path}"' not in limited.get("/").text


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
        "/login?next=/",
        "/logout",
        "http:/evil.example",
        "/" + "a" * 3000,
        "\u2028//evil.example",
    ],
)
def test_a_login_leads_nowhere_else(shared, wanted) -> None:
    assert safe_path(wanted) == "/"
    assert shared.browser().log_in("eve", wanted=wanted).headers["location"] == "/"
    assert safe_path("/accounts?q=//x&after=a%2Fb") == "/accounts?q=//x&after=a%2Fb"
