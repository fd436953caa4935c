"""The linear backbone and the centres of a model as tables of one value per signal and segment."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.churn.backbone import LinearBackbone
from models.churn.design import NUMBER as RAMP
from models.churn.design import UNKNOWN
from models.churn.encoding import Codes, Floats
from models.tree_shap.run.additive_values import CATEGORY, NUMBER, signed_log


@dataclass(frozen=True)
class AdditivePart:
    """What each signal adds by itself, above the mean of the row's segment.

    A number adds a function of its signed logarithm that is linear between knots and level beyond
    them, a category one value per level, and either has a value for "unknown". All differ by
    segment; the last row stands for a segment that was never seen, which is code -1.

    Attributes
    ----------
    kind : ndarray of int64, shape (n_features,)
        Whether a signal is a number or a category.
    start : ndarray of int64, shape (n_features + 1,)
        First cell of each signal. The cells of a number are its knots, those of a category its
        codes and one more for any other code.
    knot : ndarray of shape (n_cells,)
        Signed logarithm at each knot, ascending.
    height, slope : ndarray of shape (n_segments + 1, n_cells)
        Value at the knot, and its rise per unit of logarithm from there on; or of the code.
    unknown : ndarray of shape (n_segments + 1, n_features)
        Value where the signal is NaN.
    base : ndarray of shape (n_segments + 1,)
        Margin the values are counted from.
    """

    kind: NDArray[np.int64]
    start: NDArray[np.int64]
    knot: Floats
    height: Floats
    slope: Floats
    unknown: Floats
    base: Floats

    @classmethod
    def of(
        cls,
        backbone: LinearBackbone | None,
        categorical: Collection[int],
        n_features: int,
        prior: float,
        centres: Floats,
    ) -> AdditivePart:
        """Tabulate a backbone.

        Parameters
        ----------
        backbone : LinearBackbone or None
            Fitted; None where the model starts from the base rate.
        categorical : collection of int
            Positions of categorical signals.
        n_features : int
            Number of signals.
        prior : float
            Log-odds the margin starts from when there is no backbone.
        centres : ndarray of shape (n_segments + 1, n_features)
            Mean contribution of each signal in each segment, taken off its values and added to the
            base; the last row is for unseen segments.
        """
        kind = np.full(n_features, NUMBER, np.int64)
        kind[[*categorical]] = CATEGORY
        columns = _Columns.of(backbone, len(centres), n_features)
        tables = [
            columns.category(signal) if kind[signal] == CATEGORY else columns.number(signal)
            for signal in range(n_features)
        ]
        counts = [len(table.knot) for table in tables]
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        base = prior if backbone is None else columns.base
        return cls(
            kind=kind,
            start=start,
            knot=np.concatenate([table.knot for table in tables]),
            height=np.hstack([table.height for table in tables])
            - np.repeat(centres, counts, axis=1),
            slope=np.hstack([table.slope for table in tables]),
            unknown=np.column_stack([table.unknown for table in tables]) - centres,
            base=base + centres.sum(axis=1),
        )

    def values(self, X: Floats, segment: Codes) -> Floats:
        """Value of each signal above its segment's mean: (n, n_features).

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Encoded signals, NaN where unknown.
        segment : ndarray of int, shape (n,)
            Code of each row's segment, -1 for one that was never seen.
        """
        found = np.empty(X.shape)
        for signal in range(len(self.kind)):
            x = X[:, signal]
            first, cells = int(self.start[signal]), int(np.diff(self.start)[signal])
            if cells == 1 or self.kind[signal] == CATEGORY:
                known = (x >= 0) & (x < cells)
                cell = first + np.where(known, x, cells - 1).astype(np.intp)
                value = self.height[segment, cell]
            else:
                knots = self.knot[first : first + cells]
                place = np.clip(signed_log(x), knots[0], knots[-1])
                place = np.where(np.isnan(place), knots[0], place)
                cell = first + np.searchsorted(knots[1:-1], place, side="right")
                rise = self.slope[segment, cell] * (place - self.knot[cell])
                value = self.height[segment, cell] + rise
            found[:, signal] = np.where(np.isnan(x), self.unknown[segment, signal], value)
        return found

    def largest(self) -> float:
        """Give a bound of the sum of the absolute values of a row and of its base."""
        most = np.maximum.reduceat(np.abs(self.height), self.start[:-1], axis=1)
        most = np.maximum(most, np.abs(self.unknown))
        return float((most.sum(axis=1) + np.abs(self.base)).max())

    def fits(self) -> bool:
        """Tell whether the arrays fit each other, whoever wrote them."""
        signals, cells, segments = len(self.kind), len(self.knot), len(self.base)
        return bool(
            self.start.shape == (signals + 1,)
            and self.height.shape == self.slope.shape == (segments, cells)
            and self.unknown.shape == (segments, signals)
            and segments >= 1
            and self.start[0] == 0
            and self.start[-1] == cells
            and (np.diff(self.start) >= 1).all()
        )


@dataclass(frozen=True)
class _Table:
    """Cells of one signal."""

    knot: Floats
    height: Floats
    slope: Floats
    unknown: Floats


@dataclass(frozen=True)
class _Columns:
    """The columns of a backbone's design, with their weight in each segment and the unseen one.

    A column at ``found`` adds ``weight * (found - centre) + rest``.
    """

    owner: Codes
    level: Floats
    low: Floats
    high: Floats
    centre: Floats
    weight: Floats
    rest: Floats
    base: Floats

    @classmethod
    def of(cls, backbone: LinearBackbone | None, segments: int, n_features: int) -> _Columns:
        if backbone is None:
            none, empty = np.zeros(0), np.zeros((segments, 0))
            owner = none.astype(np.intp)
            return cls(owner, none, none, none, none, empty, empty, np.zeros(segments))
        design = backbone.design_
        theta = backbone.theta_[backbone.nodes(np.append(np.arange(segments - 1), -1))]
        # An unseen segment is counted from the mean over all rows, where every column is zero.
        mean = np.vstack([backbone.mean_, np.append(np.zeros(len(design.owner)), 1.0)])
        return cls(
            owner=design.owner,
            level=design.level,
            low=design.low,
            high=design.high,
            centre=design.centre,
            weight=theta[:, :-1] / design.spread,
            rest=-(theta * mean)[:, :-1],
            base=(theta * mean).sum(axis=1),
        )

    def number(self, signal: int) -> _Table:
        mine = self.owner == signal
        ramps, flags = mine & (self.level == RAMP), mine & (self.level == UNKNOWN)
        low, high = self.low[ramps], self.high[ramps]
        # Without a ramp every known number has one value, held at a single knot.
        knots = np.unique(np.concatenate([low, high])) if len(low) else np.zeros(1)
        rest = self.rest[:, mine].sum(axis=1)
        known = rest - self.weight[:, flags] @ self.centre[flags]
        reached = np.clip(knots[:, None], low, high) - self.centre[ramps]
        rising = (low <= knots[:, None]) & (knots[:, None] < high)
        return _Table(
            knot=knots,
            height=known[:, None] + self.weight[:, ramps] @ reached.T,
            slope=self.weight[:, ramps] @ rising.T,
            unknown=rest + self.weight[:, flags] @ (1 - self.centre[flags]),
        )

    def category(self, signal: int) -> _Table:
        mine = self.owner == signal
        level, rest = self.level[mine], self.rest[:, mine].sum(axis=1)
        # No column indicates a code that is not a number; it stands for all codes without one.
        codes = np.append(np.arange(level.max(initial=-1) + 1), np.nan)

        def values(code: Floats) -> Floats:
            apart = (code[:, None] == level) - self.centre[mine]
            return np.asarray(rest[:, None] + self.weight[:, mine] @ apart.T)

        heights = values(codes)
        return _Table(
            knot=np.zeros(len(codes)),
            height=heights,
            slope=np.zeros_like(heights),
            unknown=values(np.array([float(UNKNOWN)]))[:, 0],
        )
