"""From a booster to the parts of a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence

import lightgbm as lgb
import numpy as np

from features.errors import RegistryError
from models.arrays import Floats
from models.tree_shap.build.model_text import (
    Tree,
    UnexplainableModelError,
    UnsupportedModelError,
    read_trees,
)
from models.tree_shap.build.table_building import build_tables
from models.tree_shap.build.thresholds import collect_codes
from models.tree_shap.run.additive_part import AdditivePart
from models.tree_shap.run.codes import Coding
from models.tree_shap.run.plan_file import PlanParts, fingerprint
from models.tree_shap.run.tables import Tables


def compile_parts(
    booster: lgb.Booster | None, background: Floats | None, additive: AdditivePart | None
) -> PlanParts:
    """Work out the tables of a model; see :meth:`models.tree_shap.ShapPlan.compile`."""
    if booster is None and additive is None:
        raise RegistryError(
            "A SHAP plan needs trees, an additive part, or both, but was given neither; pass a "
            "booster."
        )
    text = None if booster is None else booster.model_to_string()
    try:
        n_features, trees = (0, []) if text is None else read_trees(text)
    except UnexplainableModelError as unexplainable:
        raise RegistryError(
            "SHAP values must sum to one margin per row, but those of this model cannot because "
            f"{unexplainable}; train boosted trees with constant leaves."
        ) from unexplainable
    if additive is not None:
        if text is not None and len(additive.kind) != n_features:
            raise RegistryError(
                "The trees of a SHAP plan must read the signals of its additive part, but they "
                f"read {n_features} and not {len(additive.kind)}; take both from one model."
            )
        n_features = len(additive.kind)
    fallback = None
    try:
        coding, tables, expected = _tables(trees, n_features, background)
        largest = tables.largest()
    except UnsupportedModelError as unsupported:
        if background is not None:
            raise RegistryError(
                "Interventional SHAP values are read off tables, but tables cannot hold this model "
                f"because {unsupported}; leave the background out or train smaller trees."
            ) from unsupported
        fallback = str(unsupported)
        coding, tables, _ = _tables([], n_features, None)
        expected = sum(tree.expected_value() for tree in trees)
        largest = sum(float(np.abs(tree.value).max()) * tree.n_leaves for tree in trees)
    largest += abs(expected) + (0.0 if additive is None else additive.largest())
    return PlanParts(
        n_features=n_features,
        expected_value=expected,
        coding=coding,
        tables=tables,
        additive=additive,
        interventional=background is not None,
        fallback=fallback,
        trees=None if text is None else fingerprint(text),
        grid_bits=_grid_bits(largest),
    )


def _tables(
    trees: Sequence[Tree], n_features: int, background: Floats | None
) -> tuple[Coding, Tables, float]:
    """Tables of the trees that split; those that do not only move the expected value."""
    splitting = [tree for tree in trees if tree.n_leaves > 1]
    coding = collect_codes(splitting, n_features)
    codes = None if background is None else coding.codes(background)
    tables, expected = build_tables(splitting, coding, codes)
    return coding, tables, expected + sum(float(t.value[0]) for t in trees if t.n_leaves == 1)


def _grid_bits(largest: float) -> int:
    """How many binary digits behind the point leave room for every sum of values.

    Double precision has 53 digits: multiples of ``2**-bits`` add without rounding as long as no
    sum reaches ``2**(53 - bits)``. One digit is kept for rounding to the grid.
    """
    return 51 - math.ceil(math.log2(max(largest, 1.0)))
