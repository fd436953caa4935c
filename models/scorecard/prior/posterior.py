"""A logistic regression whose coefficients are believed to lie somewhere before rows are seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from models.arrays import Floats

MOST_STEPS, SETTLED = 100, 1e-10


@dataclass(frozen=True)
class Posterior:
    """What is believed of coefficients once rows were seen.

    Attributes
    ----------
    mean : ndarray of shape (k,)
        The likeliest values.
    covariance : ndarray of shape (k, k)
        Around them, by the curvature there (Laplace's method; MacKay 1992, "The evidence framework
        applied to classification networks").
    """

    mean: Floats
    covariance: Floats


def posterior(columns: Floats, happened: Floats, mean: Floats, sd: Floats) -> Posterior:
    """Let rows move what is believed.

    Parameters
    ----------
    columns : ndarray of shape (n, k)
        What the coefficients are of.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes; they may all be alike.
    mean, sd : ndarray of shape (k,)
        Normal beliefs, independent of each other.

    Examples
    --------
    >>> columns = np.ones((1000, 1))
    >>> few = posterior(columns, np.zeros(1000), np.array([-4.0]), np.array([0.5]))
    >>> none = posterior(columns[:0], np.zeros(0), np.array([-4.0]), np.array([0.5]))
    >>> float(none.mean[0]), bool(few.mean[0] < -4.5)
    (-4.0, True)
    """
    precision = np.diag(sd**-2.0)

    def height(at: Floats) -> float:
        margin = columns @ at
        believed = (at - mean) @ precision @ (at - mean) / 2
        return float(np.logaddexp(0, margin).sum() - happened @ margin + believed)

    at, value = mean.copy(), height(mean)
    curvature = precision
    for _ in range(MOST_STEPS):
        risk = expit(columns @ at)
        slope = columns.T @ (risk - happened) + precision @ (at - mean)
        curvature = (columns * (risk * (1 - risk))[:, None]).T @ columns + precision
        step = cho_solve(cho_factor(curvature), slope)
        reach = 1.0
        while (ahead := height(at - reach * step)) > value and reach > SETTLED:
            reach /= 2
        at, gained, value = at - reach * step, value - ahead, ahead
        if gained <= SETTLED * max(1.0, abs(value)):
            break
    return Posterior(at, np.asarray(cho_solve(cho_factor(curvature), np.eye(len(at)))))
