"""Drift check: rows of a date held against what a model was taught with, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from models.drift.decision import Decision, decide
from models.drift.feed_faults import feed_faults, feed_suspects
from models.drift.histograms import histograms, second_look, segment_of
from models.drift.policy import DriftPolicy
from models.drift.reference import Histograms, Reference
from models.drift.statistics import DriftStatistics, drift_statistics

if TYPE_CHECKING:
    from models.scoring.health_model import HealthModel


@dataclass(frozen=True)
class DriftCheck:
    """What moved between training and a date.

    Attributes
    ----------
    decision : Decision
        What to do, and why.
    statistics : DriftStatistics
        What moved, and how far chance and the usual change move it.
    histograms : Histograms
        Counts of the date.
    """

    decision: Decision
    statistics: DriftStatistics
    histograms: Histograms


def check_drift(
    model: HealthModel,
    reference: Reference,
    rows: pd.DataFrame,
    as_of: date,
    *,
    trained_on: date,
    policy: DriftPolicy | None = None,
) -> DriftCheck:
    """Hold the signals of a date against those a model was taught with.

    Scores and matured outcomes, which ``healthscore monitor`` looks at as well, are left out.

    Parameters
    ----------
    model : HealthModel
        The model.
    reference : Reference
        How its signals were spread in training.
    rows : DataFrame of n rows
        ``account_id``, the model's signals and what its segments are read from, on one date.
    as_of : date
        The date.
    trained_on : date
        When the model was taught.
    policy : DriftPolicy or None
        When drift counts; the defaults when None.
    """
    import ibis

    table = ibis.memtable(rows)
    segment = segment_of(table, model.segments)
    counts = histograms(reference, table, segment=segment)
    statistics = drift_statistics(reference, counts, model.signal_weights, as_of)
    nearer = second_look(reference, table, feed_suspects(reference, counts), segment=segment)
    faults = feed_faults(reference, counts, model.signals, nearer)
    decision = decide(statistics, faults, policy or DriftPolicy(), trained_on=trained_on)
    return DriftCheck(decision, statistics, counts)
