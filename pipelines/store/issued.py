"""Issued runs and scores, looked up: which run somebody means, and one account's scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import TYPE_CHECKING

from features.errors import StoreError, sample
from features.json_values import Json, JsonReady
from pipelines.project.project import Project
from pipelines.store.opening import open_store
from pipelines.store.runs import NoStore
from pipelines.store.schema import days_kept
from pipelines.store.seals import run_of

if TYPE_CHECKING:
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run
    from pipelines.store.seals import Erasure


def issued_run(
    store: ScoreStore,
    outcome: str,
    as_of: date | None = None,
    model_version: str | None = None,
    revision: int | None = None,
) -> Run:
    """Find a run; of what is left open the newest date counts, and on it the last issue.

    Parameters
    ----------
    store : ScoreStore
        An open store.
    outcome : str
        Name of the outcome.
    as_of : date, optional
        The run's date.
    model_version : str, optional
        Version of the model that made it.
    revision : int, optional
        Its revision, from 1.

    Raises
    ------
    StoreError
        When no such run was issued.
    """
    runs = store.runs(outcome)
    asked = {"as of": as_of, "model version": model_version, "revision": revision}
    found = [
        run
        for run in runs
        if all(
            wanted in (None, held)
            for wanted, held in zip(
                asked.values(), (run.key.as_of, run.key.model_version, run.revision), strict=True
            )
        )
    ]
    if found:
        return found[-1]
    words = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
    known = [
        f"{run.key.as_of} by model version {run.key.model_version}, revision {run.revision}"
        for run in reversed(runs)
    ]
    have = f"issued were {sample(known)}" if known else "issue scores with 'healthscore score'"
    raise StoreError(f"No run {words or 'at all'} was issued of outcome {outcome!r}; {have}")


def runs_before(store: ScoreStore, run: Run) -> list[Run]:
    """List the runs of earlier dates, a date each, the earliest first.

    Of several runs of a date the one that was issued last counts.
    """
    last = {one.key.as_of: one for one in store.runs(run.key.outcome)}
    return [one for day, one in sorted(last.items()) if day < run.key.as_of]


def run_before(store: ScoreStore, run: Run) -> Run | None:
    """Return the last run of an earlier date; None where there is none."""
    return next(reversed(runs_before(store, run)), None)


def of_reasons(erasures: Iterable[Erasure]) -> list[Erasure]:
    """Return those erasures that let the reasons of a run go, and erased nobody."""
    return [one for one in erasures if days_kept(one.tombstone) is not None]


def reasons_note(erasures: Iterable[Erasure], run: Run) -> str | None:
    """Say that the reasons of a run were let go; None where they are kept.

    Parameters
    ----------
    erasures : iterable of Erasure
        Those of the store.
    run : Run
        One of its runs.
    """
    gone = [one for one in of_reasons(erasures) if one.run == run_of(run)]
    if not gone:
        return None
    return (
        f"Reasons of the scores of {run.key.as_of} are no longer kept: they were let go on"
        f" {gone[0].erased_at:%Y-%m-%d}, for [store] keep_reasons_days was"
        f" {days_kept(gone[0].tombstone)}"
    )


@dataclass(frozen=True)
class DatedScore(JsonReady):
    """The score of one account on one date.

    Parameters
    ----------
    as_of : date
        The date.
    score : float
        The score, 0 to 100.
    band : str
        Its band.
    probability : float
        Calibrated probability of the outcome.
    segment : str
        The account's segment.
    model_version : str
        Version of the model that made the score.
    band_days : float or None
        Days it had been in its band; None where that is not known.
    issued_at : datetime or None
        When it was issued, in UTC; None where none was issued and it was computed just now.
    revision : int or None
        Which revision of the run, from 1.
    """

    as_of: date
    score: float
    band: str
    probability: float
    segment: str
    model_version: str
    band_days: float | None = None
    issued_at: datetime | None = None
    revision: int | None = None

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        issued_at = None if self.issued_at is None else f"{self.issued_at.isoformat()}Z"
        return super().to_dict() | {"issued_at": issued_at}


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
