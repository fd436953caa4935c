"""Tell whether two tables hold the same data, whatever engine computed them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import types

from models.churn.coded import BLOCK, Rows


def fingerprint(frame: pd.DataFrame) -> str:
    """SHA-256 of every value of a table in order, so equal data give equal fingerprints.

    Numbers count to nine decimals and in single precision: engines add in any order, which shows
    in the last digits, and where a sum should be nothing. Names of columns do not count.

    Parameters
    ----------
    frame : DataFrame
        Rows and columns in the order that matters.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> a, b = pd.DataFrame({"x": [0.3, 0.0]}), pd.DataFrame({"x": [0.1 + 0.2, -1e-17]})
    >>> fingerprint(a) == fingerprint(b)
    True
    >>> fingerprint(a) == fingerprint(a[::-1])
    False
    """
    return hashlib.sha256(_hashes(frame)).hexdigest()


def rows_fingerprint(table: Rows) -> str:
    """As :func:`fingerprint`, of rows that are written out some at a time where they are coded.

    Examples
    --------
    >>> from models.churn.coded import CodedColumn, CodedTable
    >>> table = CodedTable({"x": CodedColumn(np.array([0.5, 2.0]), np.array([1, 0], np.uint8))})
    >>> rows_fingerprint(table) == fingerprint(table.frame())
    True
    """
    if isinstance(table, pd.DataFrame):
        return fingerprint(table)
    told = hashlib.sha256()
    for start in range(0, len(table), BLOCK):
        told.update(_hashes(table.take(slice(start, start + BLOCK)).frame()))
    return told.hexdigest()


def _hashes(frame: pd.DataFrame) -> bytes:
    numbers = frame.select_dtypes("float64")
    # Adding zero turns the minus zero that rounding leaves into zero.
    rounded = (numbers.round(9) + 0.0).astype("float32")
    hashes = pd.util.hash_pandas_object(frame.assign(**rounded), index=False).to_numpy()
    return hashes.tobytes()


def row_hashes(batch: pa.RecordBatch, columns: Sequence[str]) -> NDArray[np.uint64]:
    """Hash each row of an Arrow batch: (n,).

    Numbers count as in :func:`fingerprint`, so equal data give equal hashes on every engine.

    Parameters
    ----------
    batch : RecordBatch of n rows
        The rows.
    columns : sequence of str
        The columns that count, in the order that matters.
    """
    hashes = np.full(batch.num_rows, len(columns), dtype=np.uint64)
    for name in columns:
        column = batch[name]
        if types.is_floating(column.type) or types.is_integer(column.type):
            numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            found = pd.util.hash_array((np.round(numbers, 9) + 0.0).astype(np.float32))
        else:
            texts = column.cast(pa.string()).dictionary_encode()
            each = texts.dictionary.to_numpy(zero_copy_only=False)
            # They differ already. Nothing is told apart from an empty text.
            known = np.append(pd.util.hash_array(each, categorize=False), np.uint64(1))
            place = texts.indices.fill_null(len(each)).to_numpy(zero_copy_only=False)
            found = known[place]
        # FNV-1a's step (Fowler, Noll and Vo), a column at a time; it wraps on purpose.
        hashes = (hashes ^ found) * np.uint64(1099511628211)
    return hashes


class RowsFingerprint:
    """Fingerprint of rows that arrive in any order and number, as hashes.

    Examples
    --------
    >>> rows = pa.record_batch({"x": [1.0, 2.0], "name": ["a", None]})
    >>> one, two = RowsFingerprint(), RowsFingerprint()
    >>> one.update(row_hashes(rows, ["x", "name"]))
    >>> two.update(row_hashes(rows[1:], ["x", "name"]))
    >>> two.update(row_hashes(rows[:1], ["x", "name"]))
    >>> one.hexdigest() == two.hexdigest()
    True
    """

    def __init__(self) -> None:
        self._rows = 0
        self._sums = np.zeros(2, dtype=np.uint64)

    def update(self, hashes: NDArray[np.uint64]) -> None:
        """Add rows."""
        self._rows += len(hashes)
        # The second sum sees what two rows that swap their parts would hide from the first.
        self._sums += np.array([hashes.sum(), (hashes * (hashes >> np.uint64(7))).sum()])

    @property
    def sums(self) -> tuple[int, ...]:
        """What :meth:`add` takes of these rows in another process."""
        return tuple(int(one) for one in self._sums)

    def add(self, rows: int, sums: Sequence[int]) -> None:
        """Add rows whose :attr:`sums` are known."""
        self._rows += rows
        self._sums += np.array(sums, dtype=np.uint64)

    def hexdigest(self) -> str:
        """Give the fingerprint of all rows so far, as 64 hexadecimal digits."""
        told = f"{self._rows} {self._sums[0]} {self._sums[1]}"
        return hashlib.sha256(told.encode()).hexdigest()
