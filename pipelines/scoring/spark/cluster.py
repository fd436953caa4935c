"""Score on a Spark cluster: each worker reads the model once and scores the rows it holds."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from features.build import FeatureRows
    from models.scoring.health_model import HealthModel
    from models.scoring.scorer import Scorer

HASH = "row_hash"
_SCORERS: dict[str, Scorer] = {}


def score_on_cluster(
    rows: FeatureRows, model: HealthModel, hashed: list[str]
) -> tuple[int, Iterator[tuple[pa.RecordBatch, NDArray[np.uint64]]]]:
    """Score feature rows where they lie.

    Parameters
    ----------
    rows : FeatureRows
        Of a company on Spark.
    model : HealthModel
        Sent to each worker once.
    hashed : list of str
        Columns that count for the fingerprint.

    Returns
    -------
    count : int
        Number of rows.
    scored : iterator of (RecordBatch, ndarray)
        Scored rows and the hash of each one's signals; a partition at a time comes to this
        process.
    """
    from pyspark.sql import functions
    from pyspark.sql.pandas.types import from_arrow_schema

    from pipelines.store.schema import SCORE_SCHEMA, SHOWN

    connection: Any = rows.company.connection
    session = connection._session
    key, sent = sent_model(session, model)
    # How long a band has lasted is known where the runs before are read.
    told = pa.schema([SCORE_SCHEMA.field(name) for name in SHOWN if name != "band_days"])

    def score_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from models.training.fingerprint import row_hashes

        scorer = scorer_of(key, sent)
        for batch in batches:
            scored = scorer.score_batch(batch)
            hashes = pa.array(row_hashes(batch, hashed).view("int64"))
            kept = scored.select(told.names).cast(told)
            yield kept.append_column(HASH, hashes)

    schema = from_arrow_schema(told.append(pa.field(HASH, pa.int64())))
    features = session.sql(connection.compile(rows.table))
    # Computed once and held by the workers, however often a partition is asked for.
    scored = features.mapInArrow(score_partition, schema).localCheckpoint()
    partition = functions.spark_partition_id()

    def fetched() -> Iterator[tuple[pa.RecordBatch, NDArray[np.uint64]]]:
        for number in range(scored.rdd.getNumPartitions()):
            for batch in scored.filter(partition == number).toArrow().to_batches():
                hashes = batch[HASH].to_numpy().view("uint64")
                yield batch.select(told.names).cast(told), hashes
        sent.unpersist()

    return rows.count, fetched()


def sent_model(session: Any, model: HealthModel) -> tuple[str, Any]:
    """Send a model to the workers of a session, and name it."""
    return secrets.token_hex(8), session.sparkContext.broadcast(_files(model))


def _files(model: HealthModel) -> dict[str, bytes]:
    """Return a model's files, as the registry keeps them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model.save(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def scorer_of(key: str, sent: Any) -> Scorer:
    """Read a model once in each worker process."""
    from models.scoring.health_model import HealthModel
    from models.scoring.scorer import Scorer

    if key not in _SCORERS:
        _SCORERS.clear()
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in sent.value.items():
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            _SCORERS[key] = Scorer(HealthModel.load(Path(scratch)))
    return _SCORERS[key]
