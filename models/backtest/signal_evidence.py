"""What single signals are known to do: inside a model, and alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.catalog import CONTEXT, EVERYBODY
from models.arrays import Codes, Floats
from models.measures.estimate import Estimate
from models.measures.metrics import Ranking
from models.measures.resampling import TAILS, AccountBootstrap
from models.scoring.health_model import HealthModel
from models.weights.certainty import Direction

DIRECTIONS = ("signal", "label", "group", "declared", "learnt", "agrees", "weight", "low", "high")
CARRIERS = ("segment", "group", "signal", "label", "weight")
MOST_CARRIERS = 5
# An AUC of so many rows is certain to about a hundredth at a rate of a percent.
MOST_ROWS = 100_000
UNKNOWN: Direction = "not enough evidence"


@dataclass(frozen=True)
class Alone:
    """How well one column of numbers ranks an outcome with no model around it.

    Attributes
    ----------
    rows, accounts, positives : int
        What it was measured on: rows in which the number is known.
    auc, low, high : float or None
        Area under the ROC curve, above 0.5 where the healthy end foretells the good end, and its
        90 % interval over accounts; None where those rows hold one outcome only.
    """

    rows: int
    accounts: int
    positives: int
    auc: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SideBySide:
    """Two columns of numbers on the rows in which both are known.

    Attributes
    ----------
    first, second : Alone
        Each of them.
    ahead : Estimate
        AUC of the first less that of the second, over accounts; not known where the rows hold one
        outcome only.
    """

    first: Alone
    second: Alone
    ahead: Estimate


def alone(values: Any, happened: Any, accounts: Any, *, high_is_risk: bool, seed: int) -> Alone:
    """Measure how well a column of numbers ranks an outcome.

    Nothing is learnt: which end is the risky one is given.

    Parameters
    ----------
    values : array of shape (n,)
        The numbers, NaN where unknown.
    happened : array of 0 and 1, shape (n,)
        Outcomes.
    accounts : array of shape (n,)
        Account of each row.
    high_is_risk : bool
        Whether high values are those after which the outcome is expected.
    seed : int
        Of the bootstrap.

    Examples
    --------
    >>> found = alone([9, 7, np.nan, 1], [0, 0, 1, 1], list("abcd"), high_is_risk=False, seed=0)
    >>> found.rows, found.positives, found.auc
    (3, 1, 1.0)
    """
    number = np.asarray(values, dtype=float)
    known = np.flatnonzero(~np.isnan(number))
    outcome = np.asarray(happened, dtype=float)[known]
    bootstrap = AccountBootstrap(np.asarray(accounts, dtype=object)[known], seed=seed)
    risk = number[known] if high_is_risk else -number[known]
    return _measured(risk, outcome, bootstrap)[0]


def side_by_side(
    first: Any, second: Any, happened: Any, accounts: Any, *, high_is_risk: Any, seed: int
) -> SideBySide:
    """Compare two columns of numbers on the rows in which both are known.

    Parameters
    ----------
    first, second : array of shape (n,)
        The numbers, NaN where unknown.
    happened, accounts, seed
        As for :func:`alone`.
    high_is_risk : pair of bool
        As for :func:`alone`, of each column.
    """
    columns = [np.asarray(column, dtype=float) for column in (first, second)]
    known = np.flatnonzero(~np.isnan(columns[0]) & ~np.isnan(columns[1]))
    outcome = np.asarray(happened, dtype=float)[known]
    bootstrap = AccountBootstrap(np.asarray(accounts, dtype=object)[known], seed=seed)
    (one, drawn), (other, drawn_other) = (
        _measured(column[known] if high else -column[known], outcome, bootstrap)
        for column, high in zip(columns, high_is_risk, strict=True)
    )
    if one.auc is None or other.auc is None:
        return SideBySide(one, other, Estimate())
    ends = np.nanquantile(drawn - drawn_other, TAILS)
    return SideBySide(one, other, Estimate.of(one.auc - other.auc, ends))


def _measured(risk: Floats, outcome: Floats, bootstrap: AccountBootstrap) -> tuple[Alone, Floats]:
    """AUC with its interval, and the draws the interval is of; equal draws for equal accounts."""
    rows, positives = len(outcome), int(outcome.sum())
    if not 0 < positives < rows:
        return Alone(rows, bootstrap.count, positives, None, None, None), np.array([])
    ranking = Ranking(outcome, risk, bootstrap.cluster)
    drawn = ranking.resampled_auc(bootstrap)
    # A draw without one of the outcomes ranks nothing; the interval is over those that do.
    low, high = np.nanquantile(drawn, TAILS)
    auc = ranking.auc(np.ones(bootstrap.count))
    return Alone(rows, bootstrap.count, positives, auc, float(low), float(high)), drawn


def some_accounts(accounts: Any, *, seed: int, most_rows: int = MOST_ROWS) -> Codes:
    """Positions of the rows of as many accounts, drawn by chance, as have few enough rows.

    All rows, where they are few enough; at least one account otherwise.

    Examples
    --------
    >>> some_accounts(list("aabbcc"), seed=1, most_rows=4).tolist()
    [0, 1, 2, 3]
    """
    codes, names = pd.factorize(np.asarray(accounts, dtype=object))
    if len(codes) <= most_rows:
        return np.arange(len(codes))
    order = np.random.default_rng(seed).permutation(len(names))
    upto = np.cumsum(np.bincount(codes)[order])
    kept = order[: max(int(np.searchsorted(upto, most_rows, "right")), 1)]
    return np.flatnonzero(np.isin(codes, kept))


def healthy_direction(model: HealthModel, name: str) -> tuple[Direction, bool]:
    """Which way a signal is healthy over all rows, and whether that was declared.

    What was not declared is what the model learnt; a signal it does not know has neither.
    """
    for signal in model.signals:
        if signal.name == name and signal.healthy != "none":
            return signal.healthy, True
    learnt = model.certainty.signals.get(EVERYBODY, {}).get(name)
    return (UNKNOWN if learnt is None else learnt.learnt), False


def high_is_risk(model: HealthModel, name: str) -> bool | None:
    """Whether the outcome is expected at high values of a signal; None where nothing says."""
    direction, _ = healthy_direction(model, name)
    return None if direction == UNKNOWN else (direction == "higher") == model.scale.good


def learnt_directions(model: HealthModel) -> pd.DataFrame:
    """Hold what was declared of each signal against what outcomes say when nothing is prescribed.

    Returns
    -------
    DataFrame
        One row per signal with a declared direction, heaviest first: ``signal``, ``label``,
        ``group``, ``declared``, ``learnt`` ("higher", "lower" or "not enough evidence"),
        ``agrees`` (True, False, or None without evidence), and its ``weight`` over all rows with
        its 90 % interval ``low``, ``high`` (NaN where no refit was possible).
    """
    weights = model.signal_weights[EVERYBODY]
    known = model.certainty.signals.get(EVERYBODY, {})
    declared = [signal for signal in model.signals if signal.healthy != "none"]
    rows = []
    for signal in sorted(declared, key=lambda signal: -weights[signal.name]):
        certainty = known.get(signal.name)
        learnt = UNKNOWN if certainty is None else certainty.learnt
        rows.append(
            {
                "signal": signal.name,
                "label": signal.label,
                "group": signal.group,
                "declared": signal.healthy,
                "learnt": learnt,
                "agrees": None if learnt == UNKNOWN else learnt == signal.healthy,
                "weight": weights[signal.name],
                "low": np.nan if certainty is None else certainty.low,
                "high": np.nan if certainty is None else certainty.high,
            }
        )
    table = pd.DataFrame(rows, columns=list(DIRECTIONS))
    # As objects: a missing answer would turn the others into numbers.
    return table.assign(agrees=pd.Series([row["agrees"] for row in rows], dtype=object))


def group_carriers(model: HealthModel, most: int = MOST_CARRIERS) -> pd.DataFrame:
    """List the signals that carry each group's weight.

    Parameters
    ----------
    model : HealthModel
        Whose weights.
    most : int
        Most signals of a group in a segment.

    Returns
    -------
    DataFrame
        ``segment`` ("all" first), ``group``, ``signal``, ``label`` and ``weight``: percent of what
        the group's signals move, heaviest first. A group that moves nothing in a segment has no
        rows there, and nor does the profile.
    """
    groups = dict.fromkeys(signal.group for signal in model.signals if signal.group != CONTEXT)
    segments = [EVERYBODY, *sorted(set(model.signal_weights) - {EVERYBODY})]
    rows = []
    for segment in segments:
        weights = model.signal_weights[segment]
        for group in groups:
            own = [signal for signal in model.signals if signal.group == group]
            total = sum(weights[signal.name] for signal in own)
            own.sort(key=lambda signal: -weights[signal.name])
            rows += [
                {
                    "segment": segment,
                    "group": group,
                    "signal": signal.name,
                    "label": signal.label,
                    "weight": 100 * weights[signal.name] / total,
                }
                for signal in own[:most]
                if weights[signal.name] > 0
            ]
    return pd.DataFrame(rows, columns=list(CARRIERS))
