"""The panel behind a proxy: whom it names, and what it is believed."""

from __future__ import annotations

import pytest

from features.errors import SettingsError
from pipelines.dashboard.access.gate import gate_of
from pipelines.project.settings.serve import ServeSettings
from tests.pipelines.dashboard.served import PASSWORD, served, users_of

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
