"""What the product and two usual rules find at each check of a simulated stream."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from _drift_streams import (
    FEED_FAULTS,
    HISTORY,
    MATURITY_MONTHS,
    PLANTED_AT,
    Stream,
    signals,
    weights,
)
from scipy.stats import kstwobign

from models.drift.decision import decide, noticed
from models.drift.feed_faults import SecondLook, feed_faults, feed_suspects
from models.drift.performance import expected_change, expected_performance, matured_performance
from models.drift.policy import DriftPolicy
from models.drift.reference import (
    Histograms,
    Reference,
    fit_reference,
    frame_histograms,
    nonzero_quantiles,
)
from models.drift.statistics import drift_statistics

# What the rules compare with is thinned beyond this many rows; more do not sharpen them.
KS_ROWS = 100_000
# The age of the champion is no drift.
POLICY = DriftPolicy(maximum_age_days=36_500)


def watch_stream(accounts: int, seed: int, kind: str | None, checks: int) -> dict[str, Any]:
    """Check a stream month by month.

    Returns ``status`` (ours), ``named`` (whether a fault bears its name), ``psi`` (largest index of
    a signal), ``ks`` (largest distance in standard errors) and ``ks_p`` (smallest p value), an
    entry per check; with drift, from the check it was planted before.
    """
    stream = Stream(accounts, seed, kind)
    first = HISTORY + (0 if kind is None else PLANTED_AT)
    months = stream.months(first + checks)
    past = [next(months) for _ in range(HISTORY)]
    rows = pd.concat([month.frame for month in past], ignore_index=True)
    reference = fit_reference(
        rows, signals(), rows["segment"].to_numpy(), score=_score(rows["probability"])
    )
    before = tuple(expected_performance(month.frame["probability"]) for month in past)
    compared = _Distances(rows)
    issued: list[pd.DataFrame] = []
    since: dict[tuple[str, str], date] = {}
    found: dict[str, list[Any]] = {"status": [], "named": [], "psi": [], "ks": [], "ks_p": []}
    kept = ["account_id", "observation_date", "segment", "probability", "happened"]
    for number, month in enumerate(months, start=HISTORY):
        issued.append(month.frame[kept])
        if number < first:
            continue
        segment, risk = month.frame["segment"].to_numpy(), month.frame["probability"]
        current = frame_histograms(reference, month.frame, segment, score=_score(risk))
        look = _second_look(reference, current, month.frame)
        faults = feed_faults(reference, current, signals(), look)
        matured = issued[: max(len(issued) - MATURITY_MONTHS, 0)]
        statistics = drift_statistics(reference, current, weights(seed), month.day)
        moved = {(drift.name, drift.segment) for drift in noticed(statistics, POLICY)}
        since = {place: since.get(place, month.day) for place in moved}
        decision = decide(
            statistics,
            faults,
            POLICY,
            trained_on=past[-1].day + timedelta(days=1) - timedelta(days=POLICY.cool_down_days),
            matured=matured_performance(pd.concat(matured)) if matured else (),
            expected=expected_change(before, expected_performance(risk)),
            since=since,
        )
        distance, p_value = compared.to(month.frame)
        found["status"].append(decision.status)
        found["named"].append({fault.kind for fault in faults} == {FEED_FAULTS.get(kind or "")})
        found["psi"].append(_plain_psi(reference, current))
        found["ks"].append(distance)
        found["ks_p"].append(p_value)
    return found


def _score(probability: Any) -> Any:
    """Ten points halve the odds, and 50 is the mean risk."""
    risk = np.asarray(probability, dtype=float)
    return np.clip(50 + 10 * np.log2(0.07 * (1 - risk) / risk), 0, 100)


def _second_look(reference: Reference, current: Histograms, frame: pd.DataFrame) -> SecondLook:
    found = feed_suspects(reference, current)
    segment = frame["segment"].to_numpy()
    masks = [np.ones(len(frame), dtype=bool)] + [segment == s for s in reference.segments[1:]]
    return SecondLook(
        {
            name: np.array([nonzero_quantiles(frame[name].to_numpy(float)[m]) for m in masks])
            for name in found.numbers
        },
        {
            name: {str(level): int(n) for level, n in frame[name].value_counts().items()}
            for name in found.names
        },
    )


def _plain_psi(reference: Reference, current: Histograms) -> float:
    """Largest population stability index of a signal, as scorecard handbooks have it."""
    found = []
    for name, counts in reference.signals.items():
        before, now = counts.table[0].sum(axis=0), current.tables[name][0]
        was, share = (np.clip(part / part.sum(), 1e-4, None) for part in (before, now))
        found.append(float((share - was) @ np.log(share / was)))
    return max(found)


class _Distances:
    """Kolmogorov and Smirnov's distance of each numeric signal from the training rows."""

    def __init__(self, rows: pd.DataFrame) -> None:
        every = rows.iloc[:: max(1, -(-len(rows) // KS_ROWS))]
        names = [signal.name for signal in signals() if not signal.is_categorical]
        self._sorted = {n: np.sort(every[n].dropna().to_numpy(float)) for n in names}

    def to(self, frame: pd.DataFrame) -> tuple[float, float]:
        """Largest distance in standard errors, and the smallest p value."""
        largest = 0.0
        for name, known in self._sorted.items():
            now = np.sort(frame[name].dropna().to_numpy(float))
            if not len(now):
                # All values gone is as far as values can be.
                largest = max(largest, float(np.sqrt(len(frame))))
                continue
            values = np.unique(now)
            distance = 0.0
            for side in ("left", "right"):
                theirs = np.searchsorted(known, values, side) / len(known)
                distance = max(
                    distance,
                    float(np.abs(theirs - np.searchsorted(now, values, side) / len(now)).max()),
                )
            worth = len(known) * len(now) / (len(known) + len(now))
            largest = max(largest, distance * float(np.sqrt(worth)))
        return largest, float(kstwobign.sf(largest))
