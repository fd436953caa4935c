"""Backends of a plan's values: compiled code, numpy, and LightGBM where tables cannot help."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import lightgbm as lgb
import numpy as np

from models.arrays import Codes, Floats
from models.tree_shap.run.explanation import Explanation
from models.tree_shap.run.plan_file import PlanParts

if TYPE_CHECKING:
    from models.tree_shap.run.blocks import BlockKernel

logger = logging.getLogger(__name__)

# Table columns, summed over rows, that numpy adds in about the time compiled code takes to load.
# What is done with numpy is counted, so that many small batches do not stay on the slow one.
LOADING = 100_000_000
# Columns that coding a signal and its additive part are worth.
PER_SIGNAL = 6
# Rows from which compiled code that is loaded is faster than numpy.
FEW_ROWS = 32


class Backends:
    """The values of a plan, by the fastest backend there is.

    Compiled code takes about a second to load, so small batches go through numpy: the same
    tables, added exactly, hence the same bits.
    """

    def __init__(self, parts: PlanParts, booster: lgb.Booster | None) -> None:
        self._parts, self._booster = parts, booster
        self._grid = math.ldexp(1.5, 52 - parts.grid_bits)
        self._kernel: BlockKernel | None = None

    def __getstate__(self) -> dict[str, object]:
        # Another process loads its own compiled code.
        return {**vars(self), "_kernel": None}

    def expect(self, rows: int) -> None:
        """Load compiled code now if so many rows would come to use it."""
        self._compiled(rows)

    def shap_values(self, X: Floats, segment: Codes, threads: int) -> Floats:
        """Values of rows: (n, n_features)."""
        kernel = self._compiled(len(X))
        return (
            self._values(X, segment) if kernel is None else kernel.shap_values(X, segment, threads)
        )

    def explain(
        self,
        X: Floats,
        segment: Codes,
        threads: int,
        base: Floats,
        group: Codes,
        n_groups: int,
        top_k: int,
    ) -> Explanation:
        """Summaries of rows."""
        kernel = self._compiled(len(X))
        if kernel is None:
            return Explanation.of(self._values(X, segment), base, group, n_groups, top_k)
        return kernel.explain(X, segment, threads, base, group, n_groups, top_k)

    def _values(self, X: Floats, segment: Codes) -> Floats:
        """Values by numpy, or by LightGBM."""
        parts = self._parts
        if parts.fallback is not None:
            found = self._rounded(contributions(self._booster, X))
        else:
            found = parts.tables.sums(parts.coding.codes(X))
        if parts.additive is not None:
            found += self._rounded(parts.additive.values(X, segment))
        return found

    def _rounded(self, values: Floats) -> Floats:
        return (values + self._grid) - self._grid

    def _compiled(self, rows: int) -> BlockKernel | None:
        """Load compiled code where it exists and pays."""
        if self._parts.fallback is not None or rows < FEW_ROWS or not _effort.available:
            return None
        if self._kernel is None:
            per_row = self._parts.tables.n_columns + PER_SIGNAL * self._parts.n_features
            if _effort.pays(rows * per_row):
                self._kernel = _effort.kernel(self._parts, self._grid)
        return self._kernel


def contributions(booster: lgb.Booster | None, X: Floats) -> Floats:
    """LightGBM's own values: (n, n_features)."""
    if not len(X):  # LightGBM refuses no rows
        return np.zeros(X.shape)
    if booster is None:
        raise ValueError("a plan that asks LightGBM must have a booster")
    return np.asarray(booster.predict(X, pred_contrib=True))[:, :-1]


class _Effort:
    """What this process has spent on numpy, and whether it has compiled code."""

    def __init__(self) -> None:
        self.spent, self.loaded, self.available = 0, False, True

    def pays(self, work: int) -> bool:
        """Tell whether compiled code is loaded or should be, with more work ahead."""
        self.spent += work
        return self.loaded or self.spent >= LOADING

    def kernel(self, parts: PlanParts, grid: float) -> BlockKernel | None:
        """Load compiled code; None where numba is missing or broken."""
        try:
            from models.tree_shap.run.blocks import BlockKernel
        except ImportError as error:
            self.available = False
            logger.warning(
                "SHAP values of many rows take at least ten times as long without numba, which "
                "cannot be loaded (%s).",
                error,
            )
            return None
        self.loaded = True
        return BlockKernel(parts.coding, parts.tables, parts.additive, grid)


_effort = _Effort()
