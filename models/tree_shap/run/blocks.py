"""Rows through the compiled functions, block by block and thread by thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba.extending import register_jitable

from models.arrays import Codes, Floats
from models.tree_shap.run import additive_values
from models.tree_shap.run.adding import LANES, add_tables
from models.tree_shap.run.additive_part import AdditivePart
from models.tree_shap.run.codes import Coding
from models.tree_shap.run.coding import code_block
from models.tree_shap.run.compiled import compiled
from models.tree_shap.run.explanation import Explanation
from models.tree_shap.run.summing import summarise_block
from models.tree_shap.run.tables import Tables

register_jitable(additive_values.exponent_of)
register_jitable(additive_values.mantissa_of)
register_jitable(additive_values.log_of_sum)
_fill_block = compiled(additive_values.fill_block)

# Rows that pass through all tables together: the more, the seldomer a table is fetched from memory.
BLOCK = 16_384


class BlockKernel:
    """The values of rows from compiled code.

    Parameters
    ----------
    coding, tables : Coding, Tables
        The trees.
    additive : AdditivePart or None
        What is added to them.
    grid : float
        See :func:`models.tree_shap.run.additive_values.fill_block`.
    """

    def __init__(
        self, coding: Coding, tables: Tables, additive: AdditivePart | None, grid: float
    ) -> None:
        self._coding, self._tables = coding, tables
        self._additive, self._grid = additive, grid
        self._steps = tables.steps()
        # A row is read as whole vectors, so the last one needs something behind it.
        self._entry = np.concatenate([tables.entry, np.zeros(LANES, np.int32)])

    def shap_values(self, X: Floats, segment: Codes, threads: int) -> Floats:
        """Values of rows: (n, n_features)."""
        found = np.empty(X.shape)

        def write(rows: slice, totals: Floats) -> None:
            found[rows] = totals[:, : rows.stop - rows.start].T

        self._run(X, segment, threads, write)
        return found

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
        found = Explanation.empty(len(X), n_groups, top_k)
        found.margin[:] = base

        def write(rows: slice, totals: Floats) -> None:
            summarise_block(
                totals,
                group,
                found.margin[rows],
                found.group_sums[rows],
                found.top_signals[rows],
                found.top_values[rows],
            )

        self._run(X, segment, threads, write)
        return found

    def _run(
        self, X: Floats, segment: Codes, threads: int, write: Callable[[slice, Floats], None]
    ) -> None:
        """Hand the values of each block, (n_features, rows or some more), to a writer."""
        blocks = max(-(-len(X) // BLOCK), 1)
        blocks = -(-blocks // threads) * threads
        size = max(-(-len(X) // (blocks * LANES)), 1) * LANES
        slices = [slice(start, min(start + size, len(X))) for start in range(0, len(X), size)]
        pending = iter(slices)

        def work() -> None:
            block = _Block(X.shape[1], size)
            for rows in pending:
                self._fill(block, X[rows], segment[rows])
                write(rows, block.totals)

        if min(threads, len(slices)) == 1:
            work()
            return
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()

    def _fill(self, block: _Block, X: Floats, segment: Codes) -> None:
        """Work out the values of one block's rows."""
        coding, tables, steps, additive = self._coding, self._tables, self._steps, self._additive
        block.values[:, : len(X)] = X.T
        if additive is None:
            block.totals[:] = 0
        else:
            block.segment[: len(X)] = segment
            _fill_block(
                block.values,
                block.segment,
                additive.kind,
                additive.start,
                additive.knot,
                additive.height,
                additive.slope,
                additive.unknown,
                self._grid,
                block.totals,
            )
        if not tables.n_tables:
            return
        code_block(
            block.values, coding.kind, coding.size, coding.start, coding.threshold, block.codes
        )
        add_tables(
            block.codes,
            tables.start,
            tables.feature,
            tables.entry_start,
            self._entry,
            tables.chunk,
            2.0**-tables.bits,
            *steps,
            block.states,
            block.sums,
            block.totals,
        )


class _Block:
    """One thread's room for the rows of a block."""

    def __init__(self, n_features: int, rows: int) -> None:
        shape = (n_features, rows)
        self.values, self.totals = np.zeros(shape), np.zeros(shape)
        self.codes, self.sums = np.zeros(shape, np.uint8), np.zeros(shape, np.int32)
        self.states, self.segment = np.zeros(rows, np.uint16), np.zeros(rows, np.int64)
