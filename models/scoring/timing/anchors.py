"""Anchors by kind of term: the risk at a decision that is usual where terms are so long."""

from __future__ import annotations

import numpy as np

from models.churn.coded import Rows
from models.scoring.timing.decisions import KINDS, Decisions

# Decisions at the rate of all kinds with a renewal date that each of them starts from.
PRIOR = 50.0
LEAST_LOSSES = 15
DIGITS = 3


def term_anchors(decisions: Decisions, frame: Rows) -> tuple[tuple[float, ...], float]:
    """Find the rate of losses at decisions of each kind, and that of the kind that lost most.

    A decision about a year has a year's risk, one about a month that of a month: only beside
    others of its kind does the risk at a decision tell whether an account is unwell.

    Parameters
    ----------
    decisions : Decisions
        The outcome window, and which terms end within it.
    frame : DataFrame of n rows
        Contract terms and ``happened`` of rows that were due.

    Returns
    -------
    tuple of float
        A probability for each of :data:`~models.scoring.timing.decisions.KINDS`; empty where one
        kind alone lost enough to have a rate of its own, which is then that of all.
    float
        The rate of the kind that lost most.
    """
    kinds = decisions.kinds(frame)
    happened = frame["happened"].to_numpy(dtype=float)
    lost, rows = (
        np.bincount(kinds, values, minlength=len(KINDS))
        for values in (happened, np.ones(len(frame)))
    )
    if min(lost[0], lost[1:].sum()) < LEAST_LOSSES:
        return (), float(happened.mean())
    dated = lost[1:].sum() / rows[1:].sum()
    rates = (lost + PRIOR * dated) / (rows + PRIOR)
    rates[0] = lost[0] / rows[0]
    anchors = tuple(float(f"{rate:.{DIGITS}g}") for rate in rates)
    return anchors, anchors[int(lost.argmax())]
