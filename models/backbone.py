"""The linear backbone: shrunken logistic regression per segment, pulled toward a shared parent."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from models.encoding import Codes, Encoded, Floats

# A level seen less often than this says nothing a shrunken coefficient could hold on to.
MIN_LEVEL_ROWS = 20
# Ends winsorise: one account with a thousand times the usage must not turn the line. The median
# between them lets the line bend once, so "too little" and "more than enough" may differ.
KNOTS = (0.005, 0.5, 0.995)
# A rare indicator divided by its tiny deviation would escape the penalty; this is a 7 % share.
MIN_INDICATOR_SPREAD = 0.25
# What a design column stands for when it is not a category level.
UNKNOWN, NUMBER = -1, -2


@dataclass(frozen=True)
class Design:
    """How encoded signals become the standardised columns of a linear model.

    A number is log-transformed with its sign, winsorised and split at its median into two
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
    def fit(cls, values: Floats, categorical: Sequence[int]) -> Design:
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

    def transform(self, values: Floats) -> Floats:
        """Return the (n, q) design; an unknown number sits at its mean, that is, at zero."""
        design = np.empty((len(values), len(self.owner)))
        for column, (signal, level) in enumerate(zip(self.owner, self.level, strict=True)):
            raw = values[:, signal]
            if level == NUMBER:
                limited = np.clip(_signed_log(raw), self.low[column], self.high[column])
                design[:, column] = np.where(np.isnan(limited), self.centre[column], limited)
            else:
                design[:, column] = np.isnan(raw) if level == UNKNOWN else raw == level
        design -= self.centre
        design /= self.spread
        return design


class LinearBackbone:
    """Logistic regression whose coefficients per segment are shrunk toward shared ones.

    Every segment with enough churns has coefficients of its own, penalised by their distance from
    the shared ones; the rest use the shared ones. This is the feature augmentation of Daumé III
    (2007), "Frustratingly easy domain adaptation", written as one penalised problem so that a
    declared healthy direction can bound the sign of each coefficient.

    Parameters
    ----------
    l2 : float
        Penalty on the shared coefficients, in units of the summed log loss (``1 / C``).
    segment_l2 : float
        Penalty on a segment's distance from the shared coefficients.
    min_churns : int
        Fewer churns (or stays) than this and a segment speaks with its parent's coefficients.
    """

    design_: Design
    coefficients_: Floats
    intercept_: Floats
    mean_: Floats
    row_: Codes

    def __init__(self, *, l2: float = 30.0, segment_l2: float = 60.0, min_churns: int = 20) -> None:
        self.l2 = l2
        self.segment_l2 = segment_l2
        self.min_churns = min_churns

    def fit(
        self,
        data: Encoded,
        churned: Floats,
        *,
        categorical: Sequence[int],
        direction: Floats,
        n_segments: int,
    ) -> LinearBackbone:
        """Fit to encoded rows.

        Parameters
        ----------
        data : Encoded
            Training rows.
        churned : ndarray of 0 and 1, shape (n,)
            Outcomes.
        categorical : sequence of int
            Positions of categorical signals.
        direction : ndarray of shape (n_signals,)
            Sign the churn margin must have in a signal: -1, 1, or 0 for either.
        n_segments : int
            Number of segments the codes refer to.
        """
        self.design_ = Design.fit(data.values, categorical)
        design = self.design_.transform(data.values)
        n, q = design.shape
        churns = np.bincount(data.segment, churned, minlength=n_segments)
        rows = np.bincount(data.segment, minlength=n_segments)
        own = (np.minimum(churns, rows - churns) >= self.min_churns) & (rows < n)
        # Row 0 is the shared parent. A silent segment points to it.
        self.row_ = np.where(own, np.cumsum(own), 0)
        members = [np.flatnonzero(self.row_[data.segment] == row) for row in range(own.sum() + 1)]
        bounded = np.where(self.design_.level == NUMBER, direction[self.design_.owner], 0)
        self.coefficients_, intercept, deviation = self._solve(
            design, churned, data.segment, members, bounded, n_segments
        )
        # Per segment, contributions are counted from the segment's own mean row.
        self.mean_ = np.zeros((n_segments, q))
        for segment in np.flatnonzero(rows):
            self.mean_[segment] = design[data.segment == segment].mean(axis=0)
        self.intercept_ = np.append(intercept + deviation, intercept)
        return self

    def _solve(
        self,
        design: Floats,
        churned: Floats,
        segment: Codes,
        members: list[Codes],
        bounded: Floats,
        n_segments: int,
    ) -> tuple[Floats, float, Floats]:
        n, q = design.shape
        shape = (len(members), q)
        blocks = [design[rows] for rows in members]

        def objective(vector: Floats) -> tuple[float, Floats]:
            coefficients = vector[: shape[0] * q].reshape(shape)
            intercept, deviation = vector[shape[0] * q], vector[shape[0] * q + 1 :]
            margin = np.empty(n)
            for rows, block, theta in zip(members, blocks, coefficients, strict=True):
                margin[rows] = block @ theta
            margin += intercept + deviation[segment]
            residual = expit(margin) - churned
            apart = coefficients[1:] - coefficients[0]
            loss = np.logaddexp(0, margin).sum() - churned @ margin
            loss += self.l2 / 2 * (coefficients[0] ** 2).sum()
            loss += self.segment_l2 / 2 * (apart**2).sum() + self.l2 / 2 * (deviation**2).sum()
            slope = np.stack([residual[r] @ b for r, b in zip(members, blocks, strict=True)])
            slope[0] += self.l2 * coefficients[0] - self.segment_l2 * apart.sum(axis=0)
            slope[1:] += self.segment_l2 * apart
            pull = np.bincount(segment, residual, minlength=n_segments) + self.l2 * deviation
            gradient = np.concatenate([slope.ravel(), [residual.sum()], pull])
            return loss / n, gradient / n

        base = np.clip(churned.mean(), 1e-6, 1 - 1e-6)
        start = np.zeros(shape[0] * q + 1 + n_segments)
        start[shape[0] * q] = np.log(base / (1 - base))
        sign_bounds = [(0 if b > 0 else None, 0 if b < 0 else None) for b in bounded]
        bounds = sign_bounds * shape[0] + [(None, None)] * (1 + n_segments)
        solution = minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 1000, "maxfun": 2000, "ftol": 1e-12, "gtol": 1e-7, "maxcor": 20},
        ).x
        coefficients = solution[: shape[0] * q].reshape(shape)
        return coefficients, float(solution[shape[0] * q]), solution[shape[0] * q + 1 :]

    def contributions(self, data: Encoded) -> Floats:
        """Margin of each signal above the segment's mean row: (n, n_signals)."""
        design = self.design_.transform(data.values)
        by_column = (design - self._padded(self.mean_)[data.segment]) * self._theta(data.segment)
        owners = np.zeros((len(self.design_.owner), data.values.shape[1]))
        owners[np.arange(len(owners)), self.design_.owner] = 1
        return np.asarray(by_column @ owners)

    def base_margin(self, data: Encoded) -> Floats:
        """Margin of the mean row of each row's segment: (n,)."""
        rows = np.append(self.row_, 0)
        bases = self.intercept_ + (self._padded(self.mean_) * self.coefficients_[rows]).sum(axis=1)
        return np.asarray(bases[data.segment])

    def margin(self, data: Encoded) -> Floats:
        """Log-odds of churn: (n,)."""
        design = self.design_.transform(data.values)
        own = self.intercept_[data.segment]
        return np.asarray((design * self._theta(data.segment)).sum(axis=1) + own)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description of a fitted backbone."""
        return {
            "settings": {
                "l2": self.l2,
                "segment_l2": self.segment_l2,
                "min_churns": self.min_churns,
            },
            "design": {name: column.tolist() for name, column in vars(self.design_).items()},
            "row": self.row_.tolist(),
            "coefficients": self.coefficients_.tolist(),
            "mean": self.mean_.tolist(),
            "intercept": self.intercept_.tolist(),
        }

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> LinearBackbone:
        """Rebuild a fitted backbone from :meth:`to_dict`."""
        backbone = cls(**described["settings"])
        design = {name: np.array(column, float) for name, column in described["design"].items()}
        backbone.design_ = Design(**design | {"owner": design["owner"].astype(np.intp)})
        width = len(backbone.design_.owner)
        backbone.row_ = np.array(described["row"], np.intp)
        backbone.coefficients_ = np.array(described["coefficients"], float).reshape(-1, width)
        backbone.mean_ = np.array(described["mean"], float).reshape(-1, width)
        backbone.intercept_ = np.array(described["intercept"], float)
        return backbone

    def _theta(self, segment: Codes) -> Floats:
        return np.asarray(self.coefficients_[np.append(self.row_, 0)[segment]])

    @staticmethod
    def _padded(table: Floats) -> Floats:
        """Append the row that code -1, an unseen segment, points to: the overall mean."""
        return np.vstack([table, np.zeros(table.shape[1])])


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
