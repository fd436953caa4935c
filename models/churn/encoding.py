"""From whatever X a caller hands over to one float matrix and one segment code per row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from features.errors import sample
from features.json_values import JsonReady
from models.arrays import Codes, Floats
from models.churn.coded import BLOCK, CodedMatrix, CodedTable, Rows

# LightGBM splits categories by subset; beyond this many levels the rest of the alphabet is noise.
MAX_LEVELS = 100


@dataclass(frozen=True)
class Encoded:
    """A feature matrix both parts of the model can read.

    Attributes
    ----------
    matrix : ndarray or CodedMatrix of shape (n, n_signals)
        Numbers as they are, categories as level codes, NaN for unknown.
    segment : ndarray of int, shape (n,)
        Position in the encoder's ``segments``; -1 for a segment not seen at fit.
    """

    matrix: Floats | CodedMatrix
    segment: Codes

    def __len__(self) -> int:
        return len(self.segment)

    @property
    def values(self) -> Floats:
        """The matrix written out, which of many rows takes much memory."""
        return self.matrix if isinstance(self.matrix, np.ndarray) else self.matrix[:]

    def take(self, rows: np.ndarray) -> Encoded:
        """Keep some rows, given as a mask or as positions."""
        if isinstance(self.matrix, np.ndarray):
            return Encoded(self.matrix[rows], self.segment[rows])
        return Encoded(self.matrix.take(rows), self.segment[rows])

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """Write rows out some at a time, or give the whole array where they are written out."""
        if isinstance(self.matrix, np.ndarray):
            yield slice(0, len(self)), self.matrix
            return
        for start in range(0, len(self), BLOCK):
            here = slice(start, min(start + BLOCK, len(self)))
            yield here, self.matrix[here]


@dataclass(frozen=True)
class SignalEncoder(JsonReady):
    """What was learnt about the columns of X.

    Attributes
    ----------
    names : tuple of str
        Signals, in the order of the matrix.
    levels : dict of str to tuple of str
        The categories of each categorical signal, most frequent first.
    segment_column : str or None
        Where the segment is read from; it is never a signal itself.
    segments : tuple of str
        Segments seen at fit, sorted; one named "all" when there is no segment column.
    """

    names: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    segment_column: str | None
    segments: tuple[str, ...]

    @classmethod
    def fit(cls, X: Rows, segment_column: str | None) -> SignalEncoder:
        """Learn names, categories and segments."""
        if segment_column is not None and segment_column not in X.columns:
            raise ValueError(
                f"The 'segment_column' parameter of ChurnClassifier must name a column of X. "
                f"Got {segment_column!r}; the columns are {sample(X.columns, 10)}."
            )
        names = tuple(str(column) for column in X.columns if column != segment_column)
        if isinstance(X, CodedTable):
            texts = {n: X.column(n).values.dtype == object for n in X.columns}
            levels = {name: _coded_levels(X, name) for name in names if texts[name]}
        else:
            levels = {name: _levels(X[name]) for name in names if not _is_number(X[name])}
        segments = ("all",)
        if segment_column is not None:
            segments = tuple(sorted(set(_text(X[segment_column]).dropna())))
        return cls(names, levels, segment_column, segments)

    @property
    def categorical(self) -> list[int]:
        """Positions of the categorical signals."""
        return [i for i, name in enumerate(self.names) if name in self.levels]

    def transform(self, X: Rows) -> Encoded:
        """Encode rows; unseen categories become unknown, unseen segments -1.

        Raises
        ------
        ValueError
            When a numeric signal holds an infinity or something that is not a number.
        """
        if isinstance(X, CodedTable):
            return self._coded(X)
        values = np.empty((len(X), len(self.names)))
        for i, name in enumerate(self.names):
            if name in self.levels:
                values[:, i] = _codes(_text(X[name]), self.levels[name])
            else:
                values[:, i] = _numbers(X[name])
        infinite = np.isinf(values).any(axis=0)
        if infinite.any():
            names = [self.names[i] for i in np.flatnonzero(infinite)]
            raise ValueError(
                f"Input X contains infinity in {sample(names)}; a signal must be a finite number, "
                "or NaN where it is unknown."
            )
        if self.segment_column is None:
            return Encoded(values, np.zeros(len(X), dtype=np.intp))
        return Encoded(values, _places(_codes(_text(X[self.segment_column]), self.segments)))

    def _coded(self, X: CodedTable) -> Encoded:
        """Let the codes of categories stand for their level; nothing is copied."""
        columns = []
        for name in self.names:
            column = X.column(name)
            if name in self.levels:
                column = column.standing_for(_codes(pd.Series(column.values), self.levels[name]))
            columns.append(column)
        matrix = X.matrix(columns)
        if self.segment_column is None:
            return Encoded(matrix, np.zeros(len(X), dtype=np.intp))
        own = X.column(self.segment_column)
        places = _places(_codes(pd.Series(own.values), self.segments))
        return Encoded(matrix, X.standing_for(self.segment_column, places))


def _is_number(column: pd.Series) -> bool:
    return is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype)


def _text(column: pd.Series) -> pd.Series:
    # Compared as text, so that 1 and "1" cannot be two levels after a detour through CSV.
    return column.astype("object").map(str, na_action="ignore")


def _levels(column: pd.Series) -> tuple[str, ...]:
    counts = _text(column).value_counts()
    # Sorted within equal counts: the order of the rows must not decide the codes.
    ordered = sorted(counts.index, key=lambda level: (-counts[level], level))
    return tuple(ordered[:MAX_LEVELS])


def _coded_levels(X: CodedTable, name: str) -> tuple[str, ...]:
    values, counts = X.column(name).values, X.counts(name)
    seen = {
        str(value): int(count)
        for value, count in zip(values, counts, strict=True)
        if count and value is not None
    }
    return tuple(sorted(seen, key=lambda level: (-seen[level], level))[:MAX_LEVELS])


def _places(codes: Floats) -> Codes:
    """Positions, -1 for none."""
    return np.where(np.isnan(codes), -1, codes).astype(np.intp)


def _codes(column: pd.Series, levels: Sequence[str]) -> Floats:
    positions = {level: float(position) for position, level in enumerate(levels)}
    return np.asarray(column.map(positions), dtype=np.float64)


def _numbers(column: pd.Series) -> Floats:
    if _is_number(column):
        return column.to_numpy(dtype=float, na_value=np.nan)
    numbers = pd.to_numeric(column, errors="coerce")
    if len(lost := column[numbers.isna() & column.notna()]):
        raise ValueError(
            f"Signal {str(column.name)!r} must hold numbers, as it did at fit; "
            f"got {sample(lost.unique())}."
        )
    return numbers.to_numpy(dtype=float, na_value=np.nan)
