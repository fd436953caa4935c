"""The users file: who may log in, with which role, and whose accounts they see."""

from __future__ import annotations

import fcntl
import os
import re
import time
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from features.errors import SettingsError, first_line, nearest, sample
from pipelines.dashboard.access.visitor import ROLES, Role, Visitor
from pipelines.reports.terminal.whole_file import replaced_whole

if TYPE_CHECKING:
    from argon2 import PasswordHasher

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
LEAST_LETTERS, MOST_LETTERS = 12, 256
PRIVATE = 0o600
SETTLED_SECONDS = 1.0
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
    """

    name: str
    role: Role
    hash: str = field(default="", repr=False)
    owners: frozenset[str] | None = None

    @property
    def visitor(self) -> Visitor:
        """Whom a request of theirs is from."""
        return Visitor(self.name, self.role, self.owners)


class UsersFile:
    """A users file, read again whenever it changed.

    Parameters
    ----------
    path : Path
        The file.
    clock : callable
        The time of day in seconds, as files have it.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        self._read: tuple[tuple[int, int, int], dict[str, User]] | None = None

    def users(self) -> Mapping[str, User]:
        """Return the users by name.

        Raises
        ------
        SettingsError
            When the file is gone or cannot be read as one of users.
        """
        try:
            status = os.stat(self.path)
            mark = (status.st_mtime_ns, status.st_size, status.st_ino)
            if self._read is None or (self._read[0] != mark and not self._is_being_written(status)):
                self._read = mark, self._parse(self.path.read_bytes())
        except OSError as error:
            raise SettingsError(
                f"The users file '{self.path}' cannot be read: {error.strerror}; add a user with"
                " 'healthscore user add NAME'"
            ) from error
        return self._read[1]

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

    @contextmanager
    def changing(self) -> Iterator[dict[str, User]]:
        """Give the users to change in place, and write them, while nobody else changes them.

        Nobody is in a file that is not there yet. When the block fails nothing is written.

        Raises
        ------
        SettingsError
            When the file cannot be read or written.
        """
        with self._locked():
            # What is in it now, whoever wrote it last.
            users = dict(UsersFile(self.path).users()) if self.path.exists() else {}
            before = dict(users)
            yield users
            if users != before:
                self.write(users)

    def _is_being_written(self, status: os.stat_result) -> bool:
        """Tell whether somebody may be writing into the file, as an editor does.

        Half of an entry may limit nobody. Commands put another file in its place.
        """
        is_same = self._read is not None and self._read[0][2] == status.st_ino
        return is_same and 0 <= self.clock() - status.st_mtime < SETTLED_SECONDS

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Beside the file, which is replaced whole: a lock on it would be on the one before.
        beside = self.path.with_name(f".{self.path.name}.lock")
        try:
            held = os.open(beside, os.O_RDWR | os.O_CREAT, PRIVATE)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
        finally:
            os.close(held)

    def write(self, users: Mapping[str, User]) -> None:
        """Put these users in the file's place, whole, for the eyes of its owner alone.

        Raises
        ------
        SettingsError
            When it cannot be written.
        """
        import tomlkit

        document = tomlkit.document()
        document.add(tomlkit.comment("Users of the control panel: see 'healthscore user --help'."))
        entries = tomlkit.table(is_super_table=True)
        for user in sorted(users.values(), key=lambda user: user.name):
            entry: dict[str, Any] = {"role": user.role}
            if user.hash:
                entry["hash"] = user.hash
            if user.owners is not None:
                entry["owners"] = sorted(user.owners)
            entries.add(user.name, entry)
        document.add("users", entries)
        try:
            with replaced_whole(self.path) as fresh:
                made = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
                with os.fdopen(made, "wb") as opened:
                    opened.write(tomlkit.dumps(document).encode())
                if self.path.exists():
                    os.chmod(self.path, PRIVATE)
        except OSError as error:
            raise self._unwritable(error) from error

    def _parse(self, raw: bytes) -> dict[str, User]:
        try:
            document = tomllib.loads(raw.decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise self._broken(f"is not valid TOML: {first_line(error)}") from error
        entries = document.get("users", {})
        if document.keys() - {"users"} or not isinstance(entries, dict):
            raise self._broken(f"holds {sample(document)}, and must hold [users.NAME] alone")
        users = {name: self._user(name, entry) for name, entry in entries.items()}
        spelt: dict[str, str] = {}
        for name in users:
            other = spelt.setdefault(name.lower(), name)
            if other != name:
                raise self._broken(
                    f"has users {sample([other, name])}, whose names differ in capitals alone"
                )
        return users

    def _user(self, name: str, entry: Any) -> User:
        if not isinstance(entry, dict) or entry.keys() - _KEYS:
            raise self._broken(f"says of user {sample([name])} more than {', '.join(_KEYS)}")
        try:
            refuse_other_name(name)
            role, owners = entry.get("role"), entry.get("owners")
            refuse_other_role(role)
        except SettingsError as error:
            raise self._broken(f"is wrong: {error}") from error
        listed = isinstance(owners, list) and all(isinstance(one, str) for one in owners)
        if not (owners is None or listed) or not isinstance(entry.get("hash", ""), str):
            raise self._broken(
                f"gives user {sample([name])} owners or a hash of the wrong form: owners is a list"
                " of texts and hash a text"
            )
        return User(
            name,
            cast(Role, role),
            entry.get("hash", ""),
            None if owners is None else frozenset(owners),
        )

    def _unwritable(self, error: OSError) -> SettingsError:
        return SettingsError(
            f"The users file '{self.path}' cannot be written: {error.strerror}; make its folder"
            " or correct its permissions"
        )

    def _broken(self, why: str) -> SettingsError:
        return SettingsError(f"The users file '{self.path}' {why}; mend or remove the entry")


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


@cache
def hasher() -> PasswordHasher:
    """Return what hashes passwords: Argon2id with the parameters OWASP asks for.

    19 MiB of memory, two passes, one lane (OWASP, "Password Storage Cheat Sheet").
    """
    from argon2 import PasswordHasher, Type

    return PasswordHasher(
        time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
    )


def hash_password(password: str) -> str:
    """Hash a new password.

    Raises
    ------
    SettingsError
        When it is too short, too long or no text.
    """
    if not LEAST_LETTERS <= len(password) <= MOST_LETTERS:
        raise SettingsError(
            f"A password has {LEAST_LETTERS} to {MOST_LETTERS} characters, and this one has"
            f" {len(password)}; choose another, such as four words"
        )
    try:
        return hasher().hash(_spelt(password))
    except UnicodeEncodeError as error:
        raise SettingsError(
            "A password must be text, and this one is not; choose another"
        ) from error


def verified(user: User | None, password: str) -> bool:
    """Tell whether a password is a user's; as slow for one that is not there as for one that is."""
    from argon2.exceptions import Argon2Error, InvalidHashError

    known = user.hash if user is not None and user.hash else _nobody()
    try:
        hasher().verify(known, _spelt(password[: MOST_LETTERS + 1]))
    except (Argon2Error, InvalidHashError, UnicodeEncodeError):
        return False
    return user is not None and bool(user.hash)


def outdated(user: User) -> bool:
    """Tell whether a hash was made with other parameters than today's."""
    return hasher().check_needs_rehash(user.hash)


@cache
def _nobody() -> str:
    return hasher().hash(os.urandom(32))


def _spelt(password: str) -> bytes:
    """Spell a password alike on every keyboard."""
    return unicodedata.normalize("NFKC", password).encode()
