"""The digest of a run's rows, from Arrow's buffers in one pass."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.store.schema import SCORE_SCHEMA

FLOAT, LENGTH = np.dtype("<f8"), np.dtype("<i4")
MISSING = -1


class RowsDigest:
    """SHA-256 of rows in order of ``account_id``, however they are cut into batches.

    Each column is hashed by itself, a text as its length and its bytes, so that equal digests mean
    equal values in equal places. Missing MRR counts as a number of its own.

    Attributes
    ----------
    rows : int
        Rows so far.
    is_ordered : bool
        Whether they came in order of account; the digest of others says nothing.

    Examples
    --------
    >>> from pipelines.store.schema import SCORE_SCHEMA
    >>> empty = SCORE_SCHEMA.empty_table().to_batches()
    >>> RowsDigest().hexdigest() == RowsDigest().update(*empty).hexdigest()
    True
    """

    def __init__(self) -> None:
        self.rows = 0
        self.is_ordered = True
        self._last: str | None = None
        self._columns = [[hashlib.sha256() for _ in range(3)] for _ in SCORE_SCHEMA]

    def update(self, *batches: pa.RecordBatch) -> RowsDigest:
        """Add batches in the columns of :data:`~pipelines.store.schema.SCORE_SCHEMA`."""
        for batch in batches:
            if not batch.num_rows:
                continue
            self.rows += batch.num_rows
            self.is_ordered = self.is_ordered and self._follows(batch.column("account_id"))
            for column, (counts, lengths, values) in zip(batch, self._columns, strict=True):
                if pa.types.is_list(column.type):
                    counts.update(_numbers(pc.list_value_length(column), LENGTH))
                    column = column.flatten()
                if pa.types.is_string(column.type):
                    lengths.update(_numbers(pc.binary_length(column).fill_null(MISSING), LENGTH))
                    values.update(_characters(column))
                else:
                    values.update(_numbers(column, FLOAT))
        return self

    def hexdigest(self) -> str:
        """Give the digest of all rows so far, as 64 hexadecimal digits."""
        parts = [part.hexdigest() for column in self._columns for part in column]
        return hashlib.sha256(f"{self.rows} {' '.join(parts)}".encode()).hexdigest()

    def _follows(self, accounts: pa.StringArray) -> bool:
        first, self._last = self._last, accounts[-1].as_py()
        if first is not None and accounts[0].as_py() < first:
            return False
        rising = pc.less_equal(accounts[:-1], accounts[1:])
        return bool(pc.all(rising, min_count=0).as_py())


def _numbers(column: pa.Array, dtype: np.dtype[np.generic]) -> memoryview:
    """Return the numbers of a column as bytes; adding zero takes the sign off a zero."""
    known = column.fill_null(np.nan) if column.null_count else column
    numbers = known.to_numpy(zero_copy_only=False)
    if dtype == FLOAT:
        numbers = np.where(np.isnan(numbers), np.nan, numbers + 0.0)
    return np.ascontiguousarray(numbers, dtype).data.cast("B")


def _characters(column: pa.StringArray) -> memoryview | bytes:
    """Return the texts of a column one after the other, in UTF-8."""
    if column.null_count:
        column = column.drop_null()
    _, offsets, data = column.buffers()
    if not len(column) or data is None:
        return b""
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return memoryview(data)[ends[0] : ends[-1]]
