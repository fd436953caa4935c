"""Whether probabilities are too high or low throughout, and too bold or too timid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from models.arrays import Floats
from models.measures.estimate import UNKNOWN, Estimate
from models.measures.resampling import REACH

# No probability of a table is further out; a logit must not be infinite.
SMALLEST = 1e-12
# Newton's method doubles its digits with each step; one that has not settled by then never will.
MOST_STEPS, SETTLED = 50, 1e-10


@dataclass(frozen=True)
class Recalibration:
    """What a logistic recalibration would change; the identity is offset 0 and slope 1.

    Cox 1958, "Two further applications of a model for binary regression"; read as in Van Calster
    et al. 2019, "Calibration: the Achilles heel of predictive analytics". Bounds are 90 % intervals
    from a sandwich variance over accounts (Liang and Zeger 1986).

    Attributes
    ----------
    offset : Estimate
        Calibration in the large: what is to be added to every log-odds, the slope being one. Above
        zero where more happened than was expected.
    slope : Estimate
        Factor of the log-odds when intercept and slope are both free. Below one where the
        probabilities are too bold.
    """

    offset: Estimate = UNKNOWN
    slope: Estimate = UNKNOWN


def recalibrate(happened: Any, probability: Any, cluster: Any) -> Recalibration:
    """Measure calibration in the large and the calibration slope.

    Parameters
    ----------
    happened : array of 0 and 1, shape (n,)
        Outcomes.
    probability : array of shape (n,)
        Calibrated probabilities.
    cluster : array of int, shape (n,)
        Account of each row as a code from 0.

    Returns
    -------
    Recalibration
        Not known with one class; the slope not known where every row has the same probability.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(-1, 1, 50_000)
    >>> happened = rng.random(50_000) < expit(truth)
    >>> found = recalibrate(happened, expit(2 * truth), np.arange(50_000))
    >>> round(found.slope.value, 1)
    0.5
    """
    outcome = np.asarray(happened, dtype=float)
    if not 0 < outcome.sum() < len(outcome):
        return Recalibration()
    margin = logit(np.clip(np.asarray(probability, dtype=float), SMALLEST, 1 - SMALLEST))
    cluster = np.asarray(cluster, dtype=np.intp)
    constant = np.ones((len(margin), 1))
    offset = _interval(_logistic(constant, margin, outcome, cluster), 0)
    # A spread that is rounding alone has no slope.
    if np.ptp(margin) < 1e-9:
        return Recalibration(offset)
    # Centred, the two coefficients hardly depend on each other and Newton's steps stay short.
    design = np.column_stack([constant, margin - margin.mean()])
    start = np.full(len(margin), margin.mean())
    return Recalibration(offset, _interval(_logistic(design, start, outcome, cluster), 1))


def _interval(fitted: tuple[Floats, Floats] | None, place: int) -> Estimate:
    if fitted is None:
        return UNKNOWN
    value, error = float(fitted[0][place]), float(fitted[1][place])
    return Estimate(value, value - REACH * error, value + REACH * error)


def _logistic(
    design: Floats, offset: Floats, outcome: Floats, cluster: Any
) -> tuple[Floats, Floats] | None:
    """Fit by damped Newton: estimates and clustered standard errors; None where none exist.

    There is no finite maximum when the probabilities separate the classes.
    """
    theta = np.zeros(design.shape[1])
    loss = _loss(design @ theta + offset, outcome)
    for _ in range(MOST_STEPS):
        risk = expit(design @ theta + offset)
        curvature = design.T @ (design * (risk * (1 - risk))[:, None])
        if not np.linalg.cond(curvature) < 1 / SMALLEST:
            return None
        step = np.linalg.solve(curvature, design.T @ (outcome - risk))
        while (after := _loss(design @ (theta + step) + offset, outcome)) > loss + 1e-9 * abs(loss):
            step /= 2
        theta, loss = theta + step, after
        if np.abs(step).max() < SETTLED:
            return theta, _clustered_errors(design, outcome - risk, cluster, curvature)
    return None


def _clustered_errors(design: Floats, residual: Floats, cluster: Any, curvature: Floats) -> Floats:
    scores = np.column_stack([np.bincount(cluster, residual * column) for column in design.T])
    accounts = len(np.unique(cluster))
    bread = np.linalg.inv(curvature)
    variance = bread @ (scores.T @ scores) @ bread * accounts / max(accounts - 1, 1)
    return np.asarray(np.sqrt(np.diag(variance)))


def _loss(log_odds: Floats, outcome: Floats) -> float:
    return float(np.logaddexp(0, log_odds).sum() - outcome @ log_odds)
