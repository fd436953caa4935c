r"""The Shapley values of a leaf, for every way its conditions can turn out.

A leaf of value v behind d conditions is a game of d players. Row x brings the pattern p in {0, 1}^d
of the conditions it satisfies, a reference row the pattern q, and a coalition S takes its
conditions from x and the others from the reference: it wins v when all are satisfied. Averaged over
references with pattern probabilities h(q), the Shapley value of condition i is (Owen 1972,
"Multilinear extensions of games"; Quadrature-TreeSHAP 2026)

.. math:: φ_i(p) = v \sum_q h(q) (p_i - q_i) \int_0^1 \prod_{j ≠ i} (t p_j + (1 - t) q_j) dt

The integrand is a polynomial of degree d - 1 in t, so Gauss-Legendre quadrature with ⌈d / 2⌉ nodes
is exact. At a node t the sum over q is a tensor product: along axis j ≠ i the matrix A maps (h(0),
h(1)) to ((1 - t) h(1), t h(0) + h(1)), along axis i it is B, to (-h(1), h(0)). B inverts A first,
so the values of all conditions come from one product of A.

Path-dependent TreeSHAP (Lundberg 2020) is the reference whose conditions are satisfied
independently, each with the share of training rows that went on toward the leaf; interventional
SHAP takes the patterns of background rows. Everything after h is the same.
"""

from __future__ import annotations

import functools

import numpy as np

from models.arrays import Codes, Floats


def independent_patterns(shares: Floats) -> Floats:
    """Probability of each pattern of independent conditions.

    Parameters
    ----------
    shares : ndarray of shape (n, d)
        Probability of each of d conditions, for n leaves.

    Returns
    -------
    ndarray of shape (n, 2**d)
        Bit j of the pattern's number is condition j.

    Examples
    --------
    >>> independent_patterns(np.array([[0.5, 0.2]])).round(3)
    array([[0.4, 0.4, 0.1, 0.1]])
    """
    found = np.ones((len(shares), 1))
    for share in shares.T[:, :, None]:
        found = np.concatenate([found * (1 - share), found * share], axis=1)
    return found


def counted_patterns(patterns: Codes, conditions: int) -> Floats:
    """Share of rows with each pattern: (2**conditions,).

    Examples
    --------
    >>> counted_patterns(np.array([0, 3, 3, 3]), 2)
    array([0.25, 0.  , 0.  , 0.75])
    """
    return np.bincount(patterns, minlength=1 << conditions) / len(patterns)


def leaf_tables(values: Floats, reference: Floats) -> Floats:
    """Shapley values of leaves with d conditions each, d at least 1.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Margin of each leaf.
    reference : ndarray of shape (n, 2**d)
        Probability of each pattern in the reference.

    Returns
    -------
    ndarray of shape (n, 2**d, d)
        Value of condition i, last axis, for a row with pattern p.

    Examples
    --------
    A leaf of 8 behind two conditions, each of which half of the training rows satisfied. A row
    that satisfies both moves the expected margin of 2 to 8, and both have the same part in it.

    >>> half = independent_patterns(np.array([[0.5, 0.5]]))
    >>> leaf_tables(np.array([8.0]), half)[0]
    array([[-1., -1.],
           [ 1., -3.],
           [-3.,  1.],
           [ 3.,  3.]])
    """
    n, size = reference.shape
    d = size.bit_length() - 1
    found = np.zeros((n, size, d))
    for t, weight in _quadrature((d + 1) // 2):
        mixed = reference
        for axis in range(d):
            absent, present = _split(mixed, axis)
            mixed = _join((1 - t) * present, t * absent + present)
        for axis in range(d):
            absent, present = _split(mixed, axis)
            lost, gained = -absent / (1 - t), present / t - absent / (t * (1 - t))
            found[:, :, axis] += weight * _join(lost, gained)
    return found * values[:, None, None]


@functools.cache
def _quadrature(nodes: int) -> list[tuple[float, float]]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    return [*zip(((places + 1) / 2).tolist(), (weights / 2).tolist(), strict=True)]


def _split(tensor: Floats, axis: int) -> tuple[Floats, Floats]:
    """Halves of the patterns without and with a condition, each (n, rest above, rest below)."""
    halves = tensor.reshape(len(tensor), -1, 2, 1 << axis)
    return halves[:, :, 0], halves[:, :, 1]


def _join(absent: Floats, present: Floats) -> Floats:
    """Undo :func:`_split`."""
    return np.stack([absent, present], axis=2).reshape(len(absent), -1)
