"""Tokens: how programs enter, with the rights of a user and no more than a scope gives.

A token is a random text, shown once. The file keeps its SHA-256 digest: of 256 random bits nobody
can guess another, so that the slow hash that passwords need would only cost time.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from features.errors import SettingsError, nearest, sample
from pipelines.dashboard.access.entries import PRIVATE, EntriesFile
from pipelines.dashboard.access.users import User
from pipelines.dashboard.access.visitor import Scope, Visitor
from pipelines.store.runs import now

if TYPE_CHECKING:
    from pipelines.project.project import Project

SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "hs"
SHAPE = re.compile(r"hs_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
IN_ADDRESS = re.compile(r"hs_[0-9a-f]{12}_", re.IGNORECASE)
"""What betrays a token in the address of a request."""
LONGEST_LABEL, MOST_DAYS, USUAL_DAYS = 60, 366, 90
SECRET_BYTES = 32
_KEYS = {"user", "label", "scopes", "hash", "made_at", "made_by", "ends_at"}


@dataclass(frozen=True)
class Token:
    """An entry of the tokens file.

    Parameters
    ----------
    id : str
        The part of the token that is no secret, by which it is listed and revoked.
    user : str
        For whom its program asks: it has their rights, as they are when it asks.
    label : str
        What people call it.
    scopes : tuple of {"read", "write-state"}
        What it may do of what that user may do.
    hash : str
        SHA-256 of the secret part.
    made_at, ends_at : datetime
        From when and until when it opens anything, in UTC.
    made_by : str
        Who made it.
    """

    id: str
    user: str
    label: str
    scopes: tuple[Scope, ...]
    hash: str = field(repr=False)
    made_at: datetime
    ends_at: datetime
    made_by: str

    def has_ended(self, moment: datetime) -> bool:
        """Tell whether it opens nothing any more."""
        return moment >= self.ends_at

    def visitor(self, user: User) -> Visitor:
        """Whom a request with it is from: never an admin, whoever it was made for."""
        return Visitor(user.name, "viewer", user.owners, frozenset(self.scopes))


class TokensFile(EntriesFile[Token]):
    """A tokens file, and beside it when each token was last used."""

    SECTION = "tokens"
    COMMENT = "Tokens of programs: see 'healthscore token --help'."
    NEXT_STEP = "add a token with 'healthscore token add USER'"

    def tokens(self) -> Mapping[str, Token]:
        """Return the tokens by id; none where there is no file.

        Raises
        ------
        SettingsError
            When the file cannot be read as one of tokens.
        """
        return self.entries() if self.path.exists() else {}

    def recognised(self, text: str, moment: datetime) -> Token | None:
        """Return the token that a program showed, unless it is unknown, revoked or has ended.

        Raises
        ------
        SettingsError
            As for :meth:`tokens`.
        """
        parts = SHAPE.fullmatch(text)
        token = self.tokens().get(parts[1]) if parts else None
        # As long for an id that is not there.
        is_right = hmac.compare_digest(
            _hashed(parts[2] if parts else ""), token.hash if token else _hashed("nobody's")
        )
        if token is None or not is_right or token.has_ended(moment):
            return None
        self._note_use(token)
        return token

    def used_at(self, token: Token) -> datetime | None:
        """Return when a token was last used, in UTC; None where it never was."""
        try:
            seconds = self._use_of(token.id).stat().st_mtime
        except OSError:
            return None
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=0)

    def forget(self, ids: Iterable[str]) -> None:
        """Remove what is kept of the use of tokens that are no more."""
        for one in ids:
            self._use_of(one).unlink(missing_ok=True)

    def _use_of(self, token_id: str) -> Path:
        return self.path.with_name(f".{self.path.name}.used") / token_id

    def _note_use(self, token: Token) -> None:
        """Note a use as the time of an empty file, which costs a request next to nothing."""
        file = self._use_of(token.id)
        try:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT, PRIVATE))
            os.utime(file)
        except OSError:
            # What cannot be noted on a read-only disk still opens.
            return

    def _written(self, entry: Token) -> dict[str, Any]:
        return {
            "user": entry.user,
            "label": entry.label,
            "scopes": list(entry.scopes),
            "hash": entry.hash,
            "made_at": entry.made_at,
            "made_by": entry.made_by,
            "ends_at": entry.ends_at,
        }

    def _entry(self, name: str, raw: Any) -> Token:
        if not isinstance(raw, dict) or raw.keys() != _KEYS:
            raise self._broken(f"must say of token {sample([name])} {', '.join(sorted(_KEYS))}")
        texts = [raw[key] for key in ("user", "label", "hash", "made_by")]
        moments = [raw[key] for key in ("made_at", "ends_at")]
        scopes = raw["scopes"]
        is_right = (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(one, datetime) and one.tzinfo is None for one in moments)
            and isinstance(scopes, list)
            and all(one in SCOPES for one in scopes)
        )
        if not is_right:
            raise self._broken(
                f"says of token {sample([name])} what is of the wrong form: scopes are of"
                f" {', '.join(SCOPES)}, made_at and ends_at moments in UTC, all else texts"
            )
        return Token(id=name, **{**raw, "scopes": tuple(scopes)})


def tokens_file(project: Project) -> TokensFile:
    """Return the tokens file of a project."""
    return TokensFile((project.folder / project.settings.serve.tokens).resolve())


def made_token(
    file: TokensFile,
    user: User,
    *,
    label: str,
    scopes: Iterable[str],
    days: int,
    made_by: str,
) -> tuple[str, Token]:
    """Make a token and keep what is needed to know it again.

    Parameters
    ----------
    file : TokensFile
        Where it is kept.
    user : User
        For whom its program asks.
    label : str
        What people call it.
    scopes : iterable of str
        What it may do.
    days : int
        How long it opens anything.
    made_by : str
        Who makes it.

    Returns
    -------
    text : str
        The token, which nobody can be shown again.
    token : Token
        Its entry.

    Raises
    ------
    SettingsError
        When a scope is none, it would last too long, or the file cannot be written.
    """
    asked = tuple(dict.fromkeys(scopes))
    for one in asked:
        if one not in SCOPES:
            hint = nearest(one, SCOPES) or "; choose one or both"
            raise SettingsError(
                f"A scope is {' or '.join(SCOPES)}, and {sample([one])} is neither{hint}"
            )
    if not asked:
        raise SettingsError("A token without a scope opens nothing; give it 'read'")
    if not 1 <= days <= MOST_DAYS:
        raise SettingsError(
            f"A token lasts 1 to {MOST_DAYS} days, and {days} is not within; choose fewer, and make"
            " another when it ends"
        )
    if not label.strip().isprintable() or not 1 <= len(label.strip()) <= LONGEST_LABEL:
        raise SettingsError(
            f"The label of a token is 1 to {LONGEST_LABEL} printable characters that say what it is"
            f" for, and {sample([label])} is not; choose another"
        )
    secret = secrets.token_urlsafe(SECRET_BYTES)
    moment = now().replace(microsecond=0)
    with file.changing() as held:
        token = Token(
            id=secrets.token_hex(6),
            user=user.name,
            label=label.strip(),
            scopes=tuple(one for one in SCOPES if one in asked),
            hash=_hashed(secret),
            made_at=moment,
            ends_at=moment + timedelta(days=days),
            made_by=made_by,
        )
        held[token.id] = token
    return f"{PREFIX}_{token.id}_{secret}", token


def revoke(file: TokensFile, token_id: str) -> Token:
    """Take a token out: it opens nothing from now on.

    Raises
    ------
    SettingsError
        When there is none of that id.
    """
    with file.changing() as held:
        if token_id not in held:
            hint = nearest(token_id, held) or "; 'healthscore token list' names them"
            raise SettingsError(f"There is no token {sample([token_id])} in '{file.path}'{hint}")
        token = held.pop(token_id)
    file.forget([token_id])
    return token


def revoke_all_of(file: TokensFile, user: str) -> list[Token]:
    """Take out the tokens of a user who is removed; somebody may come to bear the name again."""
    if not file.path.exists():
        return []
    with file.changing() as held:
        gone = [token for token in held.values() if token.user.lower() == user.lower()]
        for token in gone:
            del held[token.id]
    file.forget(token.id for token in gone)
    return gone


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
