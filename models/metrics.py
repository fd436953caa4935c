"""How good churn probabilities were, with intervals that respect accounts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from models.encoding import Floats

# log(0) must not end a comparison; scikit-learn clips at the same order.
SMALLEST = float(np.finfo(np.float64).eps)
CONFIDENCE = 0.9


@dataclass(frozen=True)
class Metrics:
    """Measures of one set of rows; bounds are 90 % intervals over accounts.

    Attributes
    ----------
    rows, accounts, churns : int
        Size of the set.
    auc, auc_low, auc_high : float or None
        Probability that a churned row has the higher risk; None when one class is absent.
    log_loss, log_loss_low, log_loss_high : float
        Mean negative log-likelihood in nats.
    log_loss_base : float
        The same for the training base rate, given to every row.
    brier : float
        Mean squared error of the probability.
    ece : float
        Expected calibration error over ten equal-count bins.
    expected_rate, observed_rate : float
        Mean probability and share of churned rows.
    top_decile_lift, top_decile_lift_low, top_decile_lift_high : float or None
        Churn rate among the tenth of rows with the highest risk over that of all rows.
    auc_behaviour, auc_behaviour_low, auc_behaviour_high : float or None
        The AUC of what behaviour adds to the margin, among accounts of like context; None where
        it was not given.
    reason : str or None
        Why something is None.
    """

    rows: int
    accounts: int
    churns: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    log_loss: float | None
    log_loss_low: float | None
    log_loss_high: float | None
    log_loss_base: float | None
    brier: float | None
    ece: float | None
    expected_rate: float | None
    observed_rate: float | None
    top_decile_lift: float | None
    top_decile_lift_low: float | None
    top_decile_lift_high: float | None
    auc_behaviour: float | None = None
    auc_behaviour_low: float | None = None
    auc_behaviour_high: float | None = None
    reason: str | None = None

    @property
    def enough_evidence(self) -> bool:
        """Whether the ranking, and behaviour's part in it, beat chance beyond the interval.

        Age or plan alone can rank churn well while no behaviour foretells it: such a model has
        no weights to recommend.
        """
        bounds = [self.auc_low]
        if self.auc_behaviour is not None:
            bounds.append(self.auc_behaviour_low)
        return all(bound is not None and bound > 0.5 for bound in bounds)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description, ``enough_evidence`` included."""
        return asdict(self) | {"enough_evidence": self.enough_evidence}


def evaluate(
    churned: Any,
    probability: Any,
    accounts: Any,
    *,
    base_rate: float,
    behaviour: Any = None,
    seed: int = 0,
    resamples: int = 300,
) -> Metrics:
    """Measure probabilities against outcomes.

    Parameters
    ----------
    churned : array of 0 and 1, shape (n,)
        Outcomes.
    probability : array of shape (n,)
        Calibrated churn probabilities.
    accounts : array of shape (n,)
        Account of each row; an account is drawn with all its rows (cluster bootstrap; Davison and
        Hinkley 1997, "Bootstrap Methods and their Application", section 3.8).
    base_rate : float
        Churn rate of the training rows, the constant a model has to beat.
    behaviour : array of shape (n,) or None
        What behaviour adds to each margin, as a rank among accounts of like context.
    seed, resamples : int
        Bootstrap seed and size.

    Returns
    -------
    Metrics
    """
    outcome, risk = np.asarray(churned, dtype=float), np.asarray(probability, dtype=float)
    cluster, names = pd.factorize(np.asarray(accounts, dtype=object))
    rows, churns = len(outcome), int(outcome.sum())
    counts: dict[str, Any] = {"rows": rows, "accounts": len(names), "churns": churns}
    if not rows:
        nothing: dict[str, Any] = dict.fromkeys(set(Metrics.__dataclass_fields__) - set(counts))
        return Metrics(**counts | nothing | {"reason": "there are no rows"})
    loss = row_log_loss(outcome, risk)
    ranking = Ranking(outcome, risk)
    acting = Ranking(outcome, risk if behaviour is None else np.asarray(behaviour, dtype=float))

    def measure(w: Floats) -> tuple[float, float, float, float]:
        return ranking.auc(w), float(w @ loss / w.sum()), ranking.lift(w), acting.auc(w)

    draws = _bootstrap(cluster, len(names), seed, resamples)
    resampled = np.array([measure(weights) for weights in draws]).reshape(-1, 4)
    point = measure(np.ones(rows))
    tails = np.array([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    # A resample without churns has no ranking; the interval is over those that have one.
    with_ranking = resampled[~np.isnan(resampled).any(axis=1)]
    spread = (
        np.quantile(with_ranking, tails, axis=0) if len(with_ranking) else np.full((2, 4), np.nan)
    )
    bins = calibration_table(outcome, risk)
    shift = (bins["expected_rate"] - bins["observed_rate"]).abs()
    measured = {
        "auc": point[0],
        "auc_low": spread[0, 0],
        "auc_high": spread[1, 0],
        "log_loss": point[1],
        "log_loss_low": np.quantile(resampled[:, 1], tails[0]),
        "log_loss_high": np.quantile(resampled[:, 1], tails[1]),
        "log_loss_base": row_log_loss(outcome, np.full(rows, base_rate)).mean(),
        "brier": ((outcome - risk) ** 2).mean(),
        "ece": (bins["rows"] * shift).sum() / rows,
        "expected_rate": risk.mean(),
        "observed_rate": churns / rows,
        "top_decile_lift": point[2],
        "top_decile_lift_low": spread[0, 2],
        "top_decile_lift_high": spread[1, 2],
    }
    if behaviour is not None:
        measured["auc_behaviour"] = point[3]
        measured["auc_behaviour_low"], measured["auc_behaviour_high"] = spread[:, 3]
    numbers = {name: None if np.isnan(v) else float(v) for name, v in measured.items()}
    missing = {0: "no row churned", rows: "every row churned"}.get(churns)
    return Metrics(**counts | numbers, reason=missing)


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

    Examples
    --------
    >>> ranking = Ranking(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))
    >>> ranking.auc(np.ones(4))
    0.75
    """

    def __init__(self, outcome: Floats, risk: Floats) -> None:
        self._order = np.argsort(-risk, kind="stable")
        self._churned = outcome[self._order] > 0
        ordered = risk[self._order]
        self._ties = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def auc(self, weight: Floats) -> float:
        """Area under the ROC curve of weighted rows, ties counted half; NaN with one class."""
        churned, stayed = self._tied(weight)
        pairs = churned.sum() * stayed.sum()
        below = stayed.sum() - stayed.cumsum()
        return float((churned * (below + stayed / 2)).sum() / pairs) if pairs else float("nan")

    def lift(self, weight: Floats, share: float = 0.1) -> float:
        """Churn rate of the riskiest share over the overall one; ties at the cut count in part."""
        churned, stayed = self._tied(weight)
        if not churned.sum():
            return float("nan")
        size = churned + stayed
        reach = share * size.sum()
        taken = np.clip(reach - (size.cumsum() - size), 0, size)
        caught = (churned * np.divide(taken, size, out=np.zeros_like(size), where=size > 0)).sum()
        return float(caught / churned.sum() / share)

    def _tied(self, weight: Floats) -> tuple[Floats, Floats]:
        ordered = weight[self._order]
        churned = np.add.reduceat(np.where(self._churned, ordered, 0.0), self._ties)
        return churned, np.add.reduceat(ordered, self._ties) - churned


def calibration_table(churned: Any, probability: Any, bins: int = 10) -> pd.DataFrame:
    """Compare expected with observed churn in equal-count bins of risk.

    Returns
    -------
    DataFrame
        Columns ``rows``, ``churns``, ``expected_rate``, ``observed_rate`` and the bounds ``low``
        and ``high`` of its 90 % Wilson interval; at most ``bins`` rows, lowest risk first.
    """
    risk = np.asarray(probability, dtype=float)
    order = np.argsort(risk, kind="stable")
    outcome = np.asarray(churned, dtype=float)[order]
    parts = [part for part in np.array_split(np.arange(len(order)), bins) if len(part)]
    return pd.DataFrame(
        [rate_row(outcome[part], risk[order][part]) for part in parts],
        columns=["rows", "churns", "expected_rate", "observed_rate", "low", "high"],
    )


def rate_row(outcome: Floats, risk: Floats) -> dict[str, Any]:
    """Compare expected with observed churn in some rows, with a 90 % Wilson interval.

    Examples
    --------
    >>> row = rate_row(np.array([0.0, 1.0, 0.0, 0.0]), np.full(4, 0.2))
    >>> row["churns"], row["observed_rate"], round(row["low"], 3), round(row["high"], 3)
    (1, 0.25, 0.058, 0.644)
    """
    rows, churns = len(outcome), int(outcome.sum())
    if not rows:
        nothing = dict.fromkeys(("expected_rate", "observed_rate", "low", "high"))
        return {"rows": 0, "churns": 0, **nothing}
    interval = binomtest(churns, rows).proportion_ci(CONFIDENCE, method="wilson")
    return {
        "rows": rows,
        "churns": churns,
        "expected_rate": float(risk.mean()),
        "observed_rate": churns / rows,
        "low": float(interval.low),
        "high": float(interval.high),
    }


def _bootstrap(cluster: np.ndarray, count: int, seed: int, resamples: int) -> Any:
    """Yield one weight per row: how often its account was drawn."""
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = generator.integers(count, size=count)
        yield np.bincount(drawn, minlength=count).astype(float)[cluster]
