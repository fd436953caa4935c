"""The scorecard a customer-success leader writes by hand, with vendors' usual weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
from _peers import Fitted, Rows
from sklearn.linear_model import LogisticRegression

from models.arrays import Floats

# Points of 100 and the healthy direction, 1 for higher. Depth and trend of use first, then
# breadth, support, the manager's judgement, surveys and payment: the shape of the templates
# customer-success platforms ship.
SCORECARD = {
    "usage_28d": (10, 1),
    "usage_change": (10, 1),
    "seat_utilisation": (10, 1),
    "days_since_use": (5, -1),
    "features_used_28d": (15, 1),
    "escalated_180d": (10, -1),
    "tickets_open": (5, -1),
    "nps_last": (10, 1),
    "rating_overall": (10, 1),
    "overdue_invoices": (7, -1),
    "trainings_365d": (4, 1),
    "referrals_365d": (4, 1),
}


def scorecard(rows: Rows) -> Fitted:
    """Weigh percentiles within the plan; logistic regression turns the score into a probability.

    Only that last step sees outcomes, those of the training rows; each plan keeps its own churn
    rate in it. What is unknown counts as the middle.
    """
    plans = sorted(rows.frame["plan"].dropna().unique())
    known = {plan: rows.frame[rows.frame["plan"] == plan] for plan in plans}

    def score(frame: pd.DataFrame) -> Floats:
        total = np.full(len(frame), 50.0)
        for plan, reference in known.items():
            inside = (frame["plan"] == plan).to_numpy()
            for name, (points, direction) in SCORECARD.items():
                share = _percentile(frame[name].to_numpy()[inside], reference[name].to_numpy())
                total[inside] += points * direction * (share - 0.5)
        return total

    def inputs(frame: pd.DataFrame) -> Floats:
        return np.column_stack([score(frame) / 10, *(frame["plan"] == plan for plan in plans)])

    fitted = LogisticRegression(C=1e4, max_iter=1_000).fit(
        inputs(rows.frame), rows.frame["happened"]
    )
    about = {"signals": len(SCORECARD), "log_odds_per_point": float(fitted.coef_[0, 0] / 10)}
    return Fitted(lambda frame: fitted.predict_proba(inputs(frame))[:, 1], about)


def _percentile(values: Floats, reference: Floats) -> Floats:
    """Share of the reference below each value, ties counted half."""
    ordered = np.sort(reference[~np.isnan(reference)])
    if not len(ordered):
        return np.full(len(values), 0.5)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.where(np.isnan(values), 0.5, below / (2 * len(ordered)))
