"""How many accounts, or how much ARR, an outcome will take from a portfolio, with an interval."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import norm

from models.arrays import Floats
from models.measures.resampling import TAILS

# Accounts whose own chance is drawn one by one; those after them are many and small.
DRAWN_ALONE = 256
# Equally likely offsets of the log-odds, and draws of chance at each.
OFFSETS, DRAWS = 41, 400
# Rows times offsets are held at once.
ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Forecast:
    """What an outcome is expected to take, and the 90 % interval of what it will.

    Attributes
    ----------
    expected : float
        Sum of probability times amount.
    low, high : float
        Interval; it holds the expected value, also where one account decides everything.
    """

    expected: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return a JSON-ready description."""
        return asdict(self)


class LossForecast:
    """Sum of the amounts of the accounts that an outcome happens to, from their probabilities.

    Two things are not known: to whom it happens, and how far the probabilities are too high or too
    low together. The first is drawn account by account for those whose chance matters most (the
    largest ``amount² p (1 - p)``). The sum over all others is drawn from the scaled Poisson
    distribution with its mean and variance (Bohm and Zech 2014, "The statistics of weighted Poisson
    events and its applications"), which is never negative and leans as sums of rare losses do. The
    second is an offset of all log-odds, normal with standard deviation ``spread`` and with the mean
    that leaves odds as they are on average. Memory does not grow with the number of accounts.

    Parameters
    ----------
    spread : float
        Standard deviation of the offset; see :func:`models.measures.offset_spread.offset_spread`.
    seed : int
        Equal seeds give equal draws.

    Examples
    --------
    >>> few = LossForecast(0.0)
    >>> few.add(np.array([0.5, 0.5]), np.array([1.0, 1.0]))
    >>> few.forecast()
    Forecast(expected=1.0, low=0.0, high=2.0)
    >>> many = LossForecast(0.2)
    >>> many.add(np.full(50_000, 0.02), np.ones(50_000))
    >>> found = many.forecast()
    >>> round(found.expected), 680 < found.low < 730, 1330 < found.high < 1400
    (1000, True, True)
    """

    def __init__(self, spread: float, *, seed: int = 0) -> None:
        places = norm.ppf((np.arange(OFFSETS) + 0.5) / OFFSETS)
        # So few places spread a little less than the normal distribution does.
        offsets = spread * places / places.std() - spread**2 / 2
        self._factors = np.exp(offsets)
        self._seed = seed
        self._expected = 0.0
        self._mean = np.zeros(OFFSETS)
        self._variance = np.zeros(OFFSETS)
        self._alone = np.empty((0, 2))

    def add(self, probability: Floats, amount: Floats) -> None:
        """Add accounts.

        Parameters
        ----------
        probability : ndarray of shape (n,)
            Calibrated probabilities of the outcome.
        amount : ndarray of shape (n,)
            What each account counts, zero or more: its ARR, or 1 to count accounts.
        """
        self._expected += float(probability @ amount)
        rows = np.concatenate([self._alone, np.column_stack([probability, amount])])
        matters = rows[:, 1] ** 2 * rows[:, 0] * (1 - rows[:, 0])
        order = np.argsort(-matters, kind="stable")
        # In the order in which they came, so that draws do not depend on the batches.
        self._alone = rows[np.sort(order[:DRAWN_ALONE])]
        others = rows[np.sort(order[DRAWN_ALONE:])]
        for start in range(0, len(others), ROWS_AT_ONCE):
            part = others[start : start + ROWS_AT_ONCE]
            risk = self._risk(part[:, 0])
            self._mean += part[:, 1] @ risk
            self._variance += part[:, 1] ** 2 @ (risk * (1 - risk))

    def forecast(self) -> Forecast:
        """Return the expected sum of all that was added, and its interval."""
        generator = np.random.default_rng(self._seed)
        risk, amount = self._risk(self._alone[:, 0]), self._alone[:, 1]
        drawn = np.empty((OFFSETS, DRAWS))
        for place in range(OFFSETS):
            hit = generator.random((DRAWS, len(amount))) < risk[:, place]
            drawn[place] = hit @ amount
            if self._variance[place] > 0:
                unit = self._variance[place] / self._mean[place]
                drawn[place] += unit * generator.poisson(self._mean[place] / unit, DRAWS)
        low, high = np.quantile(drawn, TAILS)
        return Forecast(
            self._expected, min(float(low), self._expected), max(float(high), self._expected)
        )

    def _risk(self, probability: Floats) -> Floats:
        """Probabilities at each offset: (n, OFFSETS)."""
        happens = probability[:, None] * self._factors
        return np.asarray(happens / (happens + (1 - probability[:, None])))
