"""Make an issued run again, from the tables and the model it came from, and compare."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import sample
from pipelines.project.feature_stream import feature_stream
from pipelines.project.project import Project
from pipelines.scoring.score import registered, scored_batches
from pipelines.store.issued_run import issued_run
from pipelines.terminal.ordered_work import usable_cores
from pipelines.terminal.progress import show_rows

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.store.opening import Run

TOLERANCE = 1e-9
"""Points of score by which a rebuilt score may differ: engines sum in any order."""
SHOWN = 5


@dataclass(frozen=True)
class Verified:
    """What came of making a run again.

    Parameters
    ----------
    outcome, as_of, model_version, revision
        Which run.
    rows : int
        Accounts in it.
    same : bool
        Whether every score was met.
    largest_difference : float
        Between an issued and a rebuilt score of the same account, in points.
    differing, gone, extra : int
        Accounts whose score differs, that the tables no longer give, and that they give in
        addition.
    examples : list of str
        Some of those accounts.
    same_data, same_config : bool
        Whether the signals, and the configuration, are what they were.
    said : list of str
        The same in sentences.
    """

    outcome: str
    as_of: str
    model_version: str
    revision: int
    rows: int
    same: bool
    largest_difference: float
    differing: int
    gone: int
    extra: int
    examples: list[str]
    same_data: bool
    same_config: bool
    said: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``verify-run --json`` prints."""
        return asdict(self)


def verify_run(
    project: Project,
    as_of: date | None,
    *,
    model_version: str | None = None,
    revision: int | None = None,
    features: Path | None = None,
) -> Verified:
    """Make a run again and compare it with what was issued; the store stays as it is.

    Parameters
    ----------
    project : Project
        The configuration.
    as_of : date or None
        The run's date; the newest when None.
    model_version, revision
        Which of that date's runs; the newest when None.
    features : Path, optional
        The feature table the run was scored from, where it was not the tables.

    Raises
    ------
    StoreError
        When no such run was issued.
    RegistryError
        When its model is gone.
    DataError
        When the tables no longer give its signals.
    """
    from models.training.fingerprint import RowsFingerprint
    from pipelines.store.opening import open_store

    with open_store(project, read_only=True) as store:
        run = issued_run(store, project.outcome_name, as_of, model_version, revision)
        issued = store.scores(run, columns=["account_id", "score"]).read_all().to_pandas()
    model, _, _ = registered(project, run.key.model_version)
    rebuilt, fingerprint = [], RowsFingerprint()
    with feature_stream(project, model, run.key.as_of, features) as stream:
        count, scored = scored_batches(stream, model, usable_cores())
        with show_rows("Verify", count) as done:
            for rows, hashes in scored:
                fingerprint.update(hashes)
                rebuilt.append(rows.select(["account_id", "score"]).to_pandas())
                done(rows.num_rows)
    return _compared(project, run, issued, rebuilt, fingerprint.hexdigest())


def _compared(
    project: Project,
    run: Run,
    issued: pd.DataFrame,
    rebuilt: list[pd.DataFrame],
    fingerprint: str,
) -> Verified:
    import pandas as pd

    again = pd.concat(rebuilt, ignore_index=True) if rebuilt else issued.iloc[:0]
    both = issued.merge(
        again, on="account_id", how="outer", suffixes=("", "_again"), indicator=True
    )
    apart = (both["score"] - both["score_again"]).abs()
    moved = apart > TOLERANCE
    gone, extra = both["_merge"] == "left_only", both["_merge"] == "right_only"
    same_data = run.facts.get("data_fingerprint") == fingerprint
    same_config = run.facts.get("config_fingerprint") == project.fingerprint
    wrong = both[moved | gone | extra]
    return Verified(
        outcome=run.key.outcome,
        as_of=run.key.as_of.isoformat(),
        model_version=run.key.model_version,
        revision=run.revision,
        rows=len(issued),
        same=wrong.empty,
        largest_difference=float(apart.max()) if apart.notna().any() else 0.0,
        differing=int(moved.sum()),
        gone=int(gone.sum()),
        extra=int(extra.sum()),
        examples=[str(account) for account in wrong["account_id"].head(SHOWN)],
        same_data=same_data,
        same_config=same_config,
        said=_said(run, wrong, same_data=same_data, same_config=same_config),
    )


def _said(run: Run, wrong: pd.DataFrame, *, same_data: bool, same_config: bool) -> list[str]:
    if wrong.empty:
        return [f"All {run.rows:,} scores were met"]
    said = [
        f"{len(wrong):,} accounts are not as issued, such as {sample(wrong['account_id'], SHOWN)}"
    ]
    if not same_config:
        said.append("The configuration has changed since the run was issued")
    if not same_data:
        said.append("The signals of that date have changed since: rows came late or were corrected")
    if same_config and same_data:
        said.append("Neither signals nor configuration have changed: the model or this program has")
    return said
