"""A record of who became champion and why, and how an MLflow run holds it."""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from mlflow.entities import Run

from features.errors import RegistryError
from features.json_values import Json
from models.registry.folder import CHAMPION, PREVIOUS, SEAL

KIND = "promotion"
LEASE = timedelta(minutes=5)
"""So long a promotion on another machine is left alone; moving an alias takes a second."""
Action = Literal["train", "promote", "reject", "rollback"]
State = Literal["open", "done", "abandoned"]
# Older servers take tags of 5,000 characters.
MOST_REASONS, LONGEST_REASON = 12, 300


@dataclass(frozen=True)
class Record:
    """What was decided about a version.

    Attributes
    ----------
    number : int
        Place in the chain, from 1; it orders records, whatever the clocks said.
    action : {"train", "promote", "reject", "rollback"}
        A champion trained by hand, a challenger promoted or not, an earlier champion put back.
    version : str
        The version it is about.
    before : str or None
        The champion at that time.
    earlier : str or None
        What the alias "previous" named at that time.
    reasons : tuple of str
        One sentence each.
    by, host, process : str, str, int
        Who decided, on which machine, in which process.
    made_at : datetime
        When, in UTC, by that machine's clock.
    state : {"open", "done", "abandoned"}
        Open while it is under way; abandoned where it came to nothing.
    run_id : str
        Its run.
    seal : str or None
        Digest of the version's files; None of versions from before files were sealed.
    """

    number: int
    action: Action
    version: str
    before: str | None
    earlier: str | None
    reasons: tuple[str, ...]
    by: str
    host: str
    process: int
    made_at: datetime
    state: State = "open"
    run_id: str = ""
    seal: str | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether somebody may still be at it."""
        if self.state != "open" or abs(now() - self.made_at) > LEASE:
            return False
        if self.host != socket.gethostname() or os.name == "nt":
            return True
        # A process of this number that is not the one asking; in a container numbers come again.
        return self.process != os.getpid() and _is_running(self.process)

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return {
            "number": self.number,
            "action": self.action,
            "version": self.version,
            "champion_before": self.before,
            "reasons": list(self.reasons),
            "by": self.by,
            "at": self.made_at.isoformat(timespec="seconds"),
            "state": self.state,
            "run_id": self.run_id,
            "seal": self.seal,
        }


def draft(
    number: int,
    action: Action,
    version: str,
    aliases: Mapping[str, str],
    reasons: Sequence[str],
    seal: str | None = None,
) -> Record:
    """Begin a record, by whoever runs this process, where the aliases stand as they do."""
    return Record(
        number=number,
        action=action,
        version=version,
        before=aliases.get(CHAMPION),
        earlier=aliases.get(PREVIOUS),
        reasons=tuple(_plain(reason)[:LONGEST_REASON] for reason in reasons[:MOST_REASONS]),
        by=user(),
        host=socket.gethostname(),
        process=os.getpid(),
        made_at=now(),
        seal=seal,
    )


def tags_of(record: Record) -> dict[str, str]:
    """Write a record as the tags of its run, but for its state."""
    return {
        "mlflow.user": record.by,
        "mlflow.note.content": "\n\n".join(record.reasons),
        "healthscore.kind": KIND,
        "healthscore.number": str(record.number),
        "healthscore.action": record.action,
        "healthscore.version": record.version,
        "healthscore.before": record.before or "",
        "healthscore.earlier": record.earlier or "",
        "healthscore.reasons": json.dumps(record.reasons, ensure_ascii=False),
        "healthscore.by": record.by,
        "healthscore.host": record.host,
        "healthscore.process": str(record.process),
        "healthscore.made_at": record.made_at.isoformat(),
        SEAL: record.seal or "",
    }


def record_of(run: Run) -> Record:
    """Read a record from its run.

    Raises
    ------
    RegistryError
        When its tags were changed from outside.
    """
    told = {
        key.removeprefix("healthscore."): value
        for key, value in run.data.tags.items()
        if key.startswith("healthscore.")
    }
    try:
        action, state = told["action"], told.get("state", "open")
        if action not in get_args(Action) or state not in get_args(State):
            raise ValueError(f"{action}, {state}")
        return Record(
            number=int(told["number"]),
            action=action,  # type: ignore[arg-type]
            version=told["version"],
            before=told["before"] or None,
            earlier=told["earlier"] or None,
            reasons=tuple(map(str, json.loads(told["reasons"]))),
            by=told["by"],
            host=told["host"],
            process=int(told["process"]),
            made_at=datetime.fromisoformat(told["made_at"]),
            state=state,  # type: ignore[arg-type]
            run_id=str(run.info.run_id),
            seal=told.get("seal") or None,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise RegistryError(
            f"The promotion record of run {run.info.run_id} cannot be read "
            f"({type(error).__name__}: {str(error)[:100]}); its tags were changed from outside: "
            "put them back, or delete the run."
        ) from error


def now() -> datetime:
    """Return the time of this machine's clock, in UTC."""
    return datetime.now(UTC)


def user() -> str:
    """Return who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def _plain(text: str) -> str:
    """Take out control characters, which take six places each in JSON."""
    return "".join(c if c.isprintable() else " " for c in text)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
