"""Tokens of programs: made, listed, revoked, and what they open."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import tomllib
from collections.abc import Iterator
from datetime import timedelta

import pytest

from features.errors import SettingsError
from pipelines.dashboard.access.tokens import TokensFile, made_token, revoke, tokens_file
from pipelines.dashboard.access.users import User
from pipelines.store.runs import now
from tests.pipelines.dashboard.access.test_rights import (
    ADMINS,
    AUDIENCE,
    FOREIGN,
    OPEN,
    OWN,
    VISITORS,
    WHOLE_BOOK,
    WRITES,
    routes_of,
)
from tests.pipelines.dashboard.served import Browser, Served, company, served, users_of

ANN = User("ann", "viewer", owners=frozenset({"Ann Lee"}))


@pytest.fixture
def project(tmp_path):
    made = company(tmp_path / "company", 5)
    users_of(made)
    return made


@pytest.fixture
def file(tmp_path) -> TokensFile:
    return TokensFile(tmp_path / "tokens.toml")


def make(file: TokensFile, user: User = ANN, **also):
    given = {"label": "nightly", "scopes": ["read"], "days": 30, "made_by": "root"}
    return made_token(file, user, **{**given, **also})


def bearing(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


# ---- the file ----------------------------------------------------------------------------------


def test_a_token_is_kept_as_a_digest_alone(file) -> None:
    text, token = make(file)
    held = tomllib.loads(file.path.read_text(encoding="utf-8"))["tokens"][token.id]
    prefix, token_id, secret = text.split("_", 2)
    assert (prefix, token_id) == ("hs", token.id)
    assert held["hash"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in file.path.read_text(encoding="utf-8")
    assert secret not in repr(token)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert file.recognised(text, now()) == token


@pytest.mark.parametrize(
    "changed", [lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"), str.upper, str.lower]
)
def test_another_text_opens_nothing(file, changed) -> None:
    text, _ = make(file)
    assert file.recognised(changed(text), now()) is None
    assert file.recognised("", now()) is None
    assert file.recognised(f"hs_{'0' * 12}_{'A' * 43}", now()) is None


def test_a_token_ends_on_time_and_when_it_is_revoked(file) -> None:
    text, token = make(file)
    assert file.recognised(text, token.ends_at - timedelta(seconds=1)) == token
    assert file.recognised(text, token.ends_at) is None
    assert revoke(file, token.id) == token
    assert file.recognised(text, now()) is None
    with pytest.raises(SettingsError, match="There is no token"):
        revoke(file, token.id)


def test_the_last_use_is_seen(file) -> None:
    text, token = make(file)
    assert file.used_at(token) is None
    assert file.recognised(f"{text}x", now()) is None
    assert file.used_at(token) is None
    file.recognised(text, now())
    used = file.used_at(token)
    assert used is not None
    assert abs(used - now()) < timedelta(minutes=1)
    revoke(file, token.id)
    assert file.used_at(token) is None


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"scopes": ["reed"]}, "A scope is read or write-state, and 'reed' is neither; did you"),
        ({"scopes": []}, "A token without a scope opens nothing; give it 'read'"),
        ({"days": 0}, "A token lasts 1 to 366 days, and 0 is not within; choose fewer"),
        ({"days": 367}, "A token lasts 1 to 366 days, and 367 is not within; choose fewer"),
        ({"label": " "}, "The label of a token is 1 to 60 printable characters that say what"),
        ({"label": "\u202ex"}, "The label of a token is 1 to 60 printable characters that say"),
    ],
)
def test_what_cannot_be_a_token_is_refused(file, wrong, sentence) -> None:
    with pytest.raises(SettingsError) as refused:
        make(file, **wrong)
    assert str(refused.value).startswith(sentence)
    assert not file.path.exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[tokens.a]\nuser = "x"', "must say of token 'a' ends_at, hash, label"),
        ("[users.a]", "holds 'users', and must hold [tokens.NAME] alone"),
        ("[tokens", "is not valid TOML"),
    ],
)
def test_a_file_of_something_else_is_refused(file, text, sentence) -> None:
    file.path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        file.tokens()


def test_an_entry_of_the_wrong_form_is_refused(file) -> None:
    _, token = make(file)
    text = file.path.read_text(encoding="utf-8").replace('["read"]', '["everything"]')
    file.path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=f"says of token '{token.id}' what is of the wrong"):
        TokensFile(file.path).tokens()


# ---- the commands ------------------------------------------------------------------------------


def test_tokens_are_made_listed_and_revoked(run, project) -> None:
    made = run("token", "add", "ann", "-c", project.path, "--label", "ETL", "--json").answer
    assert (made["user"], made["scopes"]) == ("ann", ["read"])
    shown = run("token", "add", "EVE", "-c", project.path, "--scope", "write-state")
    text, told = shown.out.splitlines()
    assert told.startswith("This is the only time that it is shown; it is for eve, may write-state")
    assert tokens_file(project).recognised(text, now()) is not None
    listed = run("token", "list", "-c", project.path)
    # A secret may hold the sign that stands before it.
    assert text.split("_", 2)[2] not in listed.out
    assert made["token"].split("_", 2)[2] not in listed.out
    first, second = sorted(listed.out.splitlines(), key=lambda line: "never" not in line)
    assert first.endswith("never used  ETL")
    assert "last used" in second
    told = run("token", "list", "-c", project.path, "--json").answer["tokens"]
    assert {one["id"] for one in told} == {made["id"], text.split("_")[1]}
    assert "hash" not in json.dumps(told)
    gone = run("token", "revoke", made["id"], "-c", project.path)
    assert gone.out == f"Revoked {made['id']} of ann\n"
    # Whoever comes to bear the name of a user who left has none of their tokens.
    removed = run("user", "remove", "eve", "-c", project.path)
    assert removed.out.endswith("Revoked 1 tokens that were for eve\n")
    assert run("token", "list", "-c", project.path).out == (
        "There is no token; make one with 'healthscore token add USER'\n"
    )
    assert run("token", "add", "anm", "-c", project.path).sentence == (
        f"There is no user 'anm' in '{project.folder / 'users.toml'}'; did you mean 'ann'?"
    )


# ---- the panel ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(shared) -> Iterator[dict[str, str]]:
    file = tokens_file(shared.panel.project)
    users = shared.gate.users.users()
    made = {
        "limited": make(file, users["ann"])[0],
        "viewer": make(file, users["eve"])[0],
        "of an admin": make(file, users["root"])[0],
        "writer": make(file, users["eve"], scopes=["write-state"])[0],
    }
    yield made
    file.path.unlink()


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ("limited", {OPEN, VISITORS}),
        ("viewer", {OPEN, VISITORS, WHOLE_BOOK}),
        # A program is no admin, whoever made its token.
        ("of an admin", {OPEN, VISITORS, WHOLE_BOOK}),
        ("writer", {OPEN}),
    ],
)
def test_every_route_keeps_to_what_a_token_may(shared, texts, who, may) -> None:
    browser = shared.browser()
    for method, path in sorted(routes_of(shared.app)):
        for account in (OWN, FOREIGN):
            filled = path.replace("{account_id}", account).replace("{name}", "panel.css")
            answer = browser.client.request(
                method, filled, headers=bearing(texts[who]), json={} if method == "POST" else None
            )
            said = f"{who}: {method} {filled} is {answer.status_code}: {answer.text[:200]}"
            audience = AUDIENCE[path]
            if not path.startswith("/api/"):
                assert answer.status_code == 403, said
            elif path == "/api/openapi.json":
                assert answer.status_code == 200, said
            else:
                is_open = audience in may
                if (method, path) in WRITES:
                    is_open = who == "writer"
                assert (answer.status_code == 403) == (not is_open), said
            if who == "limited" and account == FOREIGN and "{account_id}" in path:
                assert answer.status_code in (403, 404), said
        assert audience != ADMINS or answer.status_code == 403


def test_a_token_has_the_rights_that_its_user_has_now(shared, texts) -> None:
    browser, path = shared.browser(), "/api/v1/accounts"
    own = browser.get(path, headers=bearing(texts["limited"])).json()
    every = browser.get(path, headers=bearing(texts["viewer"])).json()
    assert own["total"] < every["total"]
    assert {row["owner"] for row in own["accounts"]} == {"Ann Lee"}
    told = browser.get("/api/v1/session", headers=bearing(texts["limited"])).json()
    assert (told["name"], told["role"], told["scopes"]) == ("ann", "viewer", ["read"])


def test_a_token_needs_no_token_of_a_page(shared, texts) -> None:
    asked = {"json": {"weights": {}}, "headers": bearing(texts["viewer"])}
    answer = shared.browser().client.post("/api/v1/what-if", **asked)
    assert "did not come from a page of the panel" not in answer.text


def test_a_session_lends_a_token_nothing(shared, texts) -> None:
    admin = shared.browser("root")
    assert admin.get("/users").status_code == 200
    assert admin.get("/users", headers=bearing(texts["limited"])).status_code == 403
    assert admin.get("/api/v1/accounts", headers=bearing("hs_none")).status_code == 401


@pytest.mark.parametrize("text", ["hs_", f"hs_{'0' * 12}_{'A' * 43}", "hs_" + "é" * 9])
def test_an_unknown_token_is_told_so(shared, texts, text) -> None:
    answer = shared.browser().get(
        "/api/v1/accounts", headers={"authorization": f"Bearer {text}".encode()}
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert "The token is not known, has ended or was revoked" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/api/v1/accounts?token={}", "/{}", "/?q=a%20{}", "/login?next={}"]
)
def test_a_token_in_an_address_is_refused_and_said(shared, texts, path) -> None:
    answer = shared.browser("eve").get(path.format(texts["viewer"].replace("_", "%5F")))
    assert answer.status_code == 400
    assert "A token was in the address, where logs and histories keep it: revoke it" in answer.text
    assert texts["viewer"] not in answer.text


def test_where_nobody_logs_in_no_token_opens_anything(bare, file) -> None:
    text, _ = make(file)
    with served(bare) as running:
        assert running.browser().get("/api/v1/accounts").status_code == 200
        answer = running.browser().get("/api/v1/accounts", headers=bearing(text))
        assert answer.status_code == 401


def test_behind_a_proxy_its_own_tokens_are_none_of_ours(shared) -> None:
    answer = shared.browser("eve").get("/api/v1/accounts", headers=bearing("eyJhbGciOi"))
    assert answer.status_code == 200


def test_an_admin_makes_a_token_that_is_shown_once(project) -> None:
    with served(project) as running:
        admin: Browser = running.browser("root")
        page = admin.post("/tokens", {"user": "eve", "label": "<b>ETL</b>", "scope": "read"})
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        (text,) = re.findall(r"hs_[0-9a-f]{12}_[\w-]{43}", page.text)
        assert "<b>ETL" not in page.text
        assert text not in admin.get("/tokens").text
        program = running.browser()
        assert program.get("/api/v1/session", headers=bearing(text)).json()["name"] == "eve"
        token_id = text.split("_")[1]
        assert admin.post("/tokens/revoke", {"token": token_id}).status_code == 303
        assert program.get("/api/v1/accounts", headers=bearing(text)).status_code == 401
        assert admin.post("/tokens/revoke", {"token": token_id}).status_code == 422


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"user": "nobody", "label": "x", "scope": "read"}, "nobody is known by that name"),
        ({"user": "eve", "label": "x"}, "A token without a scope opens nothing"),
        ({"user": "eve", "label": "x", "scope": "read", "days": "-1"}, "is none"),
        ({"user": "eve", "label": "x", "scope": "read", "days": "999"}, "1 to 366 days"),
    ],
)
def test_what_cannot_be_made_is_told_on_the_page(shared: Served, form, sentence) -> None:
    page = shared.browser("root").post("/tokens", form)
    assert page.status_code == 422
    assert sentence in page.text
