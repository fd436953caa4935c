"""From Arrow batches to codes: what an engine sends is coded as it arrives, and then let go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import types

from models.arrays import Codes
from models.churn.coded import CodedColumn, CodedTable

# With more values than two bytes can tell apart, a number is held as it is.
MOST_VALUES = 1 << 16
BATCH_ROWS = 131_072


def code_table(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], order: Sequence[str] = ()
) -> CodedTable:
    """Code rows as they arrive.

    Nothing is lost: a code stands for the very number that was sent. Integers with gaps become
    floating-point numbers, and an unknown number is NaN, as in pandas.

    Parameters
    ----------
    schema : Schema
        Of every batch.
    batches : iterable of RecordBatch
        The rows.
    order : sequence of str
        Columns to sort the rows by, the first one first; none leaves them as they came.

    Returns
    -------
    CodedTable

    Examples
    --------
    >>> rows = pa.record_batch({"seats": [5, None, 5], "account_id": ["c", "a", "b"]})
    >>> table = code_table(rows.schema, [rows], ["account_id"])
    >>> table["seats"].tolist(), table.nbytes
    ([nan, 5.0, 5.0], 46)
    """
    coders = {field.name: _coder(field.type) for field in schema}
    for batch in batches:
        for name, coder in coders.items():
            coder.add(batch.column(batch.schema.get_field_index(name)))
    columns = {name: coder.column() for name, coder in coders.items()}
    if not order:
        return CodedTable(columns)
    place = np.lexsort([_rank(columns[name]) for name in reversed(order)])
    # One column after the other, so that no more than one is there twice.
    for name, column in columns.items():
        if column.codes is None:
            columns[name] = CodedColumn(column.values[place])
        else:
            columns[name] = CodedColumn(column.values, column.codes[place])
    return CodedTable(columns)


def code_frame(frame: pd.DataFrame) -> CodedTable:
    """Code rows that are in memory already, in their order."""
    whole = pa.Table.from_pandas(frame, preserve_index=False)
    return code_table(whole.schema, whole.to_batches(BATCH_ROWS))


def code_pieces(pieces: Iterable[pa.RecordBatchReader], position: str) -> CodedTable:
    """Code rows that come some columns at a time.

    Parameters
    ----------
    pieces : iterable of RecordBatchReader
        Some columns of all rows, in any order.
    position : str
        Column of every piece that tells which row it is of; left out of what is returned.
    """
    columns: dict[str, CodedColumn] = {}
    for piece in pieces:
        table = code_table(piece.schema, piece, [position])
        columns |= {name: table.column(name) for name in table.columns if name != position}
    return CodedTable(columns)


def _rank(column: CodedColumn) -> NDArray[np.generic]:
    if column.codes is None:
        return column.values
    rank = np.empty(len(column.values), dtype=np.intp)
    rank[np.argsort(column.values, kind="stable")] = np.arange(len(rank))
    return np.asarray(rank[column.codes])


def _coder(kind: pa.DataType) -> _Coder:
    if types.is_integer(kind):
        return _Coder(pa.int64(), MOST_VALUES)
    if types.is_floating(kind) or types.is_decimal(kind):
        return _Coder(pa.float64(), MOST_VALUES)
    if types.is_date(kind) or types.is_timestamp(kind):
        return _Coder(pa.timestamp("us"), MOST_VALUES)
    if types.is_boolean(kind):
        return _Coder(pa.bool_(), MOST_VALUES)
    return _Coder(pa.string(), np.iinfo(np.uint32).max)


class _Coder:
    """Codes one column, in the order in which its values first come."""

    def __init__(self, kind: pa.DataType, most: int) -> None:
        self._kind, self._most = kind, most
        self._known: dict[object, int] = {}
        self._codes: list[NDArray[np.unsignedinteger]] = []
        self._plain: list[pa.Array] = []

    def add(self, column: pa.Array) -> None:
        """Code some more rows."""
        column = column.cast(self._kind)
        if types.is_floating(column.type):
            # There are many ways not to be a number, and gaps are one.
            column = pc.if_else(pc.is_nan(column), None, column)
        if self._plain:
            self._plain.append(column)
            return
        told = column.dictionary_encode(null_encoding="encode")
        here = told.dictionary.to_pylist()
        known = self._known
        codes = np.array([known.setdefault(value, len(known)) for value in here], dtype=np.uint32)
        self._codes.append(self._small(codes[told.indices.to_numpy(zero_copy_only=False)]))
        if len(known) > self._most:
            self._stop_coding()

    def column(self) -> CodedColumn:
        """Give the whole column."""
        if self._plain:
            chunks, self._plain = self._plain, []
            return CodedColumn(_numpy(pa.chunked_array(chunks)))
        values = pa.array(list(self._known), self._kind)
        chunks_of_codes, self._codes = self._codes, []
        codes = self._small(np.concatenate(chunks_of_codes or [np.zeros(0, np.uint8)]))
        return CodedColumn(_numpy(pa.chunked_array([values])), codes)

    def _stop_coding(self) -> None:
        values = pa.array(list(self._known), self._kind)
        self._plain = [values.take(pa.array(codes)) for codes in self._codes]
        self._codes, self._known = [], {}

    def _small(self, codes: Codes | NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
        return codes.astype(np.min_scalar_type(max(len(self._known) - 1, 0)), copy=False)


def _numpy(values: pa.ChunkedArray) -> NDArray[np.generic]:
    """Numbers with NaN for gaps, moments, or texts with None."""
    if types.is_string(values.type):
        return np.array(values.to_pylist(), dtype=object)
    if types.is_integer(values.type) and values.null_count:
        values = values.cast(pa.float64())
    if types.is_floating(values.type):
        values = pa.chunked_array(
            [pc.fill_null(chunk, np.nan) for chunk in values.chunks], values.type
        )
    return np.asarray(values.to_numpy())
