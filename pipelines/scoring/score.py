"""Score every active account on a date and issue the scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from pipelines.project.company import Keeping
from pipelines.project.feature_stream import FeatureStream, feature_stream
from pipelines.project.feature_table import feature_rows_of_date, refuse_lost_signals
from pipelines.project.project import Project
from pipelines.project.version import installed_version
from pipelines.reports.terminal.ordered_work import in_order, usable_cores
from pipelines.reports.terminal.progress import show_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from features.tables.company import Company
    from models.registry.models import Champion
    from models.scoring.health_model import HealthModel
    from pipelines.store.base import ScoreStore
    from pipelines.store.runs import Run, RunKey


@dataclass(frozen=True)
class Issued:
    """One run of the batch job.

    Parameters
    ----------
    outcome : str
        Name of the outcome the scores foretell.
    as_of : date
        Date the scores speak of.
    model_version : str
        The champion's version.
    revision : int
        1, or more where a run was forced.
    rows : int
        Accounts in the run.
    fresh : bool
        Whether the run was written now; False when it had been issued before.
    warnings : list of str
        One sentence each.
    model : HealthModel
        The champion that made the scores.
    seal : str or None
        The run's seal, where it was written now.
    read : tuple of str
        Per table in several files, how many of them were read anew; one sentence each.
    """

    outcome: str
    as_of: date
    model_version: str
    revision: int
    rows: int
    fresh: bool
    warnings: list[str]
    model: HealthModel
    seal: str | None = None
    read: tuple[str, ...] = ()


def score_accounts(
    project: Project,
    as_of: date | None,
    *,
    features: Path | None = None,
    force: bool = False,
    workers: int | None = None,
    full: bool = False,
) -> Issued:
    """Score every active account with the champion and issue the result once.

    Parameters
    ----------
    project : Project
        The configuration.
    as_of : date or None
        Date whose signals are wanted; the day after the last row when None.
    features : Path, optional
        A written feature table to score in place of the tables.
    force : bool
        Issue a further revision when the run had been issued before; the old one stays.
    workers : int, optional
        Threads; by default one for each core.
    full : bool
        Read and compute everything, not only what is new since the last run.

    Raises
    ------
    RegistryError
        When there is no champion.
    DataError
        When the date lies outside the data, or the data break the contract.
    StoreError
        When the store cannot be written; it then holds what it held before.
    """
    champion = project.registry.champion()
    model = champion.model
    keeping = Keeping(full)
    with feature_stream(project, model, as_of, features, keeping) as stream:
        issued = issue_scores(
            project, stream, model, champion.version, champion.run_id, force=force, workers=workers
        )
    warnings = [*issued.warnings, *_caveats(project, champion)]
    return replace(issued, warnings=warnings, read=tuple(keeping.told))


def issue_scores(
    project: Project,
    stream: FeatureStream,
    model: HealthModel,
    version: str,
    model_run: str,
    *,
    force: bool = False,
    workers: int | None = None,
) -> Issued:
    """Score a stream of feature rows and issue the result, all of it or nothing.

    Parameters
    ----------
    project : Project
        Whose store receives the scores.
    stream : FeatureStream
        The rows.
    model : HealthModel
        What they are scored with.
    version, model_run : str
        The model's version, and the run that taught it.
    force, workers
        As for :func:`score_accounts`.

    Raises
    ------
    DataError, StoreError
        As :func:`score_accounts` does.
    """
    from pipelines.scoring.bands.settled import AFTER, run_before, told_after
    from pipelines.store.opening import open_store
    from pipelines.store.runs import AlreadyIssued, RunKey

    key = RunKey(project.outcome_name, stream.as_of, version)
    try:
        with open_store(project, read_only=False) as store:
            before = None if force else store.newest(key)
            if before is not None:
                return _stayed(before, stream, model)
            earlier = run_before(store, key)

            def facts_of(told: str) -> dict[str, str]:
                facts = run_facts(project, stream, model_run, told)
                return facts | {AFTER: told_after(earlier)}

            run = _issued_where_rows_lie(stream, model, store, key, earlier, facts_of, force=force)
            if run is None:
                cores = workers or usable_cores()
                run = _issued_from_here(
                    stream, model, store, key, earlier, facts_of, force=force, workers=cores
                )
    except AlreadyIssued as rival:
        return _stayed(rival.run, stream, model)
    return _issued(run, stream, model, fresh=True)


def _issued_where_rows_lie(
    stream: FeatureStream,
    model: HealthModel,
    store: ScoreStore,
    key: RunKey,
    earlier: Run | None,
    facts_of: Callable[[str], dict[str, str]],
    *,
    force: bool,
) -> Run | None:
    """Have the workers of a cluster issue the run, where they can write the store."""
    if not stream.is_on_cluster:
        return None
    from pipelines.store.parquet import ParquetStore

    if not isinstance(store, ParquetStore):
        return None
    from pipelines.scoring.spark.issue import issue_from_workers

    rows = stream.on_cluster()
    return issue_from_workers(rows, model, store, key, earlier, facts_of, force=force)


def _issued_from_here(
    stream: FeatureStream,
    model: HealthModel,
    store: ScoreStore,
    key: RunKey,
    earlier: Run | None,
    facts_of: Callable[[str], dict[str, str]],
    *,
    force: bool,
    workers: int,
) -> Run:
    """Issue the run from this process, a batch at a time."""
    from models.training.fingerprint import RowsFingerprint
    from pipelines.scoring.bands.settled import bands_of

    fingerprint = RowsFingerprint()
    groups = {signal.name: signal.group for signal in model.signals}
    count, scored = scored_batches(stream, model, workers)
    bands = bands_of(store, earlier, key.as_of)
    with (
        store.issue(key, groups, force=force) as writer,
        show_rows("Score", count) as done,
    ):
        for rows, hashes in scored:
            writer.write(bands.settle(rows, model.scale))
            fingerprint.update(hashes)
            done(rows.num_rows)
        return writer.finish(facts_of(fingerprint.hexdigest()))


def _stayed(run: Run, stream: FeatureStream, model: HealthModel) -> Issued:
    kept = (
        f"Scores of {run.key.as_of} by model version {run.key.model_version} had been issued before"
        " and stay as they are; --force issues a further revision"
    )
    issued = _issued(run, stream, model, fresh=False)
    return replace(issued, warnings=[*issued.warnings, kept])


def _issued(run: Run, stream: FeatureStream, model: HealthModel, *, fresh: bool) -> Issued:
    return Issued(
        outcome=run.key.outcome,
        as_of=run.key.as_of,
        model_version=run.key.model_version,
        revision=run.revision,
        rows=run.rows,
        fresh=fresh,
        warnings=stream.warnings,
        model=model,
        seal=run.seal,
    )


def scored_batches(
    stream: FeatureStream, model: HealthModel, workers: int
) -> tuple[int, Iterator[tuple[pa.RecordBatch, NDArray[np.uint64]]]]:
    """Score a stream: the number of rows, and batches of scored rows with their signals' hashes."""
    from models.scoring.scorer import Scorer
    from models.training.fingerprint import row_hashes

    hashed = ["account_id", *model.required_columns]
    if stream.is_on_cluster:
        from pipelines.scoring.spark.cluster import score_on_cluster

        return score_on_cluster(stream.on_cluster(), model, hashed)
    scorer = Scorer(model)

    def work(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, NDArray[np.uint64]]:
        return scorer.score_batch(batch), row_hashes(batch, hashed)

    count, batches = stream.read()
    scorer.shap.expect(count)
    return count, in_order(work, batches, workers)


def run_facts(
    project: Project, stream: FeatureStream, model_run: str, fingerprint: str
) -> dict[str, str]:
    """Describe how a run came about, so that it can be made again."""
    return {
        "config": project.shown_text,
        "config_fingerprint": project.fingerprint,
        "data_fingerprint": fingerprint,
        "source": stream.source,
        "model_run": model_run,
        "healthscore": installed_version(),
    }


def features_on(
    project: Project, company: Company, model: HealthModel, day: date, account_id: str
) -> pd.DataFrame:
    """Build the feature row of one account on a date; no row where it was not active.

    Raises
    ------
    DataError
        When no account is active on the date, or the model needs a signal the tables cannot give.
    """
    refuse_lost_signals(project, company, model)
    return feature_rows_of_date(project, company, day, account_id).frame()


def _caveats(project: Project, champion: Champion) -> list[str]:
    prior, words = champion.model.prior, project.settings.outcome.words
    if prior is not None:
        return [prior.sentence(words)]
    if champion.foretells:
        return []
    return [
        "There is not enough evidence that behaviour predicts"
        f" {words.noun}: do not act on the scores"
    ]
