"""The users file: who may log in, with which role, and whose accounts they see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from features.errors import SettingsError, nearest, sample
from pipelines.dashboard.access.entries import EntriesFile
from pipelines.dashboard.access.visitor import ROLES, Role, Visitor

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_KEYS = {"role", "hash", "owners"}


@dataclass(frozen=True)
class User:
    """An entry of the users file.

    Parameters
    ----------
    name : str
        Letters, digits and ``. _ @ + -``.
    role : {"viewer", "admin"}
        What they may do.
    hash : str
        Argon2id hash of the password; empty where a proxy alone lets them in.
    owners : frozenset of str or None
        They see the accounts of these owners alone; None for every account.
    is_external : bool
        Whether a provider of identities alone says who they are; the file holds none of them.
    """

    name: str
    role: Role
    hash: str = field(default="", repr=False)
    owners: frozenset[str] | None = None
    is_external: bool = False

    @property
    def visitor(self) -> Visitor:
        """Whom a request of theirs is from."""
        return Visitor(self.name, self.role, self.owners)


class UsersFile(EntriesFile[User]):
    """A users file, read again whenever it changed."""

    SECTION = "users"
    COMMENT = "Users of the control panel: see 'healthscore user --help'."
    NEXT_STEP = "add a user with 'healthscore user add NAME'"

    def users(self) -> Mapping[str, User]:
        """Return the users by name.

        Raises
        ------
        SettingsError
            When the file is gone or cannot be read as one of users.
        """
        return self.entries()

    def find(self, name: str) -> User | None:
        """Return the user of a name, in capitals or not: those who name visitors differ in that.

        Raises
        ------
        SettingsError
            As for :meth:`users`.
        """
        users = self.users()
        if name in users:
            return users[name]
        return next((one for one in users.values() if one.name.lower() == name.lower()), None)

    def _written(self, entry: User) -> dict[str, Any]:
        written: dict[str, Any] = {"role": entry.role}
        if entry.hash:
            written["hash"] = entry.hash
        if entry.owners is not None:
            written["owners"] = sorted(entry.owners)
        return written

    def _checked(self, entries: dict[str, User]) -> dict[str, User]:
        spelt: dict[str, str] = {}
        for name in entries:
            other = spelt.setdefault(name.lower(), name)
            if other != name:
                raise self._broken(
                    f"has users {sample([other, name])}, whose names differ in capitals alone"
                )
        return entries

    def _entry(self, name: str, raw: Any) -> User:
        if not isinstance(raw, dict) or raw.keys() - _KEYS:
            raise self._broken(f"says of user {sample([name])} more than {', '.join(_KEYS)}")
        try:
            refuse_other_name(name)
            role, owners = raw.get("role"), raw.get("owners")
            refuse_other_role(role)
        except SettingsError as error:
            raise self._broken(f"is wrong: {error}") from error
        listed = isinstance(owners, list) and all(isinstance(one, str) for one in owners)
        if not (owners is None or listed) or not isinstance(raw.get("hash", ""), str):
            raise self._broken(
                f"gives user {sample([name])} owners or a hash of the wrong form: owners is a list"
                " of texts and hash a text"
            )
        return User(
            name,
            cast(Role, role),
            raw.get("hash", ""),
            None if owners is None else frozenset(owners),
        )


def refuse_other_capitals(name: str, users: Mapping[str, User]) -> None:
    """Refuse a name that differs from that of a user in capitals alone.

    Raises
    ------
    SettingsError
        Naming that user.
    """
    same = [one for one in users if one.lower() == name.lower() and one != name]
    if same:
        raise SettingsError(
            f"There is a user '{same[0]}' already, and names that differ in capitals alone are one:"
            f" change that user with 'healthscore user add {same[0]}', or choose another name"
        )


def refuse_other_name(name: str) -> None:
    """Refuse what cannot be a user's name.

    Raises
    ------
    SettingsError
        Saying what can.
    """
    if not NAME.fullmatch(name):
        raise SettingsError(
            "A user's name is up to 100 letters, digits and . _ @ + -, the first a letter or a"
            f" digit, and {sample([name])} is not; choose another"
        )


def refuse_other_role(role: object) -> None:
    """Refuse what is no role.

    Raises
    ------
    SettingsError
        Saying what there is.
    """
    if role not in ROLES:
        raise SettingsError(
            f"A role is {' or '.join(ROLES)}, and {sample([role])} is neither"
            f"{nearest(str(role), ROLES) or '; choose one'}"
        )
