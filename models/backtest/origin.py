"""One origin of a backtest: learn from what had matured, forecast what came after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalog import Signal
from features.errors import EvidenceError, sample
from models.arrays import Codes, Floats
from models.backtest.comparison import Origin, origin_name
from models.backtest.contenders import Contender, Task
from models.churn.segments import SegmentSettings, assign_segments
from models.scoring.health_model import model_input
from models.training.checks import MIN_EARLIER_POSITIVES
from models.training.learning import Learning, learn
from models.training.splits import Fold


@dataclass(frozen=True)
class OriginResult:
    """What was said about the tested rows of one origin.

    Attributes
    ----------
    rows : ndarray of int, shape (m,)
        Their positions.
    origin : Timestamp or str
        First tested date, or the name of the fold.
    log_odds : ndarray of shape (m,)
        Ours, at a decision.
    due : ndarray of bool, shape (m,)
        Whether a decision falls into the outcome window.
    share : ndarray of shape (m,)
        Share of the risk at a decision that falls into it.
    kinds : ndarray of int, shape (m,)
        Position of the kind of their term.
    probability : dict of str to ndarray of shape (m,)
        Of every other contender.
    base_rate : float
        Rate of the rows learnt from.
    notes : tuple of str
        What could not be done as planned, one sentence each.
    merged : tuple of str
        Segments that were too small, one sentence each.
    """

    rows: Codes
    origin: Origin
    log_odds: Floats
    due: NDArray[np.bool_]
    share: Floats
    kinds: Codes
    probability: Mapping[str, Floats]
    base_rate: float
    notes: tuple[str, ...]
    merged: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """What is the same at every origin; see :func:`models.backtest.backtest`."""

    frame: pd.DataFrame
    signals: tuple[Signal, ...]
    contenders: Sequence[Contender]
    learning: Learning

    def run(self, origin: Origin, fold: Fold, tell: Callable[[str], None]) -> OriginResult:
        """Learn and forecast.

        Parameters
        ----------
        origin : Timestamp or str
            First tested date, or the name of the fold.
        fold : Fold
            Rows to learn from and to test on.
        tell : callable
            Told what is being done.

        Raises
        ------
        EvidenceError
            When the earlier rows hold too little to learn from.
        """
        named = origin_name(origin)
        tell(f"{named}: healthscore")
        known, new = self.frame.iloc[fold.train], self.frame.iloc[fold.test]
        happened = known["happened"].to_numpy(dtype=float)
        how, positives = self.learning, int(self.learning.decided(known)["happened"].sum())
        if not MIN_EARLIER_POSITIVES <= positives < len(happened):
            raise EvidenceError(
                f"its {len(happened)} earlier matured rows hold {positives} positives, where "
                f"learning needs at least {MIN_EARLIER_POSITIVES} and rows that are not"
            )
        learnt = learn(known, self.signals, how)
        log_odds = learnt.log_odds(new)
        # The others are told when contracts renew, and foretell the same outcome in the window.
        task = Task(
            X=model_input(known, self.signals, learnt.assignment),
            happened=happened,
            dates=known["observation_date"].to_numpy(),
            accounts=known["account_id"].to_numpy(dtype=object),
            new=model_input(new, self.signals, learnt.assignment),
            maturity_days=how.maturity_days,
            is_dated=how.is_dated,
            seed=how.seed,
            n_jobs=how.n_jobs,
        )
        probability, notes = {}, _unseen(known, new, self.signals, how.segments)
        for contender in self.contenders:
            tell(f"{named}: {contender.name}")
            forecast = contender.forecast(task)
            probability[contender.name] = forecast.probability
            notes += forecast.notes
        return OriginResult(
            rows=fold.test,
            origin=origin,
            log_odds=log_odds,
            due=learnt.due(new),
            share=learnt.share(new),
            kinds=learnt.kinds(new),
            probability=probability,
            base_rate=float(happened.mean()),
            notes=tuple(f"{named}: {note}" for note in notes),
            merged=learnt.assignment.merged,
        )


def raw_segments(frame: pd.DataFrame, settings: SegmentSettings) -> NDArray[np.object_]:
    """Label each row by its own segment, however small: (n,)."""
    every = replace(settings, min_rows=0, min_positives=0)
    return assign_segments(frame, every).assign(frame).to_numpy(dtype=object)


def _unseen(
    known: pd.DataFrame, new: pd.DataFrame, signals: Sequence[Signal], settings: SegmentSettings
) -> list[str]:
    """Tell which segments and categories of the tested rows training did not know."""
    notes = []
    segment = raw_segments(new, settings)
    strange = ~np.isin(segment, np.unique(raw_segments(known, settings)))
    if strange.any():
        notes.append(
            f"{strange.sum()} tested rows are of segments that no earlier row was of "
            f"({sample(sorted(set(segment[strange])))}): they were read as their parent."
        )
    for signal in signals:
        if signal.is_categorical:
            levels = [set(rows[signal.name].dropna().map(str)) for rows in (new, known)]
            if fresh := sorted(levels[0] - levels[1]):
                notes.append(
                    f"Signal {sample([signal.name])} has values that no earlier row had "
                    f"({sample(fresh)}): they were read as unknown."
                )
    return notes
