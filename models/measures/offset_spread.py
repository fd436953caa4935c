"""How far probabilities may be too high or too low together on a date that nobody has seen yet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models.measures.estimate import Estimate
from models.measures.recalibration import recalibrate
from models.measures.resampling import REACH


def offset_spread(happened: Any, probability: Any, accounts: Any, dates: Any) -> float | None:
    """Estimate how far calibration in the large will be off on a later date, either way.

    A model is refitted to its hold-out, which takes out the offset that was seen there. What
    remains is the error with which that offset is known, and what differs from date to date: the
    variance of the dates' offsets beyond their errors, estimated as that between studies is
    (DerSimonian and Laird 1986, "Meta-analysis in clinical trials").

    Parameters
    ----------
    happened : array of 0 and 1, shape (n,)
        Outcomes.
    probability : array of shape (n,)
        What the model said before it had seen them.
    accounts, dates : array of shape (n,)
        Account and observation date of each row.

    Returns
    -------
    float or None
        Standard deviation of the offset of the log-odds; None where the rows hold one class, which
        tells nothing.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> happened = (rng.random(20_000) < 0.1).astype(float)
    >>> accounts, dates = np.arange(20_000), np.repeat([1, 2], 10_000)
    >>> round(offset_spread(happened, np.full(20_000, 0.1), accounts, dates), 2)
    0.02
    >>> happened[dates == 2] = rng.random(10_000) < 0.2
    >>> round(offset_spread(happened, np.full(20_000, 0.1), accounts, dates), 1)
    0.6
    """
    outcome, risk = np.asarray(happened, dtype=float), np.asarray(probability, dtype=float)
    cluster, day = pd.factorize(np.asarray(accounts))[0], pd.factorize(np.asarray(dates))[0]
    whole = recalibrate(outcome, risk, cluster)
    if whole.offset.value is None:
        return None
    rows = [day == place for place in range(day.max() + 1)]
    dates_own = [recalibrate(outcome[own], risk[own], cluster[own]).offset for own in rows]
    return float(np.hypot(offset_error(whole.offset), spread_between(dates_own)))


def spread_between(found: list[Estimate]) -> float:
    """Estimate the standard deviation of offsets beyond their errors; 0 where one is known.

    As that between studies is (DerSimonian and Laird 1986, "Meta-analysis in clinical trials").
    """
    known = [one for one in found if one.value is not None]
    if len(known) < 2:
        return 0.0
    offsets = np.array([one.value for one in known])
    weights = np.array([offset_error(one) for one in known]) ** -2.0
    excess = weights @ (offsets - np.average(offsets, weights=weights)) ** 2 - (len(known) - 1)
    return float(np.sqrt(max(excess, 0.0) / (weights.sum() - (weights**2).sum() / weights.sum())))


def offset_error(offset: Estimate) -> float:
    """Return the standard error of a known offset.

    Examples
    --------
    >>> round(offset_error(Estimate(0.3, 0.3 - 0.4 * REACH, 0.3 + 0.4 * REACH)), 12)
    0.4
    """
    assert offset.low is not None
    assert offset.high is not None
    return (offset.high - offset.low) / (2 * REACH)
