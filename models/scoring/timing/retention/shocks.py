"""What accounts share: how far a whole quarter goes against its rates, and how sure those are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from models.arrays import Floats
from models.measures.offset_spread import offset_error, spread_between
from models.measures.recalibration import recalibrate

# What is believed before any quarter was seen: quarters differ by a tenth, worth two quarters.
BEFORE, WORTH = 0.1, 2
GUESS = 1.0


@dataclass(frozen=True)
class Shock:
    """Spreads of offsets of all log-odds.

    Parameters
    ----------
    quarter : float
        Standard deviation of what one quarter has of its own.
    level : float
        Standard deviation of what all quarters to come have in common: the error of the rates.
    freedom : int
        Quarters that the former was read off, from which it is known as exactly as that: it is
        drawn anew, scaled inverse chi-squared, for each future.
    """

    quarter: float
    level: float
    freedom: int

    def draws(self, quarters: int, count: int, generator: np.random.Generator) -> Floats:
        """Draw offsets of (count, quarters); odds stay as they are on average."""
        wide = np.sqrt(self.freedom / generator.chisquare(self.freedom, (count, 1)))
        common = self.level * generator.standard_normal((count, 1))
        own = self.quarter * generator.standard_normal((count, quarters))
        variance = self.level**2 + self.quarter**2
        return np.asarray(wide * (common + own) - variance / 2)


def learn_shock(happened: Floats, log_odds: Floats, accounts: object, quarters: object) -> Shock:
    """Estimate both from past quarters: what came of each against its rates.

    The variance of quarters' offsets beyond their errors is estimated as that between studies is
    (DerSimonian and Laird 1986, "Meta-analysis in clinical trials"), and drawn towards a tenth
    where few quarters were seen.

    Parameters
    ----------
    happened : ndarray of 0 and 1, shape (n,)
        What came.
    log_odds : ndarray of shape (n,)
        What rates said.
    accounts, quarters : array of shape (n,)
        Whose row, and of which quarter.
    """
    cluster, quarter = pd.factorize(np.asarray(accounts))[0], pd.factorize(np.asarray(quarters))[0]
    risk = expit(log_odds)
    places = [quarter == place for place in range(quarter.max(initial=-1) + 1)]
    offsets = [recalibrate(happened[own], risk[own], cluster[own]).offset for own in places]
    between, count = spread_between(offsets), sum(one.value is not None for one in offsets)
    variance = (count * between**2 + WORTH * BEFORE**2) / (count + WORTH)
    whole = recalibrate(happened, risk, cluster).offset
    # Without a single loss nothing but a wide guess is left.
    error = GUESS if whole.value is None else offset_error(whole)
    level = np.hypot(error, np.sqrt(variance / max(count, 1)))
    return Shock(float(np.sqrt(variance)), float(level), max(count, 1) + WORTH)
