"""The record of erasures: what was erased when, without saying what it was.

Each entry holds a digest of the name with a salt, so that whoever knows the name can ask for it,
and an account that the tables still hold can be left out.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from features.json_values import JsonReady
from pipelines.project.records.chain import Chain

Kind = Literal["account", "person"]
FILE_NAME = "erasures.jsonl"
SALT_BYTES, TOMBSTONE_BYTES = 16, 8
TOMBSTONE = "erased-"


@dataclass(frozen=True)
class Erased(JsonReady):
    """One erasure, begun or done.

    Parameters
    ----------
    tombstone : str
        The random name that stands in the place of the erased one, everywhere the same.
    kind : {"account", "person"}
        What was erased.
    state : {"begun", "done"}
        Whether all of it is.
    at : datetime
        When, UTC without a zone.
    salt, mark : str
        HMAC with SHA-256 of the name, and its key.
    is_blocked : bool
        Whether the account is left out of the tables from now on.
    """

    tombstone: str
    kind: Kind
    state: Literal["begun", "done"]
    at: datetime
    salt: str
    mark: str
    is_blocked: bool = False

    def is_of(self, kind: Kind, name: str) -> bool:
        """Whether it erased this."""
        return self.kind == kind and hmac.compare_digest(self.mark, _digest(self.salt, name))


class ErasedBook(Chain[Erased]):
    """The file of erasures."""

    KIND = Erased
    WHAT = "record of erasures"
    WHY = "what was erased, and must not come back, cannot be told from what was written over it"

    def last_of(self, kind: Kind, name: str) -> Erased | None:
        """Return the newest entry of an account or a person; None where there is none."""
        return next((one for one in reversed(self.entries()) if one.is_of(kind, name)), None)

    def begun(self, kind: Kind, name: str, moment: datetime, *, is_blocked: bool) -> Erased:
        """Write that an erasure begins; one that was stopped goes on under its own name."""
        with self.adding():
            last = self.last_of(kind, name)
            is_open = last is not None and last.state == "begun"
            if last is not None and is_open and last.is_blocked >= is_blocked:
                return last
            entries = self.entries()
            salt = entries[0].salt if entries else secrets.token_hex(SALT_BYTES)
            fresh = f"{TOMBSTONE}{secrets.token_hex(TOMBSTONE_BYTES)}"
            entry = Erased(
                tombstone=last.tombstone if last is not None and is_open else fresh,
                kind=kind,
                state="begun",
                at=moment,
                salt=salt,
                mark=_digest(salt, name),
                is_blocked=is_blocked or (last is not None and last.is_blocked),
            )
            self.add(entry)
            return entry

    def blocked(self, accounts: Iterable[str]) -> list[str]:
        """Return those of some accounts that are left out."""
        digests = {one.mark for one in self.entries() if one.is_blocked and one.kind == "account"}
        if not digests:
            return []
        salt = self.entries()[0].salt
        return [one for one in accounts if _digest(salt, one) in digests]


def erased_book(folder: Path) -> ErasedBook:
    """Return the record of erasures beside a configuration."""
    return ErasedBook(folder / FILE_NAME)


def _digest(salt: str, name: str) -> str:
    return hmac.new(
        bytes.fromhex(salt), name.encode("utf-8", "surrogatepass"), "sha256"
    ).hexdigest()
