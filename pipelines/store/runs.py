"""Issued runs: what they are about, their revisions, and errors about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from features.errors import StoreError


@dataclass(frozen=True)
class RunKey:
    """What a run of scores is about; it is issued once.

    Parameters
    ----------
    outcome : str
        Name of the outcome the scores foretell.
    as_of : date
        Date they speak of.
    model_version : str
        Version of the model that made them.
    """

    outcome: str
    as_of: date
    model_version: str

    def __str__(self) -> str:
        return f"{self.as_of} by model version {self.model_version} (outcome {self.outcome})"


@dataclass(frozen=True)
class Run:
    """One issued run.

    Parameters
    ----------
    key : RunKey
        What it is about.
    revision : int
        1 for the first run of a key; each forced one counts on.
    issued_at : datetime
        Moment it was issued, UTC without a zone.
    rows : int
        Accounts in it.
    facts : dict of str to str
        What it was made from, such as fingerprints of the configuration and the data.
    seal : str or None
        Its seal, told when it is issued.
    """

    key: RunKey
    revision: int
    issued_at: datetime
    rows: int
    facts: Mapping[str, str] = field(default_factory=dict)
    seal: str | None = field(default=None, compare=False)


class AlreadyIssued(StoreError):  # noqa: N818 - no fault, as the rest of its kind
    """The run was issued before and stays as it is.

    Attributes
    ----------
    run : Run
        The newest revision.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(
            f"Scores of {run.key} were issued at {run.issued_at:%Y-%m-%d %H:%M} UTC as revision"
            f" {run.revision} and stay as they are; pass --force to issue a further revision"
        )
        self.run = run


class NoStore(StoreError):  # noqa: N818
    """Nothing was ever issued there."""

    def __init__(self, shown: str) -> None:
        super().__init__(
            f"The score store '{shown}' does not exist; issue scores with 'healthscore score'"
        )


class EarlierStore(StoreError):  # noqa: N818
    """The store has the form of an earlier version, which is not read as it is."""

    def __init__(self, shown: str) -> None:
        super().__init__(
            f"The score store '{shown}' was written by an earlier version; run 'healthscore score'"
            " once, which brings it up to date and keeps every score"
        )


def run_row(run: Run) -> tuple[object, ...]:
    """Return a run as a row of :data:`~pipelines.store.schema.RUN_SCHEMA`."""
    key = (run.key.outcome, run.key.as_of, run.key.model_version)
    return (*key, run.revision, run.issued_at, run.rows, json.dumps(dict(run.facts)))


def now() -> datetime:
    """Return the moment, UTC without a zone, as runs are stamped."""
    return datetime.now(tz=UTC).replace(tzinfo=None)
