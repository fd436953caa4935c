"""Segments as the nodes of a tree, so that each can learn from its parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.catalog import EVERYBODY
from models.arrays import Codes
from models.churn.segments import parent_of


@dataclass(frozen=True)
class SegmentTree:
    """Nodes in an order in which a parent comes before its children; node 0 is the root.

    Attributes
    ----------
    parent : ndarray of int, shape (n_nodes,)
        Node above each; -1 for the root.
    node : ndarray of int, shape (n_segments,)
        Node whose coefficients each segment uses.

    Examples
    --------
    >>> tree = segment_tree(["free", "pro / new", "pro / old"], speaks=[False, True, True])
    >>> tree.parent.tolist(), tree.node.tolist()
    ([-1, 0, 1, 1], [0, 2, 3])
    """

    parent: Codes
    node: Codes

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.parent)


def segment_tree(segments: Sequence[str], speaks: Sequence[bool]) -> SegmentTree:
    """Build the tree of segments.

    Parameters
    ----------
    segments : sequence of str
        Labels such as "plan=pro / onboarding", whose parent is "plan=pro".
    speaks : sequence of bool
        Whether a segment has outcomes enough for coefficients of its own; otherwise it uses those
        of its nearest ancestor that is a node, which every ancestor of one that speaks is.
    """
    nodes = [EVERYBODY]
    for name in sorted(name for name, own in zip(segments, speaks, strict=True) if own):
        nodes += [above for above in _lineage(name) if above not in nodes]
    place = {name: position for position, name in enumerate(nodes)}

    def nearest(name: str) -> int:
        return next(place[up] for up in reversed(_lineage(name)) if up in place)

    parents = [-1] + [nearest(parent_of(name)) for name in nodes[1:]]
    return SegmentTree(
        np.array(parents, dtype=np.intp), np.array([nearest(name) for name in segments], np.intp)
    )


def _lineage(name: str) -> tuple[str, ...]:
    """List the ancestors of a label, the root first, and the label itself."""
    found = [name]
    while found[0] != EVERYBODY:
        found.insert(0, parent_of(found[0]))
    return tuple(found)
