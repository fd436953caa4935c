"""The risk curve: the probability of a loss within each of some horizons, of one account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from features.errors import sample
from models.arrays import Floats
from models.churn.coded import Rows
from models.scoring.timing.decisions import AHEAD, KINDS, TERM, Decisions, days_of

EDGES = (0, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 330, 365)
"""Days from the observation date between which a step of the curve lies."""
HORIZONS = (30, 60, 90, 180, 365)
"""Days ahead that a curve is told at."""
AT = tuple(EDGES.index(days) - 1 for days in HORIZONS)
"""Which step each horizon ends with."""
LEVEL = tuple(int(np.searchsorted(AT, step)) for step in range(len(EDGES) - 1))
"""Which level holds in each step: that of the horizon it leads to."""
LAST_DAYS = EDGES[-1]
# A term of which nothing is known to come after the next renewal.
ENDLESS = 1e9
TAIL = 1.645
# Log-odds that differ by less are taken to be one point, where the curve has a slope.
STILL = 1e-7


@dataclass(frozen=True)
class ToldCurves:
    """Probability of a loss within each of :data:`HORIZONS`, and its 90 % interval: (n, 5) each."""

    within: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class RiskCurve:
    """Discrete-time hazard of a loss: ``h_k = share_k * q_k`` in step ``k``.

    The share of the step is the part of a decision that falls into it by the contract, a matter of
    dates alone. ``q_k`` is the risk at a decision so far ahead: the champion's log-odds ``l``
    pulled to what is usual at decisions of the account's segment and kind of term as the score
    grows older, ``logit q_k = level_k + slope (usual - centre + exp(-fade years_k) (l - usual))``:
    an account that is young today is not when its first contract ends. The probability of a loss
    within a horizon is ``1 - prod(1 - h_k)`` over its steps (Allison 1982, "Discrete-time methods
    for the analysis of event histories"), so that a later horizon never has a lower one, and rises
    with ``l`` at each.

    Parameters
    ----------
    decisions : Decisions
        The outcome window the risk at a decision is of, and which terms end within it.
    is_dated : bool
        Whether there are accounts whose contract lets them decide at times alone.
    lags : tuple of float
        Deciles, from the least to the largest, of the days from a decision to the loss it led to.
    levels : tuple of float
        Log-odds at ``centre``, of each horizon's steps.
    centre, slope, fade : float
        As above; the slope above zero, the fade (a year) not below.
    dated : float
        Log-odds that decisions at times alone add.
    between : float
        Share of the risk at a decision that falls into 30 days without one.
    wobble : float
        Standard deviation of ``l`` between models taught with other accounts.
    ageing : tuple of float
        Log-odds by which accounts of each of :data:`~models.scoring.timing.decisions.KINDS` are
        usually riskier at their decisions than on any date; empty in curves from before.

    Examples
    --------
    >>> curve = RiskCurve(Decisions(0, 30), True, (0.0,) * 11, (-3.0,) * 5, -3.0, 1.0, 0.0, 0.0,
    ...                   0.01, 0.2)
    >>> rows = pd.DataFrame({"days_to_renewal": [100, None], "term_days": [365, None]})
    >>> curve.within(rows, np.array([-3.0, -3.0]), np.array([-3.0, -3.0])).round(3).tolist()
    [[0.0, 0.001, 0.001, 0.05, 0.052], [0.047, 0.093, 0.136, 0.253, 0.442]]
    """

    decisions: Decisions
    is_dated: bool
    lags: tuple[float, ...]
    levels: tuple[float, ...]
    centre: float
    slope: float
    fade: float
    dated: float
    between: float
    wobble: float
    ageing: tuple[float, ...] = ()

    def within(self, frame: pd.DataFrame, log_odds: Floats, usual: Floats) -> Floats:
        """Probability of a loss within each of :data:`HORIZONS`: (n, 5), rising in each row.

        Parameters
        ----------
        frame : DataFrame of n rows
            Contract terms.
        log_odds : ndarray of shape (n,)
            Calibrated log-odds of a loss at a decision.
        usual : ndarray of shape (n,)
            The same of the mean of the row's segment, among terms of its kind.
        """
        middle = self.at_decisions(frame, usual)
        return self.losses(self.shares(frame), log_odds, middle)[:, AT]

    def at_decisions(self, frame: Rows, usual: Floats) -> Floats:
        """Log-odds that rows are pulled to: what is usual of them when they decide, (n,)."""
        if not self.ageing:
            return usual
        return np.asarray(usual + np.array(self.ageing)[self.decisions.kinds(frame)])

    def told(self, shares: Floats, log_odds: Floats, middle: Floats) -> ToldCurves:
        """Tell :meth:`within` with an interval for what other accounts would have taught."""
        within, low, high = (
            self.losses(shares, log_odds + side * TAIL * self.wobble, middle)[:, AT]
            for side in (0, -1, 1)
        )
        return ToldCurves(within, low, high)

    def points(
        self, shares: Floats, contributions: Floats, usual: Floats, middle: Floats, slope: Floats
    ) -> Floats:
        """Tell what each signal adds to the probability within each horizon: (n, 5, n_signals).

        As points of a score are: with ``P`` the map from log-odds to a probability, ``c_i slope
        (P(l) - P(l_0)) / (l - l_0)``, which sum to ``P(l) - P(l_0)`` and keep every sign.

        Parameters
        ----------
        shares : ndarray of shape (n, steps)
            As :meth:`shares`.
        contributions : ndarray of shape (n, n_signals)
            Contributions to the margin, from the mean whose log-odds ``l_0`` are usual.
        usual : ndarray of shape (n,)
            As for :meth:`within`.
        middle : ndarray of shape (n,)
            As :meth:`at_decisions`.
        slope : ndarray of shape (n,)
            Calibrated log-odds per unit of margin.
        """
        moved = slope * contributions.sum(axis=1)
        step = np.where(np.abs(moved) < STILL, STILL, moved)
        start = self.losses(shares, usual, middle)[:, AT]
        rise = (self.losses(shares, usual + step, middle)[:, AT] - start) / step[:, None]
        return np.asarray(rise[:, :, None] * (slope[:, None] * contributions)[:, None, :])

    def losses(self, shares: Floats, log_odds: Floats, middle: Floats) -> Floats:
        """Probability of a loss before each step ends: (n, steps)."""
        there = np.cumprod(1 - self.hazards(shares, log_odds, middle), axis=1)
        return np.asarray(1 - there, dtype=float)

    def hazards(self, shares: Floats, log_odds: Floats, middle: Floats) -> Floats:
        """Probability of a loss in each step of an account that is still there: (n, steps).

        Parameters
        ----------
        shares : ndarray of shape (n, steps)
            As :meth:`shares`.
        log_odds, middle : ndarray of shape (n,)
            As for :meth:`within` and :meth:`at_decisions`.
        """
        level = np.array(self.levels)[list(LEVEL)]
        own = np.exp(-self.fade * years()) * (log_odds - middle)[:, None]
        known = level + self.slope * (own + (middle - self.centre)[:, None])
        risk = expit(known + np.where(shares[:, :1] < 0, 0.0, self.dated))
        return np.asarray(np.abs(shares) * risk, dtype=float)

    def shares(self, frame: Rows) -> Floats:
        """Share of a decision that falls into each step: (n, steps).

        Below zero, for telling them apart, of those that may leave at will.
        """
        at_will = self.decisions.at_will(frame) if self.is_dated else np.ones(len(frame), bool)
        length = np.diff(EDGES) / (self.decisions.closes_days - self.decisions.opens_days)
        shares = np.tile(-np.minimum(length, 1.0), (len(frame), 1))
        if not at_will.all():
            parts = decided(frame.take(np.flatnonzero(~at_will)), self.lags)
            shares[~at_will] = parts + (1 - parts) * self.between * np.diff(EDGES) / 30
        return shares

    def faults(self) -> Iterator[str]:
        """Say what cannot be, if anything."""
        if len(self.levels) != len(HORIZONS) or len(self.lags) != 11:
            yield (
                f"the curve must have {len(HORIZONS)} levels and 11 lags, and has"
                f" {len(self.levels)} and {len(self.lags)}"
            )
        if self.ageing and len(self.ageing) != len(KINDS):
            yield f"the curve must have {len(KINDS)} ageings, and has {len(self.ageing)}"
        if list(self.lags) != sorted(self.lags):
            yield f"the lags of the curve must rise, and are {sample(self.lags, 11)}"
        if not (self.slope > 0 and self.fade >= 0 and 0 <= self.between <= 1 and self.wobble >= 0):
            yield (
                "the curve must rise with the risk, fade, and have shares from 0 to 1, and has"
                f" slope {self.slope:g}, fade {self.fade:g}, between {self.between:g}, wobble"
                f" {self.wobble:g}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        described = {**asdict(self), "lags": list(self.lags), "levels": list(self.levels)}
        del described["ageing"]
        return described | ({"ageing": list(self.ageing)} if self.ageing else {})

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> RiskCurve:
        """Rebuild from :meth:`to_dict`."""
        own = dict(described)
        decisions = Decisions.from_dict(own.pop("decisions"))
        is_dated = bool(own.pop("is_dated"))
        lags, levels = (tuple(float(one) for one in own.pop(name)) for name in ("lags", "levels"))
        ageing = tuple(float(one) for one in own.pop("ageing", ()))
        numbers = {name: float(value) for name, value in own.items()}
        return cls(
            decisions=decisions,
            is_dated=is_dated,
            lags=lags,
            levels=levels,
            ageing=ageing,
            **numbers,
        )


def years() -> Floats:
    """Years from the observation date to the middle of each step: (steps,)."""
    edges = np.array(EDGES, dtype=float)
    return np.asarray((edges[:-1] + edges[1:]) / 2 / LAST_DAYS, dtype=float)


def decided(frame: Rows, lags: tuple[float, ...]) -> Floats:
    """Share of decisions whose losses fall into each step, of contracts with a renewal date.

    A term that ends is taken to be followed by one as long.

    Parameters
    ----------
    frame : DataFrame of n rows
        Contract terms.
    lags : tuple of float
        Deciles of the days from a decision to its loss.

    Returns
    -------
    ndarray of shape (n, steps)
    """
    ahead, term = days_of(frame, AHEAD), days_of(frame, TERM)
    term = np.where(term > 0, term, ENDLESS)
    chance = np.linspace(0, 1, len(lags))
    edges = np.array(EDGES, dtype=float)
    shares = np.zeros((len(frame), len(edges) - 1))
    # What is overdue was to be decided before, and will be again a term later.
    ahead = np.where(ahead < 0, ahead % term, ahead)
    for turn in range(-1, int(LAST_DAYS / np.min(term, initial=ENDLESS)) + 1):
        decision = ahead + turn * term
        near = (decision + lags[-1] >= 0) & (decision + lags[0] <= LAST_DAYS)
        seen = _share_before(edges - decision[near, None], np.array(lags), chance)
        shares[near] += np.diff(seen, axis=1)
    return np.minimum(shares, 1.0)


def _share_before(days: Floats, lags: Floats, chance: Floats) -> Floats:
    """Share of losses written down fewer days after a decision, from deciles."""
    # Equal deciles are a day on which many are written down: a step just before it.
    rising = lags + np.arange(len(lags)) * 1e-6
    return np.asarray(np.interp(days - 1e-3, rising, chance, left=0.0, right=1.0))
