"""Trend bars of the portfolio: how many accounts were in each band, run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

MOST = 24


@dataclass(frozen=True)
class TrendBar:
    """One date: a bar whose pieces are the bands.

    Parameters
    ----------
    as_of : date
        The date.
    model_version : str
        The model that made the scores.
    is_new_model : bool
        Whether the date before it had another one.
    accounts : int
        Accounts in the run.
    pieces : list of (str, float, float, int)
        Band, where its piece begins and how long it is, in percent of the bar, and its accounts.
    """

    as_of: date
    model_version: str
    is_new_model: bool
    accounts: int
    pieces: list[tuple[str, float, float, int]]


def trend_bars(history: Sequence[Mapping[str, Any]], bands: Sequence[str]) -> list[TrendBar]:
    """Arrange the newest dates of a history, the newest last.

    Parameters
    ----------
    history : sequence of mapping
        The columns of :data:`pipelines.store.schema.PORTFOLIO_SCHEMA`, by date and then by the
        moment of issue: of a date the last run counts.
    bands : sequence of str
        The bands, from the highest probability to the lowest.
    """
    last: dict[date, tuple[Any, str]] = {}
    for row in history:
        last[row["as_of"]] = row["issued_at"], row["model_version"]
    held: dict[date, dict[str, int]] = {}
    for row in history:
        if (row["issued_at"], row["model_version"]) == last[row["as_of"]]:
            held.setdefault(row["as_of"], {})[row["band"]] = row["accounts"]
    bars: list[TrendBar] = []
    for as_of, counts in sorted(held.items()):
        version, total = last[as_of][1], sum(counts.values())
        changed = bool(bars) and bars[-1].model_version != version
        pieces, begins = [], 0.0
        for band in bands:
            share = 100 * counts.get(band, 0) / total if total else 0.0
            pieces.append((band, begins, share, counts.get(band, 0)))
            begins += share
        bars.append(TrendBar(as_of, version, changed, total, pieces))
    return bars[-MOST:]
