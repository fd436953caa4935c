"""What a random split would have claimed, and signals that know the outcome too well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd

from features.catalog import EVERYBODY, Signal
from features.errors import sample
from features.json_values import JsonReady
from models.arrays import Codes, Floats
from models.backtest.single_signal import Suspect, leak_suspects
from models.churn.encoding import SignalEncoder
from models.churn.segments import SegmentAssignment, SegmentSettings
from models.measures.metrics import Ranking
from models.measures.resampling import TAILS, AccountBootstrap
from models.scoring.health_model import SEGMENT, model_input
from models.training.splits import Fold, account_holdout, time_holdout

UNSPLIT = SegmentAssignment(SegmentSettings(), (EVERYBODY,))
N_FOLDS = 3
FOLDS = range(N_FOLDS)
# Enough to rank by; what is compared is the split, so more rows would only take longer.
MOST_ROWS = 50_000
# With fewer, one of a hundred signals ranks them well by luck.
LEAST_POSITIVES = 10
PLAIN = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
PLAIN_ROUNDS = 80

Interval = dict[str, float | None]


@dataclass(frozen=True)
class Leakage(JsonReady):
    """The same rows ranked by a plain LightGBM that learnt from different splits.

    Attributes
    ----------
    time_split : dict
        ``auc``, ``low``, ``high`` (90 % over accounts) when only matured earlier rows are learnt
        from; every value None without dates.
    random_split, account_split : dict
        The same when other rows, or rows of other accounts, of any date are learnt from: as many
        rows as the time split had.
    random_gap, account_gap : dict
        ``auc``, ``low``, ``high`` of that split's AUC minus the time split's, on the same rows.
    suspects : list of dict
        ``signal``, ``auc`` of the signal alone (time split; account split without dates), ``low``,
        ``high`` and ``why``, a sentence that ends in what to check.
    verdict : str
        One sentence.
    """

    time_split: Interval
    random_split: Interval
    account_split: Interval
    random_gap: Interval
    account_gap: Interval
    suspects: list[Suspect]
    verdict: str


def leakage(
    frame: pd.DataFrame,
    signals: Sequence[Signal],
    *,
    maturity_days: int,
    is_dated: bool = True,
    seed: int = 0,
    n_jobs: int = 1,
) -> Leakage:
    """Compare splits on the newest quarter of the dates, and look for signals that know too much.

    A model tested on rows drawn at random has seen the same accounts, and the same weeks, among
    the rows it learnt from; the higher AUC it shows for that is not to be had on a later date
    (Kaufman et al. 2012, "Leakage in data mining: formulation, detection, and avoidance").

    Parameters
    ----------
    frame : DataFrame of n rows
        As for :func:`models.training.learning.learn`.
    signals : sequence of Signal
        What a model may read.
    maturity_days : int
        Days from an observation date to the end of its outcome window.
    is_dated : bool
        False where rows carry no dates: a quarter of the accounts is tested instead.
    seed, n_jobs : int
        Of the splits and of LightGBM.

    Returns
    -------
    Leakage

    Raises
    ------
    EvidenceError
        When no two dates are far enough apart.
    """
    inputs = model_input(frame, tuple(signals), UNSPLIT).drop(columns=SEGMENT)
    encoder = SignalEncoder.fit(inputs, None)
    values = encoder.transform(inputs).values
    outcome = frame["happened"].to_numpy(dtype=float)
    accounts, _ = pd.factorize(frame["account_id"].to_numpy(dtype=object))
    if is_dated:
        split = time_holdout(frame["observation_date"], maturity_days)
    else:
        split = account_holdout(accounts, seed)
    rows, known = np.sort(split.test), outcome[split.train]
    positives = int(outcome[rows].sum())
    if min(positives, len(rows) - positives) < LEAST_POSITIVES or np.ptp(known) == 0:
        return _unchecked(positives, len(rows), known)

    draw = np.random.default_rng(seed)
    each_row = draw.permutation(len(outcome)) % N_FOLDS
    each_account = draw.permutation(accounts.max() + 1)[accounts] % N_FOLDS
    # As many rows to learn from in every split, or the more would be taken for the better.
    others = [int((part != number).sum()) for part in (each_row, each_account) for number in FOLDS]
    size = min(len(split.train), MOST_ROWS, *others)
    folds = {"time": [Fold(draw.permutation(split.train)[:size], rows)]} if is_dated else {}
    folds["random"] = _crossed(each_row, rows, size, draw)
    folds["account"] = _crossed(each_account, rows, size, draw)
    bootstrap = AccountBootstrap(accounts[rows], seed=seed)
    rankings = {
        name: Ranking(
            outcome[rows],
            _plain_lightgbm(values, outcome, split_into, encoder, seed, n_jobs)[rows],
            bootstrap.cluster,
        )
        for name, split_into in folds.items()
    }
    # The point first, then the resamples: the same accounts for every split.
    aucs = {
        name: np.r_[ranking.auc(np.ones(bootstrap.count)), ranking.resampled_auc(bootstrap)]
        for name, ranking in rankings.items()
    }
    suspects = leak_suspects(
        encoder.names,
        values,
        outcome,
        accounts=accounts,
        folds=folds["time" if is_dated else "account"],
        seed=seed,
    )
    time = aucs.get("time")
    gaps = {name: None if time is None else aucs[name] - time for name in ("random", "account")}
    return Leakage(
        time_split=_interval(time),
        random_split=_interval(aucs["random"]),
        account_split=_interval(aucs["account"]),
        random_gap=_interval(gaps["random"]),
        account_gap=_interval(gaps["account"]),
        suspects=suspects,
        verdict=_verdict(_interval(gaps["random"]), suspects),
    )


def _crossed(part: Codes, rows: Codes, size: int, draw: np.random.Generator) -> list[Fold]:
    """Test each part of some rows on a draw of ``size`` rows of the other parts, of any date."""
    return [
        Fold(
            draw.permutation(np.flatnonzero(part != number))[:size],
            rows[part[rows] == number],
        )
        for number in FOLDS
    ]


def _plain_lightgbm(
    values: Floats,
    outcome: Floats,
    folds: Sequence[Fold],
    encoder: SignalEncoder,
    seed: int,
    n_jobs: int,
) -> Floats:
    """Risk of each tested row; NaN elsewhere."""
    risk = np.full(len(outcome), np.nan)
    for fold in folds:
        booster = lgb.train(
            PLAIN | {"seed": seed, "num_threads": n_jobs},
            lgb.Dataset(
                values[fold.train],
                outcome[fold.train],
                categorical_feature=encoder.categorical,
                params={"verbosity": -1},
            ),
            num_boost_round=PLAIN_ROUNDS,
        )
        if len(fold.test):
            risk[fold.test] = booster.predict(values[fold.test])
    return risk


def _interval(aucs: Floats | None) -> Interval:
    if aucs is None:
        return dict.fromkeys(("auc", "low", "high"))
    low, high = np.nanquantile(aucs[1:], TAILS)
    return {"auc": float(aucs[0]), "low": float(low), "high": float(high)}


def _unchecked(positives: int, rows: int, known: Floats) -> Leakage:
    reason = (
        f"{positives} of the {rows} newest rows are positive and a comparison of splits needs "
        f"at least {LEAST_POSITIVES} of either outcome"
        if np.ptp(known)
        else "the rows before the newest dates do not hold both outcomes"
    )
    return Leakage(
        time_split=_interval(None),
        random_split=_interval(None),
        account_split=_interval(None),
        random_gap=_interval(None),
        account_gap=_interval(None),
        suspects=[],
        verdict=f"Leakage could not be checked: {reason}.",
    )


def _verdict(gap: Interval, suspects: Sequence[Suspect]) -> str:
    named = f"{len(suspects)} signal(s) know more than they should: " + sample(
        [suspect.signal for suspect in suspects]
    )
    split = "without dates a random split is compared with no later one"
    if gap["auc"] is not None and gap["low"] is not None:
        split = (
            f"a random split would have claimed an AUC {gap['auc']:.3f} higher"
            if gap["low"] > 0
            else f"a random split changes the AUC by {gap['auc']:+.3f}, within the interval"
        )
    return f"{named if suspects else 'No signal knows more than it should'}; {split}."
