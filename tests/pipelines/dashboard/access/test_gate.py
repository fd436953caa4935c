"""Who is let in: logins, sessions, proxies, and a panel that is for its own machine alone."""

from __future__ import annotations

import asyncio
import os

import pytest
from httpx import ASGITransport, AsyncClient

from features.errors import SettingsError
from pipelines.dashboard.access.gate import gate_of
from pipelines.dashboard.access.users import User
from pipelines.dashboard.panel.pages import safe_path
from pipelines.project.serve_settings import ServeSettings
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
    from pipelines.dashboard.access import users

    seen: list[str] = []
    real = users.hasher()
    users._nobody()

    class Counting:
        def verify(self, known: str, password: bytes) -> bool:
            seen.append(known)
            return bool(real.verify(known, password))

    monkeypatch.setattr(users, "hasher", Counting)
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
    assert (statuses.count(401), statuses.count(429)) == (5, 15)


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


def test_where_visitors_log_in_a_proxy_says_where_from(empty) -> None:
    users_of(empty)
    trusted = ServeSettings(trusted_proxies=["127.0.0.1/32"]).trusted_proxies
    with served(empty, trusted_proxies=trusted) as running:
        browser = running.browser()
        here, elsewhere = {"x-forwarded-for": "192.0.2.1"}, {"x-forwarded-for": "192.0.2.2"}
        form = {"user": "eve", "password": "wrong password", "csrf_token": browser.token()}
        for status in (401, 401, 401, 401, 401, 429):
            response = browser.client.post("/login", data=form, headers=here)
            assert response.status_code == status
        right = {**form, "password": PASSWORD}
        assert browser.client.post("/login", data=right, headers=elsewhere).status_code == 303
    (empty.folder / "users.toml").unlink()
    with pytest.raises(SettingsError, match=r"\[serve\] trusted_proxies says that visitors come"):
        gate_of(empty, ServeSettings(trusted_proxies=["127.0.0.1/32"]))


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


# The panel of a machine of one's own.

PROXY_MARKS = """forwarded via x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port
    x-forwarded-server x-forwarded-prefix x-forwarded x-real-ip x-client-ip client-ip true-client-ip
    x-cluster-client-ip fastly-client-ip cf-connecting-ip cf-ray cf-visitor cf-ipcountry cdn-loop
    x-original-forwarded-for x-original-host x-amzn-trace-id x-azure-ref x-envoy-external-address
    x-goog-authenticated-user-email x-ms-client-principal-name tailscale-user-login remote-user
    x-auth-request-user x-appengine-user-ip fly-client-ip x-scheme x-arr-log-id x-proxyuser-ip
    x-cloud-trace-context x-bluecoat-via""".split()


def test_without_users_the_panel_is_for_the_machine_alone(empty) -> None:
    with served(empty) as running:
        browser = running.browser()
        assert browser.is_in()
        assert browser.get("/api/v1/session").json()["name"] == "local"
        page = browser.get("/users").text
        assert "Nobody logs in" in page
        assert "Log out" not in page
        for name in ("localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"):
            assert browser.is_in(headers={"host": name})
        for name in ("evil.example", "localhost.evil.example", "evil.example:8000", "", "a b"):
            rebound = browser.get("/", headers={"host": name})
            assert rebound.status_code == 400
            assert "The panel does not go by the name in this address" in rebound.text
        for header in PROXY_MARKS:
            response = browser.get("/", headers={header: "127.0.0.1"})
            assert response.status_code == 403
            assert "the request came through a proxy" in response.text
        assert running.browser(client=("10.0.0.7", 1)).get("/").status_code == 403
        for header in ("x-requested-with", "accept-language", "sec-fetch-site", "dnt", "priority"):
            assert browser.is_in(headers={header: "none"})


def test_a_request_of_an_old_kind_came_through_a_plain_proxy(empty) -> None:
    from starlette.requests import Request

    gate = gate_of(empty, empty.settings.serve)
    scope = {"type": "http", "client": ("127.0.0.1", 1), "headers": [], "path": "/"}
    assert gate.visitor(Request({**scope, "http_version": "1.1"})) is not None
    assert gate.visitor(Request({**scope, "http_version": "1.0"})) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.com"])
def test_without_users_no_other_machine_may_reach_it(empty, host) -> None:
    with pytest.raises(SettingsError) as refused:
        gate_of(empty, ServeSettings(host=host))
    assert str(refused.value) == (
        f"The control panel would be open to everybody who reaches '{host}': add a user with"
        " 'healthscore user add NAME', set [serve] proxy_header, or listen on 127.0.0.1"
    )
    users_of(empty)
    assert gate_of(empty, ServeSettings(host=host, owner="csm")).mode == "login"


def test_a_users_file_that_is_named_has_to_be_there(empty) -> None:
    with pytest.raises(
        SettingsError, match=r"The users file '.*team.toml' cannot be read: No such"
    ):
        gate_of(empty, ServeSettings(users="team.toml"))


def test_limits_need_a_column_to_limit_by(empty) -> None:
    users_of(empty)
    with pytest.raises(SettingsError, match=r"limits 'ann' to the accounts of some owners, and"):
        gate_of(empty, ServeSettings())


def test_names_by_which_it_is_called_can_be_set(empty) -> None:
    users_of(empty)
    with served(empty, hosts=("health.example.com",)) as running:
        browser = running.browser()
        assert browser.get("/login", headers={"host": "health.example.com"}).status_code == 200
        assert browser.get("/login", headers={"host": "evil.example"}).status_code == 400


# Behind a proxy.

PROXY = {
    "host": "0.0.0.0",
    "proxy_header": "X-Forwarded-User",
    "trusted_proxies": ServeSettings(
        proxy_header="X", trusted_proxies=["10.0.0.0/24", "127.0.0.1/32"]
    ).trusted_proxies,
}


def test_a_proxy_that_is_trusted_names_the_visitor(empty) -> None:
    users_of(empty)
    with served(empty, **PROXY) as running:
        named = {"x-forwarded-user": "ann"}
        inside = running.browser(client=("10.0.0.5", 1))
        assert inside.get("/api/v1/session", headers=named).json()["owners"] == ["Ann Lee"]
        assert inside.is_in(headers=named)
        assert "Log out" not in inside.get("/users", headers=named).text
        outside = running.browser(client=("10.0.1.5", 1)).get("/", headers=named)
        assert outside.status_code == 401
        assert "The proxy in front of the panel named no visitor that may enter" in outside.text
        for header in ({}, {"x-forwarded-user": "stranger"}, {"x-forwarded-user": "ann, root"}):
            assert inside.get("/", headers=header).status_code == 401
        twice = [("x-forwarded-user", "root"), ("x-forwarded-user", "ann")]
        assert inside.get("/", headers=twice).status_code == 401
        # However their provider spells them, limits are theirs.
        for spelt in ("ANN", "Ann"):
            session = inside.get("/api/v1/session", headers={"x-forwarded-user": spelt}).json()
            assert (session["name"], session["owners"]) == ("ann", ["Ann Lee"])
        # Nobody logs in beside the proxy.
        assert inside.log_in("root").headers["location"] == "/"
        assert inside.get("/").status_code == 401


def test_whoever_a_proxy_names_may_have_a_role(empty) -> None:
    with served(empty, **PROXY, proxy_role="viewer") as running:
        inside = running.browser(client=("10.0.0.5", 1))
        named = {"x-forwarded-user": "anybody@example.com"}
        said = inside.get("/api/v1/session", headers=named).json()
        assert (said["name"], said["role"]) == ("anybody@example.com", "viewer")
        for name in ("a b", "", "x" * 101, "<b>", "ann\u00e9"):
            hostile = {"x-forwarded-user": name.encode()}
            assert inside.get("/", headers=hostile).status_code == 401


def test_what_is_forwarded_is_believed_from_trusted_proxies_alone(empty) -> None:
    users_of(empty)
    with served(empty, **PROXY) as running:
        gate = running.gate

        def request(peer, **headers):
            from starlette.requests import Request

            raw = [(name.replace("_", "-").encode(), v.encode()) for name, v in headers.items()]
            scope = {"type": "http", "client": (peer, 1), "headers": raw, "scheme": "http"}
            return Request(scope | {"path": "/", "query_string": b"", "server": ("x", 80)})

        chain = "6.6.6.6, 1.2.3.4, 10.0.0.9"
        assert gate.address(request("10.0.0.5", x_forwarded_for=chain)) == "1.2.3.4"
        assert gate.address(request("8.8.8.8", x_forwarded_for=chain)) == "8.8.8.8"
        assert gate.address(request("10.0.0.5")) == "10.0.0.5"
        assert gate.address(request("::ffff:8.8.8.8")) == "8.8.8.8"
        assert gate.address(request("2001:db8::1")) == gate.address(request("2001:db8::2"))
        assert gate.is_secure(request("10.0.0.5", x_forwarded_proto="https"))
        assert not gate.is_secure(request("8.8.8.8", x_forwarded_proto="https"))


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
