"""Learning a risk curve from what came of accounts in the year after each observation date."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from features.outcomes.churned import DAYS_TO_LOSS
from models.arrays import Codes, Floats
from models.churn.coded import Rows
from models.scoring.timing.curve import EDGES, HORIZONS, LEVEL, RiskCurve, years
from models.scoring.timing.decisions import AHEAD, KINDS, TERM, Decisions, days_of

# Groups of accounts, each told by a model of the others.
GROUPS = 3
# Fewer losses teach no curve.
LEAST_LOSSES = 30
# More accounts teach a curve of ten numbers no better.
MOST_ROWS = 60_000
# How far from a decision a loss may lie that it led to.
NEAR_DAYS = 45
FEWEST_LAGS = 30
# Decisions at the risk that is usual on any date which each kind of term starts from.
AGEING_PRIOR = 20.0
# Standard deviations of the priors: of the first level and of what each differs by from the one
# before, of the logarithms of slope and of what lies between, and of what decisions at times alone
# add; the fade a year is exponential with mean 1.
LEVEL_PRIOR, TURN_PRIOR, SLOPE_PRIOR, BETWEEN_PRIOR, DATED_PRIOR = 1.0, 0.2, 0.3, 1.0, 0.3
BETWEEN = 0.03


class Teller(Protocol):
    """Tells calibrated log-odds of rows, after it was taught with others."""

    def __call__(self, taught: Codes) -> Floats:
        """Log-odds at a decision of every row, by a model of the rows at some positions: (n,)."""


@dataclass(frozen=True)
class Seen:
    """What was seen of rows in the year after their dates.

    Attributes
    ----------
    open : ndarray of bool, shape (n, steps)
        Whether the account was there when the step began and what came of it is known.
    lost : ndarray of bool, shape (n, steps)
        Whether it was lost in it.
    loss : ndarray of shape (n,)
        Days to the loss, infinite where none was seen.
    """

    open: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    loss: Floats

    @classmethod
    def of(cls, frame: Rows, decisions: Decisions) -> Seen:
        """Read rows with ``observation_date`` and ``days_to_loss``, null where none is known.

        Rows of accounts that were lost before the outcome window opens are not there: a step
        before it is not looked at.
        """
        dates = pd.to_datetime(frame["observation_date"])
        known = (dates.max() - dates).dt.days.to_numpy(dtype=float) + decisions.closes_days
        loss = frame[DAYS_TO_LOSS].to_numpy(dtype=float, na_value=np.nan)
        loss = np.where(np.isnan(loss) | (loss >= known), np.inf, loss)
        starts, ends = (np.array(part, dtype=float) for part in (EDGES[:-1], EDGES[1:]))
        there = loss[:, None] >= starts
        open_ = there & (known[:, None] >= ends) & (ends > decisions.opens_days)
        return cls(open_, open_ & (loss[:, None] < ends), loss)

    def part(self, rows: Codes) -> Seen:
        """Take some rows."""
        return Seen(self.open[rows], self.lost[rows], self.loss[rows])


def learn_curve(
    decisions: Decisions, frame: Rows, tell: Teller, segment: Any, *, is_dated: bool
) -> RiskCurve | None:
    """Learn a curve from rows whose accounts were told by models of other accounts.

    Parameters
    ----------
    decisions : Decisions
        The outcome window, and which terms end within it.
    frame : DataFrame of n rows
        ``account_id``, ``observation_date``, ``days_to_loss`` and contract terms.
    tell : callable
        Teaches a model with some rows, and tells the log-odds of all.
    segment : ndarray of str, shape (n,)
        Segments.
    is_dated : bool
        Whether contracts let accounts leave at times alone.

    Returns
    -------
    RiskCurve or None
        None where too few losses were seen.
    """
    if DAYS_TO_LOSS not in frame:
        return None
    seen = Seen.of(frame, decisions)
    if seen.lost.sum() < LEAST_LOSSES:
        return None
    log_odds, wobble = told_by_others(frame, tell)
    lags = lags_of(frame, seen.loss) if is_dated else (0.0,) * 11
    kinds = decisions.kinds(frame) if is_dated else np.zeros(len(frame), dtype=np.intp)
    usual = pd.Series(log_odds).groupby([segment, kinds]).transform("mean").to_numpy()
    ageing = ageing_of(kinds, decisions.due(frame), log_odds - usual) if is_dated else ()
    start = RiskCurve(
        decisions=decisions,
        is_dated=is_dated,
        lags=lags,
        levels=(float(log_odds.mean()),) * len(HORIZONS),
        centre=float(log_odds.mean()),
        slope=1.0,
        fade=0.1,
        dated=0.0,
        between=BETWEEN,
        wobble=wobble,
        ageing=ageing,
    )
    kept = np.arange(0, len(frame), int(np.ceil(len(frame) / MOST_ROWS)))
    part = frame.take(kept)
    middle = start.at_decisions(part, usual[kept])
    rows = _Rows(start.shares(part), log_odds[kept] - middle, middle)
    return _fitted(start, rows, seen.part(kept))


def told_by_others(frame: Rows, tell: Teller) -> tuple[Floats, float]:
    """Let each account be told by a model of the others, and measure how models differ.

    Returns
    -------
    ndarray of shape (n,)
        Log-odds of each row.
    float
        Standard deviation of a row's log-odds over samples of accounts, by the jackknife that
        leaves out a group at a time (Kott 2001, "The delete-a-group jackknife").
    """
    account = pd.factorize(frame["account_id"].to_numpy(dtype=object))[0]
    group = account % GROUPS
    told = np.stack([tell(np.flatnonzero(group != number)) for number in range(GROUPS)])
    spread = (GROUPS - 1) / GROUPS * ((told - told.mean(axis=0)) ** 2).sum(axis=0)
    return told[group, np.arange(len(frame))], float(np.sqrt(spread.mean()))


def lags_of(frame: Rows, loss: Floats) -> tuple[float, ...]:
    """Deciles of the days from a decision to the loss it led to; all 0 where few were seen.

    Each loss counts once, held against the nearest of the decisions known before it.

    Parameters
    ----------
    frame : DataFrame of n rows
        ``account_id``, ``observation_date`` and contract terms.
    loss : ndarray of shape (n,)
        Days to the loss, infinite where none was seen.
    """
    ahead, term = days_of(frame, AHEAD), days_of(frame, TERM)
    loss = np.where(np.isinf(loss), np.nan, loss)
    moment = pd.to_datetime(frame["observation_date"]) + pd.to_timedelta(loss.round(), unit="D")
    last = (
        ~pd.DataFrame({"account": frame["account_id"].to_numpy(), "lost": moment.to_numpy()})
        .duplicated(keep="last")
        .to_numpy()
    )
    after = loss - ahead
    before = after + np.where(term > 0, term, np.inf)
    nearest = np.where(np.abs(before) < np.abs(after), before, after)
    near = nearest[last & (np.abs(nearest) <= NEAR_DAYS)]
    if len(near) < FEWEST_LAGS:
        return (0.0,) * 11
    return tuple(float(day) for day in np.quantile(near, np.linspace(0, 1, 11)))


def ageing_of(kinds: Codes, due: NDArray[np.bool_], above: Floats) -> tuple[float, ...]:
    """By how much accounts of each kind of term are riskier than usual at their decisions.

    Parameters
    ----------
    kinds : ndarray of int, shape (n,)
        Kinds of terms; those at will decide on every date.
    due : ndarray of bool, shape (n,)
        Which rows are due.
    above : ndarray of shape (n,)
        Log-odds above what is usual in the segment among terms of the kind, on any date.
    """
    dated = due & (kinds > 0)
    sums, rows = (
        np.bincount(kinds[dated], values, minlength=len(KINDS))
        for values in (above[dated], np.ones(int(dated.sum())))
    )
    return tuple((sums / (rows + AGEING_PRIOR)).tolist())


@dataclass(frozen=True)
class _Rows:
    """Shares of steps (n, steps), and log-odds of rows above what is usual, and usual: (n,)."""

    shares: Floats
    own: Floats
    usual: Floats


def _fitted(start: RiskCurve, told: _Rows, seen: Seen) -> RiskCurve:
    """Fit the numbers of a curve by penalised maximum likelihood of the steps that were seen."""
    rows, steps = np.nonzero(seen.open)
    share, lost = told.shares[rows, steps], seen.lost[rows, steps].astype(float)
    own, usual = told.own[rows], told.usual[rows] - start.centre
    level, time = np.array(LEVEL)[steps], years()[steps]
    at_will = share < 0
    free, length = np.abs(share), np.diff(EDGES)[steps] / 30
    # Of contracts with dates the share is ``part + (1 - part) * between * length``.
    part = np.where(at_will, free, _parts(free, start.between * length))
    count = len(HORIZONS)

    def read(vector: Floats) -> RiskCurve:
        return replace(
            start,
            levels=tuple(float(one) for one in vector[:count]),
            slope=float(np.exp(vector[count])),
            fade=float(np.exp(vector[count + 1])),
            between=float(np.exp(min(vector[count + 2], 0.0))),
            dated=float(vector[count + 3]),
        )

    def objective(vector: Floats) -> tuple[float, Floats]:
        curve = read(vector)
        fresh = np.exp(-curve.fade * time) * own
        offset = np.where(at_will, 0.0, curve.dated)
        risk = expit(vector[:count][level] + offset + curve.slope * (usual + fresh))
        elsewhere = np.where(at_will, 0.0, (1 - part) * np.minimum(curve.between * length, 1.0))
        exposed = part + elsewhere
        hazard = np.clip(exposed * risk, 1e-12, 1 - 1e-9)
        loss = -(lost * np.log(hazard) + (1 - lost) * np.log1p(-hazard)).sum()
        by_hazard = (1 - lost) / (1 - hazard) - lost / hazard
        by_logit = by_hazard * hazard * (1 - risk)
        by_slope = by_logit * curve.slope
        gradient = np.concatenate(
            [
                np.bincount(level, by_logit, minlength=count),
                [
                    (by_slope * (usual + fresh)).sum(),
                    -(by_slope * fresh * time).sum() * curve.fade,
                    (by_hazard * risk * elsewhere).sum(),
                    by_logit[~at_will].sum(),
                ],
            ]
        )
        # What no outcome was seen of goes on as before.
        turns = np.diff(vector[:count]) / TURN_PRIOR**2
        penalty = ((vector - middle) ** 2 * precision).sum() / 2 + curve.fade
        penalty += (turns * np.diff(vector[:count])).sum() / 2
        by_penalty = (vector - middle) * precision
        by_penalty[count + 1] += curve.fade
        by_penalty[:count] += np.append(0.0, turns) - np.append(turns, 0.0)
        return loss + penalty, gradient + by_penalty

    middle = np.array([*start.levels, 0.0, np.log(start.fade), np.log(start.between), 0.0])
    spread = [LEVEL_PRIOR, *([np.inf] * (count - 1)), SLOPE_PRIOR, 3.0, BETWEEN_PRIOR, DATED_PRIOR]
    precision = np.array(spread) ** -2.0
    bounds = [(-20, 20)] * count + [(-3, 3), (-9, 3), (-12, 0), (-5, 5)]
    solution = minimize(objective, middle, jac=True, method="L-BFGS-B", bounds=bounds)
    return read(solution.x)


def _parts(share: Floats, elsewhere: Floats) -> Floats:
    """Take what lies between decisions out of shares."""
    return np.clip((share - elsewhere) / (1 - elsewhere), 0.0, 1.0)
