"""What the champion's training rows looked like: what later dates are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from features.catalog import EVERYBODY, Signal
from features.errors import DataError, RegistryError, sample
from features.json_values import Json
from models.arrays import Codes, Floats
from models.churn.coded import Rows
from models.drift.bins import Bins, bins_of, numeric

FORMAT = 1
SCORE, MIX = "score", "segment"
SCORE_BINS = Bins(SCORE, edges=tuple(float(edge) for edge in range(10, 100, 10)))
LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Quantile levels that are kept of each number's non-zero values."""
LEAST_VALUES = 20
"""Fewer non-zero values have no quantiles worth keeping."""


@dataclass(frozen=True)
class Counts:
    """How often each bin of one signal occurred, per segment and training date.

    Attributes
    ----------
    bins : Bins
        What was counted.
    table : ndarray of int, shape (n_segments, n_dates, n_bins)
        Rows; the first segment is "all".
    effects : ndarray of shape (n_segments, 3)
        Design effects of the pooled rows: of the bins, of the mean rank and of the missing share.
        An account that is observed on twelve dates is worth far less than twelve accounts.
    quantiles : ndarray of shape (n_segments, n_levels)
        Quantiles of the non-zero values at :data:`LEVELS`; NaN for categories and where there are
        fewer than :data:`LEAST_VALUES`.
    """

    bins: Bins
    table: Codes
    effects: Floats
    quantiles: Floats

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return {
            "bins": self.bins.to_dict(),
            "table": self.table.tolist(),
            "effects": self.effects.tolist(),
            "quantiles": [[None if np.isnan(q) else q for q in row] for row in self.quantiles],
        }

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> Counts:
        """Rebuild counts from :meth:`to_dict`."""
        return cls(
            Bins.from_dict(described["bins"]),
            np.array(described["table"], dtype=np.intp),
            np.array(described["effects"], dtype=float),
            np.array(described["quantiles"], dtype=float),
        )


@dataclass(frozen=True)
class Reference:
    """Counts of the rows a champion was fitted to.

    Counts are kept per observation date: how much they moved between dates, when nothing was
    wrong, is the measure of what is natural.

    Attributes
    ----------
    dates : tuple of date
        Observation dates, oldest first.
    segments : tuple of str
        "all" and the model's segments.
    signals : dict of str to Counts
        By signal.
    score : Counts or None
        Of the 0-100 score in ten-point bins.
    mix : Counts
        Of the segments themselves, over "all".
    groups : dict of str to str
        Signal to signal group; empty where that was not kept.
    """

    dates: tuple[date, ...]
    segments: tuple[str, ...]
    signals: Mapping[str, Counts]
    score: Counts | None
    mix: Counts
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, Counts]:
        """Everything that is counted per segment: the signals and the score."""
        return dict(self.signals) | ({} if self.score is None else {SCORE: self.score})

    def to_dict(self) -> Json:
        """Return a JSON-ready description."""
        return {
            "format": FORMAT,
            "dates": [day.isoformat() for day in self.dates],
            "segments": list(self.segments),
            "signals": {name: counts.to_dict() for name, counts in self.signals.items()},
            "score": None if self.score is None else self.score.to_dict(),
            "mix": self.mix.to_dict(),
            "groups": dict(self.groups),
        }

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> Reference:
        """Rebuild a reference from :meth:`to_dict`.

        Raises
        ------
        RegistryError
            When it is of another format or incomplete.
        """
        try:
            if described["format"] != FORMAT:
                raise RegistryError(
                    f"The champion's reference has format {described['format']}, but this version "
                    f"reads format {FORMAT}; train again or install the version it is of."
                )
            score = described["score"]
            return cls(
                tuple(date.fromisoformat(day) for day in described["dates"]),
                tuple(described["segments"]),
                {name: Counts.from_dict(one) for name, one in described["signals"].items()},
                None if score is None else Counts.from_dict(score),
                Counts.from_dict(described["mix"]),
                dict(described.get("groups", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RegistryError(
                f"The champion's reference cannot be read ({type(error).__name__}: "
                f"{str(error)[:200]}); train again."
            ) from error


@dataclass(frozen=True)
class Histograms:
    """Counts of one later date, in the bins of a reference.

    Attributes
    ----------
    rows : int
        Accounts counted.
    of : int
        Accounts there were; more than ``rows`` where a sample was enough.
    tables : dict of str to ndarray of int, shape (n_segments, n_bins)
        By signal, and "score" where it was counted.
    mix : ndarray of int, shape (n_bins,)
        Accounts per segment, those of no known segment last but one.
    absent : tuple of str
        Signals the rows no longer have a column for.
    """

    rows: int
    of: int
    tables: Mapping[str, Codes]
    mix: Codes
    absent: tuple[str, ...] = ()


def fit_reference(
    frame: Rows, signals: Sequence[Signal], segment: Any, *, score: Any = None
) -> Reference:
    """Count the training rows.

    Parameters
    ----------
    frame : DataFrame or CodedTable of n rows
        ``account_id``, ``observation_date`` and a column per signal; a row per account and date.
    signals : sequence of Signal
        What the model reads.
    segment : array of str, shape (n,)
        The model's segment of each row.
    score : array of shape (n,) or None
        The model's score of each row.

    Returns
    -------
    Reference

    Raises
    ------
    DataError
        When there are no rows, or a column is absent.
    """
    wanted = ["account_id", "observation_date", *(signal.name for signal in signals)]
    absent = [name for name in wanted if name not in frame]
    if absent:
        raise DataError(
            f"The rows of a reference must have every column the model reads, but {sample(absent)} "
            "is absent; build them with the settings the model was trained with."
        )
    if not len(frame):
        raise DataError("A reference needs at least one training row, but got none; train again.")
    rows = _Rows(frame, np.asarray(segment, dtype=object))
    counted = {
        signal.name: rows.count(bins_of(signal, frame[signal.name]), frame[signal.name])
        for signal in signals
    }
    mix = Bins(MIX, levels=rows.segments[1:], is_categorical=True)
    whole = _Rows(frame, np.full(len(frame), EVERYBODY, dtype=object))
    return Reference(
        dates=rows.dates,
        segments=rows.segments,
        signals=counted,
        score=None if score is None else rows.count(SCORE_BINS, np.asarray(score, dtype=float)),
        mix=whole.count(mix, segment),
        groups={signal.name: signal.group for signal in signals},
    )


def frame_histograms(
    reference: Reference, frame: pd.DataFrame, segment: Any, *, score: Any = None
) -> Histograms:
    """Count rows that are in memory; otherwise as :func:`models.drift.histograms.histograms`."""
    labels = np.asarray(segment, dtype=object)
    masks = [np.ones(len(frame), dtype=bool)] + [labels == name for name in reference.segments[1:]]

    def table(bins: Bins, values: Any) -> Codes:
        codes = bins.codes(values)
        return np.array([np.bincount(codes[mask], minlength=bins.size) for mask in masks])

    present = {name: one for name, one in reference.signals.items() if name in frame}
    tables = {name: table(one.bins, frame[name]) for name, one in present.items()}
    if score is not None:
        tables[SCORE] = table(SCORE_BINS, score)
    mix = np.bincount(reference.mix.bins.codes(labels), minlength=reference.mix.bins.size)
    absent = tuple(name for name in reference.signals if name not in present)
    return Histograms(len(frame), len(frame), tables, mix, absent)


class _Rows:
    """Training rows arranged for counting one signal after the other."""

    def __init__(self, frame: Rows, segment: Any) -> None:
        days = pd.to_datetime(frame["observation_date"]).dt.date
        self._date, dates = pd.factorize(days, sort=True)
        self.dates = tuple(dates)
        self._account = pd.factorize(frame["account_id"].to_numpy(dtype=object))[0]
        names = sorted(set(segment) - {EVERYBODY})
        self.segments = (EVERYBODY, *names)
        everyone = np.ones(len(frame), dtype=bool)
        self._masks = [everyone] + [np.asarray(segment == name) for name in names]

    def count(self, bins: Bins, values: Any) -> Counts:
        codes = bins.codes(values)
        numbers = np.full(len(codes), np.nan) if bins.is_categorical else numeric(values)
        size = len(self.dates), bins.size
        tables, effects, quantiles = [], [], []
        for mask in self._masks:
            place = self._date[mask] * bins.size + codes[mask]
            tables.append(np.bincount(place, minlength=size[0] * size[1]).reshape(size))
            effects.append(_design_effects(codes[mask], self._account[mask], bins.size))
            quantiles.append(nonzero_quantiles(numbers[mask]))
        return Counts(bins, np.array(tables), np.array(effects), np.array(quantiles))


def nonzero_quantiles(numbers: Floats) -> Floats:
    """Quantiles of what is neither missing nor zero, at :data:`LEVELS`: (n_levels,)."""
    known = numbers[np.isfinite(numbers) & (numbers != 0)]
    if len(known) < LEAST_VALUES:
        return np.full(len(LEVELS), np.nan)
    return np.asarray(np.quantile(known, LEVELS))


def ridits(share: Floats) -> Floats:
    """Give each bin its mean rank from 0 to 1, which averages one half over the bins.

    Bross 1958, "How to use ridit analysis".

    Examples
    --------
    >>> ridits(np.array([0.5, 0.5]))
    array([0.25, 0.75])
    """
    return np.asarray(np.cumsum(share) - share / 2)


def _design_effects(codes: Codes, account: Codes, size: int) -> Floats:
    """Variance of pooled shares over that of as many independent rows, never below one: (3,).

    The first is the mean over bins (Rao and Scott 1981, "The analysis of categorical data from
    complex sample surveys"); accounts are the clusters.
    """
    rows = len(codes)
    if not rows:
        return np.ones(3)
    place, own = np.unique(account, return_inverse=True)
    repeats = rows / len(place)
    counts = np.bincount(own * size + codes, minlength=len(place) * size).reshape(-1, size)
    missing, known = counts[:, -1].astype(float), counts[:, :-1].astype(float)
    share = known.sum(axis=0) / max(known.sum(), 1)
    used = share > 0
    off = known - known.sum(axis=1, keepdims=True) * share
    rank = ridits(share) - 0.5
    spread = float(known.sum() * (share @ rank**2))
    absent = float(missing.sum()) / rows
    # Where all rows agree nothing tells how alike an account's rows are: each account counts once.
    found = np.full(3, repeats)
    if used.sum() > 1:
        found[0] = (off[:, used] ** 2 / share[used]).sum() / (known.sum() * (used.sum() - 1))
        found[1] = ((off @ rank) ** 2).sum() / spread
    if 0 < absent < 1:
        away = missing - counts.sum(axis=1) * absent
        found[2] = (away**2).sum() / (rows * absent * (1 - absent))
    return np.asarray(np.clip(found, 1.0, None))
