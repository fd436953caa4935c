"""The users file and the commands that write it."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor

import argon2
import pytest

from features.errors import SettingsError
from pipelines.dashboard.access.gate import gate_of
from pipelines.dashboard.access.passwords import (
    hash_password,
    hasher,
    outdated,
    verified,
)
from pipelines.dashboard.access.users import User, UsersFile
from tests.pipelines.dashboard.served import PASSWORD, Clock, company, users_of


@pytest.fixture
def project(tmp_path):
    return company(tmp_path / "company", 5)


@pytest.fixture
def typed(run, project, monkeypatch):
    """Run a command with a password on its standard input."""

    def command(*arguments, password=PASSWORD):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
        return run("user", *arguments, "-c", project.path)

    return command


def test_users_are_added_changed_listed_and_removed(typed, project) -> None:
    file = project.folder / "users.toml"
    added = typed(
        "add", "ann", "--password-stdin", "--owner", "Ann Lee", "--owner", "Zoé", "--json"
    )
    assert added.answer == {
        "name": "ann",
        "role": "viewer",
        "owners": ["Ann Lee", "Zoé"],
        "password": True,
        "file": str(file),
        "replaced": False,
        "warnings": [],
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ran = typed("add", "root", "--role", "admin", "--password-stdin")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"Added admin root in {file}\n"
    assert typed("add", "root", "--role", "admin", "--no-password", "--json").answer["replaced"]
    assert typed("list").out.splitlines() == [
        "ann                      viewer   Ann Lee, Zoé",
        "root                     admin    every account",
    ]
    assert typed("list", "--json").answer["users"][1] == {
        "name": "root",
        "role": "admin",
        "owners": None,
        "password": False,
    }
    held = tomllib.loads(file.read_text(encoding="utf-8"))["users"]
    assert held["ann"].keys() == {"role", "hash", "owners"}
    assert PASSWORD not in file.read_text(encoding="utf-8")
    assert typed("remove", "ann").out == f"Removed ann from {file}\n"
    assert typed("remove", "ann").sentence == (
        f"There is no user 'ann' in '{file}'; 'healthscore user list' names them"
    )
    assert typed("remove", "rot").sentence.endswith("; did you mean 'root'?")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    typed("remove", "root")
    assert (
        typed("list").out == f"There is nobody in {file}; add a user: healthscore user add NAME\n"
    )


@pytest.mark.parametrize(
    ("arguments", "password", "sentence"),
    [
        (("ann",), "short", "A password has 12 to 256 characters, and this one has 5; choose"),
        (("ann",), "x" * 257, "A password has 12 to 256 characters, and this one has 257; choose"),
        (("ann",), "", "A password has 12 to 256 characters, and this one has 0; choose another"),
        (("ann",), "\udcff" * 12, "A password must be text, and this one is not; choose another"),
        (("a b",), PASSWORD, "A user's name is up to 100 letters, digits and . _ @ + -, the first"),
        (("x" * 101,), PASSWORD, "A user's name is up to 100 letters"),
        (("\u202eann",), PASSWORD, "A user's name is up to 100 letters"),
        (("ann", "--role", "amin"), PASSWORD, "A role is viewer or admin, and 'amin' is neither;"),
    ],
)
def test_what_cannot_be_a_user_is_refused(typed, project, arguments, password, sentence) -> None:
    ran = typed("add", *arguments, "--password-stdin", password=password)
    assert ran.code == 2
    assert ran.sentence.startswith(sentence)
    assert not (project.folder / "users.toml").exists()


def test_an_owner_who_looks_after_nobody_is_marked(typed, project) -> None:
    added = typed(
        "add", "ann", "--password-stdin", "--owner", "Ann Lee", "--owner", "An Lee", "--json"
    ).answer
    assert added["owners"] == ["An Lee", "Ann Lee"]
    assert added["warnings"] == [
        "Nobody named 'An Lee' looks after an account, so that owner shows none; correct the name,"
        " or wait until the accounts table has it"
    ]
    (project.folder / "data" / "accounts.parquet").unlink()
    ran = typed("add", "bob", "--password-stdin", "--owner", "Ann Lee", "--json")
    assert ran.answer["warnings"][0].startswith("Whether the owners look after accounts could not")


def test_owners_need_a_column(typed, project) -> None:
    text = project.path.read_text(encoding="utf-8").replace('owner = "csm"', "")
    project.path.write_text(text, encoding="utf-8")
    assert typed("add", "ann", "--owner", "Ann", "--password-stdin").sentence == (
        "--owner limits a user to accounts of an owner, and [serve] owner names no column of the"
        " accounts table; name it in the configuration first"
    )


def test_a_password_is_asked_for_where_there_is_a_terminal(typed) -> None:
    assert typed("add", "ann").sentence == (
        "There is no terminal to ask for the password at; give it with --password-stdin"
    )


def test_a_password_is_no_argument(run) -> None:
    said = run("user", "add", "--help").out
    assert "--password-stdin" in said
    assert "--password " not in said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[users", "is not valid TOML: "),
        ("\xff", "is not valid TOML: "),
        ("x = 1", "holds 'x', and must hold [users.NAME] alone"),
        ("users = 3", "holds 'users', and must hold [users.NAME] alone"),
        ("[users]\nann = 3", "says of user 'ann' more than "),
        ("[users.ann]\nrole = 'viewer'\nshell = 1", "says of user 'ann' more than "),
        ("[users.ann]\nrole = 'boss'", "is wrong: A role is viewer or admin, and 'boss' is"),
        ("[users.ann]", "is wrong: A role is viewer or admin, and 'None' is neither"),
        ("[users.'a b']\nrole = 'viewer'", "is wrong: A user's name is up to 100 letters"),
        ("[users.ann]\nrole = 'viewer'\nowners = 'Ann'", "owners is a list of texts and hash"),
        ("[users.ann]\nrole = 'viewer'\nowners = [3]", "owners is a list of texts and hash"),
        ("[users.ann]\nrole = 'viewer'\nhash = 3", "owners is a list of texts and hash a text"),
        (
            "[users.ann]\nrole = 'viewer'\n[users.Ann]\nrole = 'admin'",
            "has users 'ann', 'Ann', whose names differ in capitals alone",
        ),
    ],
)
def test_a_broken_file_is_named(project, text, why) -> None:
    file = project.folder / "users.toml"
    file.write_bytes(text.encode("latin-1"))
    for ask in (UsersFile(file).users, lambda: gate_of(project, project.settings.serve)):
        with pytest.raises(SettingsError) as refused:
            ask()
        assert str(refused.value).startswith(f"The users file '{file}' ")
        assert why in str(refused.value)
        assert str(refused.value).endswith("; mend or remove the entry")


def test_hashes_are_those_owasp_asks_for(project) -> None:
    made = hash_password(PASSWORD)
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hash_password(PASSWORD) != made
    # Checked by the library itself.
    assert argon2.PasswordHasher().verify(made, PASSWORD)
    user = User("ann", "viewer", made)
    assert verified(user, PASSWORD)
    assert not verified(user, f"{PASSWORD} ")
    assert not verified(None, PASSWORD)
    assert not verified(User("ann", "viewer"), "")
    assert not verified(User("ann", "viewer", "no hash"), PASSWORD)
    assert made not in repr(user)


def test_a_password_is_the_same_on_every_keyboard() -> None:
    user = User("ann", "viewer", hash_password("ﬁancée 1234567"))
    assert verified(user, "fiance\u0301e 1234567")


def test_a_hash_of_earlier_parameters_is_renewed_at_login(project) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    file = users_of(project, old=User("old", "viewer", weak, frozenset({"Zoé"})))
    gate = gate_of(project, project.settings.serve)
    assert outdated(file.users()["old"])
    token = gate.log_in("old", PASSWORD)
    renewed = file.users()["old"]
    assert renewed.hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (renewed.role, renewed.owners) == ("viewer", frozenset({"Zoé"}))
    assert token is not None
    assert gate.sessions.user_of(token) == renewed
    assert not hasher().check_needs_rehash(renewed.hash)
    assert set(file.users()) == {"ann", "bob", "eve", "root", "old"}


def test_where_the_file_cannot_be_written_a_login_still_works(project, monkeypatch) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    file = users_of(project, old=User("old", "viewer", weak))
    gate = gate_of(project, project.settings.serve)

    def full(*_):
        raise SettingsError("The users file cannot be written")

    monkeypatch.setattr(UsersFile, "write", full)
    assert gate.log_in("old", PASSWORD) is not None
    assert file.users()["old"].hash == weak


def test_a_file_that_cannot_be_written_stays_as_it_was(project, monkeypatch) -> None:
    file = users_of(project)
    before = file.path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(SettingsError, match=r"cannot be written: No space left on device; make"):
        file.write({})
    assert file.path.read_bytes() == before
    assert [one.name for one in file.path.parent.glob("users*")] == ["users.toml"]


def test_whoever_changes_the_file_at_once_loses_nobody(project) -> None:
    path = users_of(project).path
    together = threading.Barrier(8)

    def add(number: int) -> None:
        together.wait(60)
        with UsersFile(path).changing() as users:
            users[f"par{number}"] = User(f"par{number}", "viewer")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert set(UsersFile(path).users()) == {
        *("ann", "bob", "eve", "root"),
        *(f"par{number}" for number in range(8)),
    }


def test_a_login_does_not_bring_back_who_was_removed_meanwhile(project, monkeypatch) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    file = users_of(project, old=User("old", "viewer", weak))
    gate = gate_of(project, project.settings.serve)

    def slowly(password: str) -> str:
        with UsersFile(file.path).changing() as users:
            del users["old"], users["bob"]
        return hash_password(password)

    monkeypatch.setattr("pipelines.dashboard.access.gate.hash_password", slowly)
    gate.log_in("old", PASSWORD)
    assert set(file.users()) == {"ann", "eve", "root"}


def test_a_change_that_fails_leaves_the_file(project) -> None:
    file = users_of(project)
    before = file.path.read_bytes()

    def fail() -> None:
        with file.changing() as users:
            users.clear()
            raise SettingsError("no")

    with pytest.raises(SettingsError, match="no"):
        fail()
    assert file.path.read_bytes() == before


def test_a_file_that_is_being_written_by_hand_limits_as_before(project) -> None:
    written = users_of(project).path
    clock = Clock()
    file = UsersFile(written, clock)
    whole = '[users.ann]\nrole = "viewer"\nowners = ["Zoé"]\n'
    assert file.users()["ann"].owners == frozenset({"Ann Lee"})
    for half in ("", whole[: whole.index("owners")], "[users.a"):
        written.write_text(half, encoding="utf-8")
        os.utime(written, (clock.now, clock.now))
        assert file.users()["ann"].owners == frozenset({"Ann Lee"})
    written.write_text(whole, encoding="utf-8")
    os.utime(written, (clock.now, clock.now))
    clock.now += 1
    assert file.users()["ann"].owners == frozenset({"Zoé"})
    # A clock that went back does not keep the earlier users for ever.
    written.write_text('[users.sue]\nrole = "admin"\n', encoding="utf-8")
    os.utime(written, (clock.now + 9000, clock.now + 9000))
    assert set(file.users()) == {"sue"}


def test_a_name_in_other_capitals_is_the_same_user(typed, project) -> None:
    file = users_of(project)
    assert file.find("ANN") == file.find("ann") == file.users()["ann"]
    assert file.find("nobody") is None
    assert typed("add", "Ann", "--no-password").sentence == (
        "There is a user 'ann' already, and names that differ in capitals alone are one: change"
        " that user with 'healthscore user add ann', or choose another name"
    )
    assert set(file.users()) == {"ann", "bob", "eve", "root"}


def test_the_file_is_read_again_when_it_changed(project) -> None:
    file = users_of(project)
    assert len(file.users()) == 4
    assert file.users() is file.users()
    UsersFile(file.path).write({"ann": User("ann", "admin")})
    assert json.dumps([one.role for one in file.users().values()]) == '["admin"]'
