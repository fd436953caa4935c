"""How far counts move when nothing is wrong: the null that drift is judged against.

Three things move them. Chance, in as many accounts as there are. Chance in the reference, whose
rows repeat the same accounts on many dates and are worth fewer than they count. And what moved
naturally from one training date to the next: season, and a trend that was there before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, fdtrc, fdtri, stdtr

from models.arrays import Codes, Floats
from models.drift.reference import ridits

# Below it a bin is joined with its neighbour (Cochran 1954, "Some methods for strengthening the
# common chi-squared tests"), and a share's counts are too few for a normal deviate.
LEAST_EXPECTED, LEAST_NORMAL = 5.0, 30.0
# Fewer dates tell nothing of how a trend would go on.
LEAST_DATES = 4
# Degrees of freedom from which a variance counts as known.
KNOWN = 1e6


@dataclass(frozen=True)
class Movement:
    """How far one set of counts lies from its reference.

    Attributes
    ----------
    psi : float
        Population stability index over all bins, in nats; 0 where nothing moved.
    psi_expected, psi_high : float
        Mean and 95 % bound of the index when nothing is wrong.
    shift : float or None
        Chance that a value of now exceeds one of the reference, less one half; None for names.
    missing_before, missing : float
        Shares of rows without a value.
    other_before, other : float or None
        Shares of rows whose name is none of the reference's levels; None for numbers.
    p_value : float
        Of all its tests together, Bonferroni's way.
    found_by : str
        Test with the smallest p value: "shift", "shape", "missing" or "new names".
    """

    psi: float
    psi_expected: float
    psi_high: float
    shift: float | None
    missing_before: float
    missing: float
    other_before: float | None
    other: float | None
    p_value: float
    found_by: str


def movement(
    before: Codes,
    effects: Floats,
    now: Codes,
    days: Floats,
    *,
    is_categorical: bool,
) -> Movement:
    """Measure how far counts moved, and how often chance and nature move them as far.

    The shape is tested by Pearson's statistic, whose null is that of the population stability
    index, ``(1/n + 1/m)`` times a chi-squared variable (Yurdakul 2018, "Statistical properties of
    population stability index"), but holds at smaller counts; ``m`` is divided by the design effect
    and natural variation is added. A number's location is tested by its mean ridit (Bross 1958),
    which one degree of freedom makes sharper against a shift than any test of the whole shape;
    shares of missing and of new names by the Poisson-gamma prediction. Variances estimated from
    few dates count with their degrees of freedom (Satterthwaite 1946).

    Parameters
    ----------
    before : ndarray of int, shape (n_dates, n_bins)
        Counts of each training date, the bin for missing values last.
    effects : ndarray of shape (3,)
        Design effects; see :class:`models.drift.reference.Counts`.
    now : ndarray of int, shape (n_bins,)
        Counts of the current date; at least one row.
    days : ndarray of shape (n_dates,)
        Days from each training date to the current one.
    is_categorical : bool
        Whether the bins are names, the last but one holding all others.

    Returns
    -------
    Movement
    """
    tests: dict[str, float] = {}
    known, was, shift = now[:-1], before[:, :-1], None
    if known.sum() and was.sum():
        pooled = was.sum(axis=0)
        if not is_categorical and (pooled > 0).sum() > 1:
            shift, tests["shift"] = _shift(was, effects[1], known, days)
        seen = _joined(pooled, int(known.sum()), is_categorical=is_categorical)
        if seen.max() > 0:
            tests["shape"] = _shape(_grouped(was, seen), effects[0], _grouped(known, seen), days)
    absent = before[:, -1], effects[2], int(now[-1])
    tests["missing"] = _share(*absent, before.sum(axis=1), int(now.sum()), days)
    other_before = other = None
    if is_categorical:
        other_before, other = _mean(was[:, -1], was.sum()), _mean(known[-1:], known.sum())
        if known.sum() and was.sum():
            others = was[:, -1], effects[0], int(known[-1])
            tests["new names"] = _share(*others, was.sum(axis=1), int(known.sum()), days)
    found_by = min(tests, key=lambda name: tests[name])
    psi, expected, high = _psi(before, effects, now, days)
    return Movement(
        psi=psi,
        psi_expected=expected,
        psi_high=high,
        shift=shift,
        missing_before=_mean(before[:, -1], before.sum()),
        missing=_mean(now[-1:], now.sum()),
        other_before=other_before,
        other=other,
        p_value=min(1.0, len(tests) * tests[found_by]),
        found_by=found_by,
    )


def natural_variance(
    series: Floats, rows: Floats, days: Floats, sampling: Floats
) -> tuple[Floats, float]:
    """Estimate how much a share or mean varies by nature around what the reference has.

    A line is fitted to the dates. What scatters around it beyond chance is natural, and so is the
    line's further course, as far as its slope is beyond doubt.

    Parameters
    ----------
    series : ndarray of shape (n_dates, k)
        Its value on each training date.
    rows : ndarray of shape (n_dates,)
        Rows of each date; dates without any are left out.
    days : ndarray of shape (n_dates,)
        Days from each date to the current one.
    sampling : ndarray of shape (k,)
        Variance between dates that chance alone gives.

    Returns
    -------
    variance : ndarray of shape (k,)
    freedom : float
        Degrees of freedom it was estimated with.
    """
    used = rows > 0
    weight = rows[used] / max(rows[used].sum(), 1)
    values, away = series[used], days[used]
    count = len(weight)
    if count < LEAST_DATES:
        # Too few dates for a line; one date says nothing at all.
        scatter = count / max(count - 1, 1) * weight @ (values - weight @ values) ** 2
        return np.clip(scatter - sampling, 0, None), float(max(count - 1, 1))
    centred = away - weight @ away
    length = float(weight @ centred**2)
    slope = (weight * centred) @ values / length
    residual = values - weight @ values - np.outer(centred, slope)
    scatter = count / (count - 2) * (weight @ residual**2)
    sure = np.clip(slope**2 - SURENESS * scatter / (count * length), 0, None)
    # Nobody knows that a trend goes on for longer than it has been seen.
    reach = min(abs(float(weight @ away)), 2 * float(np.ptp(away)))
    return np.clip(scatter - sampling, 0, None) + sure * reach**2, float(count - 2)


# Standard errors, squared, that a slope must exceed to count as a trend.
SURENESS = 4.0


def _shift(was: Codes, effect: float, now: Codes, days: Floats) -> tuple[float, float]:
    """Mean ridit of now less one half, and its p value."""
    pooled, rows = was.sum(axis=0), was.sum(axis=1).astype(float)
    share = pooled / pooled.sum()
    rank = ridits(share)
    spread = float(share @ (rank - 0.5) ** 2)
    shift = float(now @ rank / now.sum() - 0.5)
    daily = (was @ rank / np.maximum(rows, 1))[:, None]
    nature, freedom = natural_variance(daily, rows, days, _between(spread, rows, effect))
    chance = spread * (1 / now.sum() + effect / pooled.sum())
    total = chance + nature[0]
    return shift, float(2 * stdtr(_freedom(total, nature[0], freedom), -abs(shift) / total**0.5))


def _shape(was: Codes, effect: float, now: Codes, days: Floats) -> float:
    """P value of Pearson's statistic."""
    mean, freedom, parts = _null(was, effect, int(now.sum()), days)
    share = was.sum(axis=0) / was.sum()
    statistic = float(((now / now.sum() - share) ** 2 / share).sum())
    return float(fdtrc(parts, freedom, statistic / mean))


def _null(was: Codes, effect: float, size: int, days: Floats) -> tuple[float, float, float]:
    """Mean of Pearson's statistic under the null, and the two degrees of freedom of its F law.

    Natural variation may lie in one direction of the bins, so it has the law of one squared
    normal; chance and nature together are matched by their first two moments.
    """
    pooled, rows = was.sum(axis=0), was.sum(axis=1).astype(float)
    share = pooled / pooled.sum()
    daily = was / np.maximum(rows, 1)[:, None]
    sampling = _between(share * (1 - share), rows, effect)
    nature, freedom = natural_variance(daily, rows, days, sampling)
    moved = float((nature / share).sum())
    kinds = len(share) - 1
    chance = 1 / size + effect / pooled.sum()
    mean = kinds * chance + moved
    variance = 2 * kinds * chance**2 + 2 * moved**2
    return mean, _freedom(mean, moved, freedom), 2 * mean**2 / variance


def _share(events: Codes, effect: float, now: int, rows: Codes, size: int, days: Floats) -> float:
    """P value of a share: of ``now`` of ``size`` rows against those of the dates before."""
    total, worth = float(rows.sum()), float(rows.sum()) / effect
    if not total or not size:
        return 1.0
    if events.sum() > total / 2:
        return _share(rows - events, effect, size - now, rows, size, days)
    # Jeffreys' half a row either way: what never happened may yet.
    rate = (events.sum() / effect + 0.5) / (worth + 1)
    daily = (events / np.maximum(rows, 1))[:, None]
    sampling = _between(rate * (1 - rate), rows.astype(float), effect)
    nature, freedom = natural_variance(daily, rows.astype(float), days, sampling)
    unsure = rate * (1 - rate) / (worth + 1) + nature[0]
    if min(size * rate, now) >= LEAST_NORMAL:
        variance = rate * (1 - rate) / size + unsure
        deviate = abs(now / size - rate) / variance**0.5
        return float(2 * stdtr(_freedom(variance, nature[0], freedom), -deviate))
    shape = rate**2 / unsure
    above = size * rate / (size * rate + shape)
    more = float(betainc(now, shape, above)) if now else 1.0
    fewer = 1 - float(betainc(now + 1, shape, above))
    return min(1.0, 2 * min(more, fewer))


def _psi(before: Codes, effects: Floats, now: Codes, days: Floats) -> tuple[float, float, float]:
    """Give the population stability index, its mean and 95 % bound when nothing is wrong.

    Bins that are too small to compare are joined; half a row is added to each, so that an empty one
    does not make the index infinite.
    """
    seen = _joined(before.sum(axis=0), int(now.sum()), is_categorical=True)
    was, counts = _grouped(before, seen), _grouped(now, seen)
    pooled = was.sum(axis=0) + 0.5
    share, current = pooled / pooled.sum(), (counts + 0.5) / (counts + 0.5).sum()
    psi = float((current - share) @ np.log(current / share))
    if not seen.max():
        return psi, 0.0, 0.0
    mean, freedom, parts = _null(was, effects[[0, 2]].max(), int(now.sum()), days)
    return psi, mean, mean * float(fdtri(parts, freedom, 0.95))


def _between(spread: Floats | float, rows: Floats, effect: float) -> Floats:
    """Variance between dates that chance gives when the same accounts come back.

    The pooled mean varies by ``effect`` times its share, which dates have in common.
    """
    dates = rows[rows > 0]
    count = len(dates)
    if count < 2:
        return np.zeros_like(np.atleast_1d(spread))
    apart = max(1 - effect / count, 0.0) * count / (count - 1)
    return np.atleast_1d(spread) * apart * float(np.mean(1 / dates))


def _freedom(total: float, estimated: float, freedom: float) -> float:
    """Degrees of freedom of a variance, a part of which was estimated."""
    return min(KNOWN, freedom * (total / estimated) ** 2) if estimated > 0 else KNOWN


def _joined(pooled: Codes, size: int, *, is_categorical: bool) -> Codes:
    """Group bins so that each is expected to hold enough rows: group of each bin."""
    expected = pooled / pooled.sum() * min(size, pooled.sum())
    if is_categorical:
        small = expected < LEAST_EXPECTED
        group = np.where(small, 0, np.cumsum(~small))
        if not small.any() or expected[small].sum() < LEAST_EXPECTED:
            # What is left over is no group of its own: it joins the smallest that is large enough.
            large = np.where(small, np.inf, expected)
            group = np.where(small, group[int(np.argmin(large))], group)
        return np.unique(group, return_inverse=True)[1].astype(np.intp)
    group, number, filled = np.zeros(len(expected), dtype=np.intp), 0, 0.0
    for place, part in enumerate(expected):
        group[place] = number
        filled += part
        if filled >= LEAST_EXPECTED and expected[place + 1 :].sum() >= LEAST_EXPECTED:
            number, filled = number + 1, 0.0
    return group


def _grouped(counts: Codes, group: Codes) -> Codes:
    """Sum the bins of each group."""
    belongs = group[:, None] == np.arange(int(group.max()) + 1)
    return np.asarray(counts @ belongs.astype(np.intp))


def _mean(part: Codes, whole: int) -> float:
    return float(part.sum() / whole) if whole else 0.0
