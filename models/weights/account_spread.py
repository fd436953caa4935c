"""How sure a model is of a single account's probability.

A refit, seen from one account, is another base of its segment and another factor on what each
signal group adds. What refits say of those few numbers is kept, and an account's own interval is a
small quadratic form of the sums it is scored with anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from features.catalog import EVERYBODY
from models.arrays import Codes, Floats
from models.measures.resampling import REACH


@dataclass(frozen=True)
class AccountSpread:
    """Variances of margins by segment.

    Attributes
    ----------
    groups : tuple of str
        Signal groups.
    variances : dict of str to list of list of float
        Segment, or "all", to the covariance of its base and of the factors of its groups, the base
        first: ``vᵀ C v`` is the variance of a margin whose groups add ``v[1:]``, with ``v[0] = 1``.
    """

    groups: tuple[str, ...]
    variances: Mapping[str, list[list[float]]]

    def deviation(self, added: Floats, label: Codes, labels: Sequence[str]) -> Floats:
        """Work out the standard deviation of margins: (n,).

        Parameters
        ----------
        added : ndarray of shape (n, n_groups)
            What each group adds to the margin, counted from the segment's mean.
        label : ndarray of int, shape (n,)
            Segment of each row.
        labels : sequence of str
            What the segments are called.
        """
        table = np.array(
            [self.variances.get(name, self.variances[EVERYBODY]) for name in labels], dtype=float
        )
        deviation = np.empty(len(label))
        for code in np.unique(label):
            rows = np.flatnonzero(label == code)
            whole = np.column_stack([np.ones(len(rows)), added[rows]])
            deviation[rows] = ((whole @ table[code]) * whole).sum(axis=1)
        return np.sqrt(np.maximum(deviation, 0.0))

    def with_bases(self, variances: Mapping[str, float]) -> AccountSpread:
        """Add what is not known of the base of each segment, or of "all"."""
        wider = {name: np.array(matrix, dtype=float) for name, matrix in self.variances.items()}
        for name, matrix in wider.items():
            matrix[0, 0] += variances.get(name, variances[EVERYBODY])
        return AccountSpread(self.groups, {name: one.tolist() for name, one in wider.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {"groups": list(self.groups), "variances": dict(self.variances)}

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> AccountSpread:
        """Rebuild from :meth:`to_dict`.

        Raises
        ------
        ValueError
            When a matrix has another size, or is none of covariances.
        """
        spread = cls(tuple(described["groups"]), described["variances"])
        size = len(spread.groups) + 1
        for segment in (EVERYBODY, *spread.variances):
            matrix = np.array(spread.variances[segment], dtype=float)
            if matrix.shape != (size, size) or np.linalg.eigvalsh(matrix).min() < -1e-6:
                raise ValueError(f"segment {segment!r} has no covariance of {size} numbers")
        return spread


def interval(log_odds: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Bounds of the 90 % interval of probabilities: two of shape (n,).

    Examples
    --------
    >>> low, high = interval(np.array([0.0]), np.array([1.0]))
    >>> low.round(3), high.round(3)
    (array([0.162]), array([0.838]))
    """
    return expit(log_odds - REACH * deviation), expit(log_odds + REACH * deviation)


class SpreadReader:
    """Gathers what refits say of some rows of one segment.

    Parameters
    ----------
    added : ndarray of shape (n, n_groups)
        What each group adds to the margin of the model, counted from the segment's mean.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> added = rng.normal(size=(200, 1))
    >>> reader = SpreadReader(added)
    >>> for factor in (0.8, 1.0, 1.2):
    ...     reader.add(factor * added)
    >>> bool(np.allclose(reader.covariance(), [[0, 0], [0, 0.04]], atol=1e-3))
    True
    """

    def __init__(self, added: Floats) -> None:
        self._whole = np.column_stack([np.ones(len(added)), added])
        self._inverse = np.linalg.pinv(self._whole)
        self._factors: list[Floats] = []
        self._left: list[float] = []

    def add(self, added: Floats, base: float = 0.0) -> None:
        """Read a refit: what it adds in each group, and its base beside the model's."""
        margin = added.sum(axis=1) + base
        factors = self._inverse @ margin
        self._factors.append(factors)
        self._left.append(float(((margin - self._whole @ factors) ** 2).mean()))

    def covariance(self) -> Floats:
        """Covariance of base and factors; what they do not explain is added to the base."""
        if len(self._factors) < 2:
            return np.zeros((self._whole.shape[1],) * 2)
        covariance = np.cov(np.array(self._factors).T).reshape((self._whole.shape[1],) * 2)
        covariance[0, 0] += float(np.mean(self._left))
        return np.asarray(covariance)


def spread_of(
    groups: Sequence[str],
    segments: Sequence[str],
    readers: Sequence[SpreadReader],
    size: Sequence[float],
) -> AccountSpread:
    """Join what was read of each segment; a row of none is as sure as they are on average.

    Parameters
    ----------
    groups, segments : sequence of str
        Their names.
    readers : sequence of SpreadReader
        One of each segment.
    size : sequence of float
        How much each segment counts for a row of none.
    """
    covariances = [reader.covariance() for reader in readers]
    pooled = np.average(np.array(covariances), axis=0, weights=np.asarray(size, dtype=float))
    named = dict(zip(segments, covariances, strict=True)) | {EVERYBODY: pooled}
    return AccountSpread(tuple(groups), {name: one.tolist() for name, one in named.items()})
