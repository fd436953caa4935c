"""Passwords: hashed so that a stolen file tells none of them, and checked as slowly for nobody."""

from __future__ import annotations

import os
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from features.errors import SettingsError
from pipelines.dashboard.access.users import User

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST_LETTERS, MOST_LETTERS = 12, 256


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
