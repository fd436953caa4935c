"""LightGBM's model text as trees, and the rule by which a node sends a value left or right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import Codes, Floats
from models.tree_shap.run.plan_file import END_OF_TREES

# Bits of a node's decision type, as in LightGBM's tree.h.
CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_ZERO, MISSING_NAN = 1, 2
# What LightGBM takes for zero: its kZeroThreshold, a float of single precision.
ZERO = float(np.float32(1e-35))


class UnsupportedModelError(Exception):
    """A model whose SHAP values cannot be kept in tables; the message says why."""


class UnexplainableModelError(UnsupportedModelError):
    """A model to which not even LightGBM gives SHAP values that sum to its margin."""


@dataclass(frozen=True)
class Tree:
    """One tree; its m inner nodes are numbered in the order of the text, the root first.

    Attributes
    ----------
    feature, decision : ndarray of int, shape (m,)
        Feature a node splits on, and the bits of its rule.
    threshold : ndarray of shape (m,)
        Largest value that goes left; of a categorical node nothing.
    categories : tuple of m ndarrays of int
        Categories that go left, ascending; of a numeric node none.
    left, right : ndarray of int, shape (m,)
        Child nodes; a leaf i is written as ``~i``.
    node_count : ndarray of shape (m,)
        Training rows that passed a node.
    value, leaf_count : ndarray of shape (m + 1,)
        Margin a leaf adds, and its training rows.
    """

    feature: Codes
    decision: Codes
    threshold: Floats
    categories: tuple[NDArray[np.int64], ...]
    left: Codes
    right: Codes
    node_count: Floats
    value: Floats
    leaf_count: Floats

    @property
    def n_leaves(self) -> int:
        """Number of leaves; one in a tree that splits nothing."""
        return len(self.value)

    def expected_value(self) -> float:
        """Mean margin of the training rows."""
        return float(np.average(self.value, weights=self.leaf_count if self.n_leaves > 1 else None))

    def missing(self, node: int) -> int:
        """Which values a node takes for missing."""
        return int(self.decision[node]) >> 2 & 3

    def goes_left(self, node: int, values: Floats) -> NDArray[np.bool_]:
        """Tell which values of its feature a node sends left.

        A missing value goes to the node's default side. Where only NaN is missing zero is a
        number; where zero is missing NaN is too; where nothing is, NaN is read as zero. A category
        goes left when the node lists it, so NaN and unseen categories go right.
        """
        if self.decision[node] & CATEGORICAL:
            # LightGBM truncates, so -0.5 is category 0.
            return np.isin(np.trunc(values), self.categories[node])
        missing = self.missing(node)
        unknown = np.isnan(values)
        default = unknown
        if missing != MISSING_NAN:
            values = np.where(unknown, 0.0, values)
            default = (np.abs(values) <= ZERO) & (missing == MISSING_ZERO)
        left = values <= self.threshold[node]
        return np.where(default, bool(self.decision[node] & DEFAULT_LEFT), left)


def read_trees(text: str) -> tuple[int, list[Tree]]:
    """Read the number of features and the trees of a model.

    Raises
    ------
    UnexplainableModelError
        When the model has several outputs, averages its trees, has linear models in its leaves,
        or does not know how many rows its nodes were trained on.
    """
    parts = text.split(f"\n{END_OF_TREES}", 1)[0].split("\nTree=")
    head = _entries(parts[0])
    if int(head["num_tree_per_iteration"]) != 1:
        raise UnexplainableModelError(
            f"it has {head['num_tree_per_iteration']} outputs per row instead of one"
        )
    if "average_output" in head:
        raise UnexplainableModelError("it averages its trees instead of adding them")
    return int(head["max_feature_idx"]) + 1, [_tree(_entries(part)) for part in parts[1:]]


def _entries(part: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in part.splitlines())
    return {key: value for key, _, value in pairs}


def _tree(entries: Mapping[str, str]) -> Tree:
    if entries.get("is_linear", "0") != "0":
        raise UnexplainableModelError("its leaves hold linear models")

    def array(key: str, dtype: Any) -> Any:
        return np.array(entries.get(key, "").split(), dtype=dtype)

    decision, threshold = array("decision_type", np.intp), array("threshold", np.float64)
    words, limits = array("cat_threshold", np.uint32), array("cat_boundaries", np.intp)
    categories = []
    for bits, position in zip(decision, threshold, strict=True):
        if bits & CATEGORICAL:
            listed = words[limits[int(position)] : limits[int(position) + 1]].astype("<u4")
            present = np.unpackbits(listed.view(np.uint8), bitorder="little")
            categories.append(np.flatnonzero(present))
        else:
            categories.append(np.zeros(0, np.int64))
    tree = Tree(
        feature=array("split_feature", np.intp),
        decision=decision,
        threshold=threshold,
        categories=tuple(categories),
        left=array("left_child", np.intp),
        right=array("right_child", np.intp),
        node_count=array("internal_count", np.float64),
        value=array("leaf_value", np.float64),
        leaf_count=array("leaf_count", np.float64),
    )
    counted = len(tree.leaf_count) == tree.n_leaves and (tree.node_count > 0).all()
    if tree.n_leaves > 1 and not counted:
        raise UnexplainableModelError("it does not say how many rows reached each of its nodes")
    return tree
