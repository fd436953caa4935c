"""Which issued run somebody means."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from features.errors import StoreError, sample

if TYPE_CHECKING:
    from pipelines.store.opening import Run, ScoreStore


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
        return max(found, key=lambda run: (run.key.as_of, run.issued_at, run.revision))
    words = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
    known = [
        f"{run.key.as_of} by model version {run.key.model_version}, revision {run.revision}"
        for run in reversed(runs)
    ]
    have = f"issued were {sample(known)}" if known else "issue scores with 'healthscore score'"
    raise StoreError(f"No run {words or 'at all'} was issued of outcome {outcome!r}; {have}")
