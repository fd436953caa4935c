"""Values of a piecewise linear model, with the same bits from numpy as from compiled code.

Libraries differ in the last digit of a logarithm, so this one is written out in additions,
multiplications and divisions, which IEEE 754 rounds alike everywhere. The functions shared by both
take arrays as well as single numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.arrays import Codes, Floats

NUMBER, CATEGORY = 1, 2
# Larger numbers lie beyond every knot; infinity has no logarithm that could be split.
LARGEST = 1e300
TILE = 128

# Bits of 1 and of a number just above the square root of 1/2, between which mantissas are moved.
_ONE, _ROOT, _FRACTION = 0x3FF0000000000000, 0x3FE6A09E00000000, (1 << 52) - 1
# log 2 in two parts, the first with so few digits that a multiple of it is exact.
_LOG2_HIGH, _LOG2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# Minimax coefficients of (log(1 + f) - 2 s) / s in s² with s = f / (2 + f), from FreeBSD's
# e_log.c (Sun Microsystems 1993).
_C1, _C2, _C3 = 0.6666666666666735130, 0.3999999999940941908, 0.2857142874366239149
_C4, _C5, _C6 = 0.2222219843214978396, 0.1818357216161805012, 0.1531383769920937332
_C7 = 0.1479819860511658591


def exponent_of(bits: Any) -> Any:
    """Power of two that brings a number near 1, from its bits."""
    return ((bits + (_ONE - _ROOT)) >> 52) - 1023


def mantissa_of(bits: Any) -> Any:
    """Bits of the number divided by that power: between the roots of 1/2 and 2."""
    return ((bits + (_ONE - _ROOT)) & _FRACTION) + _ROOT


def log_of_sum(y: Any, u: Any, exponent: Any, mantissa: Any) -> Any:
    """Logarithm of 1 + y, of which u is the rounded sum, split into exponent and mantissa."""
    # What rounding the sum lost (Knuth's two-sum), to first order.
    part = u - 1.0
    lost = ((1.0 - (u - part)) + (y - part)) / u
    f = mantissa - 1.0
    half_square = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (_C2 + w * (_C4 + w * _C6))
    odd = z * (_C1 + w * (_C3 + w * (_C5 + w * _C7)))
    tail = s * (half_square + (even + odd)) + (exponent * _LOG2_LOW + lost)
    return ((tail - half_square) + f) + exponent * _LOG2_HIGH


def signed_log(x: Floats) -> Floats:
    """Sign of x times the logarithm of ``1 + abs(x)``.

    Examples
    --------
    >>> signed_log(np.array([-1.0, 0.0, 1e-9, np.e - 1])).round(9).tolist()
    [-0.693147181, 0.0, 1e-09, 1.0]
    """
    y = np.minimum(np.abs(x), LARGEST)
    u = 1.0 + y
    bits = u.view(np.int64)
    found = log_of_sum(y, u, exponent_of(bits), mantissa_of(bits).view(np.float64))
    return np.asarray(np.copysign(found, x))


def fill_block(
    values: Floats,
    segment: Codes,
    kind: Codes,
    start: Codes,
    knot: Floats,
    height: Floats,
    slope: Floats,
    unknown: Floats,
    grid: float,
    totals: Floats,
) -> None:
    """Write the values of a block of rows, rounded to multiples of the grid's unit.

    Loops for a compiler; :meth:`models.tree_shap.run.additive_part.AdditivePart.values` does the
    same with numpy.

    Parameters
    ----------
    values, totals : ndarray of shape (n_features, rows)
        Signals, and where their values go.
    segment : ndarray of int, shape (rows,)
        Row of ``height``, ``slope`` and ``unknown``.
    grid : float
        A number so large that adding and taking it away rounds to the unit.
    """
    rows = values.shape[1]
    sums, mantissas, places = np.empty(TILE), np.empty(TILE), np.empty(TILE)
    sum_bits, mantissa_bits = sums.view(np.int64), mantissas.view(np.int64)
    exponents, cells = np.empty(TILE), np.empty(TILE, np.int64)
    for f in range(len(kind)):
        first, last = start[f], start[f + 1] - 1
        if first == last or kind[f] == CATEGORY:
            for r in range(rows):
                x, s = values[f, r], segment[r]
                cell = first + (int(x) if 0 <= x <= last - first else last - first)
                v = unknown[s, f] if np.isnan(x) else height[s, cell]
                totals[f, r] = (v + grid) - grid
            continue
        lowest, highest = knot[first], knot[last]
        # Short loops without branches, each of which a compiler turns into vector instructions.
        for begin in range(0, rows, TILE):
            n = min(TILE, rows - begin)
            part, found = values[f, begin : begin + n], totals[f, begin : begin + n]
            for r in range(n):
                sums[r] = 1.0 + min(abs(part[r]), LARGEST)
            for r in range(n):
                exponents[r] = exponent_of(sum_bits[r])
                mantissa_bits[r] = mantissa_of(sum_bits[r])
                cells[r] = first
            for r in range(n):
                y = min(abs(part[r]), LARGEST)
                size = log_of_sum(y, sums[r], exponents[r], mantissas[r])
                places[r] = min(max(-size if part[r] < 0 else size, lowest), highest)
            for k in range(first + 1, last):
                for r in range(n):
                    cells[r] += 1 if places[r] >= knot[k] else 0
            for r in range(n):
                s, cell = segment[begin + r], cells[r]
                v = height[s, cell] + slope[s, cell] * (places[r] - knot[cell])
                v = unknown[s, f] if np.isnan(part[r]) else v
                found[r] = (v + grid) - grid
