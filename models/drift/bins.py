"""The bins a signal is counted in, the same for the reference and for every later date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.catalog import Signal
from features.json_values import JsonReady
from models.arrays import Codes, Floats

MOST_BINS = 10
MOST_LEVELS = 30
# A value that this share of accounts has gets a bin of its own, so that a quantile is not hidden
# among equal values: most counts are zero for many.
HEAVY = 0.1
OTHER, MISSING = "other", "missing"


@dataclass(frozen=True)
class Bins(JsonReady):
    """Bins of one signal; the last one is for missing values.

    Parameters
    ----------
    name : str
        The signal.
    edges : tuple of float
        Of a number: bin ``i`` holds values above ``edges[i - 1]`` up to ``edges[i]``.
    levels : tuple of str
        Of a category: its levels, most frequent first; the bin after them is for all others.
    is_categorical : bool
        Which of the two it is.

    Examples
    --------
    >>> bins = Bins("tickets", edges=(0.0, 2.0))
    >>> bins.codes(np.array([0.0, 1.0, 9.0, np.nan])).tolist(), bins.labels
    ([0, 1, 2, 3], ('up to 0', '0 to 2', 'above 2', 'missing'))
    """

    name: str
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    is_categorical: bool = False

    @property
    def size(self) -> int:
        """Number of bins, the one for missing values included."""
        return len(self.levels if self.is_categorical else self.edges) + 2

    @property
    def labels(self) -> tuple[str, ...]:
        """Bins in words."""
        if self.is_categorical:
            return (*self.levels, OTHER, MISSING)
        if not self.edges:
            return ("any", MISSING)
        between = [
            f"{low:.6g} to {high:.6g}"
            for low, high in zip(self.edges, self.edges[1:], strict=False)
        ]
        return (f"up to {self.edges[0]:.6g}", *between, f"above {self.edges[-1]:.6g}", MISSING)

    def codes(self, values: Any) -> Codes:
        """Bin of each value: (n,)."""
        if self.is_categorical:
            place = {level: number for number, level in enumerate(self.levels)}
            named = pd.Series(values, dtype=object)
            known = named.map(lambda value: place.get(str(value), len(place)), na_action="ignore")
            return known.fillna(self.size - 1).to_numpy(dtype=np.intp)
        numbers = numeric(values)
        found = np.searchsorted(np.array(self.edges), numbers, side="left")
        return np.where(np.isnan(numbers), self.size - 1, found).astype(np.intp)


def bins_of(signal: Signal, values: Any) -> Bins:
    """Cut a signal into bins that hold about the same number of training rows.

    Parameters
    ----------
    signal : Signal
        Whose values they are.
    values : array of shape (n,)
        Its values in the training rows, NaN or None where unknown.

    Returns
    -------
    Bins
        At most ten for a number, a value that a tenth of the rows has in a bin of its own; the
        thirty most frequent levels of a category.
    """
    if signal.is_categorical:
        counts = pd.Series(values, dtype=object).dropna().map(str).value_counts()
        # Ties by name: the same rows in another order give the same bins.
        ordered = sorted(counts.items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
        levels = tuple(str(level) for level, _ in ordered[:MOST_LEVELS])
        return Bins(signal.name, levels=levels, is_categorical=True)
    numbers = numeric(values)
    return Bins(signal.name, edges=_edges(numbers[np.isfinite(numbers)]))


def numeric(values: Any) -> Floats:
    """Read values as floats; what is no number is NaN."""
    numbers = pd.to_numeric(pd.Series(values), errors="coerce")
    return numbers.to_numpy(dtype=float, na_value=np.nan)


def _edges(known: Floats) -> tuple[float, ...]:
    distinct, counts = np.unique(known, return_counts=True)
    if len(distinct) <= MOST_BINS:
        return tuple(float(edge) for edge in distinct[:-1])
    heavy = distinct[counts >= HEAVY * len(known)]
    # Each heavy value takes two edges, one on either side.
    heavy = heavy[: MOST_BINS // 2 - 1]
    rest = known[~np.isin(known, heavy)]
    parts = MOST_BINS - 2 * len(heavy)
    cuts = np.quantile(rest, np.arange(1, parts) / parts, method="inverted_cdf")
    around = np.concatenate([np.nextafter(heavy, -np.inf), heavy])
    edges = np.unique(np.concatenate([cuts, around]))
    # An edge outside all values, or between the same two, would only make an empty bin.
    below = np.searchsorted(distinct, edges, side="right")
    keep = (below > 0) & (below < len(distinct)) & np.r_[True, np.diff(below) > 0]
    return tuple(float(edge) for edge in edges[keep])
