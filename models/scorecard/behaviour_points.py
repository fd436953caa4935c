"""Points per behaviour: for teams that add up points where others weigh measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from features.catalog import CONTEXT, EVERYBODY, Signal
from features.json_values import Json
from models.arrays import Codes, Floats
from models.measures.resampling import clustered_rate_interval
from models.scorecard.learning import learn_scorecard
from models.scorecard.scorecard import whole_percentages

MOST_SIGNALS, MOST_BINS = 10, 4
# Further rows would move no edge by anything a team would notice.
MOST_ROWS = 200_000
# A behaviour of fewer accounts than this is nothing to hand out points for.
LEAST_SHARE, LEAST_ROWS, LEAST_POSITIVES = 0.05, 50, 5


@dataclass(frozen=True)
class Behaviour:
    """A range of a signal's values and what it is worth.

    Attributes
    ----------
    at_least, below : float or None
        The range; None where it is open, both None for accounts of which the value is not known.
    points : int
        What an account gets for it.
    rows, positives : int
        Rows in the range, and those to which the outcome happened.
    observed_rate, low, high : float or None
        Rate of the outcome and its 90 % interval over accounts.
    """

    at_least: float | None
    below: float | None
    points: int
    rows: int
    positives: int
    observed_rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class BehaviourPoints:
    """What the behaviours that one signal tells of are worth.

    Attributes
    ----------
    signal : Signal
        The signal.
    most : int
        Points of its best range; those of all signals sum to 100.
    behaviours : tuple of Behaviour
        By value, and last those of whom it is not known.
    """

    signal: Signal
    most: int
    behaviours: tuple[Behaviour, ...]

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return {
            "signal": self.signal.name,
            "label": self.signal.label,
            "group": self.signal.group,
            "most": self.most,
            "behaviours": [asdict(behaviour) for behaviour in self.behaviours],
        }


def behaviour_points(
    frame: pd.DataFrame,
    signals: Sequence[Signal],
    happened: Floats,
    *,
    good: bool = False,
    seed: int = 0,
) -> list[BehaviourPoints]:
    """Cut signals into ranges and hand out 100 points among the ranges that matter.

    Each signal is cut where a decision tree bounded to its healthy direction finds the outcome's
    rate to change most (monotone binning; Siddiqi 2006, "Credit Risk Scorecards", chapter 6). A
    range is graded from 0 to 100 by its log-odds, and signals are weighed as measures of a
    scorecard are; those with most weight are kept.

    Parameters
    ----------
    frame : DataFrame of n rows
        ``account_id`` and signals as columns.
    signals : sequence of Signal
        Signals to choose from; the profile and those without a healthy direction are passed over.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    good : bool
        Whether the outcome is good news.
    seed : int
        Of the trees.

    Returns
    -------
    list of BehaviourPoints
        At most ten, the weightiest first; none where no signal tells the outcome.
    """
    step = max(-(-len(frame) // MOST_ROWS), 1)
    frame, happened = frame.iloc[::step], happened[::step]
    candidates = [
        cut
        for signal in signals
        if signal.group != CONTEXT and signal.healthy != "none" and not signal.is_categorical
        if (cut := _cut(signal, frame[signal.name], happened, good, seed)) is not None
    ]
    if not candidates:
        return []
    accounts = frame["account_id"].to_numpy(dtype=object)
    weights = _weigh(candidates, happened, accounts, good, seed)
    kept = np.argsort(-weights, kind="stable")[:MOST_SIGNALS]
    chosen = [candidates[place] for place in kept if weights[place] > 0]
    again = _weigh(chosen, happened, accounts, good, seed)
    most = whole_percentages({cut.signal.name: w for cut, w in zip(chosen, again, strict=True)})
    found = [cut.worth(most[cut.signal.name], happened, accounts) for cut in chosen]
    return sorted((one for one in found if one.most), key=lambda one: -one.most)


@dataclass(frozen=True)
class _Cut:
    """A signal cut into ranges: the range of each row (-1 where unknown) and each one's grade."""

    signal: Signal
    edges: Floats
    code: Codes
    grades: Floats

    def graded(self) -> Floats:
        """Grade of each row; the mean one where the value is not known."""
        grade = self.grades[self.code]
        known = self.code >= 0
        return np.where(known, grade, grade[known].mean())

    def worth(self, most: int, happened: Floats, accounts: Any) -> BehaviourPoints:
        typical = float(self.graded().mean())
        ends = [None, *self.edges.tolist(), None]
        parts = [
            (ends[place], ends[place + 1], grade, self.code == place)
            for place, grade in enumerate(self.grades)
        ]
        parts.append((None, None, typical, self.code < 0))
        told = []
        for at_least, below, grade, rows in parts:
            if rows.any():
                outcome, points = happened[rows], round(most * grade / 100)
                told.append(
                    Behaviour(
                        at_least,
                        below,
                        points,
                        len(outcome),
                        int(outcome.sum()),
                        float(outcome.mean()),
                        *clustered_rate_interval(outcome, accounts[rows]),
                    )
                )
        return BehaviourPoints(self.signal, most, tuple(told))


def _cut(signal: Signal, column: pd.Series, happened: Floats, good: bool, seed: int) -> _Cut | None:
    values = column.to_numpy(dtype=float, na_value=np.nan)
    known = np.isfinite(values)
    least = max(LEAST_ROWS, int(LEAST_SHARE * len(values)))
    if known.sum() < 2 * least or happened[known].sum() < LEAST_POSITIVES:
        return None
    rises = (signal.healthy == "higher") == good
    tree = DecisionTreeClassifier(
        max_leaf_nodes=MOST_BINS,
        min_samples_leaf=least,
        monotonic_cst=[1 if rises else -1],
        random_state=seed,
    ).fit(values[known, None], happened[known] > 0)
    inner = tree.tree_.children_left != -1
    edges = np.sort(tree.tree_.threshold[inner])
    if not len(edges):
        return None
    # A tree goes left at its threshold; the next number above it begins the range that is told.
    edges = np.unique([_first_above(values[known], edge) for edge in edges])
    code = np.where(known, np.searchsorted(edges, values, "right"), -1)
    counts = np.bincount(code[known], minlength=len(edges) + 1)
    positives = np.bincount(code[known], happened[known], minlength=len(edges) + 1)
    # Half a row of either kind keeps a range without positives from an endless grade.
    log_odds = np.log((positives + 0.5) / (counts - positives + 0.5))
    toward = log_odds if good else -log_odds
    spread = toward.max() - toward.min()
    if not spread > 0:
        return None
    return _Cut(signal, edges, code, 100 * (toward - toward.min()) / spread)


def _first_above(values: Floats, edge: float) -> float:
    return float(values[values > edge].min())


def _weigh(cuts: Sequence[_Cut], happened: Floats, accounts: Any, good: bool, seed: int) -> Floats:
    even: Mapping[str, Floats] = {EVERYBODY: np.full(len(cuts), 100 / len(cuts))}
    grades = np.column_stack([cut.graded() for cut in cuts])
    everybody = np.full(len(happened), EVERYBODY, dtype=object)
    found = learn_scorecard(
        grades, happened, accounts, everybody, even, good=good, seed=seed, draws=1
    )
    return found[EVERYBODY].weights
