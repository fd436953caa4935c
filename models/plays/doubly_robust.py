"""Effect on those who were acted on, by doubly robust scores clustered by account.

With D acted on, Y the outcome, m the risk had nobody acted and e the chance of being acted on, both
learnt from other accounts, ``w = e / (1 - e)`` makes those left alone like those acted on, and

    effect = mean of (Y - m) over D = 1, less the w-weighted mean of (Y - m) over D = 0

is right if either m or e is (Robins, Rotnitzky and Zhao 1994; of those acted on, with weights that
sum to one: Sant'Anna and Zhao 2020, "Doubly robust difference-in-differences estimators", section
2; cross-fitted: Chernozhukov et al. 2018, "Double/debiased machine learning").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arrays import Codes, Floats

# Where more are acted on, too few like accounts are left alone to compare with.
MOST_LIKELY = 0.9
# What nobody recorded may confound a third as strongly as everything that was measured.
HIDDEN_SHARE = 1 / 3
# Half an outcome is added to both sides of a ratio, which zero on one of them would make endless.
HALF = 0.5


@dataclass(frozen=True)
class Comparison:
    """Those acted on beside like accounts left alone.

    Attributes
    ----------
    treated, churned : int
        Rows acted on that have like rows, and those of them with the outcome.
    treated_before_trimming : int
        All rows acted on.
    controls : float
        How many rows the weighted rows left alone are worth: (Σw)² / Σw² (Kish 1965).
    naive : float
        Difference of the plain rates, acted on less left alone.
    with_play, without : float
        Rate of those acted on, and what it had been had nobody acted.
    log_ratio, error : float
        Logarithm of the ratio of the two, and its standard error.
    without_error, shared : float
        Standard error of the logarithm of ``without``, and its covariance with ``log_ratio``.
    """

    treated: int
    churned: int
    treated_before_trimming: int
    controls: float
    naive: float
    with_play: float
    without: float
    log_ratio: float
    error: float
    without_error: float
    shared: float
    adjustment: float

    @property
    def hidden(self) -> float:
        """Standard deviation of what unseen reasons add to ``log_ratio``, with a sign.

        What was measured tells how accounts are chosen for acting; unseen reasons are taken to
        choose in like manner and the same direction, less strongly (Hsu and Small 2013,
        "Calibrating sensitivity analyses to observed covariates in observational studies").
        """
        return HIDDEN_SHARE * self.adjustment

    @property
    def effect(self) -> float:
        """Difference in the rate: below zero where fewer churn."""
        return self.with_play - self.without

    @property
    def overlap(self) -> float:
        """Share of the rows acted on that have like rows left alone."""
        return self.treated / self.treated_before_trimming


def like_rows(chance: Floats) -> NDArray[np.bool_]:
    """Rows among whose like enough are left alone: (n,)."""
    return chance <= MOST_LIKELY


def compare(
    outcome: Floats, acted: NDArray[np.bool_], risk: Floats, chance: Floats, cluster: Codes
) -> Comparison | None:
    """Compare those acted on with like accounts left alone.

    Parameters
    ----------
    outcome : ndarray of 0 and 1, shape (n,)
        What happened.
    acted : ndarray of bool, shape (n,)
        Who was acted on.
    risk, chance : ndarray of shape (n,)
        Probability of the outcome had nobody acted, and of being acted on, learnt from other
        accounts.
    cluster : ndarray of int, shape (n,)
        Account of each row.

    Returns
    -------
    Comparison or None
        None without rows of both kinds.
    """
    total = int(acted.sum())
    if not total or total == len(acted):
        return None
    naive = float(outcome[acted].mean() - outcome[~acted].mean())
    plain = [outcome[rows].sum() + HALF for rows in (acted, ~acted)]
    plain_ratio = float(np.log(plain[0] / total * (len(acted) - total) / plain[1]))
    kept = like_rows(chance)
    outcome, risk, chance = outcome[kept], risk[kept], chance[kept]
    acted, cluster = acted[kept], cluster[kept]
    if not acted.any() or acted.all():
        return None
    treated = int(acted.sum())
    weight = np.where(acted, 0.0, chance / (1 - chance))
    alone = weight.sum()
    off = outcome - risk
    off_alone = float(weight @ off / alone)
    churned = int(outcome[acted].sum())
    expected_risk = float(risk[acted].mean())
    without = max(expected_risk + off_alone, HALF / treated)
    # Influence of each row on both rates; sums over accounts make the variance.
    on_with = acted * (outcome - outcome[acted].mean()) / treated
    on_without = acted * (risk - expected_risk) / treated + weight * (off - off_alone) / alone
    with_rate = (churned + HALF) / treated
    without_rate = without + HALF / treated
    ratio = on_with / with_rate - on_without / without_rate
    by_ratio, by_without = (
        np.bincount(cluster, values) for values in (ratio, on_without / without_rate)
    )
    count = len(np.unique(cluster))
    inflation = count / (count - 1) if count > 1 else 1.0
    # Never surer than outcomes that fall by chance alone: of those acted on, and left alone.
    chance_alone = 1 / (churned + HALF) + float(
        (weight**2) @ (risk * (1 - risk)) / (alone * without_rate) ** 2
    )
    log_ratio = float(np.log(with_rate / without_rate))
    return Comparison(
        treated=treated,
        churned=churned,
        treated_before_trimming=total,
        controls=float(alone**2 / (weight @ weight)),
        naive=naive,
        with_play=churned / treated,
        without=without,
        log_ratio=log_ratio,
        error=float(np.sqrt(max(inflation * float(by_ratio @ by_ratio), chance_alone))),
        without_error=float(np.sqrt(inflation * (by_without @ by_without))),
        shared=float(inflation * (by_ratio @ by_without)),
        adjustment=plain_ratio - log_ratio,
    )


def mean_difference(
    values: Floats, acted: NDArray[np.bool_], told: Floats, chance: Floats, cluster: Codes
) -> tuple[float, float]:
    """Compare the mean of a number, as :func:`compare` does: difference and standard error."""
    kept = like_rows(chance) & ~np.isnan(values) & ~np.isnan(told)
    acted, cluster = acted[kept], cluster[kept]
    off, odds = (values - told)[kept], chance[kept] / (1 - chance[kept])
    weight = np.where(acted, 0.0, odds)
    if not acted.any() or not weight.any():
        return np.nan, np.nan
    own, alone = off[acted].mean(), weight @ off / weight.sum()
    influence = acted * (off - own) / acted.sum() - weight * (off - alone) / weight.sum()
    sums = np.bincount(cluster, influence)
    return float(own - alone), float(np.sqrt(sums @ sums))
