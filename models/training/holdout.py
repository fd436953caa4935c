"""What a model said about rows it had not seen, measured once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from features.catalog import AGE
from models.arrays import Codes, Floats
from models.churn.coded import Rows
from models.churn.encoding import Encoded
from models.measures.metrics import BandRow, Metrics, calibration_table, evaluate, rate_row
from models.scoring.health_model import SEGMENT
from models.scoring.reasons import is_context
from models.scoring.scale import ScoreScale
from models.training.evidence import behaviour_rank
from models.training.learning import Fitted

FEW_POSITIVES = 5
# Beside whose behaviour the context is judged; more of them change the ranks of few rows.
REFERENCE_ROWS = 8


@dataclass(frozen=True)
class Unseen:
    """Rows a model had not seen, and what it said of them.

    Attributes
    ----------
    rows : ndarray of int, shape (m,)
        Their positions.
    margins : ndarray of shape (m,)
        Uncalibrated margins.
    log_odds : ndarray of shape (m,)
        Calibrated log-odds at a decision.
    due : ndarray of bool, shape (m,)
        Whether a decision falls into the outcome window.
    share : ndarray of shape (m,)
        Share of the risk at a decision that falls into it; 1 where one is due.
    kinds : ndarray of int, shape (m,)
        Position of the kind of their term.
    segment : ndarray of str, shape (m,)
        Their segments.
    context, acting : ndarray of shape (m,)
        The margin that the context alone makes likely, and what behaviour adds to it.
    base_rate : ndarray of shape (m,)
        Rate of the rows that were learnt from.
    fold : ndarray of int, shape (m,)
        Which of several models said it.
    """

    rows: Codes
    margins: Floats
    log_odds: Floats
    due: NDArray[np.bool_]
    share: Floats
    kinds: Codes
    segment: Any
    context: Floats
    acting: Floats
    base_rate: Floats
    fold: Codes


def judge(learnt: Fitted, frame: Rows, rows: Codes, base_rate: float) -> Unseen:
    """Let a model speak about rows it was not fitted to.

    Parameters
    ----------
    learnt : Fitted
        The model.
    frame : DataFrame
        Rows as it was taught with.
    rows : ndarray of int
        Positions of the rows it had not seen.
    base_rate : float
        Rate of the outcome in the rows it had.
    """
    tested = frame.take(rows)
    inputs = learnt.inputs(tested)
    segment = inputs[SEGMENT].to_numpy(dtype=object)
    margins = learnt.classifier.decision_function(inputs)
    context = _context_margins(learnt, inputs, margins)
    kinds = learnt.kinds(tested)
    return Unseen(
        rows,
        margins,
        learnt.calibrator.log_odds(margins, segment, kinds),
        learnt.due(tested),
        learnt.share(tested),
        kinds,
        segment,
        context,
        margins - context,
        np.full(len(rows), base_rate),
        np.zeros(len(rows), np.intp),
    )


def _context_margins(learnt: Fitted, inputs: Rows, margins: Floats) -> Floats:
    """Mean margin of each row's context beside the behaviour of a few rows of rising risk: (n,).

    Partial dependence (Friedman, 2001), so that it follows the context alone; what SHAP gives to
    the context would follow the behaviour too, wherever a tree joins the two.
    """
    classifier = learnt.classifier
    data = classifier.encoder_.transform(inputs)
    acting = np.flatnonzero(~is_context(learnt.signals))
    places = np.linspace(0, len(margins) - 1, REFERENCE_ROWS + 2)[1:-1].astype(int)
    references = data.take(np.argsort(margins, kind="stable")[places]).values
    total = np.zeros(len(margins))
    for rows, values in data.blocks():
        beside = values.copy()
        for reference in references:
            beside[:, acting] = reference[acting]
            total[rows] += classifier.encoded_margin(Encoded(beside, data.segment[rows]))
    return total / REFERENCE_ROWS


def together(parts: list[Unseen]) -> Unseen:
    """Join what several models said of different rows."""
    parts = [replace(part, fold=part.fold + number) for number, part in enumerate(parts)]
    names = Unseen.__dataclass_fields__
    return Unseen(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )


@dataclass(frozen=True)
class Proof:
    """Measures of unseen rows; see :class:`models.training.fit.TrainingResult`."""

    metrics: Metrics
    segment_metrics: dict[str, Metrics]
    bands: list[BandRow]
    calibration: pd.DataFrame
    holdout: pd.DataFrame


def prove(unseen: Unseen, frame: Rows, scale: ScoreScale, seed: int) -> Proof:
    """Measure what was said of unseen rows.

    Parameters
    ----------
    unseen : Unseen
        What was said.
    frame : DataFrame
        The rows its positions refer to.
    scale : ScoreScale
        What cuts the bands.
    seed : int
        Of the bootstrap.
    """
    tested = frame.take(unseen.rows)
    held_out = said_of(unseen, frame, scale)
    age = tested[AGE].to_numpy(dtype=float) if AGE in tested else np.full(len(tested), np.nan)
    behaviour = behaviour_rank(
        tested["observation_date"].to_numpy(),
        unseen.segment,
        age,
        # When a decision falls is context as well.
        unseen.context + np.log(unseen.share),
        unseen.acting,
    )

    alike = held_out.groupby(["observation_date", unseen.fold], dropna=False).ngroup().to_numpy()

    def measured(own: Any) -> Metrics:
        part = held_out[own]
        return evaluate(
            part["happened"],
            part["probability"],
            part["account_id"],
            base_rate=unseen.base_rate[own],
            behaviour=behaviour[own],
            alike=alike[own],
            seed=seed,
        )

    return Proof(
        metrics=measured(np.ones(len(held_out), dtype=bool)),
        segment_metrics={
            str(name): measured((held_out[SEGMENT] == name).to_numpy())
            for name in sorted(set(held_out[SEGMENT]))
        },
        bands=band_table(held_out, scale),
        calibration=calibration_table(
            held_out["happened"], held_out["probability"], accounts=held_out["account_id"]
        ),
        holdout=held_out,
    )


def said_of(unseen: Unseen, frame: Rows, scale: ScoreScale) -> pd.DataFrame:
    """Write down what was said of unseen rows: ``holdout`` of a training's result."""
    tested = frame.take(unseen.rows)
    kept = ("account_id", "observation_date", "happened")
    return pd.DataFrame({name: tested[name].reset_index(drop=True) for name in kept}).assign(
        segment=unseen.segment,
        probability=expit(unseen.log_odds) * unseen.share,
        probability_if_due=expit(unseen.log_odds),
        due=unseen.due,
        score=scale.score(unseen.log_odds - scale.shift(unseen.kinds)),
        band=scale.band(expit(unseen.log_odds - scale.shift(unseen.kinds))),
    )


def band_table(rows: pd.DataFrame, scale: ScoreScale) -> list[BandRow]:
    """Compare the expected with the observed rate in each band, with intervals over accounts.

    Bands are of the risk at a decision, so those rows count that had one.

    Parameters
    ----------
    rows : DataFrame
        ``account_id``, ``happened`` and what :func:`risk_of` reads; with ``due`` where not every
        row is, and ``band`` where it is told by kinds of terms.
    scale : ScoreScale
        What cuts the bands.
    """
    rows = rows[rows["due"].to_numpy(dtype=bool)] if "due" in rows else rows
    risk, happened = risk_of(rows), rows["happened"].to_numpy(dtype=float)
    accounts = rows["account_id"].to_numpy(dtype=object)
    band = rows["band"].to_numpy(dtype=object) if "band" in rows else scale.band(risk)
    return [
        {"band": name, **rate_row(happened[own], risk[own], accounts[own])}
        for name, own in ((name, band == name) for name in scale.bands)
    ]


def risk_of(rows: pd.DataFrame) -> Floats:
    """Risk at a decision of judged rows, which their bands are cut by: (n,).

    Rows that were judged before timing was told apart have it in ``probability``.
    """
    name = "probability_if_due" if "probability_if_due" in rows else "probability"
    return rows[name].to_numpy(dtype=float)


def nobody_at_risk(bands: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say where signals are too weak to tell anybody's risk from the usual one."""
    first = bands[0]
    if first["rows"] or not any(band["rows"] for band in bands):
        return []
    return [
        f"No account was {first['band']} on the rows that judged the model: its signals are too "
        "weak to tell anybody's risk to be so high, so work from the top of the list and not from "
        "the band."
    ]


def doubts(
    metrics: Metrics, *, is_dated: bool, in_time: bool, judged_later: bool = True
) -> list[str]:
    """Say what speaks against believing the measures, one sentence each."""
    found = []
    if metrics.positives < FEW_POSITIVES:
        found.append(
            f"Only {metrics.positives} positive(s) in the {metrics.rows} hold-out rows: the "
            "measures say little until more outcomes have matured."
        )
    elif not metrics.enough_evidence:
        found.append(
            _too_little(metrics)
            if metrics.auc.low is not None
            else f"The hold-out has no ranking to measure: {metrics.reason}."
        )
    if metrics.positives >= FEW_POSITIVES and metrics.is_worse_than_base_rate:
        found.append(
            f"The model is worse than the base rate alone: its hold-out log loss is "
            f"{metrics.log_loss.value:.4f}, the base rate's {metrics.log_loss_base:.4f}; do not "
            "act on its scores, and see whether the newest outcomes and signals are complete."
        )
    if not is_dated:
        found.append(
            "The rows carry no dates: the model was judged on accounts it had not seen, not on "
            "later dates, and what was written down after the outcome may flatter it."
        )
    elif not judged_later:
        found.append(
            "No date lies behind the outcome window of an earlier one: the model was judged on "
            "accounts it had not seen, not on later dates; train again when more have matured."
        )
    elif not in_time:
        found.append(
            "Too few dates had matured to choose and calibrate on later ones, so held-out accounts "
            "of the same dates were used; expect the probabilities to be less certain."
        )
    return found


def _too_little(metrics: Metrics) -> str:
    """Name the ranking that is no better than chance, and its interval."""
    auc, which = metrics.auc_behaviour, "its hold-out AUC among accounts of like age and plan"
    if auc.low is None or auc.is_above(0.5):
        auc, which = metrics.auc, "the hold-out AUC of the whole model"
    verdict = "is below chance, 0.5" if auc.is_below(0.5) else "may be chance, 0.5"
    return (
        f"Not enough evidence that behaviour predicts the outcome: {which} {verdict} "
        f"(90 % interval {auc.low:.3f} to {auc.high:.3f})."
    )
