"""Users that an admin adds, changes and removes in the panel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.dashboard.access.passwords import verified
from pipelines.dashboard.access.tokens import made_token
from pipelines.dashboard.access.users import User
from tests.pipelines.dashboard.served import PASSWORD, Served, company, served, users_of

NEW = "four words that nobody guesses"


@pytest.fixture
def running(tmp_path) -> Iterator[Served]:
    project = company(tmp_path / "company", 5)
    users_of(project)
    with served(project) as found:
        yield found


def test_a_user_is_added_changed_and_removed(running) -> None:
    admin, users = running.browser("root"), running.gate.users
    form = {"name": "zoe", "role": "viewer", "owners": "Ann Lee\n\n Zoé \n", "password": NEW}
    assert admin.post("/users", form).headers["location"] == "/users"
    added = users.users()["zoe"]
    assert added.owners == {"Ann Lee", "Zoé"}
    assert verified(added, NEW)
    logged_in = running.browser("zoe")
    assert logged_in.is_in()
    # What is left empty stays; whoever is changed logs in again.
    admin.post("/users", {"name": "zoe", "role": "viewer", "owners": ""})
    assert users.users()["zoe"] == User("zoe", "viewer", added.hash)
    assert not logged_in.is_in()
    text, _ = made_token(
        running.gate.programs, added, label="x", scopes=["read"], days=1, made_by="root"
    )
    assert admin.post("/users/remove", {"name": "zoe"}).status_code == 303
    assert "zoe" not in users.users()
    answer = running.browser().get("/api/v1/accounts", headers={"authorization": f"Bearer {text}"})
    assert answer.status_code == 401
    assert admin.post("/users/remove", {"name": "zoe"}).status_code == 422


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"name": "a b", "role": "viewer", "password": NEW}, "A user&#39;s name is up to 100"),
        ({"name": "zoe", "role": "amin", "password": NEW}, "A role is viewer or admin"),
        ({"name": "zoe", "role": "viewer", "password": "short"}, "A password has 12 to 256"),
        ({"name": "zoe", "role": "viewer"}, "A new user needs a password"),
        ({"name": "EVE", "role": "viewer", "password": NEW}, "differ in capitals alone are one"),
        ({"name": "root", "role": "viewer"}, "You cannot take rights from yourself"),
        ({"name": "ROOT", "role": "admin", "owners": "Zoé"}, "You cannot take rights from"),
        ({}, "A user&#39;s name is up to 100"),
    ],
)
def test_what_cannot_be_is_told_beside_the_form(running, form, sentence) -> None:
    before = dict(running.gate.users.users())
    page = running.browser("root").post("/users", form)
    assert page.status_code == 422
    assert sentence in page.text
    assert f'value="{form.get("name", "")}"' in page.text
    assert running.gate.users.users() == before


def test_an_admin_stays(running) -> None:
    admin = running.browser("root")
    assert "cannot remove yourself" in admin.post("/users/remove", {"name": "ROOT"}).text
    assert "root" in running.gate.users.users()
    page = admin.get("/users").text
    assert "remove=ann" in page
    assert "remove=root" not in page


def test_a_removal_is_asked_for_twice(running) -> None:
    page = running.browser("root").get("/users?remove=ann").text
    assert "Their logins and tokens end at once" in page
    assert "ann" in running.gate.users.users()
    for path in ("/users?remove=nobody", "/users?change=%3Cb%3E"):
        assert "Their logins and tokens" not in running.browser("root").get(path).text


def test_owners_who_look_after_nothing_are_marked(shared) -> None:
    users = shared.gate.users
    with users.changing() as held:
        held["lost"] = User("lost", "viewer", "", frozenset({"Ben Od", "Ann Lee"}))
    try:
        page = shared.browser("root").get("/users").text
        assert '<bdi>Ben Od</bdi> <small class="muted">(looks after no account)</small>' in page
        assert page.count("looks after no account") == 1
    finally:
        with users.changing() as held:
            del held["lost"]


def test_users_are_the_commands_where_nobody_logs_in(bare) -> None:
    with served(bare) as running:
        page = running.browser().post("/users", {"name": "zoe", "role": "admin", "password": NEW})
        assert page.status_code == 422
        assert "Nobody logs in here: add the first user with" in page.text
        assert not (bare.folder / "users.toml").exists()
        assert running.browser().post("/tokens", {"user": "zoe"}).status_code == 422


def test_passwords_are_never_on_a_page(running) -> None:
    admin = running.browser("root")
    page = admin.post("/users", {"name": "a b", "role": "viewer", "password": NEW}).text
    assert NEW not in page
    assert PASSWORD not in page
    assert "$argon2id$" not in admin.get("/users").text
