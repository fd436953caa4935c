"""How sure the learned weights are, and whether signals point the way they were declared to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from features.catalog import CONTEXT, EVERYBODY, Signal
from models.arrays import Codes, Floats
from models.churn.classifier import ChurnClassifier
from models.churn.coded import Rows
from models.churn.threads import one_thread
from models.measures.resampling import CONFIDENCE
from models.weights.account_spread import AccountSpread, SpreadReader, spread_of
from models.weights.certainty import (
    Direction,
    GroupCertainty,
    SignalCertainty,
    WeightCertainty,
)
from models.weights.draws import DRAWS, Draw, refits, sampled_rows
from models.weights.refit_noise import RefitNoise

# Days at which ages are cut, finer where an account is so young that its windows are half empty.
AGE_BANDS = (30, 61, 91, 122, 183, 365, 730)
# To which of the groups that go together a change of risk is owed is settled by no refit. Unlike
# what a shape cannot bend to it leaves margins as they are: the standard deviation of the logarithm
# by which a group's weight may be too high or too low for it.
CREDIT_SD = 0.35
# Into how many spans dates are cut at most: two years of months.
MOST_SPANS = 24
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class BestWeights:
    """The best estimates of weights, and how sure they are.

    Attributes
    ----------
    groups, signals : dict of str to dict of str to float
        Segment, or "all", to group (context left out) and to signal, in points of 100.
    certainty : WeightCertainty
        Their intervals.
    spread : AccountSpread or None
        How far refits are apart on single accounts, their bases left out.
    """

    groups: dict[str, dict[str, float]]
    signals: dict[str, dict[str, float]]
    certainty: WeightCertainty
    spread: AccountSpread | None = None


def best_weights(
    classifier: ChurnClassifier,
    X: Rows,
    happened: Floats,
    accounts: Any,
    segment: Any,
    signals: Sequence[Signal],
    *,
    age_days: Floats | None = None,
    dates: Any = None,
    good: bool = False,
    seed: int = 0,
    draws: int = DRAWS,
) -> BestWeights | None:
    """Refit a classifier many times, and take the middle of what the refits weigh.

    A model's own shares carry its shrinkage. What refits stress as accounts left out ask them to is
    free of that bias, so their mean is the best estimate and lies inside their interval.

    Parameters
    ----------
    classifier : ChurnClassifier
        Fitted to X.
    X : DataFrame or CodedTable of n rows
        Its training rows.
    happened : ndarray of 0 and 1, shape (n,)
        Outcomes.
    accounts, segment : array of shape (n,)
        Account and segment of each row.
    signals : sequence of Signal
        What the columns are.
    age_days : ndarray of shape (n,), or None
        Days since the account began, NaN where unknown. Weights are about what sets accounts of
        like age apart: a window that reaches back before an account was there measures its age.
    dates : array of shape (n,), or None
        Observation dates, by which rows are told apart as by age: a window that reaches back before
        anything was recorded measures the date.
    good : bool
        Whether the outcome is good news.
    seed, draws : int
        Of the refits, and how many.

    Returns
    -------
    BestWeights or None
        None where no refit had both outcomes to learn from.
    """
    names = sorted({signal.group for signal in signals})
    group = np.array([names.index(signal.group) for signal in signals])
    segments = sorted(set(segment))
    code = np.searchsorted(np.array(segments, dtype=object), segment)
    rows = sampled_rows(code, seed)
    band = np.zeros(len(X), np.intp) if age_days is None else np.digitize(age_days, AGE_BANDS)
    span = np.zeros(len(X), np.intp) if dates is None else _spans(dates)
    reader = _Reader(classifier, X, code, band, group, rows, signals)
    refitted = refits(
        classifier,
        X,
        happened,
        pd.factorize(accounts)[0],
        group,
        rows,
        alike=np.column_stack([band, span]),
        seed=seed,
        draws=draws,
    )
    with one_thread():
        read = [reader.read(draw) for draw in refitted.draws]
    if not read:
        return None
    generator = np.random.default_rng([seed, 1])
    groups_counted, signals_counted, group_shares, noisy, signal_shares, agreement, slopes = (
        reader.together(read, generator)
    )
    # The mean of shares that sum to 100 sums to 100.
    best, best_shares = groups_counted.mean(axis=0), signals_counted.mean(axis=0)
    low, high = _holding(best, np.quantile(group_shares, TAILS, axis=0))
    signal_low, signal_high = _holding(best_shares, np.quantile(signal_shares, TAILS, axis=0))
    agrees = np.quantile(agreement, TAILS[0], axis=0) > 0
    if refitted.z is not None:
        # A refit shares the rows it is checked on; accounts left out do not.
        agrees &= refitted.z > norm.ppf(TAILS[1])
    # The mean size of noise is above zero in every refit, so only evidence can rule zero out.
    low = np.where(agrees, low, 0.0)
    # Nor can what refits move be told from noise there, so that all of it may be true.
    high = np.where(agrees, high, np.maximum(high, np.quantile(noisy, TAILS[1], axis=0)))
    falls, rises = np.quantile(slopes, TAILS, axis=0)
    places = list(enumerate([*segments, EVERYBODY]))
    kept = [(i, name) for i, name in enumerate(names) if name != CONTEXT]
    certainty = WeightCertainty(
        {
            place: {
                name: GroupCertainty(float(low[s, i]), float(high[s, i]), bool(agrees[s, i]))
                for i, name in kept
            }
            for s, place in places
        },
        {
            place: {
                signal.name: SignalCertainty(
                    float(signal_low[s, i]),
                    float(signal_high[s, i]),
                    _direction(falls[s, i], rises[s, i], good),
                )
                for i, signal in enumerate(signals)
            }
            for s, place in places
        },
    )
    return BestWeights(
        {place: {name: float(best[s, i]) for i, name in kept} for s, place in places},
        {
            place: {signal.name: float(best_shares[s, i]) for i, signal in enumerate(signals)}
            for s, place in places
        },
        certainty,
        reader.spread(names, segments),
    )


class _Reader:
    """Reads weights, agreement with the model and directions off one refit."""

    def __init__(
        self,
        classifier: ChurnClassifier,
        X: Rows,
        code: Codes,
        band: Codes,
        group: Codes,
        rows: Codes,
        signals: Sequence[Signal],
    ) -> None:
        self._membership = np.eye(int(group.max()) + 1)[group]
        self._weighed = np.array(
            [
                next(s.group for s, g in zip(signals, group, strict=True) if g == place) != CONTEXT
                for place in range(self._membership.shape[1])
            ]
        )
        here = X.take(rows)
        self._parts = [code[rows] == place for place in range(int(code.max()) + 1)]
        self._bands = [band[rows][inside] for inside in self._parts]
        self._size = np.bincount(code) / len(code)
        self._noise = [RefitNoise(own.sum(), len(self._weighed)) for own in self._parts]
        self._fitted = classifier.contributions(here) @ self._membership
        self._spread = [SpreadReader(_from_mean(self._fitted[own])) for own in self._parts]
        self._ranks = _centred_ranks(here, signals, self._parts)

    def read(self, draw: Draw) -> tuple[Floats, ...]:
        """Sizes of groups and signals where groups may count nothing, and where all count.

        Then agreement of groups, slopes of signals, squares of groups. Each has a row per segment.
        """
        rows = []
        for inside, band, noise, spread in zip(
            self._parts, self._bands, self._noise, self._spread, strict=True
        ):
            weight = draw.weight[inside] / draw.weight[inside].sum()
            stress, counted = draw.stress[inside][0], draw.counted[inside][0]
            centred = _centred(draw.contributions[inside], weight, band)
            moved = centred @ self._membership
            noise.add(moved)
            stressed, chosen = (centred * np.maximum(each, 0.0) for each in (stress, counted))
            whole = draw.contributions[inside] * np.maximum(stress, 0.0)
            spread.add(_from_mean(whole @ self._membership))
            sizes = weight @ np.abs(stressed @ self._membership)
            if not sizes[self._weighed].any():
                # A refit that counts nothing for accounts left out says nothing of shares.
                stressed, sizes = centred, weight @ np.abs(moved)
            chosen_sizes = weight @ np.abs(chosen @ self._membership)
            if not chosen_sizes[self._weighed].any():
                chosen, chosen_sizes = stressed, sizes
            free = _centred(draw.free[inside], weight, band) * stress
            fitted = _centred(self._fitted[inside], weight, band)
            rows.append(
                (
                    chosen_sizes,
                    weight @ np.abs(chosen),
                    sizes,
                    weight @ np.abs(stressed),
                    weight @ ((free @ self._membership) * fitted),
                    (free * self._ranks[inside]).T @ weight,
                    weight @ moved**2,
                )
            )
        return tuple(np.array(part) for part in zip(*rows, strict=True))

    def spread(self, groups: Sequence[str], segments: Sequence[str]) -> AccountSpread:
        """Tell how far the refits that were read are apart on single accounts."""
        return spread_of(groups, segments, self._spread, (self._size * 1e6).tolist())

    def together(
        self, read: Sequence[tuple[Floats, ...]], generator: np.random.Generator
    ) -> tuple[Floats, ...]:
        """Shares of groups and signals where groups may count nothing, and where all count.

        Of the latter groups come without noise and with it; then agreement and slopes. Each is
        (n_draws, n_segments + 1, ...), the last over all rows.
        """
        chosen, chosen_signals, groups, signals, agreement, slopes, squares = (
            np.array(part) for part in zip(*read, strict=True)
        )
        kept = np.stack(
            [noise.kept(squares[:, place]) for place, noise in enumerate(self._noise)], axis=1
        )
        credit = np.exp(CREDIT_SD * generator.normal(size=kept.shape))
        of_signals = kept @ self._membership.T
        chosen, chosen_signals, groups, noisy, signals, agreement, slopes = (
            np.concatenate([part, np.tensordot(part, self._size, (1, 0))[:, None]], axis=1)
            for part in (
                chosen * credit * kept,
                chosen_signals * of_signals,
                groups * credit * kept,
                groups * credit,
                signals * of_signals,
                agreement,
                slopes,
            )
        )
        chosen, groups, noisy = (
            _to_hundred(part * self._weighed) for part in (chosen, groups, noisy)
        )
        shares = _to_hundred(chosen_signals), groups, noisy, _to_hundred(signals)
        return chosen, *shares, agreement, slopes


def _holding(best: Floats, ends: Floats) -> tuple[Floats, Floats]:
    """Let intervals hold the weights: where all groups count, one may be above its weight."""
    return np.minimum(ends[0], best), np.maximum(ends[1], best)


def _spans(dates: Any) -> Codes:
    """Cut dates into spans of about as many distinct ones, numbered in order."""
    place, distinct = pd.factorize(np.asarray(dates), sort=True)
    return np.asarray(place * min(len(distinct), MOST_SPANS) // len(distinct), dtype=np.intp)


def _from_mean(values: Floats) -> Floats:
    return np.asarray(values - values.mean(axis=0))


def _centred(values: Floats, weight: Floats, band: Codes) -> Floats:
    """Count values from the mean of the rows of like age."""
    inside = np.eye(int(band.max()) + 1)[band] * weight[:, None]
    total = np.maximum(inside.sum(axis=0), 1e-300)
    return np.asarray(values - ((inside.T @ values) / total[:, None])[band])


def _to_hundred(sizes: Floats) -> Floats:
    total = sizes.sum(axis=-1, keepdims=True)
    return np.asarray(100 * np.divide(sizes, total, out=np.zeros_like(sizes), where=total > 0))


def _centred_ranks(
    here: Rows, signals: Sequence[Signal], parts: Sequence[NDArray[np.bool_]]
) -> Floats:
    """Ranks of known numbers within the segment, from -0.5 to 0.5; zero where unknown."""
    ranks = np.zeros((len(here), len(signals)))
    for column, signal in enumerate(signals):
        if signal.is_categorical:
            continue
        values = here[signal.name]
        for inside in parts:
            ranked = values[inside].rank(pct=True)
            ranks[inside, column] = (ranked - ranked.mean()).fillna(0.0)
    return ranks


def _direction(falls: float, rises: float, good: bool) -> Direction:
    """Say which way is healthy from the interval of the margin's slope."""
    if falls > 0:
        return "higher" if good else "lower"
    if rises < 0:
        return "lower" if good else "higher"
    return "not enough evidence"
