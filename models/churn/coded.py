"""Rows as codes: each column as small integers and what they stand for, shared by its readers.

A table of a million accounts on twelve dates would be copied several times over between the engine
and the trees. Here it is held once, without loss, and whoever needs some of its rows keeps their
positions alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.arrays import Codes, Floats

# Rows that are written out as numbers at a time: a few megabytes, which stay near the processor.
BLOCK = 16_384

Some = slice | NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True)
class CodedColumn:
    """A column that is written out only where it is read.

    Attributes
    ----------
    values : ndarray of shape (k,)
        What codes stand for; the n values themselves where there are no codes.
    codes : ndarray of unsigned int, shape (n,), or None
        Position of each row's value; None where a column has so many values that codes save
        nothing.
    """

    values: NDArray[np.generic]
    codes: NDArray[np.unsignedinteger] | None = None

    def __len__(self) -> int:
        return len(self.values if self.codes is None else self.codes)

    @property
    def nbytes(self) -> int:
        """Bytes that are held, texts beside the pointers to them left out."""
        return self.values.nbytes + (0 if self.codes is None else self.codes.nbytes)

    def at(self, rows: Some) -> NDArray[np.generic]:
        """Write out some rows."""
        return self.values[rows] if self.codes is None else self.values[self.codes[rows]]

    def standing_for(self, values: NDArray[np.generic]) -> CodedColumn:
        """Let the codes stand for something else."""
        return CodedColumn(values, self.codes)


class _SomeRows:
    """Rows of shared columns, given by their positions."""

    def __init__(self, count: int, rows: Codes | None) -> None:
        self._count, self._rows = count, rows

    def __len__(self) -> int:
        return self._count if self._rows is None else len(self._rows)

    def _places(self, rows: Some) -> Some:
        if self._rows is not None:
            return self._rows[rows]
        if isinstance(rows, np.ndarray) and rows.dtype == bool:
            return np.flatnonzero(rows)
        return rows

    def _positions(self, rows: Some) -> Codes:
        places = self._places(rows)
        if isinstance(places, slice):
            return np.arange(*places.indices(self._count), dtype=np.intp)
        return np.asarray(places, dtype=np.intp)


class CodedMatrix(_SomeRows):
    """Numbers that are written out a block at a time: read like an array of shape (n, width).

    ``matrix[rows]`` and ``matrix[:, column]`` write out what is asked for; :meth:`take` does not.

    Parameters
    ----------
    columns : sequence of CodedColumn
        Numbers, NaN where unknown.
    rows : ndarray of int, or None
        Positions of the rows that count; None for all.

    Examples
    --------
    >>> seats = CodedColumn(np.array([np.nan, 5.0]), np.array([1, 0, 1], np.uint8))
    >>> CodedMatrix([seats]).take(np.array([2, 1]))[:].tolist()
    [[5.0], [nan]]
    """

    def __init__(self, columns: Sequence[CodedColumn], rows: Codes | None = None) -> None:
        super().__init__(len(columns[0]) if columns else 0, rows)
        self._columns = tuple(columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), len(self._columns)

    @property
    def nbytes(self) -> int:
        """Bytes of the shared columns."""
        return sum(column.nbytes for column in self._columns)

    def __getitem__(self, key: Some | tuple[slice, int]) -> Floats:
        if isinstance(key, tuple):
            rows, number = key
            return np.asarray(self._columns[number].at(self._places(rows)), dtype=np.float64)
        places = self._places(key)
        # Column by column, as they are held and mostly read.
        found = np.empty((len(self._columns), len(self._positions(key))))
        for place, column in enumerate(self._columns):
            found[place] = column.at(places)
        return found.T

    def take(self, rows: Some) -> CodedMatrix:
        """Keep some rows, without writing any out."""
        return CodedMatrix(self._columns, self._positions(rows))


class CodedTable(_SomeRows):
    """Rows with named columns: what training reads of a DataFrame, without its copies.

    Parameters
    ----------
    columns : mapping of str to CodedColumn
        Of equal length.
    rows : ndarray of int, or None
        Positions of the rows that count; None for all.

    Examples
    --------
    >>> plan = CodedColumn(np.array(["pro", "free"], object), np.array([0, 1, 0], np.uint8))
    >>> table = CodedTable({"plan": plan})
    >>> table.take(np.array([1, 2]))["plan"].tolist(), "seats" in table
    (['free', 'pro'], False)
    """

    def __init__(self, columns: Mapping[str, CodedColumn], rows: Codes | None = None) -> None:
        super().__init__(len(next(iter(columns.values()))), rows)
        self._columns = dict(columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> pd.Series:
        values = self._columns[name].at(self._places(slice(None)))
        return pd.Series(values, name=name, dtype=values.dtype)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names."""
        return tuple(self._columns)

    @property
    def nbytes(self) -> int:
        """Bytes of the shared columns, of all their rows."""
        return sum(column.nbytes for column in self._columns.values())

    def take(self, rows: Some) -> CodedTable:
        """Keep some rows, without writing any out."""
        return CodedTable(self._columns, self._positions(rows))

    def select(self, names: Sequence[str]) -> CodedTable:
        """Keep some columns, in order."""
        return CodedTable({name: self._columns[name] for name in names}, self._rows)

    def with_texts(self, name: str, code: Codes, texts: Sequence[str]) -> CodedTable:
        """Add a column of few texts, given by the position of each row's: (n,)."""
        codes = code.astype(np.min_scalar_type(len(texts)))
        return self._with(name, np.array(texts, dtype=object), codes)

    def with_flags(self, name: str, flags: NDArray[np.bool_]) -> CodedTable:
        """Add a column of yes and no: (n,)."""
        return self._with(name, np.array([False, True]), flags.astype(np.uint8))

    def _with(
        self, name: str, values: NDArray[np.generic], codes: NDArray[np.unsignedinteger]
    ) -> CodedTable:
        if self._rows is not None:
            # Of the rows that are left out nothing is known, and nothing is read.
            everywhere = np.zeros(self._count, dtype=codes.dtype)
            everywhere[self._rows] = codes
            codes = everywhere
        return CodedTable(self._columns | {name: CodedColumn(values, codes)}, self._rows)

    def frame(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """Write out all rows, of all columns or of some."""
        return pd.DataFrame({name: self[name] for name in names or self.columns}, copy=False)

    def column(self, name: str) -> CodedColumn:
        """Give a column as it is held, with all its rows."""
        return self._columns[name]

    def standing_for(self, name: str, values: Codes) -> Codes:
        """Write out what the codes of a column stand for instead: (n,)."""
        found = self._columns[name].standing_for(values).at(self._places(slice(None)))
        return np.asarray(found, dtype=np.intp)

    def counts(self, name: str) -> NDArray[np.intp]:
        """Count how often each value of a column that has codes occurs: (k,)."""
        column = self._columns[name]
        codes = np.asarray(column.codes)[self._places(slice(None))]
        return np.bincount(codes, minlength=len(column.values))

    def matrix(self, columns: Sequence[CodedColumn]) -> CodedMatrix:
        """Arrange columns of numbers, held in this table's order, as a matrix of its rows."""
        return CodedMatrix(columns, self._rows)


Rows = pd.DataFrame | CodedTable
"""Rows to learn from: a DataFrame, or codes where there are many."""
