"""What a job on Spark costs, step by step: the parts of a plan for larger tables.

Keeping the features, reading them by ranges, scoring and writing are each measured with few
accounts and with many; the difference is what an account costs, in seconds of processor of all
processes of the job. What the driver does for the files of a run is measured with parts of one
account, few and many of them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# This folder holds files called as packages are, which must not stand in front of them.
sys.path.append(sys.path.pop(1))

import numpy as np
import pyarrow as pa
from _scale_spark import (
    Cost,
    costed,
    from_workers,
    kept,
    key_of,
    model_of,
    project_of,
    run_folder,
    session,
)
from pyarrow import parquet

FEW_FILES, MANY_FILES = 20, 220


def steps(folder: Path, workers: str) -> Cost:
    """Measure what each step costs: before its first account, and for a million more."""
    from pipelines.scoring.spark.cluster import sent_model
    from pipelines.scoring.spark.issue import _parts_of
    from pipelines.store.opening import open_store

    way = f"steps-{workers}"
    project, model, spent = project_of(folder, way), model_of(folder), {}
    with session(folder, workers) as source, open_store(project, read_only=False) as store:
        token, sent = sent_model(source.engine.connection._session, model)
        # The first round of each warms what Java compiles.
        for number, name in enumerate(("few", "rows", "few", "rows")):
            with costed() as keep:
                rows = kept(source, name, model)
            with costed() as read:
                _parts_of(rows, _only_read)
            with costed() as scored:
                _parts_of(rows, _only_scored(token, sent, ["account_id", *model.required_columns]))
            with costed() as written:
                from_workers(store, rows, model, key_of(folder, str(number)))  # type: ignore[arg-type]
            spent[name] = {
                "keep": keep["cpu"],
                "read": read["cpu"],
                "score": scored["cpu"] - read["cpu"],
                "write": written["cpu"] - scored["cpu"],
                "job_seconds": keep["seconds"] + written["seconds"],
                "job": keep["cpu"] + written["cpu"],
                "rows": float(rows.count),
            }
    few, many = spent["few"], spent["rows"]
    figures = {f"spark_{what}_of_any_job": few[what] for what in ("job", "job_seconds")}
    for what in ("keep", "read", "score", "write", "job"):
        more = (many[what] - few[what]) / (many["rows"] - few["rows"])
        figures[f"spark_{what}_cpu_per_million"] = 1e6 * more
    held = sum(file.stat().st_size for file in run_folder(folder, way, "3").iterdir())
    return figures | {"spark_mb_per_million": held / many["rows"]}


def _only_read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        assert batch.num_columns
    yield pa.record_batch({"part": [json.dumps({"number": 0, "sums": [0, 0]})]})


def _only_scored(
    token: str, sent: Any, hashed: list[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from models.training.fingerprint import row_hashes
        from pipelines.scoring.spark.cluster import scorer_of

        scorer = scorer_of(token, sent)
        for batch in batches:
            if batch.num_rows:
                scorer.score_batch(batch)
                row_hashes(batch, hashed)
        yield from _only_read(())

    return work


def files(folder: Path) -> Cost:
    """Measure what the driver does for each file of a run: it neither reads nor writes rows."""
    told = {}
    for end, is_delta in (("", False), ("_delta", True)):
        few, many = (_committed(folder, count, is_delta) for count in (FEW_FILES, MANY_FILES))
        each = (many - few) / (MANY_FILES - FEW_FILES)
        told |= {f"spark_commit_ms{end}": 1e3 * few, f"spark_commit_ms_per_file{end}": 1e3 * each}
    return told


def _committed(folder: Path, count: int, is_delta: bool) -> float:
    """Commit parts of one row, and return the seconds of processor."""
    from pipelines.scoring.spark.issue import commit_parts, staging_of
    from pipelines.scoring.spark.parts import write_part
    from pipelines.store.parquet import ParquetStore

    groups = {signal.name: signal.group for signal in model_of(folder).signals}
    (file,) = run_folder(folder, "one").glob("*.parquet")
    rows = next(parquet.ParquetFile(file).iter_batches(1))
    store = ParquetStore(folder / f"files-{count}-{is_delta}", read_only=False, delta=is_delta)
    key = key_of(folder, "1")
    with store, store.drafting(key, force=False) as (draft, revision):
        told = [
            write_part(staging_of(draft), number, _row_of(rows, number), groups)
            for number in range(count)
        ]
        began = time.process_time()
        commit_parts(store, key, draft, revision, told, groups, lambda told: {})
        return time.process_time() - began


def _row_of(rows: pa.RecordBatch, number: int) -> Iterator[tuple[pa.RecordBatch, Any]]:
    place = rows.schema.get_field_index("account_id")
    account = pa.array([f"A-{number:08d}"])
    yield rows.set_column(place, "account_id", account), np.zeros(1, "uint64")


WAYS: dict[str, Callable[..., Cost]] = {"steps": steps, "files": files}

if __name__ == "__main__":
    print(json.dumps(WAYS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
