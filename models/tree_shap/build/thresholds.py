"""The thresholds and categories of a model's trees, collected as one code per feature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.tree_shap.build.model_text import (
    CATEGORICAL,
    MISSING_ZERO,
    ZERO,
    Tree,
    UnsupportedModelError,
)
from models.tree_shap.run.codes import CATEGORY, MOST_CODES, NUMBER, UNUSED, Coding


def collect_codes(trees: Sequence[Tree], n_features: int) -> Coding:
    """Collect what the nodes of trees compare with.

    Raises
    ------
    UnsupportedModelError
        When a feature needs more than 256 codes.
    """
    limits: list[list[float]] = [[] for _ in range(n_features)]
    kind = np.full(n_features, UNUSED, np.int64)
    largest = np.full(n_features, -1, np.int64)
    for tree in trees:
        for node, feature in enumerate(tree.feature):
            if tree.decision[node] & CATEGORICAL:
                kind[feature] = CATEGORY
                largest[feature] = max(largest[feature], *tree.categories[node][-1:], -1)
                continue
            kind[feature] = NUMBER
            limits[feature].append(tree.threshold[node])
            if tree.missing(node) == MISSING_ZERO:
                # What counts as zero gets a code of its own.
                limits[feature] += [np.nextafter(-ZERO, -np.inf), ZERO]
    ordered = [np.unique(each) for each in limits]
    count = np.array([len(each) for each in ordered], dtype=np.int64)
    size = np.select([kind == NUMBER, kind == CATEGORY], [count + 2, largest + 2], 0)
    if (size > MOST_CODES).any():
        raise UnsupportedModelError(
            f"feature {int(size.argmax())} takes {int(size.max())} different codes in its "
            f"trees, more than {MOST_CODES}"
        )
    start = np.concatenate([[0], np.cumsum(count)])
    return Coding(kind, size, start, np.concatenate([*ordered, np.zeros(0)]))
