"""Scores of one account as they were issued, and what a score of a date is."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from pipelines.project.project import Project
from pipelines.store.opening import NoStore, open_store


@dataclass(frozen=True)
class DatedScore:
    """The score of one account on one date.

    Parameters
    ----------
    as_of : date
        The date.
    score : float
        The score, 0 to 100.
    band, grade : str
        Its band and grade.
    probability : float
        Calibrated probability of the outcome.
    segment : str
        The account's segment.
    model_version : str
        Version of the model that made the score.
    issued_at : datetime or None
        When it was issued, in UTC; None where none was issued and it was computed just now.
    revision : int or None
        Which revision of the run, from 1.
    """

    as_of: date
    score: float
    band: str
    grade: str
    probability: float
    segment: str
    model_version: str
    issued_at: datetime | None = None
    revision: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        described = {field.name: getattr(self, field.name) for field in fields(self)}
        described["as_of"] = self.as_of.isoformat()
        described["issued_at"] = self.issued_at and f"{self.issued_at.isoformat()}Z"
        return described


def issued_scores(project: Project, account_id: str) -> list[DatedScore]:
    """Read the issued scores of an account, ordered by date.

    A date may have been scored by several models, and a run may have been revised: the score that
    was issued last is the one that counts. Where nothing was ever issued there is none.

    Raises
    ------
    StoreError
        When there is a store that cannot be read.
    """
    try:
        with open_store(project, read_only=True) as store:
            history = store.account_history(project.outcome_name, account_id)
    except NoStore:
        return []
    names = [field.name for field in fields(DatedScore)]
    rows = history.select(names).to_pylist()
    last = {row["as_of"]: DatedScore(**row) for row in rows}
    return list(last.values())
