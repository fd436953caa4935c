"""How good churn probabilities were, with intervals that respect accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from features.json_values import Json, JsonReady
from models.arrays import Codes, Floats
from models.measures.calibration_error import BINS, CalibrationError, equal_count_bins
from models.measures.estimate import UNKNOWN, Estimate
from models.measures.recalibration import recalibrate
from models.measures.resampling import CONFIDENCE, TAILS, AccountBootstrap, clustered_rate_interval

# log(0) must not end a comparison; scikit-learn clips at the same order.
SMALLEST = float(np.finfo(np.float64).eps)


class RateRow(TypedDict):
    """Expected against observed outcomes of some rows, with a 90 % interval."""

    rows: int
    positives: int
    expected_rate: float | None
    observed_rate: float | None
    low: float | None
    high: float | None


class BandRow(RateRow):
    """The same of the rows in a band."""

    band: str


@dataclass(frozen=True)
class Metrics(JsonReady):
    """Measures of one set of rows; bounds are 90 % intervals over accounts.

    Attributes
    ----------
    rows, accounts, positives : int
        Size of the set.
    auc : Estimate
        Probability that of a positive and another row of the same date (the same fold, where rows
        have none) the positive one has the higher risk; not known when no date holds both. Pairs
        across dates would rank the seasons.
    log_loss : Estimate
        Mean negative log-likelihood in nats.
    log_loss_base : float or None
        The same for the training base rate, given to every row.
    brier : Estimate
        Mean squared error of the probability.
    ece : Estimate
        Expected calibration error over ten equal-count bins. It is above zero even for true
        probabilities, the more so the fewer rows there are; the interval is for the error without
        that bias.
    ece_by_chance : float or None
        The expected calibration error that true probabilities would be measured to have.
    expected_rate, observed_rate : float or None
        Mean probability and share of positive rows.
    top_decile_lift : Estimate
        Churn rate among the tenth of rows with the highest risk over that of all rows.
    calibration_in_the_large : Estimate
        What to add to every log-odds; above zero where more happened than was expected.
    calibration_slope : Estimate
        Factor of the log-odds; below one where the probabilities are too bold. Not known, as the
        former, where one class is absent; see :class:`models.measures.recalibration.Recalibration`.
    auc_behaviour : Estimate
        The AUC of what behaviour adds to the margin, among accounts of like context; not known
        where it was not given.
    reason : str or None
        Why something is not known.
    """

    rows: int
    accounts: int
    positives: int
    auc: Estimate = UNKNOWN
    log_loss: Estimate = UNKNOWN
    log_loss_base: float | None = None
    brier: Estimate = UNKNOWN
    ece: Estimate = UNKNOWN
    ece_by_chance: float | None = None
    expected_rate: float | None = None
    observed_rate: float | None = None
    top_decile_lift: Estimate = UNKNOWN
    calibration_in_the_large: Estimate = UNKNOWN
    calibration_slope: Estimate = UNKNOWN
    auc_behaviour: Estimate = UNKNOWN
    reason: str | None = None

    @property
    def enough_evidence(self) -> bool:
        """Whether the ranking, and behaviour's part in it, beat chance beyond the interval.

        Age or plan alone can rank churn well while no behaviour foretells it: such a model has
        no weights to recommend.
        """
        behaviour = self.auc_behaviour
        return self.auc.is_above(0.5) and (behaviour.value is None or behaviour.is_above(0.5))

    @property
    def is_worse_than_base_rate(self) -> bool:
        """Whether saying the base rate of the training rows to everybody had a lower log loss."""
        loss = self.log_loss.value
        return loss is not None and self.log_loss_base is not None and loss > self.log_loss_base

    def to_dict(self) -> Json:
        """Return a JSON-ready description, ``enough_evidence`` included."""
        return super().to_dict() | {"enough_evidence": self.enough_evidence}


def evaluate(
    happened: Any,
    probability: Any,
    accounts: Any,
    *,
    base_rate: Any,
    behaviour: Any = None,
    alike: Any = None,
    seed: int = 0,
    resamples: int = 300,
) -> Metrics:
    """Measure probabilities against outcomes.

    Parameters
    ----------
    happened : array of 0 and 1, shape (n,)
        Outcomes.
    probability : array of shape (n,)
        Calibrated churn probabilities.
    accounts : array of shape (n,)
        Account of each row; an account is drawn with all its rows (cluster bootstrap; Davison and
        Hinkley 1997, "Bootstrap Methods and their Application", section 3.8).
    base_rate : float or array of shape (n,)
        Churn rate of the training rows, the constant a model has to beat; an array where rows
        were tested against different training rows.
    behaviour : array of shape (n,) or None
        What behaviour adds to each margin, as a rank among accounts of like context.
    alike : array of shape (n,) or None
        Date, or fold, of each row: only rows of the same one are ranked against each other. None
        ranks them all.
    seed, resamples : int
        Bootstrap seed and size.

    Returns
    -------
    Metrics
    """
    outcome, risk = np.asarray(happened, dtype=float), np.asarray(probability, dtype=float)
    bootstrap = AccountBootstrap(accounts, seed=seed, resamples=resamples)
    rows, positives = len(outcome), int(outcome.sum())
    if not rows:
        return Metrics(rows, bootstrap.count, positives, reason="there are no rows")
    rankings = [Ranking(outcome, risk, bootstrap.cluster, alike)]
    pooled = Ranking(outcome, risk, bootstrap.cluster)
    if behaviour is not None:
        acting = np.asarray(behaviour, dtype=float)
        rankings.append(Ranking(outcome, acting, bootstrap.cluster, alike))
    error = CalibrationError(outcome, risk, bootstrap)
    totals = bootstrap.totals(_means(outcome, risk))

    def measure(weight: Floats) -> list[float]:
        size, loss, brier = weight @ totals
        ranked = [rankings[0].auc(weight), pooled.lift(weight), rankings[-1].auc(weight)]
        return [loss / size, brier / size, error.of(weight, size), *ranked]

    loss, brier, ece, auc, lift, auc_behaviour = measure(np.ones(bootstrap.count))
    resampled = np.array([measure(weight) for weight in bootstrap.draws()]).reshape(-1, 6)
    # A resample without positives has no ranking; the interval is over those that have one.
    ranked = resampled[~np.isnan(resampled).any(axis=1), 3:]
    spread = np.quantile(ranked, TAILS, axis=0) if len(ranked) else np.full((2, 3), np.nan)
    tails = np.quantile(resampled[:, :2], TAILS, axis=0)
    line = recalibrate(outcome, risk, bootstrap.cluster)
    missing = {0: "no row is positive", rows: "every row is positive"}.get(positives)
    if missing is None and np.isnan(auc):
        missing = "no date has rows of both outcomes"
    base = row_log_loss(outcome, np.broadcast_to(base_rate, rows)).mean()
    return Metrics(
        rows,
        bootstrap.count,
        positives,
        auc=Estimate.of(auc, spread[:, 0]),
        log_loss=Estimate.of(loss, tails[:, 0]),
        log_loss_base=float(base),
        brier=Estimate.of(brier, tails[:, 1]),
        ece=Estimate.of(ece, error.interval(ece, resampled[:, 2])),
        ece_by_chance=float(error.by_chance),
        expected_rate=float(risk.mean()),
        observed_rate=positives / rows,
        top_decile_lift=Estimate.of(lift, spread[:, 1]),
        calibration_in_the_large=line.offset,
        calibration_slope=line.slope,
        auc_behaviour=UNKNOWN if behaviour is None else Estimate.of(auc_behaviour, spread[:, 2]),
        reason=missing,
    )


def row_log_loss(outcome: Floats, risk: Floats) -> Floats:
    """Log loss of each row, in nats: (n,)."""
    safe = np.clip(risk, SMALLEST, 1 - SMALLEST)
    return -(outcome * np.log(safe) + (1 - outcome) * np.log1p(-safe))


class Ranking:
    """Rows sorted by risk once, so that a measure of a weighted resample is a few sums.

    Parameters
    ----------
    outcome : ndarray of 0 and 1, shape (n,)
        Outcomes.
    risk : ndarray of shape (n,)
        Anything that ranks.
    cluster : ndarray of int, shape (n,), or None
        Which weight is a row's; by default each row has its own.
    alike : array of shape (n,), or None
        Only rows that agree in it are pairs; None makes pairs of all.

    Examples
    --------
    >>> ranking = Ranking(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))
    >>> ranking.auc(np.ones(4))
    0.75
    """

    def __init__(
        self, outcome: Floats, risk: Floats, cluster: Codes | None = None, alike: Any = None
    ) -> None:
        part = np.zeros(len(risk), np.intp)
        if alike is not None:
            part = pd.factorize(np.asarray(alike))[0]
        order = np.lexsort((-risk, part))
        self._cluster = order if cluster is None else cluster[order]
        ordered, part = risk[order], part[order]
        starts = np.flatnonzero(np.r_[True, part[1:] != part[:-1]]) if len(part) else part
        self._limits = np.append(starts, len(part))
        self._part = np.repeat(np.arange(len(starts)), np.diff(self._limits))
        moved = (ordered[1:] != ordered[:-1]) | (part[1:] != part[:-1])
        ties = np.flatnonzero(np.r_[True, moved, True])
        self._positives = np.flatnonzero(outcome[order] > 0)
        # Rows of the same risk as a positive one: from its first to before its after.
        place = np.searchsorted(ties, self._positives, "right")
        self._first, self._after = ties[place - 1], ties[place]

    def auc(self, weight: Floats) -> float:
        """Area under the ROC curve of weighted rows, ties counted half; NaN with one class."""
        happened, upto = self._weighed(weight)
        ends, part = upto[self._limits], self._part[self._positives]
        positives = np.bincount(part, happened, minlength=len(ends) - 1)
        pairs = float(positives @ (np.diff(ends) - positives))
        if not pairs > 0:
            return float("nan")
        below = ends[part + 1] - (upto[self._first] + upto[self._after]) / 2
        # Positives are among the rows below; their pairs with each other sum to half a square.
        return float((happened @ below - positives @ positives / 2) / pairs)

    def resampled_auc(self, bootstrap: AccountBootstrap) -> Floats:
        """AUC of each draw of the accounts, which are the clusters: (resamples,)."""
        return np.array([self.auc(weight) for weight in bootstrap.draws()])

    def lift(self, weight: Floats, share: float = 0.1) -> float:
        """Churn rate of the riskiest share over the overall one; ties at the cut count in part."""
        happened, upto = self._weighed(weight)
        if not happened.sum():
            return float("nan")
        before = upto[self._first]
        size = upto[self._after] - before
        taken = np.clip(share * upto[-1] - before, 0, size)
        caught = happened @ np.divide(taken, size, out=np.zeros_like(size), where=size > 0)
        return float(caught / happened.sum() / share)

    def _weighed(self, weight: Floats) -> tuple[Floats, Floats]:
        """Weights of the positive rows, and of all rows before each place."""
        ordered = weight[self._cluster]
        return ordered[self._positives], np.concatenate([[0.0], ordered.cumsum()])


def calibration_table(
    happened: Any, probability: Any, bins: int = BINS, *, accounts: Any = None
) -> pd.DataFrame:
    """Compare expected with observed churn in equal-count bins of risk.

    Parameters
    ----------
    happened, probability : array of shape (n,)
        Outcomes and probabilities.
    bins : int
        Most bins.
    accounts : array of shape (n,) or None
        Account of each row, where an interval should count rows of one account as alike as they
        were; by default every row counts in full.

    Returns
    -------
    DataFrame
        Columns ``rows``, ``positives``, ``expected_rate``, ``observed_rate`` and the bounds ``low``
        and ``high`` of its 90 % Wilson interval; at most ``bins`` rows, lowest risk first. Rows of
        the same risk share a bin.
    """
    risk, outcome = np.asarray(probability, dtype=float), np.asarray(happened, dtype=float)
    cluster = None if accounts is None else np.asarray(accounts)
    code = equal_count_bins(risk, bins)
    parts = [np.flatnonzero(code == place) for place in np.unique(code)]
    return pd.DataFrame(
        [
            rate_row(outcome[part], risk[part], None if cluster is None else cluster[part])
            for part in parts
        ],
        columns=["rows", "positives", "expected_rate", "observed_rate", "low", "high"],
    )


def rate_row(outcome: Floats, risk: Floats, cluster: Any = None) -> RateRow:
    """Compare expected with observed churn in some rows, with a 90 % Wilson interval.

    With a ``cluster`` per row, its account, the interval is that of
    :func:`models.measures.resampling.clustered_rate_interval`.

    Examples
    --------
    >>> row = rate_row(np.array([0.0, 1.0, 0.0, 0.0]), np.full(4, 0.2))
    >>> row["positives"], row["observed_rate"], round(row["low"], 3), round(row["high"], 3)
    (1, 0.25, 0.058, 0.644)
    """
    rows, positives = len(outcome), int(outcome.sum())
    if not rows:
        return RateRow(
            rows=0, positives=0, expected_rate=None, observed_rate=None, low=None, high=None
        )
    if cluster is None:
        interval = binomtest(positives, rows).proportion_ci(CONFIDENCE, method="wilson")
        low, high = float(interval.low), float(interval.high)
    else:
        low, high = clustered_rate_interval(outcome, cluster)
    return {
        "rows": rows,
        "positives": positives,
        "expected_rate": float(risk.mean()),
        "observed_rate": positives / rows,
        "low": low,
        "high": high,
    }


def _means(outcome: Floats, risk: Floats) -> Floats:
    """Columns whose sums give the size, the log loss and the Brier score: (n, 3)."""
    return np.column_stack(
        [np.ones(len(outcome)), row_log_loss(outcome, risk), (outcome - risk) ** 2]
    )
