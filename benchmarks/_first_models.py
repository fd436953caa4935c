"""Small histories of companies drawn at random: a first model beside what a team has without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _companies import Company, read_company
from _drawn_company import TRUTH
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedGroupKFold

from models.arrays import Floats
from models.churn.encoding import Encoded, SignalEncoder
from models.churn.segments import SegmentSettings, assign_segments
from models.measures.metrics import row_log_loss
from models.scorecard.grading import Grading, group_measures
from models.scorecard.prior.first_model import Scorecard as Believed
from models.scorecard.prior.first_training import fit_first_model
from models.scorecard.scorecard import Scorecard
from models.scoring.health_model import SEGMENT, model_input
from models.scoring.scorer import Scorer
from models.training.learning import Learning

# Accounts of a small company; more are taken only where so many do not lose enough.
ACCOUNTS = (60, 240)
# Strengths of the ridge, of which its own folds choose.
STRENGTHS = np.geomspace(1e-5, 1, 11)


def first_models(folder: Path, threads: int, churns: int, seed: int) -> dict[str, Any]:
    """Teach a small history of a company and judge by its truth on accounts that were left out."""
    of = read_company(folder)
    past, tested = _small(of, churns, np.random.default_rng([seed, churns]))
    true = tested[TRUTH].to_numpy(dtype=float)
    measures = group_measures(of.signals)
    result = fit_first_model(
        past,
        of.signals,
        Believed(measures, {"all": np.ones(len(measures))}, "equal weights"),
        Learning(of.maturity_days, seed=seed),
        window_days=of.maturity_days,
    )
    scored = Scorer(result.model).score(tested).table
    low, high = (scored[f"probability_{end}"].to_numpy() for end in ("low", "high"))
    prior = result.model.prior
    assert prior is not None
    risks = {
        "truth": true,
        "first": scored["probability"].to_numpy(),
        "scorecard": _scorecard(of, past, tested),
        "ridge": _ridge(of, past, tested, min(5, churns)),
        "base": np.full(len(true), past["happened"].mean()),
    }
    return {
        "rows": len(past),
        "accounts": int(past["account_id"].nunique()),
        "churns": int(past["happened"].sum()),
        "learnt": prior.learnt,
        "coverage": float(((low <= true) & (true <= high)).mean()),
        "width": float(np.mean(high - low)),
        # What the log loss is on average over the outcomes that the truth allows.
        "log_loss": {
            name: float(
                (
                    true * row_log_loss(np.ones_like(true), risk)
                    + (1 - true) * row_log_loss(np.zeros_like(true), risk)
                ).mean()
            )
            for name, risk in risks.items()
        },
    }


def _small(
    of: Company, churns: int, chance: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take some accounts and the newest months in which just so many of them churned."""
    fold = of.holdout()
    past, tested = of.frame.iloc[fold.train], of.frame.iloc[fold.test]
    accounts = chance.permutation(past["account_id"].unique())
    count = int(chance.integers(*ACCOUNTS))
    while True:
        taken = set(accounts[:count])
        own = past[past["account_id"].isin(taken)]
        lost = own.groupby("observation_date")["happened"].sum()[::-1].cumsum()
        if lost.iloc[-1] >= churns or count >= len(accounts):
            break
        count = int(1.3 * count) + 1
    enough = lost.index[min(int(np.searchsorted(lost.to_numpy(), churns)), len(lost) - 1)]
    own = own[own["observation_date"] >= enough]
    gone = chance.permutation(own.loc[own["happened"] == 1, "account_id"].unique())[churns:]
    own = own[~own["account_id"].isin(set(gone))].reset_index(drop=True)
    return own, tested[~tested["account_id"].isin(taken)].reset_index(drop=True)


def _scorecard(of: Company, past: pd.DataFrame, tested: pd.DataFrame) -> Floats:
    """Grade by hand with equal weights; logistic regression turns the score into a probability."""
    measures = group_measures(of.signals)
    everybody = np.repeat("all", len(past))
    weights = {"all": {measure.name: 100 / len(measures) for measure in measures}}
    card = Scorecard(Grading.fit(measures, past, everybody), weights)
    score = card.score(past, everybody)[:, None] / 10
    fitted = LogisticRegression(C=1e4, max_iter=1_000).fit(score, past["happened"])
    unseen = card.score(tested, np.repeat("all", len(tested)))[:, None] / 10
    return np.asarray(fitted.predict_proba(unseen)[:, 1])


def _ridge(of: Company, past: pd.DataFrame, tested: pd.DataFrame, folds: int) -> Floats:
    """Logistic regression on logarithms of all signals, its penalty chosen on other accounts."""
    everybody = assign_segments(past, SegmentSettings())
    inputs = [model_input(rows, of.signals, everybody) for rows in (past, tested)]
    encoder = SignalEncoder.fit(inputs[0], SEGMENT)
    known, unseen = (encoder.transform(rows) for rows in inputs)
    middle = np.nan_to_num(np.nanmedian(known.values, axis=0))
    columns, wanted = (_columns(data, encoder, middle) for data in (known, unseen))
    spread = columns.std(axis=0)
    mean, kept = columns.mean(axis=0), spread > 1e-9
    scale = np.where(kept, spread, 1.0)
    columns, wanted = (((part - mean) / scale)[:, kept] for part in (columns, wanted))
    happened = past["happened"]
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    ridge = LogisticRegressionCV(
        Cs=STRENGTHS,
        cv=list(splits.split(columns, happened, past["account_id"])),
        scoring="neg_log_loss",
        max_iter=500,
    )
    return np.asarray(ridge.fit(columns, happened).predict_proba(wanted)[:, 1])


def _columns(data: Encoded, encoder: SignalEncoder, middle: Floats) -> Floats:
    numbers = [i for i in range(len(encoder.names)) if i not in encoder.categorical]
    values = data.values[:, numbers]
    filled = np.where(np.isnan(values), middle[numbers], values)
    parts = [np.sign(filled) * np.log1p(np.abs(filled)), np.isnan(values)]
    parts += [
        data.values[:, [i]] == level
        for i in encoder.categorical
        for level in range(len(encoder.levels[encoder.names[i]]))
    ]
    return np.hstack(parts).astype(float)
