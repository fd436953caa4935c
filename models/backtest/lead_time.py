"""How early the score had warned of an outcome."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.measures.resampling import clustered_rate_interval
from models.scoring.scale import BANDS

DAYS_BEFORE = (30, 60, 90, 180)
COLUMNS = (
    "days_before",
    "events",
    "accounts",
    "median_score",
    "low_quartile",
    "high_quartile",
    "at_risk",
    "at_risk_low",
    "at_risk_high",
    "watch",
    "healthy",
)


def lead_time(scored: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Look up which score each account had some days before its outcome happened.

    The score of a day is that of the newest observation date on or before it, where that is no
    further back than observation dates lie apart; an event without one is not counted. Events
    further ahead than the observed history reaches back therefore drop out: the counts say how many
    are left.

    Parameters
    ----------
    scored : DataFrame
        Tested rows, one per account and date: ``account_id``, ``observation_date``, ``score`` and
        ``band``.
    events : DataFrame
        ``account_id`` and ``happened_at``; an account may have several.

    Returns
    -------
    DataFrame
        One row per number of days: ``days_before``, ``events`` and ``accounts`` that had a score
        then, ``median_score``, ``low_quartile``, ``high_quartile``, the share of the events whose
        account was ``at_risk`` (with its 90 % interval ``at_risk_low``, ``at_risk_high``), on
        ``watch`` and ``healthy``; NaN where no event had a score. Empty without events.

    Examples
    --------
    >>> dates = pd.to_datetime(["2025-01-01", "2025-02-01", "2025-03-01"])
    >>> scored = pd.DataFrame({"account_id": "a", "observation_date": dates,
    ...                        "score": [70.0, 55.0, 20.0],
    ...                        "band": ["healthy", "watch", "at-risk"]})
    >>> events = pd.DataFrame({"account_id": ["a"], "happened_at": [pd.Timestamp("2025-03-20")]})
    >>> lead_time(scored, events)[["days_before", "events", "median_score", "watch"]]
       days_before  events  median_score  watch
    0           30       1          55.0    1.0
    1           60       1          70.0    0.0
    2           90       0           NaN    NaN
    3          180       0           NaN    NaN
    """
    dates = pd.Series(pd.to_datetime(scored["observation_date"]).unique()).sort_values()
    apart = dates.diff().max()
    rows = scored.assign(
        account_id=scored["account_id"].astype(str),
        observation_date=_instant(scored["observation_date"]),
    ).sort_values("observation_date", kind="stable")
    known = pd.DataFrame(
        {
            "account_id": events["account_id"].astype(str),
            "happened_at": _instant(events["happened_at"]),
        }
    ).dropna()
    found = []
    for days in DAYS_BEFORE if len(known) else ():
        asked = known.assign(day=known["happened_at"] - pd.Timedelta(days=days))
        met = pd.merge_asof(
            asked.sort_values("day", kind="stable"),
            rows[["account_id", "observation_date", "score", "band"]],
            left_on="day",
            right_on="observation_date",
            by="account_id",
            # A single date is not known to be apart from another: a month is the usual distance.
            tolerance=pd.Timedelta(days=31) if pd.isna(apart) else apart,
        ).dropna(subset=["score"])
        found.append({"days_before": days, **_described(met)})
    return pd.DataFrame(found, columns=list(COLUMNS))


def _described(met: pd.DataFrame) -> dict[str, float]:
    counts: dict[str, float] = {"events": len(met), "accounts": int(met["account_id"].nunique())}
    if met.empty:
        return counts
    low, median, high = np.quantile(met["score"].to_numpy(dtype=float), [0.25, 0.5, 0.75])
    at_risk = np.asarray(met["band"] == BANDS[0], dtype=float)
    bounds = clustered_rate_interval(at_risk, met["account_id"].to_numpy(dtype=object))
    return {
        **counts,
        "median_score": float(median),
        "low_quartile": float(low),
        "high_quartile": float(high),
        "at_risk": float(at_risk.mean()),
        "at_risk_low": bounds[0],
        "at_risk_high": bounds[1],
        "watch": float((met["band"] == BANDS[1]).mean()),
        "healthy": float((met["band"] == BANDS[2]).mean()),
    }


def _instant(column: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    # One unit on both sides of a join as of a time.
    return pd.to_datetime(column).astype("datetime64[us]")
