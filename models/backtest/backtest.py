"""The only judge of a churn model: rolling origins, the same rows for every contender."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from scipy.special import expit

from features.catalog import EVERYBODY, Signal
from features.errors import EvidenceError, SettingsError, sample
from features.json_values import Json, json_records, json_value
from models.arrays import Codes
from models.backtest.comparison import (
    Comparison,
    Origin,
    column_of,
    compare,
    measure_contenders,
    origin_name,
)
from models.backtest.contenders import DEFAULT, Contender
from models.backtest.lead_time import lead_time
from models.backtest.leakage import Leakage, leakage
from models.backtest.origin import OriginResult, Trial
from models.churn.segments import SegmentSettings, assign_segments
from models.measures.fairness_audit import fairness_audit
from models.measures.metrics import BandRow, calibration_table
from models.scoring.scale import ScaleSettings, ScoreScale, scale_of
from models.training.checks import check_labels
from models.training.holdout import band_table
from models.training.learning import Learning
from models.training.splits import Fold, account_folds, rolling_origins, time_holdout

OURS = "healthscore"
# Rows of no segment of their own, where there are segments.
OTHERS = "others"
UNDATED_FOLDS = 5
FEW_POSITIVES = 5
NO_EVENTS = pd.DataFrame({"account_id": [], "happened_at": []})


class BacktestCounts(TypedDict):
    """What was tested; dates are ISO."""

    rows: int
    accounts: int
    positives: int
    tested_rows: int
    tested_accounts: int
    tested_positives: int
    tested_dates: int
    treated_rows: int
    origins: int
    first_date: str
    last_date: str
    tested_from: str
    tested_until: str


@dataclass(frozen=True)
class Backtest:
    """How a churn model and its contenders did on dates none of them had seen.

    Attributes
    ----------
    predictions : DataFrame
        One row per tested row: ``account_id``, ``observation_date``, ``origin`` (first tested date
        of the fold; "fold 1" and so on without dates), ``segment``, ``happened``, ``treated``
        (bool), ``score``, ``probability_if_due``, ``due`` and one column ``p_<contender>`` each;
        ours is ``p_healthscore``.
    measures : DataFrame
        One row per ``contender``, ``origin`` ("all", an ISO date or "fold 1"), ``segment`` ("all"
        or its name) and ``population`` ("all" or "untreated"), with every field of
        :class:`models.measures.metrics.Metrics`. Origins and segments are not crossed: where one is
        named, the other is "all".
    versus : list of dict
        Per contender: ``contender``, ``difference`` in log loss of ours minus theirs on the same
        rows, ``low`` and ``high`` (90 % over accounts) and ``verdict``: "better", "level" or
        "worse".
    lead : DataFrame
        As :func:`models.backtest.lead_time.lead_time`; empty without events.
    leaks : Leakage
        What a random split would have claimed, and signals that know too much.
    audit : DataFrame
        As :func:`models.measures.fairness_audit.fairness_audit`; empty without sensitive
        attributes.
    bands : list of dict
        Of the rows that were due, per band ``band``, ``rows``, ``positives``, ``expected_rate``,
        ``observed_rate`` and its 90 % interval ``low``, ``high``, clustered by account (None
        without rows).
    calibration : DataFrame
        As :func:`models.measures.metrics.calibration_table` of ours, clustered by account.
    counts : BacktestCounts
        Of the frame and of what was tested.
    warnings : list of str
        One sentence each.
    """

    predictions: pd.DataFrame
    measures: pd.DataFrame
    versus: list[Comparison]
    lead: pd.DataFrame
    leaks: Leakage
    audit: pd.DataFrame
    bands: list[BandRow]
    calibration: pd.DataFrame
    counts: BacktestCounts
    warnings: list[str]

    def to_dict(self) -> Json:
        """Return a JSON-ready description, without the predictions."""
        return {
            "measures": json_records(self.measures),
            "versus": json_value(self.versus),
            "lead": json_records(self.lead),
            "leaks": self.leaks.to_dict(),
            "audit": json_records(self.audit),
            "bands": json_value(self.bands),
            "calibration": json_records(self.calibration),
            "counts": json_value(self.counts),
            "warnings": self.warnings,
        }


def backtest(
    frame: pd.DataFrame,
    signals: Sequence[Signal],
    learning: Learning,
    *,
    scale: ScaleSettings | None = None,
    n_origins: int = 4,
    contenders: Sequence[Contender] = DEFAULT,
    sensitive: pd.DataFrame | None = None,
    treated: Any = None,
    events: pd.DataFrame | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Backtest:
    """Test a health model and its contenders on later dates, origin after origin.

    The newer half of the testable dates is cut into successive blocks. For each, everything that is
    learnt (segments, rounds, calibration, coefficients, trees) comes from rows whose outcomes had
    matured by the block's first date; nothing that was tested is ever learnt from.

    Parameters
    ----------
    frame : DataFrame of n rows
        As for :func:`models.training.learning.learn`, one row per account and date.
    signals : sequence of Signal
        What a model may read.
    learning : Learning
        How.
    scale : ScaleSettings or None
        What fixes the score and its bands; what it leaves open is filled from the base rate of
        all rows that are due, as training does.
    n_origins : int
        Most blocks of tested dates; without dates five folds over accounts are tested.
    contenders : sequence of Contender
        Whom to compare with.
    sensitive : DataFrame of n rows or None
        On the index of ``frame``, one column per sensitive attribute to audit by.
    treated : array of bool, shape (n,), or None
        Whether an intervention fell between the observation and the end of its window.
    events : DataFrame or None
        ``account_id`` and ``happened_at``: when the outcome happened, for the lead time.
    progress : callable or None
        Told a stage in words, the steps done and all steps.

    Returns
    -------
    Backtest

    Raises
    ------
    EvidenceError
        When one outcome is absent, positives are too few or the history is too short.
    DataError
        When a column is absent or holds what it must not.
    SettingsError
        When ``n_origins`` is below one.
    """
    signals, seed, is_dated = tuple(signals), learning.seed, learning.is_dated
    check_labels(frame, signals)
    folds = _folds(frame, learning.maturity_days, n_origins, is_dated)
    total = len(folds) * (1 + len(contenders)) + 2
    done = itertools.count()

    def tell(stage: str) -> None:
        if progress is not None:
            progress(stage, next(done), total)

    trial = Trial(frame, signals, contenders, learning)
    tested, warnings = _run(trial, folds, tell)
    rows = np.concatenate([part.rows for part in tested])
    fixed = scale_of(scale, learning.decided(frame), learning.decisions)
    predictions = _predictions(frame, rows, tested, treated, learning.segments, fixed)
    band = predictions["band"].to_numpy(dtype=object)

    tell("measuring")
    names = [contender.name for contender in contenders]
    base_rate = np.concatenate([np.full(len(part.rows), part.base_rate) for part in tested])
    measures = measure_contenders(predictions, [OURS, *names], base_rate, seed=seed)
    versus = compare(predictions, OURS, names, seed=seed)
    audit = _audit(sensitive, rows, predictions, band == fixed.bands[0])

    tell("looking for leaks")
    leaks = leakage(
        frame,
        signals,
        maturity_days=learning.maturity_days,
        is_dated=is_dated,
        seed=seed,
        n_jobs=learning.n_jobs,
    )
    if progress is not None:
        progress("done", total, total)
    known_events = NO_EVENTS if events is None or not is_dated else events
    return Backtest(
        predictions=predictions,
        measures=measures,
        versus=versus,
        lead=lead_time(predictions, known_events),
        leaks=leaks,
        audit=audit,
        bands=band_table(predictions, fixed),
        calibration=calibration_table(
            predictions["happened"],
            predictions[column_of(OURS)],
            accounts=predictions["account_id"].to_numpy(dtype=object),
        ),
        counts=_counts(frame, predictions),
        warnings=[
            *tested[-1].merged,
            *warnings,
            *_doubts(frame, signals, int(predictions["happened"].sum()), is_dated),
        ],
    )


def _folds(
    frame: pd.DataFrame, maturity_days: int, n_origins: int, is_dated: bool
) -> list[tuple[Origin, Fold]]:
    if n_origins < 1:
        raise SettingsError(
            f"A backtest needs at least 1 origin, but {n_origins} was asked for; ask for 4, say."
        )
    if not is_dated:
        codes, _ = pd.factorize(frame["account_id"].to_numpy(dtype=object))
        folds = account_folds(codes, UNDATED_FOLDS)
        if not folds:
            raise EvidenceError(
                "Rows without dates are tested on other accounts, but all of them are of one "
                "account; add more accounts."
            )
        return [(f"fold {place}", fold) for place, fold in enumerate(folds, start=1)]
    dates = pd.to_datetime(frame["observation_date"])
    # What it finds is not needed; what it says when no date can be tested is.
    time_holdout(dates, maturity_days, n_dates=1)
    folds = rolling_origins(dates, maturity_days, n_folds=n_origins)
    return [(dates.iloc[fold.test].min(), fold) for fold in folds]


def _run(
    trial: Trial, folds: Sequence[tuple[Origin, Fold]], tell: Callable[[str], None]
) -> tuple[list[OriginResult], list[str]]:
    """Test every origin that can be; say why the others cannot."""
    tested: list[OriginResult] = []
    warnings: list[str] = []
    reasons: list[str] = []
    for origin, fold in folds:
        try:
            part = trial.run(origin, fold, tell)
        except EvidenceError as error:
            reasons.append(f"{origin_name(origin)} could not be tested: {error}".rstrip("."))
        else:
            tested.append(part)
            warnings += part.notes
    if not tested:
        raise EvidenceError(
            f"None of {len(folds)} origins could be tested, as too little had matured before "
            f"them ({reasons[-1]}); use a longer history or a longer outcome window."
        )
    return tested, [*(f"{reason}." for reason in reasons), *warnings]


def _predictions(
    frame: pd.DataFrame,
    rows: Codes,
    tested: Sequence[OriginResult],
    treated: Any,
    settings: SegmentSettings,
    scale: ScoreScale,
) -> pd.DataFrame:
    was_treated = np.zeros(len(frame), dtype=bool) if treated is None else np.asarray(treated, bool)
    # One division into segments for all origins, or their measures would be of different rows.
    segment = assign_segments(frame, settings).assign(frame).to_numpy(dtype=object)[rows]
    if len(set(segment)) > 1:
        segment[segment == EVERYBODY] = OTHERS
    log_odds = np.concatenate([part.log_odds for part in tested])
    health = log_odds - scale.shift(np.concatenate([part.kinds for part in tested]))
    found = frame.iloc[rows][["account_id", "observation_date"]].reset_index(drop=True)
    found = found.assign(
        origin=pd.Series([part.origin for part in tested])
        .repeat([len(part.rows) for part in tested])
        .to_numpy(),
        segment=segment,
        happened=frame["happened"].to_numpy(dtype=np.int8)[rows],
        treated=was_treated[rows],
        score=scale.score(health),
        band=scale.band(np.asarray(expit(health))),
    )
    share = np.concatenate([part.share for part in tested])
    found["probability_if_due"] = expit(log_odds)
    found["due"] = np.concatenate([part.due for part in tested])
    found[column_of(OURS)] = expit(log_odds) * share
    for name in tested[0].probability:
        found[column_of(name)] = np.concatenate([part.probability[name] for part in tested])
    return found


def _audit(
    sensitive: pd.DataFrame | None, rows: Codes, predictions: pd.DataFrame, called: Any
) -> pd.DataFrame:
    return fairness_audit(
        pd.DataFrame(index=rows) if sensitive is None else sensitive.iloc[rows],
        predictions["happened"],
        predictions[column_of(OURS)],
        called,
        predictions["account_id"],
    )


def _counts(frame: pd.DataFrame, predictions: pd.DataFrame) -> BacktestCounts:
    every, tested = frame["observation_date"], predictions["observation_date"]
    return {
        "rows": len(frame),
        "accounts": int(frame["account_id"].nunique()),
        "positives": int(frame["happened"].sum()),
        "tested_rows": len(predictions),
        "tested_accounts": int(predictions["account_id"].nunique()),
        "tested_positives": int(predictions["happened"].sum()),
        "tested_dates": int(tested.nunique()),
        "treated_rows": int(predictions["treated"].sum()),
        "origins": int(predictions["origin"].nunique()),
        "first_date": origin_name(pd.to_datetime(every).min()),
        "last_date": origin_name(pd.to_datetime(every).max()),
        "tested_from": origin_name(pd.to_datetime(tested).min()),
        "tested_until": origin_name(pd.to_datetime(tested).max()),
    }


def _doubts(
    frame: pd.DataFrame, signals: Sequence[Signal], tested_positives: int, is_dated: bool
) -> list[str]:
    found = []
    if not is_dated:
        found.append(
            "The rows carry no dates: models were tested on accounts they had not seen, not on "
            "later dates, and what was written down after the outcome may flatter them."
        )
    if tested_positives < FEW_POSITIVES:
        found.append(
            f"Only {tested_positives} of the tested rows are positive: the measures say little "
            "until more outcomes have matured."
        )
    still = [s.name for s in signals if frame[s.name].nunique(dropna=False) < 2]
    if still:
        found.append(
            f"{len(still)} signal(s) have the same value, or none, in every row and say nothing: "
            f"{sample(still)}."
        )
    return found
