"""Three plain peers on features of their own: what anybody would write in an afternoon.

Windows of 7 to 180 days of usage, a few states, nothing else; a pooled LightGBM, a logistic
regression per segment, and that regression corrected by a few trees, all with fixed settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import lightgbm as lgb
import numpy as np
import pandas as pd
from _companies import KEYS, Company, read_company
from _drawn import GROUPS
from _judging import judged
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.arrays import Floats

WINDOWS = (7, 28, 56, 90, 180)
BOOSTING = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "max_depth": 5,
    "min_data_in_leaf": 100,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.6,
    "verbosity": -1,
    "seed": 1,
}
SMALL = {"num_leaves": 8, "max_depth": 3, "learning_rate": 0.03}
UNPAID = "k.due_at < o.t and (k.paid_at is null or k.paid_at >= o.t)"
# Per table: the moment from which a row counts, and what is asked of its rows before a date.
ASKED = {
    "usage_events": (
        "occurred_at",
        {
            f"{name}_{days}": f"{what} filter (where k.occurred_at >= o.t - interval {days} day)"
            for days in WINDOWS
            for name, what in (("usage", "count(*)"), ("adoption", "count(distinct k.feature)"))
        }
        | {"usage_ago": "date_diff('day', max(k.occurred_at), o.t)"},
    ),
    "tickets": (
        "opened_at",
        {
            "support_28": "count(*) filter (where k.opened_at >= o.t - interval 28 day)",
            "support_90": "count(*) filter (where k.opened_at >= o.t - interval 90 day)",
            "support_open": "count(*) filter (where k.closed_at is null or k.closed_at >= o.t)",
            "support_urgent": "count(*) filter (where k.priority = 'urgent')",
        },
    ),
    "invoices": (
        "issued_at",
        {
            "payments_open": f"count(*) filter (where {UNPAID})",
            "payments_days": f"max(date_diff('day', k.due_at, o.t)) filter (where {UNPAID})",
            "payments_late": "avg(date_diff('day', k.due_at, k.paid_at))"
            " filter (where k.paid_at < o.t)",
        },
    ),
    "referrals": (
        "referred_at",
        {
            "referrals_all": "count(*)",
            "referrals_180": "count(*) filter (where k.referred_at >= o.t - interval 180 day)",
        },
    ),
    "surveys": (
        "responded_at",
        {
            "surveys_last": "arg_max(k.score, k.responded_at)",
            "surveys_ago": "date_diff('day', max(k.responded_at), o.t)",
        },
    ),
    "ratings": (
        "rated_at",
        {
            "relationship_last": "arg_max(k.rating, k.rated_at)",
            "relationship_mean": "avg(k.rating)",
        },
    ),
    "subscriptions": (
        "started_at",
        {
            "context_renewal": "min(date_diff('day', o.t, k.renewal_at))"
            " filter (where k.renewal_at >= o.t)",
            "context_annual": "max(case when k.billing_period = 'annual' then 1 else 0 end)",
        },
    ),
    "accounts": ("created_at", {"context_age": "max(date_diff('day', k.created_at, o.t))"}),
}


def plain_peers(folder: Path, threads: int) -> dict[str, Any]:
    """Train the three peers on the product's training rows; judge them on its hold-out."""
    of = read_company(folder)
    inputs = _inputs(folder, of.frame)
    fold = of.holdout()
    rows = of.frame.iloc[fold.test]
    risks, weights = {}, {}
    for name, (risk, parts) in _fitted(of, inputs, threads).items():
        risks[name] = risk
        weights[name] = _shares(parts, list(inputs), rows["plan"].to_numpy())
    constant = np.full(len(rows), rows["happened"].mean())
    return {
        "base": judged(rows, constant),
        "truth": judged(rows, rows["true_probability"].to_numpy()),
        "peers": {
            name: {"model": judged(rows, risk), "weights": weights[name]}
            for name, risk in risks.items()
        },
    }


def _inputs(folder: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Ask DuckDB for the features of every row, in the order of ``frame``."""
    con = duckdb.connect()
    keys = frame[KEYS].reset_index(names="place")
    con.register("keys", keys)
    con.execute(
        "create table o as select place, account_id, observation_date::timestamp t from keys"
    )
    inputs = pd.DataFrame(index=keys["place"])
    for table, (moment, asked) in ASKED.items():
        path = folder / "data" / f"{table}.parquet"
        if not path.exists():
            continue
        columns = ", ".join(f"{what} as {name}" for name, what in asked.items())
        answer = con.execute(
            f"select place, {columns} from o join read_parquet('{path}') k"
            f" on k.account_id = o.account_id and k.{moment} < o.t group by place, t"
        ).df()
        inputs = inputs.join(answer.set_index("place"))
    for days in WINDOWS:
        rate = inputs[f"usage_{days}"].fillna(0) / days * 28
        inputs[f"usage_change_{days}"] = (inputs["usage_28"].fillna(0) + 1) / (rate + 1)
    inputs["context_due"] = inputs["context_renewal"] <= 31
    return inputs.astype(float)


def _logs(inputs: pd.DataFrame) -> Floats:
    numbers = inputs.fillna(0).to_numpy()
    missing = inputs.isna().to_numpy(dtype=float)
    return np.hstack([np.sign(numbers) * np.log1p(np.abs(numbers)), missing])


def _fitted(of: Company, inputs: pd.DataFrame, threads: int) -> dict[str, tuple[Floats, Floats]]:
    """Return each peer's probabilities and contributions by input on the hold-out."""
    fold, settings = of.holdout(), BOOSTING | {"num_threads": threads}
    happened = of.frame["happened"].to_numpy(dtype=int)[fold.train]
    plans = of.frame["plan"].to_numpy()
    train, held = inputs.iloc[fold.train], inputs.iloc[fold.test]
    pooled = lgb.train(settings, lgb.Dataset(train, happened), 150)
    margin = np.full(len(train), logit(happened.mean()))
    later = np.full(len(held), logit(happened.mean()))
    parts = np.zeros(held.shape)
    for plan in np.unique(plans):
        known, tested = plans[fold.train] == plan, plans[fold.test] == plan
        if happened[known].sum() < 5 or not tested.any():
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2_000))
        model.fit(_logs(train[known]), happened[known])
        margin[known] = model.decision_function(_logs(train[known]))
        later[tested] = model.decision_function(_logs(held[tested]))
        by_column = model[0].transform(_logs(held[tested])) * model[1].coef_[0]
        parts[tested] = by_column[:, : held.shape[1]] + by_column[:, held.shape[1] :]
    data = lgb.Dataset(train, happened, init_score=margin)
    trees = lgb.train(settings | SMALL, data, 80)
    return {
        "LightGBM": (pooled.predict(held), _contributions(pooled, held)),
        "regression": (expit(later), parts),
        "regression and trees": (
            expit(later + trees.predict(held, raw_score=True)),
            parts + _contributions(trees, held),
        ),
    }


def _contributions(booster: lgb.Booster, held: pd.DataFrame) -> Floats:
    return np.asarray(booster.predict(held, pred_contrib=True))[:, :-1]


def _shares(parts: Floats, names: list[str], plans: np.ndarray) -> dict[str, dict[str, float]]:
    """Share each group in the mean absolute centred contribution of a segment, in points of 100."""
    shares = {}
    owner = np.array([name.split("_")[0] for name in names])
    for plan in np.unique(plans):
        own = parts[plans == plan]
        by_group = np.stack([own[:, owner == group].sum(axis=1) for group in GROUPS], axis=1)
        sizes = np.abs(by_group - by_group.mean(axis=0)).mean(axis=0)
        points = 100 * sizes / max(sizes.sum(), 1e-9)
        shares[f"plan={plan}"] = dict(zip(GROUPS, points.tolist(), strict=True))
    return shares
