"""How good the champion's probabilities are: expected before outcomes mature, observed after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit, stdtr, stdtrit, xlogy

from features.catalog import EVERYBODY
from features.json_values import JsonReady
from models.arrays import Floats
from models.drift.statistics import holm
from models.measures.metrics import Ranking, row_log_loss
from models.measures.recalibration import Recalibration, recalibrate
from models.measures.resampling import TAILS, clustered_rate_interval

# Parts of the accounts that are left out in turn to see how sure an expected AUC is.
PARTS = 20
# Fewer outcomes of either kind say nothing about a slope or a rate.
LEAST_OUTCOMES = 10
# Nobody is surer than that; and what varies less than that does not vary.
LEAST_RISK, LEAST_VARIANCE = 1e-6, 1e-12


@dataclass(frozen=True)
class Expected(JsonReady):
    """What calibrated probabilities promise of themselves.

    Attributes
    ----------
    rows : int
        Accounts.
    rate : float
        Expected share with the outcome.
    log_loss : float
        Expected log loss in nats.
    auc : float or None
        Expected area under the ROC curve; None without two different accounts.
    log_loss_error, auc_error : float or None
        Standard errors over accounts.
    """

    rows: int
    rate: float
    log_loss: float
    auc: float | None
    log_loss_error: float | None = None
    auc_error: float | None = None


@dataclass(frozen=True)
class ExpectedChange(JsonReady):
    """Whether a date's accounts are harder to tell apart than the reference's.

    Attributes
    ----------
    before : tuple of Expected
        Of each reference date.
    now : Expected
        Of the current date.
    log_loss_low, log_loss_high, auc_low, auc_high : float or None
        90 % interval that the current figures are expected in when nothing changed.
    log_loss_p, auc_p : float
        P values of the current figures; 1 where there is nothing to hold them against.
    """

    before: tuple[Expected, ...]
    now: Expected
    log_loss_low: float | None
    log_loss_high: float | None
    auc_low: float | None
    auc_high: float | None
    log_loss_p: float = 1.0
    auc_p: float = 1.0


@dataclass(frozen=True)
class Matured(JsonReady):
    """Expected against observed outcomes in one segment.

    Attributes
    ----------
    segment : str
        Segment, or "all".
    rows, positives : int
        Matured rows.
    expected_rate, observed_rate, low, high : float
        Mean probability, observed share and its 90 % interval over accounts.
    recalibration : Recalibration
        Calibration in the large and slope, with 90 % intervals over accounts.
    excess_loss, excess_loss_error : float
        Log loss beyond what the probabilities promised, and its standard error over accounts.
    offset_p, slope_p, loss_p : float
        P values after Holm's correction over all segments and tests; 1 where there are too few
        outcomes.
    """

    segment: str
    rows: int
    positives: int
    expected_rate: float
    observed_rate: float
    low: float
    high: float
    recalibration: Recalibration
    excess_loss: float
    excess_loss_error: float
    offset_p: float = 1.0
    slope_p: float = 1.0
    loss_p: float = 1.0


def expected_performance(probability: Any) -> Expected:
    """Expect log loss and AUC from probabilities alone.

    Each row counts as positive by its probability and as negative by the rest, which is right in
    the mean as long as the probabilities are calibrated (confidence-based performance estimation;
    Bialek et al. 2024, "Estimating model performance under covariate shift without labels"; for the
    AUC, Cook 2007, "Use and misuse of the receiver operating characteristic curve").

    Parameters
    ----------
    probability : array of shape (n,)
        Calibrated probabilities, a row per account; at least one.

    Returns
    -------
    Expected

    Examples
    --------
    >>> expected = expected_performance([0.5, 0.5])
    >>> round(expected.log_loss, 4), expected.auc
    (0.6931, 0.5)
    """
    risk = np.asarray(probability, dtype=float)
    surprise = -(xlogy(risk, risk) + xlogy(1 - risk, 1 - risk))
    rows = len(risk)
    part = np.arange(rows) % PARTS
    error = float(surprise.std(ddof=1) / rows**0.5) if rows > 1 else None
    return Expected(
        rows=rows,
        rate=float(risk.mean()),
        log_loss=float(surprise.mean()),
        auc=_expected_auc(risk),
        log_loss_error=error,
        auc_error=_left_out(risk, part),
    )


def expected_change(before: tuple[Expected, ...], now: Expected) -> ExpectedChange:
    """Hold the expected figures of a date against those of the reference's dates.

    The interval adds chance among the accounts of now to what varied between dates.
    """

    def interval(name: str) -> tuple[float | None, float | None, float]:
        values = np.array([getattr(one, name) for one in before if getattr(one, name) is not None])
        error, figure = getattr(now, f"{name}_error"), getattr(now, name)
        # One date does not tell how much dates differ.
        if len(values) < 2 or not error:
            return None, None, 1.0
        nature = float(values.var(ddof=1)) * (1 + 1 / len(values))
        total = error**2 + nature
        freedom = (len(values) - 1) * (total / nature) ** 2 if nature else len(values) * 1e6
        middle, reach = float(values.mean()), float(-stdtrit(freedom, TAILS[0]) * total**0.5)
        p_value = 2 * float(stdtr(freedom, -abs(figure - middle) / total**0.5))
        return middle - reach, middle + reach, p_value

    loss_low, loss_high, loss_p = interval("log_loss")
    auc_low, auc_high, auc_p = interval("auc")
    return ExpectedChange(before, now, loss_low, loss_high, auc_low, auc_high, loss_p, auc_p)


def matured_performance(rows: pd.DataFrame) -> tuple[Matured, ...]:
    """Hold matured outcomes against the probabilities that were issued.

    Parameters
    ----------
    rows : DataFrame
        ``account_id``, ``observation_date``, ``segment``, ``probability`` (as issued) and
        ``happened`` (0 or 1); only rows the champion was not fitted to.

    Returns
    -------
    tuple of Matured
        "all" first, then segments by name; empty without rows.
    """
    if not len(rows):
        return ()
    labels = rows["segment"].to_numpy(dtype=object)
    names = [EVERYBODY, *sorted(set(labels) - {EVERYBODY})]
    parts = [rows if name == EVERYBODY else rows[labels == name] for name in names]
    found = [_matured(name, part) for name, part in zip(names, parts, strict=True)]
    p_values = [_p_values(part) for part in parts]
    adjusted = iter(holm([value for values in p_values for value in values.values()]).tolist())
    return tuple(
        replace(one, **dict[str, Any](zip(values, adjusted, strict=False)))
        for one, values in zip(found, p_values, strict=True)
    )


def _matured(segment: str, rows: pd.DataFrame) -> Matured:
    outcome = rows["happened"].to_numpy(dtype=float)
    risk = rows["probability"].to_numpy(dtype=float)
    cluster = pd.factorize(rows["account_id"].to_numpy(dtype=object))[0]
    low, high = clustered_rate_interval(outcome, cluster)
    promised = -(xlogy(risk, risk) + xlogy(1 - risk, 1 - risk))
    off = row_log_loss(outcome, risk) - promised
    return Matured(
        segment=segment,
        rows=len(rows),
        positives=int(outcome.sum()),
        expected_rate=float(risk.mean()),
        observed_rate=float(outcome.mean()),
        low=low,
        high=high,
        recalibration=recalibrate(outcome, risk, cluster),
        excess_loss=float(off.mean()),
        # Each account's sum has mean zero when the probabilities are right.
        excess_loss_error=float((np.bincount(cluster, off) ** 2).sum() ** 0.5 / len(off)),
    )


def _p_values(rows: pd.DataFrame) -> dict[str, float]:
    """Two-sided p values of the tests there are outcomes for.

    They are score tests: what the outcomes differ from the probabilities by is weighed by one, by
    the log-odds less their mean, and by the log-odds. Accounts are the clusters of their variance,
    but few outcomes make that too small by chance, so that it never is below what the
    probabilities themselves promise (Fay and Graubard 2001, "Small-sample adjustments for
    Wald-type tests using sandwich estimators", on how much too small).
    """
    outcome = rows["happened"].to_numpy(dtype=float)
    risk = np.clip(rows["probability"].to_numpy(dtype=float), LEAST_RISK, 1 - LEAST_RISK)
    positives = int(outcome.sum())
    if min(positives, len(rows) - positives) < LEAST_OUTCOMES:
        return {}
    cluster = pd.factorize(rows["account_id"].to_numpy(dtype=object))[0]
    promised, odds = risk * (1 - risk), logit(risk)
    weighed = {
        "offset_p": np.ones(len(risk)),
        "slope_p": odds - promised @ odds / promised.sum(),
        "loss_p": odds,
    }
    found = {}
    for name, weight in weighed.items():
        accounts = np.bincount(cluster, (outcome - risk) * weight)
        variance = max(float(accounts @ accounts), float(promised @ weight**2))
        if variance > LEAST_VARIANCE * len(risk):
            # A variance rests on the positives; few of them make its tails heavier.
            deviate = abs(float(accounts.sum())) / variance**0.5
            found[name] = float(2 * stdtr(positives - 1.0, -deviate))
    return found


def _expected_auc(risk: Floats) -> float | None:
    """Weigh each pair of accounts by the chance that it holds one of each outcome."""
    rows = np.concatenate([risk, risk])
    outcome = np.repeat([1.0, 0.0], len(risk))
    weight = np.concatenate([risk, 1 - risk])
    # Nobody is a pair with itself: taken out of a ranking of both halves.
    pairs = float(risk.sum() * (1 - risk).sum())
    alone = float((risk * (1 - risk)).sum())
    if pairs - alone <= 0:
        return None
    ranked = Ranking(outcome, rows).auc(weight)
    return float((ranked * pairs - alone / 2) / (pairs - alone))


def _left_out(risk: Floats, part: Any) -> float | None:
    """Estimate the standard error of the expected AUC by the delete-a-group jackknife."""
    if len(risk) < 2 * PARTS:
        return None
    without = [_expected_auc(risk[part != number]) for number in range(PARTS)]
    values = np.array([value for value in without if value is not None])
    if len(values) < PARTS:
        return None
    return float(((PARTS - 1) / PARTS * ((values - values.mean()) ** 2).sum()) ** 0.5)
