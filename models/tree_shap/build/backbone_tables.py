"""From a linear backbone and the centres of a model to one table per signal and segment."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from models.arrays import Codes, Floats
from models.churn.backbone import LinearBackbone
from models.churn.design import NUMBER as RAMP
from models.churn.design import UNKNOWN
from models.tree_shap.run.additive_part import AdditivePart
from models.tree_shap.run.additive_values import CATEGORY, NUMBER


def tabulate_backbone(
    backbone: LinearBackbone | None,
    categorical: Collection[int],
    n_features: int,
    prior: float,
    centres: Floats,
) -> AdditivePart:
    """Tabulate a linear backbone, and the centres of a model, per signal and segment.

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
    return AdditivePart(
        kind=kind,
        start=start,
        knot=np.concatenate([table.knot for table in tables]),
        height=np.hstack([table.height for table in tables]) - np.repeat(centres, counts, axis=1),
        slope=np.hstack([table.slope for table in tables]),
        unknown=np.column_stack([table.unknown for table in tables]) - centres,
        base=base + centres.sum(axis=1),
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
