"""The band an account is issued with: the one before, until the score has left it for good."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import StoreError, sample
from pipelines.store.runs import Run, RunKey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.arrays import Codes, Floats
    from models.scoring.scale import ScoreScale
    from pipelines.store.base import ScoreStore

LARGE = 8.0
"""Points beyond a limit at which an account changes its band at once."""
MOST_DAYS = 70
"""After a longer gap the bands of the run before say nothing."""
AFTER = "bands_after"
"""The fact of a run that names the one its bands follow; empty where there was none."""
COLUMNS = ("account_id", "score", "band", "band_days")


def settled(scale: ScoreScale, band: Codes, before: Floats, score: Floats) -> Codes:
    """Tell which band accounts are in, given the run before: positions in ``scale.bands``.

    A band changes when the score is as far as :data:`LARGE` points beyond its limit, or was beyond
    it in the run before too. So what wobbles about a limit stays where it is.

    Parameters
    ----------
    scale : ScoreScale
        What cuts the bands.
    band : ndarray of int, shape (n,)
        Position of the band in the run before.
    before, score : ndarray of shape (n,)
        Scores in the run before, and now.

    Examples
    --------
    >>> from models.scoring.scale import ScoreScale
    >>> scale = ScoreScale(0.05, at_risk_from=0.0952, watch_from=0.0452)  # at 40 and 51.5
    >>> healthy = np.array([2, 2, 2, 2])
    >>> settled(scale, healthy, np.array([60, 50, 60, 48]), np.array([50, 50, 42, 30])).tolist()
    [2, 1, 1, 0]
    """
    now, was = scale.position_of(score), scale.position_of(before)
    toward = -1.0 if scale.good else 1.0
    # Where the score would lie if it were that much nearer to the band it comes from.
    up, down = (scale.position_of(score + side * toward * LARGE) for side in (1, -1))
    worse = np.minimum(band, np.minimum(up, np.maximum(now, was)))
    better = np.maximum(band, np.maximum(down, np.minimum(now, was)))
    return np.where(now < band, worse, np.where(now > band, better, band))


@dataclass(frozen=True)
class EarlierBands:
    """The bands of the run before.

    Attributes
    ----------
    accounts : Index
        Whose.
    bands : ndarray of str, shape (n,)
        Their bands.
    scores, days : ndarray of shape (n,)
        Their scores, and for how many days they had been in their band; NaN where not known.
    gap : int
        Days since that run.
    """

    accounts: pd.Index[str]
    bands: NDArray[np.object_]
    scores: Floats
    days: Floats
    gap: int

    def settle(self, batch: pa.RecordBatch, scale: ScoreScale) -> pa.RecordBatch:
        """Give scored rows the bands they are issued with, and the days they have been in them."""
        accounts = batch["account_id"].to_numpy(zero_copy_only=False)
        place = self.accounts.get_indexer(pd.Index(accounts, dtype=object))
        known = place >= 0
        positions = {name: position for position, name in enumerate(scale.bands)}
        score = batch["score"].to_numpy()
        band = scale.position_of(score)
        there = place[known]
        held = np.array([positions.get(name, -1) for name in self.bands[there]], dtype=np.intp)
        # A band of another kind of outcome is none that could be kept.
        held = np.where(held < 0, band[known], held)
        band[known] = settled(scale, held, self.scores[there], score[known])
        days = np.zeros(batch.num_rows)
        stayed = band[known] == held
        days[known] = np.where(stayed, np.nan_to_num(self.days[there]) + self.gap, 0.0)
        names = np.array(scale.bands, dtype=object)[band]
        return _with(batch, {"band": pa.array(names, pa.string()), "band_days": pa.array(days)})


def _with(batch: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    held = {name: batch[name] for name in batch.schema.names}
    return pa.record_batch({**held, **columns})


def run_before(store: ScoreStore, key: RunKey) -> Run | None:
    """Find the run whose bands those of a run follow: the last one of an earlier date, if near."""
    earlier = [run for run in store.runs(key.outcome) if run.key.as_of < key.as_of]
    near = [run for run in earlier if (key.as_of - run.key.as_of).days <= MOST_DAYS]
    return near[-1] if near else None


def bands_of(
    store: ScoreStore, run: Run | None, day: date, account_id: str | None = None
) -> EarlierBands:
    """Read the bands of a run, or of one account in it, for one of a later day.

    Where there is no run, nobody was in a band.
    """
    if run is None:
        return bands_in(None, 0)
    accounts = None if account_id is None else [account_id]
    rows = store.scores(run, accounts=accounts, columns=COLUMNS).read_all()
    return bands_in(rows, (day - run.key.as_of).days)


def bands_in(rows: pa.Table | None, gap: int) -> EarlierBands:
    """Return the bands in rows of :data:`COLUMNS` of a run some days before; None where none is."""
    if rows is None:
        return EarlierBands(
            pd.Index([], dtype=object), np.array([], dtype=object), np.zeros(0), np.zeros(0), 0
        )
    return EarlierBands(
        pd.Index(rows["account_id"].to_numpy(), dtype=object),
        rows["band"].to_numpy(zero_copy_only=False).astype(object),
        rows["score"].to_numpy(),
        rows["band_days"].fill_null(np.nan).to_numpy(),
        gap,
    )


def told_after(run: Run | None) -> str:
    """Name a run in the facts of the one that follows it."""
    if run is None:
        return ""
    named = {
        "as_of": run.key.as_of.isoformat(),
        "model_version": run.key.model_version,
        "revision": run.revision,
    }
    return json.dumps(named)


def bands_before(store: ScoreStore, run: Run, account_id: str | None = None) -> EarlierBands | None:
    """Read the bands that those of an issued run follow, or that of one account among them.

    Returns
    -------
    EarlierBands or None
        None where an earlier version issued the run, whose bands follow the score alone.

    Raises
    ------
    StoreError
        When the run it names is gone.
    """
    told = run.facts.get(AFTER)
    if told is None:
        return None
    if not told:
        return bands_of(store, None, run.key.as_of)
    for earlier in store.runs(run.key.outcome):
        if told_after(earlier) == told:
            return bands_of(store, earlier, run.key.as_of, account_id)
    raise StoreError(
        f"The bands of the scores of {run.key} follow those of the run {sample([told])}, which the"
        " store no longer holds; put the store back from a copy"
    )
