"""The panel of a machine of one's own: without users, nobody else reaches it."""

from __future__ import annotations

import pytest

from features.errors import SettingsError
from pipelines.dashboard.access.gate import gate_of
from pipelines.project.settings.serve import ServeSettings
from tests.pipelines.dashboard.served import served, users_of

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
