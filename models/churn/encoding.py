"""From whatever X a caller hands over to one float matrix and one segment code per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from features.errors import sample
from features.json_values import JsonReady
from models.arrays import Codes, Floats

# LightGBM splits categories by subset; beyond this many levels the rest of the alphabet is noise.
MAX_LEVELS = 100


@dataclass(frozen=True)
class Encoded:
    """A feature matrix both parts of the model can read.

    Attributes
    ----------
    values : ndarray of shape (n, n_signals)
        Numbers as they are, categories as level codes, NaN for unknown.
    segment : ndarray of int, shape (n,)
        Position in the encoder's ``segments``; -1 for a segment not seen at fit.
    """

    values: Floats
    segment: Codes

    def take(self, rows: np.ndarray) -> Encoded:
        """Keep some rows, given as a mask or as positions."""
        return Encoded(self.values[rows], self.segment[rows])


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
    def fit(cls, X: pd.DataFrame, segment_column: str | None) -> SignalEncoder:
        """Learn names, categories and segments."""
        if segment_column is not None and segment_column not in X.columns:
            raise ValueError(
                f"The 'segment_column' parameter of ChurnClassifier must name a column of X. "
                f"Got {segment_column!r}; the columns are {sample(X.columns, 10)}."
            )
        names = tuple(str(column) for column in X.columns if column != segment_column)
        levels = {name: _levels(X[name]) for name in names if not _is_number(X[name])}
        segments = ("all",)
        if segment_column is not None:
            segments = tuple(sorted(set(_text(X[segment_column]).dropna())))
        return cls(names, levels, segment_column, segments)

    @property
    def categorical(self) -> list[int]:
        """Positions of the categorical signals."""
        return [i for i, name in enumerate(self.names) if name in self.levels]

    def transform(self, X: pd.DataFrame) -> Encoded:
        """Encode rows; unseen categories become unknown, unseen segments -1.

        Raises
        ------
        ValueError
            When a numeric signal holds an infinity or something that is not a number.
        """
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
        codes = _codes(_text(X[self.segment_column]), self.segments)
        return Encoded(values, np.where(np.isnan(codes), -1, codes).astype(np.intp))


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
