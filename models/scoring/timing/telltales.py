"""Signals that tell when a decision falls, whatever they were meant to tell.

Where a bill is sent once a year, half a year of bills holds none on the day of a decision and one
on many other dates: a model that is taught decisions takes that for what an account is like, and
tells all others a risk that is wrong by it. What differs between dates of one kind of term because
of where they lie in it says nothing of the risk at a decision, as the renewal date says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.catalog import Signal
from features.errors import sample
from models.arrays import Codes, Floats
from models.churn.coded import Rows
from models.scoring.timing.decisions import TERMS, Decisions

# The largest distance between two distributions (Kolmogorov-Smirnov) that is no sign of the
# calendar, beside what chance alone shows once in twenty.
MOST_APART, BY_CHANCE = 0.2, 1.36
# Rows of a kind that is asked, of all with a renewal date. First terms that end at a common date
# are short and few, and their accounts are young unless they decide: every window would tell.
LEAST_SHARE = 0.25
# Decisions about terms with a date, of all: where nearly all are at will such a signal tells of
# those, and the others have a level of their own.
LEAST_DECISIONS = 0.25
# Some tens of thousands of rows show it as well as all of them.
MOST_ROWS = 50_000


def telltales(decisions: Decisions, frame: Rows, signals: Sequence[Signal]) -> tuple[str, ...]:
    """Find signals whose values, or absence, tell dates with a decision from others.

    Parameters
    ----------
    decisions : Decisions
        Which rows are due.
    frame : DataFrame or CodedTable of n rows
        Contract terms and signals.
    signals : sequence of Signal
        Of which to find them; terms of contracts and texts are never among them.

    Returns
    -------
    tuple of str
        Their names, in order.
    """
    at_will = decisions.at_will(frame)
    if (decisions.due(frame) & ~at_will).sum() < LEAST_DECISIONS * decisions.due(frame).sum():
        return ()
    dated = np.flatnonzero(~at_will)
    if len(dated) > MOST_ROWS:
        dated = np.sort(np.random.default_rng(0).choice(dated, MOST_ROWS, replace=False))
    rows = frame.take(dated)
    due, kinds = decisions.due(rows), decisions.kinds(rows)
    parts = [
        (here, rest)
        for kind in np.unique(kinds)
        if (kinds == kind).mean() >= LEAST_SHARE
        and len(here := np.flatnonzero((kinds == kind) & due))
        and len(rest := np.flatnonzero((kinds == kind) & ~due))
    ]
    found = []
    for signal in signals:
        if signal.is_categorical or signal.name in TERMS:
            continue
        values = rows[signal.name].to_numpy(dtype=float, na_value=np.nan)
        # Each kind alone: longer terms are due on fewer dates, and of other accounts.
        if any(_distance(values, *part) > _most_apart(*part) for part in parts):
            found.append(signal.name)
    return tuple(found)


def left_out(decisions: Decisions, asked: Sequence[Signal], kept: Sequence[Signal]) -> list[str]:
    """Say which signals were found to tell when a decision falls, if any, in a sentence."""
    names = [signal.name for signal in decisions.signals(asked) if signal not in kept]
    if not names:
        return []
    return [
        f"By {sample(names)} dates on which a contract renews differ from all others, which tells"
        " when an account decides and not how it is; the model does without."
    ]


def _most_apart(here: Codes, rest: Codes) -> float:
    return MOST_APART + BY_CHANCE * float(np.sqrt(1 / len(here) + 1 / len(rest)))


def _distance(values: Floats, here: Codes, rest: Codes) -> float:
    """Largest distance of two distributions; what is not known is a value below all others."""
    here_values, rest_values = (
        np.sort(np.nan_to_num(values[rows], nan=-np.inf, posinf=np.inf, neginf=-np.inf))
        for rows in (here, rest)
    )
    at = np.unique(np.concatenate([here_values, rest_values]))
    shares = (
        np.searchsorted(ordered, at, side="right") / len(ordered)
        for ordered in (here_values, rest_values)
    )
    return float(np.abs(np.subtract(*shares)).max())
