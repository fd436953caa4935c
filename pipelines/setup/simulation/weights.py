"""The weights that produced the churn, by the definition the product reports its own with."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.setup.simulation.company import Floats
from pipelines.setup.simulation.truth import WEIGHED


def true_weights(rows: Path, since: date) -> dict[str, dict[str, float]]:
    """Share of each signal group in the true log-odds of a segment, in points of 100.

    A group's size is the mean absolute contribution, centred within the segment; the profile is
    context and has no weight.

    Parameters
    ----------
    rows : Path
        The truth's rows.
    since : date
        First observation date that counts.

    Returns
    -------
    dict of str to dict of str to float
        Weights by segment and group; each segment's sum to 100 before rounding to 0.001.
    """
    names = [f"contribution_{group}" for group in WEIGHED]
    opening = datetime(since.year, since.month, since.day)
    table = pq.read_table(
        rows, columns=["segment", *names], filters=[("observation_date", ">=", opening)]
    )
    weights = {}
    for segment in sorted(pc.unique(table["segment"]).to_pylist()):
        inside = table.filter(pc.equal(table["segment"], segment))
        sizes = np.array([_size(inside[name].to_numpy()) for name in names])
        shares = 100 * sizes / max(sizes.sum(), np.finfo(float).tiny)
        weights[segment] = {
            group: round(float(share), 3) for group, share in zip(WEIGHED, shares, strict=True)
        }
    return weights


def _size(contribution: Floats) -> float:
    return float(np.abs(contribution - contribution.mean()).mean())
