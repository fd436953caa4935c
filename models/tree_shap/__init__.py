"""Exact SHAP values of LightGBM models, read off tables for less than a prediction costs.

The Shapley values a tree gives a row depend on the row only through which side of each threshold it
lies on. That leaves few enough cases to work all of them out beforehand:

1. every threshold of the model turns into a step of a code, one code per feature
   (``build.thresholds``);
2. a leaf behind d conditions has one Shapley vector for each of the 2^d ways they can turn out,
   found by exact quadrature (``build.leaf_tables``);
3. leaves that ask about the same features share a table with a row per combination of codes they
   tell apart (``build.merging``, ``build.table_building``);
4. scoring codes a row once, and adds one row of fixed-point numbers per table (``run.adding``);
5. sums over groups and the largest values are taken while the values are at hand (``run.summing``).

Values are multiples of a power of two with so few digits that double precision adds them without
rounding. So they do not depend on the order, the batch or the number of threads, and a margin is
its base plus its values to the last bit.

TreeSHAP walks every tree for every row (Lundberg et al. 2020, "From local explanations to global
understanding with explainable AI for trees"); Fast TreeSHAP shares work between rows (Yang 2021);
WOODELF turns background and rows into patterns of a leaf's conditions (Wettenstein et al. 2025);
Quadrature-TreeSHAP (2026) integrates instead of extending and unwinding paths.

Examples
--------
>>> import lightgbm as lgb
>>> import numpy as np
>>> X = np.random.default_rng(0).normal(size=(500, 3))
>>> booster = lgb.train({"verbosity": -1, "num_threads": 1}, lgb.Dataset(X, X[:, 0] + X[:, 1]), 10)
>>> plan = ShapPlan.compile(booster)
>>> found = plan.explain(X, groups=np.array([0, 0, 1]), top_k=1)
>>> bool(np.allclose(found.margin, booster.predict(X), atol=1e-7))
True
>>> bool((found.margin == plan.base_values(None, 500) + found.group_sums.sum(axis=1)).all())
True
"""

from models.tree_shap.plan import ShapPlan
from models.tree_shap.run.explanation import Explanation

__all__ = ["Explanation", "ShapPlan"]
