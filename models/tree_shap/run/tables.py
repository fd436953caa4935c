"""The tables of a whole model in fixed point, and where a row of codes finds its entries."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.tree_shap.run.codes import Coding

# Entries gathered at a time; their addresses need 8 bytes each.
AT_ONCE = 1_000_000


class Steps(NamedTuple):
    """The codes from which on a table's state changes; what the kernel reads instead of places."""

    start: NDArray[np.int64]
    """First step of each table, (n_tables + 1,)."""
    feature: NDArray[np.int64]
    """Feature of each step."""
    code: NDArray[np.uint8]
    """First code that takes the step."""
    jump: NDArray[np.uint16]
    """What the state grows by, modulo 2**16."""


@dataclass(frozen=True)
class Tables:
    """What every tree adds to the values of a row.

    Table g covers columns ``start[g]`` to ``start[g + 1]``, each of them a feature. Its state, the
    row to add, is the sum of ``place[place_start[c] + code]`` over its columns c. Entries are
    multiples of ``2**-bits``.

    Attributes
    ----------
    start : ndarray of int64, shape (n_tables + 1,)
        First column of each table.
    feature : ndarray of int64, shape (n_columns,)
        Feature of each column; ascending within a table.
    place_start : ndarray of int64, shape (n_columns + 1,)
        Where the places of a column begin; it has one per code of its feature.
    place : ndarray of uint16
        What each code adds to the state.
    entry_start : ndarray of int64, shape (n_tables + 1,)
        Where the rows of a table begin.
    entry : ndarray of int32
        Rows of all tables, each with as many entries as its table has columns.
    chunk : ndarray of int64, shape (n_chunks + 1,)
        First table of each chunk, within which no sum of a feature's entries exceeds 32 bits.
    bits : int
        The unit of entries is ``2**-bits``.
    """

    start: NDArray[np.int64]
    feature: NDArray[np.int64]
    place_start: NDArray[np.int64]
    place: NDArray[np.uint16]
    entry_start: NDArray[np.int64]
    entry: NDArray[np.int32]
    chunk: NDArray[np.int64]
    bits: int

    @property
    def n_tables(self) -> int:
        """Number of tables."""
        return len(self.start) - 1

    @property
    def n_columns(self) -> int:
        """Number of additions per row."""
        return len(self.feature)

    @property
    def nbytes(self) -> int:
        """Memory of the tables, in bytes."""
        arrays = (getattr(self, field.name) for field in fields(self))
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))

    def largest(self) -> float:
        """Give a bound of the sum of the absolute values of a row."""
        found = 0
        for g, width in enumerate(self.widths()):
            rows = self.entry[self.entry_start[g] : self.entry_start[g + 1]].reshape(-1, width)
            found += int(np.maximum(rows.max(axis=0), -rows.min(axis=0)).sum(dtype=np.int64))
        return math.ldexp(found, -self.bits)

    def widths(self) -> NDArray[np.int64]:
        """Columns of each table: (n_tables,)."""
        return np.diff(self.start)

    def steps(self) -> Steps:
        """List where the places of each column change, and by how much."""
        change = np.diff(self.place, prepend=np.uint16(0))
        changed = np.flatnonzero(change)
        column = np.searchsorted(self.place_start, changed, side="right") - 1
        # The first place of a column is zero: it is a step of none.
        inside = changed > self.place_start[column]
        changed, column = changed[inside], column[inside]
        return Steps(
            start=np.searchsorted(column, self.start),
            feature=self.feature[column],
            code=(changed - self.place_start[column]).astype(np.uint8),
            jump=change[changed],
        )

    def sums(self, codes: NDArray[np.uint8]) -> Floats:
        """Add up the entries of coded rows.

        Parameters
        ----------
        codes : ndarray of uint8, shape (n, n_features)
            Coded rows.

        Returns
        -------
        ndarray of shape (n, n_features)
            Values, exact sums of the entries.
        """
        found = np.zeros(codes.shape)
        if not self.n_columns:
            return found
        by_feature = np.argsort(self.feature, kind="stable")
        present, first = np.unique(self.feature[by_feature], return_index=True)
        table = np.repeat(np.arange(self.n_tables), self.widths())
        offset = np.arange(self.n_columns) - self.start[table] + self.entry_start[table]
        rows = max(AT_ONCE // self.n_columns, 1)
        for begin in range(0, len(codes), rows):
            part = codes[begin : begin + rows]
            places = self.place[self.place_start[:-1] + part[:, self.feature]]
            state = np.add.reduceat(places, self.start[:-1], axis=1, dtype=np.int64)
            entries = self.entry[(state * self.widths())[:, table] + offset][:, by_feature]
            total = np.add.reduceat(entries, first, axis=1, dtype=np.int64)
            found[begin : begin + rows, present] = np.ldexp(total.astype(float), -self.bits)
        return found

    def fits(self, coding: Coding) -> bool:
        """Tell whether every address the arrays give lies inside them, whoever wrote them."""
        named = self.feature
        if not (
            _limits(self.start, self.n_columns)
            and _limits(self.place_start, len(self.place))
            and _limits(self.entry_start, len(self.entry))
            and _limits(self.chunk, self.n_tables)
            and len(self.entry_start) == len(self.start)
            and len(self.place_start) == self.n_columns + 1
            and (np.diff(self.start) > 0).all()
            and ((named >= 0) & (named < len(coding.size))).all()
            and (np.diff(self.place_start) == coding.size[named]).all()
        ):
            return False
        ascends = np.diff(named, prepend=-1) > 0
        ascends[self.start[:-1]] = True
        if not ascends.all():
            return False
        if not self.n_tables:
            return True
        highest = np.maximum.reduceat(self.place, self.place_start[:-1]).astype(np.int64)
        rows = np.add.reduceat(highest, self.start[:-1]) + 1
        return bool((rows * self.widths() <= np.diff(self.entry_start)).all())


def _limits(limits: NDArray[np.int64], end: int) -> bool:
    """Tell whether limits ascend from 0 to the end."""
    ascends = bool((np.diff(limits) >= 0).all())
    return ascends and len(limits) > 0 and limits[0] == 0 and limits[-1] == end
