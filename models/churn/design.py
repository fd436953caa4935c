"""From encoded signals to the standardised columns of a linear model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import Codes, Floats
from models.churn.coded import CodedMatrix

# A level seen less often than this says nothing a shrunken coefficient could hold on to.
MIN_LEVEL_ROWS = 20
# Ends winsorise: one account with a thousand times the usage must not turn the line. The middle
# lets it bend, so that "too little" and "more than enough" may differ.
KNOTS = (0.005, 0.5, 0.995)
# A rare indicator divided by its tiny deviation would escape the penalty; this is a 7 % share.
MIN_INDICATOR_SPREAD = 0.25
# Bytes up to which a design of all rows is kept rather than made anew for each pass over them.
MOST_KEPT = 1 << 28
# What a design column stands for when it is not a category level.
UNKNOWN, NUMBER = -1, -2


@dataclass(frozen=True)
class Design:
    """How encoded signals become the standardised columns of a linear model.

    A number is log-transformed with its sign, winsorised and split at its quantiles into
    standardised ramps, with an indicator where it was sometimes unknown; a category becomes one
    column per level. Constant columns are
    left out, so a signal without variation has no coefficient at all.

    Attributes
    ----------
    owner : ndarray of int, shape (q,)
        Signal each column belongs to.
    level : ndarray, shape (q,)
        Level code the column indicates, or one of ``UNKNOWN`` and ``NUMBER``.
    low, high, centre, spread : ndarray of shape (q,)
        Limits of the ramp, mean and standard deviation.
    """

    owner: Codes
    level: Floats
    low: Floats
    high: Floats
    centre: Floats
    spread: Floats

    @classmethod
    def fit(cls, values: Floats | CodedMatrix, categorical: Sequence[int]) -> Design:
        """Learn the columns from an encoded matrix."""
        columns: list[tuple[float, ...]] = []
        for signal in range(values.shape[1]):
            raw = values[:, signal]
            known = raw[~np.isnan(raw)]
            unknown = 1 - len(known) / len(raw)
            if signal in categorical:
                levels, counts = np.unique(known, return_counts=True)
                kept = counts >= min(MIN_LEVEL_ROWS, len(raw) / 10)
                shares = [
                    *zip(levels[kept], counts[kept] / len(raw), strict=True),
                    (UNKNOWN, unknown),
                ]
            else:
                shares = [(UNKNOWN, unknown)]
                columns.extend((signal, NUMBER, *ramp) for ramp in _ramps(known))
            for level, share in shares:
                spread = max(np.sqrt(share * (1 - share)), MIN_INDICATOR_SPREAD)
                columns.append((signal, level, 0.0, 1.0, share, spread if 0 < share < 1 else 0.0))
        table = np.array([column for column in columns if column[-1] > 1e-9]).reshape(-1, 6)
        return cls(table[:, 0].astype(np.intp), *table.T[1:])

    def transform(self, values: Floats, dtype: type[np.floating[Any]] = np.float64) -> Any:
        """Return the (n, q) design; an unknown number sits at its mean, that is, at zero.

        A last column of ones is the intercept's.
        """
        design = np.ones((len(values), len(self.owner) + 1), dtype=dtype)
        for column, (signal, level) in enumerate(zip(self.owner, self.level, strict=True)):
            raw = values[:, signal]
            if level == NUMBER:
                limited = np.clip(_signed_log(raw), self.low[column], self.high[column])
                found = np.where(np.isnan(limited), self.centre[column], limited)
            else:
                found = np.isnan(raw) if level == UNKNOWN else raw == level
            design[:, column] = (found - self.centre[column]) / self.spread[column]
        return design


class DesignRows:
    """Rows of a design in single precision, written out where they are read.

    The whole design is kept where it is small; of many rows it would be several times as large as
    what it is made from.

    Parameters
    ----------
    design : Design
        The columns.
    values : ndarray or CodedMatrix of shape (n, n_signals)
        Encoded signals.
    """

    def __init__(self, design: Design, values: Floats | CodedMatrix) -> None:
        self._design, self._values = design, values
        self.shape = (values.shape[0], len(design.owner) + 1)
        small = 4 * self.shape[0] * self.shape[1] <= MOST_KEPT
        self._kept = design.transform(values[:], np.float32) if small else None

    def __getitem__(self, rows: slice | Codes) -> NDArray[np.float32]:
        if self._kept is not None:
            return np.asarray(self._kept[rows])
        return np.asarray(self._design.transform(self._values[rows], np.float32))


def _signed_log(raw: Floats) -> Floats:
    return np.sign(raw) * np.log1p(np.abs(raw))


def _ramps(known: Floats) -> list[tuple[float, float, float, float]]:
    """Limits, mean and deviation of each piece between two knots."""
    if not len(known):
        return []
    numbers = _signed_log(known)
    knots = np.unique(np.quantile(numbers, KNOTS))
    ramps = []
    for low, high in itertools.pairwise(knots):
        piece = np.clip(numbers, low, high)
        ramps.append((low, high, piece.mean(), piece.std()))
    return ramps
