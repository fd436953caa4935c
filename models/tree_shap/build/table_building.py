"""From trees to tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.arrays import Codes, Floats
from models.tree_shap.build.leaf_tables import counted_patterns, independent_patterns, leaf_tables
from models.tree_shap.build.merging import merge_leaves
from models.tree_shap.build.model_text import Tree, UnsupportedModelError
from models.tree_shap.build.paths import Paths
from models.tree_shap.run.codes import Coding
from models.tree_shap.run.tables import Tables

Number = TypeVar("Number", bound=np.generic)
# Sums of 32 bits are carried over about once in so many tables, or precision is given up.
TABLES_PER_CHUNK = 4
LARGEST = 2**31 - 1
# A gibibyte of tables.
MOST_ENTRIES = 2**28


@dataclass(frozen=True)
class Leaf:
    """Shapley values of one leaf.

    Attributes
    ----------
    asked : ndarray of int, shape (d,)
        Positions of the features it has conditions on.
    table : ndarray of shape (2**d, d)
        Their values for each pattern of satisfied conditions.
    """

    asked: Codes
    table: Floats


@dataclass(frozen=True)
class Part:
    """One table: feature of each column, place of each of its codes, and rows of entries."""

    feature: Codes
    places: tuple[NDArray[np.uint16], ...]
    entries: NDArray[np.int32]


def build_tables(
    trees: Sequence[Tree], coding: Coding, background: NDArray[np.uint8] | None = None
) -> tuple[Tables, float]:
    """Turn trees that split into tables.

    Parameters
    ----------
    trees : sequence of Tree
        None of them a single leaf.
    coding : Coding
        Of all their features.
    background : ndarray of uint8, shape (n, n_features), or None
        Codes of reference rows, for interventional values; None for path-dependent ones.

    Returns
    -------
    Tables
    float
        Margin expected before anything is known of a row.

    Raises
    ------
    UnsupportedModelError
        When a tree or all tables together are too large.
    """
    paths = [Paths.of(tree, coding) for tree in trees]
    groups = [merge_leaves(path) for path in paths]
    trees_and_groups = [*zip(paths, groups, strict=True)]
    spans = [_span(path.value[g]) for path, tree_groups in trees_and_groups for g in tree_groups]
    bits = _bits(np.array(spans))
    parts: list[Part] = []
    expected, entries = 0.0, 0
    for path, tree_groups in trees_and_groups:
        leaves, mean = _leaves(path, background)
        expected += mean
        for group in tree_groups:
            parts.append(_part(path, group, leaves, bits))
            entries += parts[-1].entries.size
            if entries > MOST_ENTRIES:
                raise UnsupportedModelError("its tables would take more than 1 GiB")
    return _pack(parts, bits), expected


def _span(values: Floats) -> float:
    """Most that an entry of a table of these leaves can be, above or below zero.

    A Shapley value is a mean of differences between two expectations over the leaves, of which
    those outside the table count as zero.
    """
    return float(max(values.max(), 0) - min(values.min(), 0))


def _bits(spans: Floats) -> int:
    """Choose the unit ``2**-bits``.

    As fine as 32 bits allow, but sums must not fill up so fast that carrying them over costs more
    than adding.
    """
    if not spans.max(initial=0):
        return 0
    fits = np.log2((LARGEST - 64) / spans.max())
    seldom = np.log2(LARGEST / (TABLES_PER_CHUNK * spans.mean()))
    return int(np.floor(min(fits, seldom)))


def _leaves(path: Paths, background: NDArray[np.uint8] | None) -> tuple[list[Leaf], float]:
    """Work out the leaves of a tree, those with equally many conditions together."""
    leaves: dict[int, Leaf] = {}
    expected = 0.0
    conditions = path.asked.sum(axis=1)
    for d in np.unique(conditions).tolist():
        members = np.flatnonzero(conditions == d)
        asked = np.nonzero(path.asked[members])[1].reshape(len(members), d)
        if background is None:
            reference = independent_patterns(np.take_along_axis(path.share[members], asked, axis=1))
        else:
            reference = np.stack(
                [
                    _background_patterns(path, leaf, positions, background)
                    for leaf, positions in zip(members.tolist(), asked, strict=True)
                ]
            )
        expected += float(path.value[members] @ reference[:, -1])
        tables = leaf_tables(path.value[members], reference)
        for leaf, positions, table in zip(members.tolist(), asked, tables, strict=True):
            leaves[leaf] = Leaf(positions, table)
    return [leaves[leaf] for leaf in range(len(leaves))], expected


def _background_patterns(
    path: Paths, leaf: int, asked: Codes, background: NDArray[np.uint8]
) -> Floats:
    """Share of the background rows with each pattern of a leaf's conditions."""
    patterns = np.zeros(len(background), dtype=np.intp)
    for bit, k in enumerate(asked):
        patterns |= path.satisfied(leaf, k)[background[:, path.feature[k]]].astype(np.intp) << bit
    return counted_patterns(patterns, len(asked))


def _part(path: Paths, group: Codes, leaves: Sequence[Leaf], bits: int) -> Part:
    """Sum the leaves of a group over all combinations of the cells of their features."""
    mask = (np.uint64(1) << group.astype(np.uint64)).sum()
    columns = np.flatnonzero(path.asked[group].any(axis=0))
    places, cells, rows = [], [], 1
    for k in columns:
        distinct, cell = np.unique(path.allowed[k] & mask, return_inverse=True)
        # The cell of the first code is number 0, so that steps start from state 0.
        order = np.arange(len(distinct))
        first = cell[0]
        order[[0, first]] = order[[first, 0]]
        places.append((order[cell] * rows).astype(np.uint16))
        cells.append(distinct[order])
        rows *= len(distinct)
    values = np.zeros((rows, len(columns)))
    for leaf in group:
        asked, table = leaves[leaf].asked, leaves[leaf].table
        pattern = np.zeros(1, dtype=np.intp)
        for k, masks in zip(columns, cells, strict=True):
            bit = np.flatnonzero(asked == k)
            met = (masks >> np.uint64(leaf) & np.uint64(1)).astype(np.intp)
            met = met << bit[0] if len(bit) else 0 * met
            pattern = (met[:, None] + pattern).ravel()
        values[:, np.searchsorted(columns, asked)] += table[pattern]
    return Part(path.feature[columns], tuple(places), _fixed_point(values, bits))


def _fixed_point(values: Floats, bits: int) -> NDArray[np.int32]:
    """Round entries so that every row sums to its own rounded sum.

    Rounding the running sums does it: an entry is off by less than one unit, a row by half a unit.
    """
    running = np.rint(np.ldexp(np.cumsum(values, axis=1), bits))
    return np.diff(running, axis=1, prepend=0).astype(np.int32)


def _pack(parts: Sequence[Part], bits: int) -> Tables:
    places = [place for part in parts for place in part.places]
    return Tables(
        start=_starts([len(part.feature) for part in parts]),
        feature=_joined([part.feature for part in parts], np.int64),
        place_start=_starts([len(place) for place in places]),
        place=_joined(places, np.uint16),
        entry_start=_starts([part.entries.size for part in parts]),
        entry=_joined([part.entries.ravel() for part in parts], np.int32),
        chunk=_chunks(parts),
        bits=bits,
    )


def _chunks(parts: Sequence[Part]) -> NDArray[np.int64]:
    """Cut the tables where a feature's sum could leave 32 bits."""
    limits = [0]
    sums: dict[int, int] = {}
    for g, part in enumerate(parts):
        most = np.abs(part.entries.astype(np.int64)).max(axis=0).tolist()
        grown = {f: sums.get(f, 0) + m for f, m in zip(part.feature.tolist(), most, strict=True)}
        if max(grown.values()) > LARGEST:
            limits.append(g)
            sums = dict(zip(part.feature.tolist(), most, strict=True))
        else:
            sums |= grown
    return np.array([*limits, len(parts)] if parts else [0], dtype=np.int64)


def _starts(counts: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.array(counts, dtype=np.int64))]).astype(np.int64)


def _joined(arrays: Sequence[NDArray[Any]], dtype: type[Number]) -> NDArray[Number]:
    return np.concatenate([*arrays, np.zeros(0, dtype)]).astype(dtype)
