"""How much of a change between two runs goes back by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models.arrays import Floats

# Fewer accounts with three dates in a row measure nothing.
FEWEST = 30
TAIL = 1.645


def reversal(values: Floats, accounts: Any, dates: Any) -> float | None:
    """Measure the noise of a value that is told on many dates, in its own units.

    Say a value is what lasts plus noise that is drawn anew on each date. Then two changes in a row
    share the noise of the date between them with opposite signs, and their covariance is minus its
    variance (as the bid-ask bounce in prices: Roll 1984, "A simple implicit measure of the
    effective bid-ask spread in an efficient market").

    Parameters
    ----------
    values : ndarray of shape (n,)
        What is told of each row.
    accounts, dates : arrays of shape (n,)
        Of whom, and when.

    Returns
    -------
    float or None
        Standard deviation of the noise; None where too few accounts have three dates in a row.
    """
    rows = pd.DataFrame({"account": accounts, "date": pd.to_datetime(dates), "value": values})
    rows = rows.sort_values(["account", "date"], kind="stable")
    by_account = rows.groupby("account", sort=False)
    gap = by_account["date"].diff().dt.days.to_numpy()
    change = by_account["value"].diff().to_numpy()
    later = by_account["value"].diff(-1).mul(-1).to_numpy()
    gap_later = by_account["date"].diff(-1).mul(-1).dt.days.to_numpy()
    usual = np.nanmedian(gap) if np.isfinite(gap).any() else np.nan
    near = (np.abs(gap - usual) <= usual / 2) & (np.abs(gap_later - usual) <= usual / 2)
    if near.sum() < FEWEST:
        return None
    shared = np.mean(
        (change[near] - change[near].mean()) * (later[near] - later[near].mean()), dtype=float
    )
    return float(np.sqrt(max(-shared, 0.0)))


def lasting(change: float, noise: float) -> tuple[float, float]:
    """90 % interval of the part of a change that lasts, given the noise of each of its ends."""
    room = TAIL * np.sqrt(2) * noise
    return change - room, change + room
