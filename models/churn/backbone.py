"""The linear backbone: a shrunken logistic regression per segment, pulled toward its parent's."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.json_values import Json
from models.arrays import Codes, Floats
from models.churn.design import NUMBER, Design, DesignRows
from models.churn.encoding import Encoded
from models.churn.segment_tree import SegmentTree, segment_tree

# Rows whose contributions are worked out at a time.
BATCH = 50_000


class LinearBackbone:
    """Logistic regression in a tree of segments, each shrunk toward its parent.

    Every segment with enough outcomes has coefficients of its own, penalised by their distance
    from its parent's; the rest use those of their nearest ancestor. How strong the penalties are is
    learnt per group of signals: see :func:`models.churn.shrinkage.learn_shrinkage`.

    Parameters
    ----------
    shrinkage : float
        Factor on the learnt penalties of the coefficients all segments share.
    segment_shrinkage : float
        Factor on the learnt penalties of a segment's distance from its parent.
    min_positives : int
        With fewer rows of either outcome a segment speaks with its parent's coefficients.

    Attributes
    ----------
    design_ : Design
        Columns the coefficients belong to.
    tree_ : SegmentTree
        Which node each segment uses.
    precision_ : ndarray of shape (n_nodes, q + 1), or None
        Of the priors that were learnt; None in a backbone read from a file.
    theta_ : ndarray of shape (n_nodes, q + 1)
        Coefficients, the intercept last.
    mean_ : ndarray of shape (n_segments, q + 1)
        Mean design row per segment.
    """

    design_: Design
    tree_: SegmentTree
    precision_: Floats | None
    direction_: Floats
    theta_: Floats
    mean_: Floats

    def __init__(
        self, *, shrinkage: float = 1.0, segment_shrinkage: float = 1.0, min_positives: int = 20
    ) -> None:
        self.shrinkage = shrinkage
        self.segment_shrinkage = segment_shrinkage
        self.min_positives = min_positives

    def fit(
        self,
        data: Encoded,
        happened: Floats,
        *,
        categorical: Sequence[int],
        segments: Sequence[str],
        direction: Floats | None = None,
        group: Sequence[int] | None = None,
    ) -> LinearBackbone:
        """Fit to encoded rows.

        Parameters
        ----------
        data : Encoded
            Training rows.
        happened : ndarray of 0 and 1, shape (n,)
            Outcomes.
        categorical : sequence of int
            Positions of categorical signals.
        segments : sequence of str
            Names the segment codes stand for; see :func:`models.churn.segments.parent_of`.
        direction : ndarray of shape (n_signals,), or None
            Sign the margin must have in a signal: -1, 1, or 0 for either; None leaves all free.
        group : sequence of int or None
            Signals with the same number are shrunk alike; None puts all in one group.
        """
        # A backbone read from a file has no need of what learns one.
        from models.churn.shrinkage import learn_shrinkage
        from models.churn.shrunken_logistic import NodeRows

        count = len(segments)
        known = data.segment >= 0
        positives = np.bincount(data.segment[known], happened[known], minlength=count)
        rows = np.bincount(data.segment[known], minlength=count)
        enough = np.minimum(positives, rows - positives) >= self.min_positives
        self.tree_ = segment_tree(segments, enough.tolist())
        self.design_ = Design.fit(data.matrix, categorical)
        owner = self.design_.owner
        width = data.matrix.shape[1]
        sign = np.zeros(width) if direction is None else np.asarray(direction)
        bounded = np.where(self.design_.level == NUMBER, sign[owner], 0)
        self.direction_ = np.append(bounded, 0)
        alike = np.zeros(width, np.intp) if group is None else np.asarray(group)
        design = DesignRows(self.design_, data.matrix)
        self.theta_, self.precision_ = learn_shrinkage(
            NodeRows(design, happened, self.nodes(data.segment), self.tree_.size),
            self.tree_,
            np.unique(alike[owner], return_inverse=True)[1],
            self.direction_,
            shrinkage=self.shrinkage,
            segment_shrinkage=self.segment_shrinkage,
        )
        # Contributions are counted from the segment's own mean row.
        self.mean_ = np.zeros((count, design.shape[1]))
        self.mean_[:, -1] = 1
        for segment in np.flatnonzero(rows):
            inside = np.flatnonzero(data.segment == segment)
            parts = np.split(inside, range(BATCH, len(inside), BATCH))
            total = np.sum([design[part].sum(axis=0, dtype=float) for part in parts], axis=0)
            self.mean_[segment] = total / len(inside)
        return self

    def contributions(self, data: Encoded) -> Floats:
        """Margin of each signal above the segment's mean row: (n, n_signals)."""
        owners = self.owners(data.matrix.shape[1])
        found = np.empty(data.matrix.shape)
        for batch in _batches(len(found)):
            part = data.take(batch)
            apart = self.design_.transform(part.values) - self._means()[part.segment]
            found[batch] = (apart * self._theta(part.segment)) @ owners
        return found

    def base_margin(self, data: Encoded) -> Floats:
        """Margin of the mean row of each row's segment: (n,)."""
        nodes = np.append(self.tree_.node, 0)
        bases = (self._means() * self.theta_[nodes]).sum(axis=1)
        return np.asarray(bases[data.segment])

    def margin(self, data: Encoded) -> Floats:
        """Log-odds of the outcome: (n,)."""
        found = np.empty(len(data))
        for batch in _batches(len(found)):
            part = data.take(batch)
            design = self.design_.transform(part.values)
            found[batch] = (design * self._theta(part.segment)).sum(axis=1)
        return found

    def scaled(self, share: float, rest: float) -> LinearBackbone:
        """Return a copy whose margin is this one's times a share, plus what the rest begins at."""
        theta = self.theta_ * share
        theta[:, -1] += rest
        return self.with_theta(theta)

    def with_theta(self, theta: Floats) -> LinearBackbone:
        """Return a copy with other coefficients."""
        other = copy.copy(self)
        other.theta_ = theta
        return other

    def nodes(self, segment: Codes) -> Codes:
        """Node each row reads its coefficients from; the root for -1, an unknown segment: (n,)."""
        return np.asarray(np.append(self.tree_.node, 0)[segment])

    def owners(self, n_signals: int) -> Floats:
        """Which signal each column belongs to, as (q + 1, n_signals) of 0 and 1."""
        owners = np.zeros((len(self.design_.owner) + 1, n_signals))
        owners[np.arange(len(owners) - 1), self.design_.owner] = 1
        return owners

    def to_dict(self) -> Json:
        """Return a JSON-ready description of a fitted backbone."""
        return {
            "settings": {
                "shrinkage": self.shrinkage,
                "segment_shrinkage": self.segment_shrinkage,
                "min_positives": self.min_positives,
            },
            "design": {name: column.tolist() for name, column in vars(self.design_).items()},
            "parent": self.tree_.parent.tolist(),
            "node": self.tree_.node.tolist(),
            "coefficients": self.theta_.tolist(),
            "mean": self.mean_.tolist(),
        }

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> LinearBackbone:
        """Rebuild a fitted backbone from :meth:`to_dict`."""
        backbone = cls(**described["settings"])
        design = {name: np.array(column, float) for name, column in described["design"].items()}
        backbone.design_ = Design(**design | {"owner": design["owner"].astype(np.intp)})
        backbone.tree_ = SegmentTree(
            np.array(described["parent"], np.intp), np.array(described["node"], np.intp)
        )
        backbone.precision_ = None
        backbone.theta_ = np.array(described["coefficients"], float)
        backbone.mean_ = np.array(described["mean"], float)
        return backbone

    def _theta(self, segment: Codes) -> Floats:
        return np.asarray(self.theta_[self.nodes(segment)])

    def _means(self) -> Floats:
        """Append the row that code -1, an unseen segment, points to: the overall mean."""
        overall = np.zeros(self.theta_.shape[1])
        overall[-1] = 1
        return np.vstack([self.mean_, overall])


def _batches(rows: int) -> list[Codes]:
    return [np.arange(start, min(start + BATCH, rows)) for start in range(0, rows, BATCH)]
