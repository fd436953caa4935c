"""Signals that give the outcome away: two cheap tests, before a model is registered.

One signal that is missing by outcome, or that alone ranks it better than whole models do, was most
likely written after the outcome: a model that learnt from it foretells the past alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from features.catalog import AGE, Signal
from features.errors import EvidenceError, sample
from models.arrays import Codes, Floats
from models.backtest.leakage import LEAST_POSITIVES, UNSPLIT
from models.backtest.single_signal import (
    CERTAIN_ROWS,
    GIVEN_AWAY,
    TOO_GOOD,
    TOO_GOOD_FOR_LUCK,
    Suspect,
    halves,
    leak_suspects,
)
from models.churn.coded import Rows
from models.churn.encoding import SignalEncoder
from models.scoring.health_model import SEGMENT, model_input
from models.training.splits import account_holdout, time_holdout

DUE = "renewal_due"
TIMING = (DUE, "days_to_renewal", "term_days")
"""Signals of a date that was agreed beforehand."""
AGES = ("tenure_days", "lifecycle_stage")
"""Signals of the date on which an account began."""
LEAST_STAYED = 0.1
MOST_ENDED = 1 / 3
MOST_ROWS = 250_000
"""More rows would say no more of a signal that gives the outcome away."""
"""Where more of the renewals that were due ended, their dates are judged like any signal."""


def giveaways(
    frame: Rows,
    signals: Sequence[Signal],
    *,
    maturity_days: int,
    is_dated: bool = True,
    seed: int = 0,
) -> list[Suspect]:
    """Find the signals that know the outcome too well to have been known before it.

    Parameters
    ----------
    frame : DataFrame or CodedTable of n rows
        As for :func:`models.training.learning.learn`.
    signals : sequence of Signal
        What a model may read.
    maturity_days : int
        Days from an observation date to the end of its outcome window.
    is_dated : bool
        False where rows carry no dates: a quarter of the accounts is tested instead.
    seed : int
        Of the trees and of the bootstrap.

    Returns
    -------
    list of Suspect
        Highest AUC first; none where there are too few outcomes to tell.
    """
    frame = _some_accounts(frame)
    inputs = model_input(frame, tuple(signals), UNSPLIT)
    encoder = SignalEncoder.fit(inputs, SEGMENT)
    values = encoder.transform(inputs).values
    outcome = frame["happened"].to_numpy(dtype=float)
    accounts, _ = pd.factorize(frame["account_id"].to_numpy(dtype=object))
    try:
        split = (
            time_holdout(frame["observation_date"], maturity_days)
            if is_dated
            else account_holdout(accounts, seed)
        )
    except EvidenceError:
        return []
    tested = outcome[split.test]
    fewest = min(tested.sum(), len(tested) - tested.sum())
    if fewest < LEAST_POSITIVES or np.ptp(outcome[split.train]) == 0:
        return []
    found = leak_suspects(
        encoder.names, values, outcome, accounts=accounts, folds=[split], seed=seed
    )
    missing = np.isnan(values[split.test])
    gaps = np.abs(missing[tested == 1].mean(axis=0) - missing[tested == 0].mean(axis=0))
    by_outcome = {name for name, gap in zip(encoder.names, gaps, strict=True) if gap >= GIVEN_AWAY}
    found_at_end = _known_at_the_end(encoder.names, values, outcome, accounts, seed)
    honest = {*(TIMING if _renewals_may_go_well(frame) else ())}
    honest |= {*(AGES if _old_ones_stay(frame) else ())}
    at_once = [
        suspect
        for suspect in found
        if suspect.signal in by_outcome
        or (
            suspect.auc >= TOO_GOOD
            and suspect.low >= TOO_GOOD_FOR_LUCK
            and suspect.signal not in honest
        )
    ]
    named = {suspect.signal for suspect in at_once}
    return at_once + [suspect for suspect in found_at_end if suspect.signal not in named]


def _known_at_the_end(
    names: Sequence[str], values: Floats, outcome: Floats, accounts: Codes, seed: int
) -> list[Suspect]:
    """Find values that never change and tell who will have left by the end of the data.

    What is so on the day of an extract, as days since the last login, ranks the outcome of one
    window only so well: most of those who will have left stay in it. Of accounts, whenever they
    left, it knows nearly all.
    """
    _, first, account = np.unique(accounts, return_index=True, return_inverse=True)
    once = values[first]
    same = (values == once[account]) | (np.isnan(values) & np.isnan(once[account]))
    still = np.flatnonzero(same.all(axis=0))
    left = np.zeros(len(first))
    np.maximum.at(left, account, outcome)
    if not len(still) or min(left.sum(), len(left) - left.sum()) < LEAST_POSITIVES:
        return []
    found = leak_suspects(
        [names[int(place)] for place in still],
        once[:, still],
        left,
        accounts=np.arange(len(first)),
        folds=halves(np.arange(len(first)), seed),
        seed=seed,
    )
    return [
        replace(
            suspect,
            why=(
                f"Signal {sample([suspect.signal])} never changes and tells with an AUC of"
                f" {suspect.auc:.2f} which accounts will have left by the end of the data: does it"
                " say what was so on the day of the extract, as days since the last login do?"
            ),
        )
        for suspect in found
        if suspect.auc >= TOO_GOOD and suspect.low >= TOO_GOOD_FOR_LUCK
    ]


def _some_accounts(frame: Rows) -> Rows:
    """Keep all rows of every second account, or third, and so on, where there are many."""
    step = -(-len(frame) // MOST_ROWS)
    if step == 1:
        return frame
    account, _ = pd.factorize(frame["account_id"].to_numpy(dtype=object))
    return frame.take(np.flatnonzero(account % step == 0))


def _renewals_may_go_well(frame: Rows) -> bool:
    """Whether most accounts stayed when their contract renewed.

    Where contracts are annual nobody leaves but at a renewal, and its date, agreed beforehand,
    ranks churn well. Where the date is overwritten at each renewal, those of the past are lost for
    all who stayed, and of the renewals that are left most were the last.
    """
    if DUE not in frame.columns:
        return False
    due = frame["happened"][frame[DUE] == 1]
    return len(due) >= CERTAIN_ROWS and float(due.mean()) <= MOST_ENDED


def _old_ones_stay(frame: Rows) -> bool:
    """Whether many who began as early as those who left are still there.

    Where accounts leave young, or at the end of a first term, their age ranks churn well, and is
    known. Where the date on which one began is overwritten at each renewal, it is ancient of those
    who left alone: whoever stays began anew within the last term.
    """
    if AGE not in frame.columns:
        return False
    accounts, first, account = np.unique(
        frame["account_id"].to_numpy(dtype=object), return_index=True, return_inverse=True
    )
    days = (
        pd.to_datetime(frame["observation_date"]).to_numpy().astype("datetime64[D]").astype(float)
    )
    began = (days - frame[AGE].to_numpy(dtype=float))[first]
    left = np.zeros(len(accounts))
    np.maximum.at(left, account, frame["happened"].to_numpy(dtype=float))
    of_leavers = began[(left == 1) & ~np.isnan(began)]
    if not len(of_leavers):
        return False
    early = began <= np.median(of_leavers)
    return bool(early.sum() >= CERTAIN_ROWS and 1 - left[early].mean() >= LEAST_STAYED)
