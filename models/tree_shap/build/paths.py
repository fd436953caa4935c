"""What leads to each leaf of a tree: conditions on features, and how likely each is by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Codes, Floats
from models.tree_shap.build.model_text import Tree, UnsupportedModelError
from models.tree_shap.run.codes import Coding

MOST_LEAVES = 64
MOST_CONDITIONS = 16
Masks = NDArray[np.uint64]


@dataclass(frozen=True)
class Paths:
    """A tree of n leaves over k features, seen from its leaves.

    All nodes that ask about one feature on the way to a leaf make one condition on it.

    Attributes
    ----------
    feature : ndarray of int, shape (k,)
        Features the tree splits on, ascending.
    allowed : tuple of k ndarrays of uint64, each of shape (codes of the feature,)
        Bit i is set where the code satisfies the condition of leaf i, or leaf i has none.
    asked : ndarray of bool, shape (n, k)
        Whether a leaf has a condition on a feature.
    share : ndarray of shape (n, k)
        Product, over the nodes of a condition, of the share of the node's training rows that go
        on toward the leaf; 1 without a condition.
    value : ndarray of shape (n,)
        Margin of each leaf.
    """

    feature: Codes
    allowed: tuple[Masks, ...]
    asked: NDArray[np.bool_]
    share: Floats
    value: Floats

    @classmethod
    def of(cls, tree: Tree, coding: Coding) -> Paths:
        """Walk a tree.

        Raises
        ------
        UnsupportedModelError
            When it has more than 64 leaves, or a leaf more than 16 conditions.
        """
        if tree.n_leaves > MOST_LEAVES:
            raise UnsupportedModelError(
                f"a tree has {tree.n_leaves} leaves, more than {MOST_LEAVES}"
            )
        feature, position = np.unique(tree.feature, return_inverse=True)
        under = _leaves_under(tree)
        bit = np.uint64(1) << np.arange(tree.n_leaves, dtype=np.uint64)
        values = [coding.representatives(each) for each in feature]
        allowed = [np.full(len(each), ~np.uint64(0)) for each in values]
        asked = np.zeros((tree.n_leaves, len(feature)), dtype=bool)
        share = np.ones((tree.n_leaves, len(feature)))
        for node, k in enumerate(position):
            left, right = under[tree.left[node]], under[tree.right[node]]
            goes_left = tree.goes_left(node, values[k])
            allowed[k] &= np.where(goes_left, ~bit[right].sum(), ~bit[left].sum())
            for leaves, child in ((left, tree.left[node]), (right, tree.right[node])):
                count = tree.node_count[child] if child >= 0 else tree.leaf_count[~child]
                share[leaves, k] *= count / tree.node_count[node]
                asked[leaves, k] = True
        if (most := int(asked.sum(axis=1).max())) > MOST_CONDITIONS:
            raise UnsupportedModelError(
                f"a leaf lies behind {most} different features, more than {MOST_CONDITIONS}"
            )
        return cls(feature, tuple(allowed), asked, share, tree.value)

    def satisfied(self, leaf: int, k: int) -> NDArray[np.bool_]:
        """Which codes of the feature at position k satisfy the condition of a leaf."""
        return (self.allowed[k] >> np.uint64(leaf) & np.uint64(1)).astype(bool)


def _leaves_under(tree: Tree) -> NDArray[np.bool_]:
    """Which leaves lie under a child, inner node or leaf, indexed as the tree writes it."""
    nodes = len(tree.feature)
    # Row ~i, counted from the end, is leaf i.
    under = np.zeros((nodes + tree.n_leaves, tree.n_leaves), dtype=bool)
    under[~np.arange(tree.n_leaves), np.arange(tree.n_leaves)] = True
    for node in reversed(range(nodes)):
        under[node] = under[tree.left[node]] | under[tree.right[node]]
    return under
