"""The band that one account is in on a date, given what was issued before."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.project.project import Project
from pipelines.scoring.bands.settled import bands_before, bands_of, run_before
from pipelines.store.opening import open_store
from pipelines.store.runs import EarlierStore, NoStore, RunKey

if TYPE_CHECKING:
    from models.scoring.scale import ScoreScale


def settled_band(
    project: Project, account_id: str, key: tuple[date, str], score: float, scale: ScoreScale
) -> dict[str, Any]:
    """Tell the band and the days in it that a run issues for an account, or would.

    Parameters
    ----------
    project : Project
        The configuration, whose store holds what was issued.
    account_id : str
        The account.
    key : (date, str)
        The date, and the version of the model.
    score : float
        Its score on it.
    scale : ScoreScale
        What cuts the bands.

    Returns
    -------
    dict of str to object
        ``band`` and ``band_days``.

    Raises
    ------
    StoreError
        When there is a store that cannot be read.
    """
    row = pa.record_batch({"account_id": pa.array([account_id]), "score": pa.array([score])})
    try:
        with open_store(project, read_only=True) as store:
            asked = RunKey(project.outcome_name, *key)
            issued = store.newest(asked)
            if issued is not None:
                bands = bands_before(store, issued, account_id)
            else:
                bands = bands_of(store, run_before(store, asked), asked.as_of, account_id)
    except (NoStore, EarlierStore):
        bands = None
    if bands is None:
        return {"band": str(scale.bands[int(scale.position_of(row["score"].to_numpy())[0])])} | {
            "band_days": 0.0
        }
    told = bands.settle(row, scale)
    return {name: told[name][0].as_py() for name in ("band", "band_days")}
