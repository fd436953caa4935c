"""How far expected rates are from observed ones, and how far chance alone would put them."""

from __future__ import annotations

import numpy as np

from models.arrays import Codes, Floats
from models.measures.resampling import REACH, TAILS, AccountBootstrap

BINS = 10


class CalibrationError:
    """Expected calibration error (ECE) over ten equal-count bins of risk.

    ``sum over bins of |expected - observed positives| / rows`` (Naeini et al. 2015, "Obtaining well
    calibrated probabilities using Bayesian binning", with bins of equal counts). Distances have no
    sign to cancel, so even true probabilities are measured to have some.

    Parameters
    ----------
    outcome, risk : ndarray of shape (n,)
        Outcomes, 0 or 1, and probabilities; at least one row.
    bootstrap : AccountBootstrap
        Over the accounts of the rows.

    Attributes
    ----------
    gaps : ndarray of shape (accounts, 10)
        Expected less observed positives of each account in each bin.
    by_chance : float
        ECE that true probabilities would be measured to have on average, were rows independent
        given their probabilities.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.beta(1, 20, 5000)
    >>> outcome = (rng.random(5000) < risk).astype(float)
    >>> error = CalibrationError(outcome, risk, AccountBootstrap(np.arange(5000)))
    >>> round(error.of(np.ones(5000), 5000), 4), round(error.by_chance, 4)
    (0.0035, 0.0067)
    """

    def __init__(self, outcome: Floats, risk: Floats, bootstrap: AccountBootstrap) -> None:
        code = equal_count_bins(risk)
        cells = bootstrap.cluster * BINS + code
        gaps = np.bincount(cells, risk - outcome, minlength=bootstrap.count * BINS)
        self.gaps = gaps.reshape(bootstrap.count, BINS)
        # The distance of a normal gap from zero has mean sqrt(2 / pi) and variance 1 - 2 / pi.
        variance = np.bincount(code, risk * (1 - risk), minlength=BINS)
        self.by_chance = float(np.sqrt(2 / np.pi * variance).sum()) / len(risk)
        spread = float(np.sqrt((1 - 2 / np.pi) * variance.sum())) / len(risk)
        self._most_by_chance = self.by_chance + REACH * spread

    def of(self, weight: Floats, size: float) -> float:
        """ECE of accounts with weights of shape (accounts,) that come to ``size`` rows."""
        return float(np.abs(weight @ self.gaps).sum() / size)

    def interval(self, measured: float, resampled: Floats) -> tuple[float, float]:
        """Interval of the error without the bias: low, high.

        Resampling adds the bias once more, so its distance is taken off, not added (the basic
        bootstrap; Davison and Hinkley 1997, section 5.2), and nothing is claimed against zero that
        chance explains in 95 of 100 cases. Over simulated companies of 2,000 and 20,000 rows with
        3.6 % positives the 90 % interval held the error in 72 to 98 of 100 cases, the percentile
        interval in 0 to 90.
        """
        lower, upper = np.quantile(resampled, TAILS)
        low = 0.0 if measured <= self._most_by_chance else max(2 * measured - upper, 0.0)
        return float(low), float(max(2 * measured - lower, measured))


def equal_count_bins(risk: Floats, bins: int = BINS) -> Codes:
    """Code of each row's bin, lowest risk first.

    Rows of the same risk share the bin that the middle one falls into: the order of the rows must
    not decide what is expected of whom. Many of them leave bins empty.

    Examples
    --------
    >>> equal_count_bins(np.array([0.9, 0.1, 0.5, 0.2]), 2).tolist()
    [1, 0, 1, 0]
    >>> equal_count_bins(np.full(4, 0.3), 2).tolist()
    [0, 0, 0, 0]
    """
    order = np.argsort(risk, kind="stable")
    ordered = risk[order]
    places = np.repeat(np.arange(bins), [len(part) for part in np.array_split(order, bins)])
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])[: len(risk)]
    sizes = np.diff(np.r_[starts, len(risk)])
    code = np.empty(len(risk), dtype=np.intp)
    code[order] = np.repeat(places[starts + (sizes - 1) // 2], sizes)
    return code
