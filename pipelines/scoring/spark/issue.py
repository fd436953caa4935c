"""Issue a run that the workers of a cluster write: no row of it passes through this process."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.errors import StoreError
from features.json_values import Json
from models.training.fingerprint import RowsFingerprint
from pipelines.scoring.bands.settled import COLUMNS, bands_in
from pipelines.scoring.spark.cluster import scorer_of, sent_model
from pipelines.scoring.spark.parts import Part, write_part
from pipelines.store.parquet import ParquetStore
from pipelines.store.parquet_files import FILES
from pipelines.store.runs import Run, RunKey, now
from pipelines.store.seals import PARTS, RowsDigest
from pipelines.store.writer import twice

if TYPE_CHECKING:
    from features.build import FeatureRows
    from models.scoring.health_model import HealthModel

FEW_ROWS, MOST_ROWS = 1 << 15, 1 << 20
"""Rows of a file: no more files than workers while there are few, and never more rows than many."""


def issue_from_workers(
    rows: FeatureRows,
    model: HealthModel,
    store: ParquetStore,
    key: RunKey,
    earlier: Run | None,
    facts_of: Callable[[str], Mapping[str, str]],
    *,
    force: bool,
) -> Run:
    """Score feature rows where they lie, and issue the files that workers write of them.

    Each worker writes the accounts of a range to a file of its own, in a folder that readers pass
    over, and tells what it wrote. An attempt that was killed, or whose twin was faster, leaves a
    file that nobody tells of: it is no part of the run, and is taken away with the folder.

    Parameters
    ----------
    rows : FeatureRows
        Of a company on Spark.
    model : HealthModel
        Sent to each worker once.
    store : ParquetStore
        An open store, in a folder that every worker reaches under the same path.
    key : RunKey
        What the run is about.
    earlier : Run or None
        The run of this store whose bands those of this one follow.
    facts_of : callable
        Takes the fingerprint of the signals and returns the facts of the run.
    force : bool
        Whether a run that was issued before gets a further revision.

    Raises
    ------
    AlreadyIssued
        When it was issued before and is not forced.
    StoreError
        When a row breaks a rule of the store, or it cannot be written; nothing is issued.
    """
    groups = _groups(model)
    with store.drafting(key, force=force) as (draft, revision):
        staged = staging_of(draft)
        token, sent = sent_model(rows.company.connection._session, model)
        try:
            work = _work(model, token, sent, store, staged, earlier, key)
            told = _parts_of(rows, work)
        finally:
            sent.unpersist()
        return commit_parts(store, key, draft, revision, told, groups, facts_of)


def staging_of(draft: Path) -> Path:
    """Make the folder in which parts of a draft wait, beside it.

    A worker that nobody waits for any more may write there until it is taken away: never into a
    run.
    """
    staged = draft.with_name(f"{draft.name}-staged")
    staged.mkdir(exist_ok=True)
    return staged


def commit_parts(
    store: ParquetStore,
    key: RunKey,
    draft: Path,
    revision: int,
    told: Sequence[Part],
    groups: Mapping[str, str],
    facts_of: Callable[[str], Mapping[str, str]],
) -> Run:
    """Issue the parts that workers told of, all in one step.

    Parameters
    ----------
    store : ParquetStore
        The store.
    key : RunKey
        What the run is about.
    draft, revision
        As :meth:`~pipelines.store.parquet.ParquetStore.drafting` gives them.
    told : sequence of Part
        One attempt at each part, in any order; what else is staged is no part of the run.
    groups : dict of str to str
        Group of each signal that may be a reason.
    facts_of : callable
        As of :func:`issue_from_workers`.

    Raises
    ------
    AlreadyIssued, StoreError
        As :func:`issue_from_workers` does.
    """
    parts, staged = _in_order(told), staging_of(draft)
    fingerprint = RowsFingerprint()
    for part in parts:
        fingerprint.add(part.rows, part.sums)
    named = {f"scores-{place:05d}.parquet": part for place, part in enumerate(parts)}
    for name, part in named.items():
        os.rename(staged / part.file, draft / name)
    count = sum(part.rows for part in parts)
    facts = dict(facts_of(fingerprint.hexdigest()))
    facts[PARTS] = json.dumps([part.rows for part in parts])
    run = Run(key, revision, now(), count, facts)
    digest = RowsDigest.of_parts(count, [part.rows_digest for part in parts])
    files: Json = {FILES: {name: part.file_digest for name, part in named.items()}}
    return store.commit(draft, run, groups, digest, files)


def _work(
    model: HealthModel,
    token: str,
    sent: Any,
    store: ParquetStore,
    staged: Path,
    earlier: Run | None,
    key: RunKey,
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return what a worker does with the accounts of a range."""
    groups = _groups(model)
    hashed = ["account_id", *model.required_columns]
    folder, gap = store.folder, (key.as_of - earlier.key.as_of).days if earlier else 0
    write = write_part

    def settled(
        batches: Iterable[pa.RecordBatch], issued: ParquetStore
    ) -> Iterator[tuple[pa.RecordBatch, Any]]:
        from models.training.fingerprint import row_hashes

        scorer = scorer_of(token, sent)
        for batch in batches:
            if not batch.num_rows:
                continue
            scored = scorer.score_batch(batch)
            accounts = batch["account_id"]
            before = None
            if earlier is not None:
                ends = accounts[0].as_py(), accounts[-1].as_py()
                before = issued.scores_between(earlier, *ends, COLUMNS).read_all()
            bands = bands_in(before, gap)
            yield bands.settle(scored, scorer.model.scale), row_hashes(batch, hashed)

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        task = TaskContext.get()
        number = 0 if task is None else task.partitionId()
        issued = ParquetStore(folder, read_only=True)
        part = write(staged, number, settled(batches, issued), groups)
        yield pa.record_batch({"part": [json.dumps(part.to_dict())]})

    return work


def _groups(model: HealthModel) -> dict[str, str]:
    return {signal.name: signal.group for signal in model.signals}


def _parts_of(
    rows: FeatureRows, work: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
) -> list[Part]:
    """Have the workers write, each a range of accounts, and collect what they tell."""
    from pyspark import StorageLevel
    from pyspark.sql import functions

    connection: Any = rows.company.connection
    session = connection._session
    workers = session.sparkContext.defaultParallelism
    few = min(workers, math.ceil(rows.count / FEW_ROWS))
    count = max(1, few, math.ceil(rows.count / MOST_ROWS))
    # In the order of their bytes, whatever collation the session has.
    account = functions.col("account_id").cast("binary")
    # Read twice: once to find where to cut. What a lost worker held of them is computed again.
    features = session.sql(connection.compile(rows.table)).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        ranges = features.repartitionByRange(count, account).sortWithinPartitions(account)
        told = ranges.mapInArrow(work, "part string").collect()
    finally:
        features.unpersist()
    return [_part(json.loads(row["part"])) for row in told]


def _part(told: dict[str, Any]) -> Part:
    return Part(**told | {"sums": tuple(told["sums"])})


def _in_order(told: Sequence[Part]) -> list[Part]:
    """Return the parts that have rows, in order of account.

    Raises
    ------
    StoreError
        When a worker refused its rows, or an account is in two parts.
    """
    parts = sorted((part for part in told if part.rows), key=lambda part: part.number)
    for part in told:
        if part.refused:
            raise StoreError(part.refused)
    for before, part in pairwise(parts):
        if part.first <= before.last:
            raise twice([part.first])
    return parts
