"""From a margin to log-odds that hold on later dates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit

from features.json_values import Json
from models.arrays import Floats

# Standard deviations of the priors: how far a segment, or all of them, may move without evidence.
INTERCEPT_PRIOR, SLOPE_PRIOR = 0.3, 0.1
SEGMENT_INTERCEPT_PRIOR, SEGMENT_SLOPE_PRIOR = 0.1, 0.05


class LogisticCalibrator:
    """Logistic recalibration (Cox 1958; Platt 1999) with a shrunken line per segment.

    ``log-odds = centre + intercept + slope (margin - centre)``, where intercept and log(slope) are
    a shared value plus a segment's own, all under normal priors around the identity. The slope is
    therefore above zero, the order of accounts in a segment never changes, and with few positives
    the margin passes almost untouched.

    Attributes
    ----------
    centre_ : float
        Mean margin at fit.
    lines_ : dict of str to (float, float)
        Intercept and slope per segment.
    shared_ : (float, float)
        Intercept and slope of a segment not seen at fit.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(-2, 1, 20_000)
    >>> happened = rng.random(20_000) < expit(truth)
    >>> calibrator = LogisticCalibrator().fit(2 * truth + 1, happened, np.repeat("all", 20_000))
    >>> calibrator.log_odds(np.array([-3.0]), np.array(["all"])).round(1)
    array([-2.])
    """

    centre_: float
    lines_: dict[str, tuple[float, float]]
    shared_: tuple[float, float]

    def fit(self, margin: Floats, happened: Any, segment: Any) -> LogisticCalibrator:
        """Fit to margins of rows the model had not seen.

        Parameters
        ----------
        margin : ndarray of shape (n,)
            Out-of-time margins.
        happened : array of 0 and 1, shape (n,)
            Outcomes.
        segment : array of str, shape (n,)
            Segments.
        """
        happened = np.asarray(happened, dtype=float)
        codes, names = pd.factorize(np.asarray(segment, dtype=object), sort=True)
        count = len(names)
        self.centre_ = float(margin.mean())
        centred = margin - self.centre_
        precision = np.repeat(
            [INTERCEPT_PRIOR, SLOPE_PRIOR, SEGMENT_INTERCEPT_PRIOR, SEGMENT_SLOPE_PRIOR],
            [1, 1, count, count],
        ) ** (-2.0)

        def objective(vector: Floats) -> tuple[float, Floats]:
            intercept = vector[0] + vector[2 : 2 + count]
            slope = np.exp(vector[1] + vector[2 + count :])
            log_odds = self.centre_ + intercept[codes] + slope[codes] * centred
            loss = np.logaddexp(0, log_odds).sum() - happened @ log_odds
            residual = expit(log_odds) - happened
            by_intercept = np.bincount(codes, residual, minlength=count)
            by_slope = np.bincount(codes, residual * centred, minlength=count) * slope
            gradient = np.concatenate(
                [[by_intercept.sum(), by_slope.sum()], by_intercept, by_slope]
            )
            return loss + (precision * vector**2).sum() / 2, gradient + precision * vector

        start = np.zeros(2 + 2 * count)
        # A log-slope beyond 3 is a factor of 20: no data says that, a line search might try it.
        bounds = [(-10, 10), (-3, 3)] + [(-10, 10)] * count + [(-3, 3)] * count
        solution = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        self.shared_ = (float(solution[0]), float(np.exp(solution[1])))
        self.lines_ = {
            str(name): (
                float(solution[0] + solution[2 + code]),
                float(np.exp(solution[1] + solution[2 + count + code])),
            )
            for code, name in enumerate(names)
        }
        return self

    def log_odds(self, margin: Floats, segment: Any) -> Floats:
        """Calibrated log-odds of churn: (n,)."""
        intercept, slope = self._lines(segment)
        return self.centre_ + intercept + slope * (margin - self.centre_)

    def slope(self, segment: Any) -> Floats:
        """Calibrated log-odds per unit of margin, above zero: (n,)."""
        return self._lines(segment)[1]

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        lines = {name: list(line) for name, line in self.lines_.items()}
        return {"centre": self.centre_, "shared": list(self.shared_), "lines": lines}

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> LogisticCalibrator:
        """Rebuild a fitted calibrator from :meth:`to_dict`."""
        calibrator = cls()
        calibrator.centre_ = described["centre"]
        calibrator.shared_ = tuple(described["shared"])
        calibrator.lines_ = {name: tuple(line) for name, line in described["lines"].items()}
        return calibrator

    def _lines(self, segment: Any) -> tuple[Floats, Floats]:
        codes, names = pd.factorize(np.asarray(segment, dtype=object))
        table = np.array([self.lines_.get(name, self.shared_) for name in names]).reshape(-1, 2)
        return table[codes, 0], table[codes, 1]
