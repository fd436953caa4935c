"""Tilt: how much of a score of today still tells accounts apart in each quarter to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit

from models.arrays import Floats
from models.scoring.timing.retention.quarters import QUARTER

# Without scores of earlier dates: most of a score still holds in the first quarter, and of that
# two thirds from one quarter to the next.
USUAL_SLOPE, SLOPE_SPREAD, USUAL_KEEP = 0.8, 0.3, 0.65
# Distance of two dates that may stand for a quarter's, and pairs that tell how much is kept.
NEAR_DAYS, LEAST_PAIRS = 35, 100
# Rows of a segment at which its own mean counts as much as that of all.
MEAN_WORTH = 50.0
# Rows that a level is solved over.
MOST_ROWS = 20_000


@dataclass(frozen=True)
class Tilt:
    """What the log-odds of a score add to those of a quarter's rates.

    Parameters
    ----------
    slope : float
        Of the log-odds beyond their segment's mean, in the first quarter.
    keep : float
        Share of it that is left from one quarter to the next: moods come and go.
    centre : float
        Mean log-odds of earlier dates.
    segments : mapping of str to float
        The same by segment.
    deviations : ndarray
        Log-odds beyond their segment's mean on earlier dates: those that the rates are of.
    """

    slope: float = USUAL_SLOPE
    keep: float = USUAL_KEEP
    centre: float = 0.0
    segments: Mapping[str, float] = field(default_factory=dict)
    deviations: Floats = field(default_factory=lambda: np.zeros(1), repr=False, compare=False)

    def adds(self, rows: pd.DataFrame, rate: Floats, quarter: int) -> Floats:
        """Return what is added to log-odds of rates: (n,).

        Accounts of earlier dates, tilted alike, keep the rate that was seen of them.

        Parameters
        ----------
        rows : DataFrame of n rows
            ``log_odds`` of the score, and ``segment``.
        rate : ndarray of shape (n,)
            Log-odds of the rates.
        quarter : int
            0 for the first one to come.
        """
        slope = self.slope * self.keep**quarter
        beyond = slope * self.beyond(rows)
        levels = np.linspace(rate.min(initial=-1.0), rate.max(initial=1.0), 9)
        shifts = [self._shift(level, slope) for level in levels]
        return np.asarray(beyond + np.interp(rate, levels, shifts))

    def beyond(self, rows: pd.DataFrame) -> Floats:
        """Log-odds beyond their segment's mean: (n,)."""
        centre = rows["segment"].map(self.segments).fillna(self.centre)
        return np.asarray(rows["log_odds"].to_numpy(dtype=float) - centre.to_numpy(dtype=float))

    def _shift(self, level: float, slope: float) -> float:
        tilted = slope * self.deviations

        def excess(shift: float) -> float:
            return float(expit(level + shift + tilted).mean() - expit(level))

        reach = 1.0 + float(np.abs(tilted).max())
        return float(brentq(excess, -reach, reach, xtol=1e-6))


def learn_tilt(earlier: pd.DataFrame) -> Tilt:
    """Learn how much scores of earlier dates told of the quarter after.

    Parameters
    ----------
    earlier : DataFrame of n rows
        Scores as a model gave them before it had seen what came: ``account_id``, ``day`` (days of
        any origin), ``segment``, ``log_odds``; ``rate`` (log-odds of the quarter's rates) and
        ``lost`` (0 or 1), both NaN where the quarter after is not over.
    """
    if earlier.empty:
        return Tilt()
    centre = float(earlier["log_odds"].mean())
    parts = earlier.groupby("segment")["log_odds"].agg(["mean", "size"])
    means = (parts["size"] * parts["mean"] + MEAN_WORTH * centre) / (parts["size"] + MEAN_WORTH)
    own = {str(name): float(mean) for name, mean in means.items()}
    flat = Tilt(centre=centre, segments=own)
    beyond = flat.beyond(earlier)
    step = max(1, len(beyond) // MOST_ROWS)
    return Tilt(
        slope=_slope(earlier, beyond),
        keep=_keep(earlier.assign(beyond=beyond)),
        centre=centre,
        segments=own,
        deviations=beyond[::step],
    )


def _slope(earlier: pd.DataFrame, beyond: Floats) -> float:
    """Fit the slope that makes what came likeliest, near the usual one where little came."""
    known = (earlier["lost"].notna() & earlier["rate"].notna()).to_numpy()
    lost = earlier["lost"].to_numpy(dtype=float)[known]
    rate, beyond = earlier["rate"].to_numpy(dtype=float)[known], beyond[known]
    if not len(lost):
        return USUAL_SLOPE
    # An account that stands on several dates is one account.
    often = max(1, earlier.loc[known, "day"].nunique())

    def loss(slope: float) -> float:
        margin = rate + slope * beyond
        margin = margin - np.log(max(expit(margin).mean(), 1e-12) / max(expit(rate).mean(), 1e-12))
        fit = float((np.logaddexp(0, margin) - lost * margin).sum()) / often
        return fit + (slope - USUAL_SLOPE) ** 2 / (2 * SLOPE_SPREAD**2)

    return float(minimize_scalar(loss, bounds=(0.0, 1.5), method="bounded").x)


def _keep(earlier: pd.DataFrame) -> float:
    """Share of a deviation that is left after a quarter, of accounts scored on both dates."""
    now = earlier[["account_id", "day", "beyond"]]
    pairs = now.merge(now, on="account_id", suffixes=("", "_later"))
    apart = pairs["day_later"] - pairs["day"] - QUARTER
    pairs = pairs[apart.abs() <= NEAR_DAYS]
    spread = float((pairs["beyond"] ** 2).sum())
    if len(pairs) < LEAST_PAIRS or spread <= 0:
        return USUAL_KEEP
    return float(np.clip((pairs["beyond"] * pairs["beyond_later"]).sum() / spread, 0.0, 1.0))
