"""Measures of every contender on the same rows, and who is ahead of whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalog import EVERYBODY
from features.json_values import described_fields
from models.arrays import Floats
from models.measures.metrics import evaluate, row_log_loss
from models.measures.resampling import AccountBootstrap

UNTREATED = "untreated"
KEYS = ("contender", "origin", "segment", "population")


def column_of(contender: str) -> str:
    """Name the column of a contender's probabilities."""
    return f"p_{contender}"


def measure_contenders(
    predictions: pd.DataFrame,
    contenders: Sequence[str],
    base_rate: Floats,
    *,
    seed: int = 0,
    resamples: int = 200,
) -> pd.DataFrame:
    """Measure every contender on all rows, per origin and per segment.

    Parameters
    ----------
    predictions : DataFrame of n rows
        As in :class:`models.backtest.backtest.Backtest`.
    contenders : sequence of str
        Names whose columns are measured.
    base_rate : ndarray of shape (n,)
        Rate of the rows each row's models had learnt from.
    seed, resamples : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        ``contender``, ``origin``, ``segment``, ``population`` and every field of
        :class:`models.measures.metrics.Metrics`. The untreated population is there where some rows
        were treated and some not.
    """
    happened = predictions["happened"].to_numpy(dtype=float)
    accounts = pd.factorize(predictions["account_id"].to_numpy(dtype=object))[0]
    # Without dates it is the rows of a fold that one model has judged.
    dates = predictions.groupby(["origin", "observation_date"], dropna=False).ngroup().to_numpy()
    found = []
    for key, rows in _cells(predictions):
        for name in contenders:
            risk = predictions[column_of(name)].to_numpy(dtype=float)[rows]
            measured = evaluate(
                happened[rows],
                risk,
                accounts[rows],
                base_rate=base_rate[rows],
                alike=dates[rows],
                seed=seed,
                resamples=resamples,
            )
            found.append({"contender": name, **key, **described_fields(measured)})
    return pd.DataFrame(found)


Origin = pd.Timestamp | str
"""The first tested date, or the name of a fold."""


@dataclass(frozen=True)
class Comparison:
    """Difference in log loss of ours minus a contender's, on the same rows.

    Attributes
    ----------
    contender : str
        Its name.
    difference, low, high : float
        In nats per row, below zero where ours is better, and its 90 % interval over accounts.
    verdict : str
        "better" or "worse" where the interval excludes zero, else "level".
    """

    contender: str
    difference: float
    low: float
    high: float
    verdict: str


def compare(
    predictions: pd.DataFrame, ours: str, others: Sequence[str], *, seed: int = 0
) -> list[Comparison]:
    """Difference in log loss of ours minus each of the others, on the same rows.

    Returns
    -------
    list of Comparison
    """
    outcome = predictions["happened"].to_numpy(dtype=float)
    bootstrap = AccountBootstrap(predictions["account_id"], seed=seed)

    def loss(name: str) -> Floats:
        return row_log_loss(outcome, predictions[column_of(name)].to_numpy(dtype=float))

    own, found = loss(ours), []
    for name in others:
        ahead = own - loss(name)
        low, high = bootstrap.mean_interval(ahead)
        verdict = "better" if high < 0 else "worse" if low > 0 else "level"
        found.append(Comparison(name, float(ahead.mean()), low, high, verdict))
    return found


def _cells(predictions: pd.DataFrame) -> Iterator[tuple[dict[str, str], NDArray[np.bool_]]]:
    """Name every set of rows that is measured."""
    treated = predictions["treated"].to_numpy(dtype=bool)
    populations = {EVERYBODY: np.ones(len(treated), dtype=bool)}
    if treated.any() and not treated.all():
        populations[UNTREATED] = ~treated
    origins = predictions["origin"].map(origin_name).to_numpy(dtype=object)
    segments = predictions["segment"].to_numpy(dtype=object)
    for population, kept in populations.items():
        yield {"origin": EVERYBODY, "segment": EVERYBODY, "population": population}, kept
        for origin in pd.unique(origins):
            rows = kept & (origins == origin)
            yield {"origin": origin, "segment": EVERYBODY, "population": population}, rows
        # A single segment is everybody, who have been measured.
        names = sorted(set(segments))
        for segment in names if len(names) > 1 else []:
            rows = kept & (segments == segment)
            yield {"origin": EVERYBODY, "segment": segment, "population": population}, rows


def origin_name(origin: Origin) -> str:
    """Write a fold's first tested date as people and JSON have it.

    Examples
    --------
    >>> origin_name(pd.Timestamp("2025-05-01")), origin_name("fold 1")
    ('2025-05-01', 'fold 1')
    """
    return origin.date().isoformat() if isinstance(origin, pd.Timestamp) else str(origin)
