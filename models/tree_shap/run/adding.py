"""Adding the tables' entries of a block of rows: where nearly all the time of scoring goes.

A row of a table holds the values of some features for one account, the sums hold one feature for
many accounts. So eight rows are read as vectors, transposed in registers by three rounds of
shuffles, and added as vectors: 24 shuffles for 64 additions. LLVM finds no such pattern in plain
loops, so the instructions are written out here; they are LLVM's own vectors, for any processor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from models.arrays import Floats
from models.tree_shap.run.compiled import compiled

LANES = 8
_I16, _I32, _I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_I32, LANES)
# Lanes of two vectors that a round of the transposition interleaves: single ones, pairs, fours.
_SINGLES = ([0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15])
_PAIRS = ([0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15])
_FOURS = ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15])


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose 8 vectors of 8 lanes."""

    def mix(a: Any, b: Any, lanes: list[int]) -> Any:
        return builder.shuffle_vector(a, b, ir.Constant(_VECTOR, lanes))

    ones = [mix(rows[q], rows[q + 1], lanes) for q in (0, 2, 4, 6) for lanes in _SINGLES]
    twos = [mix(ones[q], ones[q + 2], lanes) for q in (0, 1, 4, 5) for lanes in _PAIRS]
    return [mix(twos[q], twos[q + 4], lanes) for lanes in _FOURS for q in range(4)]


def _adder(columns: int) -> Callable[..., None]:
    """Make a function that adds so many columns of a table, 8 rows at a time.

    It takes, as integers, the address of the table's first entry of these columns, the table's
    width, the address of the rows' states, the address of the distances in the sums at which the
    columns' features begin, the address of the sums, and the number of eights of rows.
    """

    @intrinsic
    def add(
        context: Any, table: Any, width: Any, states: Any, begin: Any, sums: Any, n: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            table, width, states, begin, sums, n = arguments

            def at(address: Any, items: Any, kind: Any) -> Any:
                """Point so many items of a kind behind an address."""
                if isinstance(items, int):
                    items = ir.Constant(_I64, items)
                return builder.gep(builder.inttoptr(address, kind.as_pointer()), [items])

            distances = [builder.load(at(begin, column, _I64)) for column in range(columns)]
            with cgutils.for_range(builder, n) as loop:
                first = builder.mul(loop.index, ir.Constant(_I64, LANES))
                rows = []
                for lane in range(LANES):
                    row = builder.add(first, ir.Constant(_I64, lane))
                    state = builder.zext(builder.load(at(states, row, _I16)), _I64)
                    entry = at(table, builder.mul(state, width), _I32)
                    rows.append(builder.load(builder.bitcast(entry, _VECTOR.as_pointer()), align=4))
                values = _transposed(builder, rows)[:columns]
                for distance, value in zip(distances, values, strict=True):
                    place = at(sums, builder.add(distance, first), _I32)
                    place = builder.bitcast(place, _VECTOR.as_pointer())
                    builder.store(builder.add(builder.load(place, align=4), value), place, align=4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    return add


_add_1, _add_2, _add_3, _add_4 = _adder(1), _adder(2), _adder(3), _adder(4)
_add_5, _add_6, _add_7, _add_8 = _adder(5), _adder(6), _adder(7), _adder(8)


@compiled
def add_tables(
    codes: NDArray[np.uint8],
    start: NDArray[np.int64],
    feature: NDArray[np.int64],
    entry_start: NDArray[np.int64],
    entry: NDArray[np.int32],
    chunk: NDArray[np.int64],
    unit: float,
    step_start: NDArray[np.int64],
    step_feature: NDArray[np.int64],
    step_code: NDArray[np.uint8],
    step_jump: NDArray[np.uint16],
    states: NDArray[np.uint16],
    sums: NDArray[np.int32],
    totals: Floats,
) -> None:
    """Add the values of all tables to ``totals``, (n_features, rows).

    Takes the fields of :class:`models.tree_shap.run.tables.Tables` and its steps; the entries are
    followed by at least 8 more, since a row is read as whole vectors, and rows come in eights.
    ``states`` is scratch; ``sums``, zero before and after, holds the 32-bit sums of a chunk.
    """
    rows = len(states)
    distance, touched = np.empty(len(totals), np.int64), np.zeros(len(totals), np.bool_)
    from_states, to_sums = np.int64(states.ctypes.data), np.int64(sums.ctypes.data)
    from_entry, from_distance = np.int64(entry.ctypes.data), np.int64(distance.ctypes.data)
    eights = np.int64(rows // LANES)
    for c in range(len(chunk) - 1):
        for g in range(chunk[c], chunk[c + 1]):
            states[:] = 0
            for s in range(step_start[g], step_start[g + 1]):
                column, code, jump = codes[step_feature[s]], step_code[s], step_jump[s]
                for r in range(rows):
                    states[r] += jump if column[r] >= code else np.uint16(0)
            width = start[g + 1] - start[g]
            for k in range(width):
                f = feature[start[g] + k]
                distance[k], touched[f] = f * rows, True
            for k in range(0, width, LANES):
                table, begin = from_entry + 4 * (entry_start[g] + k), from_distance + 8 * k
                columns = width - k
                if columns >= 8:
                    _add_8(table, width, from_states, begin, to_sums, eights)
                elif columns == 7:
                    _add_7(table, width, from_states, begin, to_sums, eights)
                elif columns == 6:
                    _add_6(table, width, from_states, begin, to_sums, eights)
                elif columns == 5:
                    _add_5(table, width, from_states, begin, to_sums, eights)
                elif columns == 4:
                    _add_4(table, width, from_states, begin, to_sums, eights)
                elif columns == 3:
                    _add_3(table, width, from_states, begin, to_sums, eights)
                elif columns == 2:
                    _add_2(table, width, from_states, begin, to_sums, eights)
                else:
                    _add_1(table, width, from_states, begin, to_sums, eights)
        for f in range(len(totals)):
            if touched[f]:
                total, part = totals[f], sums[f]
                for r in range(rows):
                    total[r] += part[r] * unit
                    part[r] = 0
                touched[f] = False
