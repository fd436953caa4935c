"""Whom to call first: ARR that a play is expected to keep, per hour of an owner's time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from features.catalog import EVERYBODY
from features.json_values import JsonReady
from models.plays.result import PlayEffect, PlayResult

SURE, LOST = 0.02, 0.8
"""Risk below which an account stays anyway, and risk with the play above which it is lost."""
HOUR = 1.0


@dataclass(frozen=True)
class Lever:
    """What a play does to the log-odds of churn, of accounts of a segment.

    Attributes
    ----------
    play : str
        Which play.
    shift, low, high : float
        Change of the log-odds with its 90 % interval.
    hours : float
        Of an owner's time.
    harms : bool
        Whether it was shown to do harm.
    """

    play: str
    shift: float
    low: float
    high: float
    hours: float
    harms: bool


@dataclass(frozen=True)
class Trial(JsonReady):
    """What an experiment settled.

    Attributes
    ----------
    play : str
        Which play.
    segments : tuple of str
        Where it was tried; everywhere where empty.
    without : float
        Share that churned of those left alone.
    change, low, high : float
        Change of that share by acting, with an interval that lies on one side of zero.
    """

    play: str
    segments: tuple[str, ...]
    without: float
    change: float
    low: float
    high: float

    def is_of(self, segment: str) -> bool:
        """Whether it was tried in a segment."""
        return not self.segments or segment in self.segments


def levers(
    plays: Sequence[PlayResult],
    segments: Sequence[str],
    hours: Mapping[str, float],
    trials: Sequence[Trial] = (),
) -> dict[str, tuple[Lever, ...]]:
    """List, per segment, the plays that were shown to help or to harm there.

    A segment without a verdict of its own goes by that of all accounts. Where an experiment settled
    what a play does, it stands in the place of what comparing like accounts says.
    """
    found: dict[str, tuple[Lever, ...]] = {}
    for segment in segments:
        tried: dict[str, Trial] = {}
        for trial in sorted(trials, key=lambda one: one.low - one.high):
            if trial.is_of(segment):
                # The narrowest comes last.
                tried[trial.play] = trial
        own = [_tried(one, hours.get(one.play, HOUR)) for one in tried.values()]
        for play in plays:
            if play.play in tried:
                continue
            by_name = {one.segment: one for one in play.segments}
            whole = play.everywhere
            effect = by_name.get(segment, whole)
            if effect is None or whole is None:
                continue
            verdict = effect.verdict
            if verdict == "not enough evidence" and whole.verdict == "helps":
                # Shrinking has taken the other segments into account.
                verdict = "helps"
            if verdict in ("helps", "harms"):
                own.append(_lever(effect, hours.get(play.play, HOUR), verdict == "harms"))
        found[segment] = tuple(own)
    return found


def _tried(trial: Trial, hours: float) -> Lever:
    base = float(np.clip(trial.without, 1e-4, 1 - 1e-4))
    shift, low, high = (
        float(logit(np.clip(base + change, 1e-6, 1 - 1e-6)) - logit(base))
        for change in (trial.change, trial.low, trial.high)
    )
    return Lever(trial.play, shift, low, high, hours, trial.low > 0)


def _lever(effect: PlayEffect, hours: float, harms: bool) -> Lever:
    base = float(np.clip(effect.without, 1e-4, 1 - 1e-4))
    shift, low, high = (
        float(logit(np.clip(base * np.exp(ratio), 1e-6, 1 - 1e-6)) - logit(base))
        for ratio in (effect.log_ratio, effect.log_ratio_low, effect.log_ratio_high)
    )
    return Lever(effect.play, shift, low, high, hours, harms)


def kept_per_hour(rows: pd.DataFrame, by_segment: Mapping[str, tuple[Lever, ...]]) -> pd.DataFrame:
    """Add to each account what the best play for it keeps.

    A play shifts log-odds alike, so it keeps most where the risk is neither near zero nor near
    one: ``kept = ARR (p - expit(logit p + shift))``.

    Parameters
    ----------
    rows : DataFrame
        ``segment``, ``probability`` (if nobody acts) and ``arr`` (1 to count accounts).
    by_segment : mapping
        From :func:`levers`.

    Returns
    -------
    DataFrame
        The rows with ``play`` ("" where none was shown to help), ``hours``, ``kept``, ``kept_low``,
        ``kept_high``, ``kept_per_hour`` and ``standing``: "savable", "sure thing", "lost cause",
        "better left alone" or "no evidence".
    """
    rows = rows.reset_index(drop=True)
    risk = np.clip(rows["probability"].to_numpy(dtype=float), 1e-6, 1 - 1e-6)
    arr = rows["arr"].to_numpy(dtype=float)
    segment = rows["segment"].to_numpy(dtype=object)
    play = np.full(len(rows), "", dtype=object)
    hours, kept, low, high = (np.zeros(len(rows)) for _ in range(4))
    hours += HOUR
    after = risk.copy()
    harmed = np.zeros(len(rows), dtype=bool)
    best = np.zeros(len(rows))
    for name in set(segment):
        inside = segment == name
        for lever in by_segment.get(name, by_segment.get(EVERYBODY, ())):
            if lever.harms:
                harmed |= inside
                continue
            with_it = expit(logit(risk) + lever.shift)
            gain = arr * (risk - with_it)
            better = inside & (gain / lever.hours > best)
            play[better], hours[better] = lever.play, lever.hours
            best[better], kept[better] = (gain / lever.hours)[better], gain[better]
            after[better] = with_it[better]
            ends = [arr * (risk - expit(logit(risk) + end)) for end in (lever.high, lever.low)]
            low[better], high[better] = ends[0][better], ends[1][better]
    helped = play != ""
    standing = np.select(
        [helped & (risk < SURE), helped & (after > LOST), helped, harmed],
        ["sure thing", "lost cause", "savable", "better left alone"],
        "no evidence",
    )
    return rows.assign(
        play=play,
        hours=hours,
        kept=kept,
        kept_low=low,
        kept_high=high,
        kept_per_hour=kept / hours,
        standing=standing,
    )


def within_capacity(
    ranked: pd.DataFrame, owners: NDArray[np.object_], capacity: Mapping[str, float]
) -> NDArray[np.bool_]:
    """Mark the accounts, the best first, whose play still fits into their owner's hours: (n,).

    Parameters
    ----------
    ranked : DataFrame
        In the order of calling, with ``hours``.
    owners : ndarray of str, shape (n,)
        Who looks after each account; one without hours in ``capacity`` has as many as it takes.
    capacity : mapping of str to float
        Hours of each owner.
    """
    left = dict(capacity)
    fits = np.ones(len(ranked), dtype=bool)
    for place, (owner, hours) in enumerate(zip(owners, ranked["hours"], strict=True)):
        if owner not in left:
            continue
        fits[place] = left[owner] >= hours
        left[owner] -= hours * fits[place]
    return fits
