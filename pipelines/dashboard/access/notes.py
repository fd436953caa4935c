"""Notes: what is missing or failed, in a sentence for everybody and a reason that admins see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import EvidenceError, HealthscoreError
from pipelines.scoring.explain import InactiveAccount

if TYPE_CHECKING:
    from pipelines.dashboard.access.visitor import Visitor

WITHHELD = "Something that this needs cannot be reached just now; an admin is told here what it is"
# Of every other error the reason may say where things lie, and who holds them.
FOR_EVERYBODY = (EvidenceError, InactiveAccount)


@dataclass(frozen=True)
class Note:
    """Something to say on a page, in as many words as a visitor may hear.

    Parameters
    ----------
    sentence : str
        What everybody is told, without a full stop.
    reason : str
        Why, for admins: it may name files, servers, users and processes.

    Examples
    --------
    >>> from pipelines.dashboard.access.visitor import Visitor
    >>> note = Note("Earlier scores cannot be read", "'/data/scores.duckdb' is held by PID 7")
    >>> note.as_seen_by(Visitor("ben", "viewer"))
    'Earlier scores cannot be read'
    >>> note.as_seen_by(Visitor("eve", "admin"))
    "Earlier scores cannot be read: '/data/scores.duckdb' is held by PID 7"
    """

    sentence: str
    reason: str = ""

    def as_seen_by(self, visitor: Visitor | None) -> str:
        """Write the note for a visitor, without a full stop."""
        is_admin = visitor is not None and visitor.role == "admin"
        return f"{self.sentence}: {self.reason}" if self.reason and is_admin else self.sentence


def note_of(error: HealthscoreError, sentence: str = "") -> Note:
    """Note that something failed.

    Parameters
    ----------
    error : HealthscoreError
        Why.
    sentence : str, optional
        What cannot be shown for it; by default the reason of an error that everybody may see.
    """
    reason = str(error).rstrip(".")
    if isinstance(error, FOR_EVERYBODY):
        return Note(f"{sentence}: {reason}" if sentence else reason)
    return Note(sentence or WITHHELD, reason)


def led_by(sentence: str, note: Note) -> Note:
    """Put a sentence before a note, in place of one that says only that something failed."""
    if note.sentence == WITHHELD:
        return Note(sentence, note.reason)
    return Note(f"{sentence}: {note.sentence}", note.reason)


def as_seen_by(visitor: Visitor | None, notes: Iterable[Note]) -> list[str]:
    """Write notes for a visitor."""
    return [note.as_seen_by(visitor) for note in notes]
