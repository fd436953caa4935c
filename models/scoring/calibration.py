"""From a margin to log-odds that hold on later dates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from features.json_values import Json
from models.arrays import Codes, Floats
from models.scoring.timing.decisions import KINDS

# Standard deviations of the priors: how far a segment, or all of them, may move without evidence.
INTERCEPT_PRIOR, SLOPE_PRIOR = 0.3, 0.1
SEGMENT_INTERCEPT_PRIOR, SEGMENT_SLOPE_PRIOR = 0.1, 0.05
# The same of terms with a renewal date beside those at will, and of each kind of them.
DATED_PRIOR, KIND_PRIOR = 0.3, 0.15
# And of what acts take off, which they never add: a team knows more than signals show, so that the
# accounts it acts on leave more often than others alike, whatever acts do.
RELIEF_PRIOR = 0.5
# With fewer outcomes at will, or of terms with a date, one level speaks for both.
LEAST_LOSSES = 15


class LogisticCalibrator:
    """Logistic recalibration (Cox 1958; Platt 1999) with a shrunken line per segment.

    ``log-odds = centre + intercept + level + slope (margin - centre)``, where intercept and
    log(slope) are a shared value plus a segment's own, all under normal priors around the identity.
    The slope is therefore above zero, the order of accounts of a segment on terms of a kind never
    changes, and with few positives the margin passes almost untouched. The level is that of the
    account's kind of term, so that each kind is told the risk that was seen of it. Rows that were
    acted on have a term of their own, at most zero, that is left out when an account is told its
    risk: it is the risk if nobody acts.

    Attributes
    ----------
    centre_ : float
        Mean margin at fit.
    lines_ : dict of str to (float, float)
        Intercept and slope per segment.
    shared_ : (float, float)
        Intercept and slope of a segment not seen at fit.
    levels_ : tuple of float
        What each of :data:`~models.scoring.timing.decisions.KINDS` adds; empty where kinds are not
        told apart.
    relief_ : float
        What having been acted on took off the log-odds of rows alike, at most 0.

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
    levels_: tuple[float, ...] = ()
    relief_: float = 0.0

    def fit(
        self,
        margin: Floats,
        happened: Any,
        segment: Any,
        kind: Codes | None = None,
        acted: NDArray[np.bool_] | None = None,
    ) -> LogisticCalibrator:
        """Fit to margins of rows the model had not seen.

        Parameters
        ----------
        margin : ndarray of shape (n,)
            Out-of-time margins.
        happened : array of 0 and 1, shape (n,)
            Outcomes.
        segment : array of str, shape (n,)
            Segments.
        kind : ndarray of int, shape (n,), optional
            Positions of the kinds of terms; without it, or with too few outcomes of either those
            at will or the others, kinds are not told apart.
        acted : ndarray of bool, shape (n,), optional
            Which rows were acted on; none by default.
        """
        helped = np.zeros(len(margin)) if acted is None else np.asarray(acted, dtype=float)
        happened = np.asarray(happened, dtype=float)
        apart = kind is not None and _told_apart(happened, kind)
        kinds = kind if kind is not None and apart else np.zeros(len(happened), dtype=np.intp)
        dated = (kinds > 0).astype(float)
        codes, names = pd.factorize(np.asarray(segment, dtype=object), sort=True)
        count = len(names)
        self.centre_ = float(margin.mean())
        centred = margin - self.centre_
        precision = np.repeat(
            [
                *(INTERCEPT_PRIOR, SLOPE_PRIOR, SEGMENT_INTERCEPT_PRIOR, SEGMENT_SLOPE_PRIOR),
                *(DATED_PRIOR, KIND_PRIOR, RELIEF_PRIOR),
            ],
            [1, 1, count, count, 1, len(KINDS), 1],
        ) ** (-2.0)
        last = 2 + 2 * count

        def objective(vector: Floats) -> tuple[float, Floats]:
            intercept = vector[0] + vector[2 : 2 + count]
            slope = np.exp(vector[1] + vector[2 + count : last])
            level = dated * (vector[last] + vector[last + 1 :][kinds])
            relief = vector[-1] * helped
            log_odds = self.centre_ + intercept[codes] + level + relief + slope[codes] * centred
            loss = np.logaddexp(0, log_odds).sum() - happened @ log_odds
            residual = expit(log_odds) - happened
            by_intercept = np.bincount(codes, residual, minlength=count)
            by_slope = np.bincount(codes, residual * centred, minlength=count) * slope
            by_level = np.bincount(kinds, dated * residual, minlength=len(KINDS))
            gradient = np.concatenate(
                [
                    *([by_intercept.sum(), by_slope.sum()], by_intercept, by_slope),
                    *([by_level.sum()], by_level, [residual @ helped]),
                ]
            )
            return loss + (precision * vector**2).sum() / 2, gradient + precision * vector

        start = np.zeros(len(precision))
        # A log-slope beyond 3 is a factor of 20: no data says that, a line search might try it.
        bounds = [(-10, 10), (-3, 3)] + [(-10, 10)] * count + [(-3, 3)] * count
        bounds += [(-10, 10)] * (1 + len(KINDS)) + [(-3, 0)]
        solution = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        self.shared_ = (float(solution[0]), float(np.exp(solution[1])))
        self.lines_ = {
            str(name): (
                float(solution[0] + solution[2 + code]),
                float(np.exp(solution[1] + solution[2 + count + code])),
            )
            for code, name in enumerate(names)
        }
        own = solution[last] + solution[last + 2 : -1]
        self.levels_ = (0.0, *(float(level) for level in own)) if apart else ()
        self.relief_ = float(solution[-1])
        return self

    def log_odds(self, margin: Floats, segment: Any, kind: Codes | None = None) -> Floats:
        """Calibrated log-odds of churn: (n,); of terms at will where no kind is given."""
        intercept, slope = self._lines(segment)
        level = 0.0 if kind is None or not self.levels_ else np.array(self.levels_)[kind]
        return self.centre_ + intercept + level + slope * (margin - self.centre_)

    def slope(self, segment: Any) -> Floats:
        """Calibrated log-odds per unit of margin, above zero: (n,)."""
        return self._lines(segment)[1]

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        lines = {name: list(line) for name, line in self.lines_.items()}
        described: Json = {"centre": self.centre_, "shared": list(self.shared_), "lines": lines}
        described |= {"levels": list(self.levels_)} if self.levels_ else {}
        return described | ({"relief": self.relief_} if self.relief_ else {})

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> LogisticCalibrator:
        """Rebuild a fitted calibrator from :meth:`to_dict`."""
        calibrator = cls()
        calibrator.centre_ = described["centre"]
        calibrator.shared_ = tuple(described["shared"])
        calibrator.lines_ = {name: tuple(line) for name, line in described["lines"].items()}
        calibrator.levels_ = tuple(described.get("levels", ()))
        calibrator.relief_ = described.get("relief", 0.0)
        return calibrator

    def _lines(self, segment: Any) -> tuple[Floats, Floats]:
        codes, names = pd.factorize(np.asarray(segment, dtype=object))
        table = np.array([self.lines_.get(name, self.shared_) for name in names]).reshape(-1, 2)
        return table[codes, 0], table[codes, 1]


def _told_apart(happened: Floats, kind: Codes) -> bool:
    """Whether terms at will and others have enough outcomes, and enough without one, for levels."""
    sides = (happened[kind == 0], happened[kind > 0])
    return all(LEAST_LOSSES <= side.sum() < len(side) for side in sides)
