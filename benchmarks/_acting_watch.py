"""A champion of quiet months, watched while a team saves accounts: is success called drift?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from _acting import Acted, teach

from models.drift.decision import decide
from models.drift.performance import matured_performance
from models.drift.policy import DriftPolicy
from models.drift.statistics import DriftStatistics

# Nothing but outcomes is looked at: neither signals nor the champion's age.
POLICY = DriftPolicy(maximum_age_days=36_500)


def watched(company: Acted, begins: pd.Timestamp) -> dict[str, Any]:
    """Decide each month from the outcomes since the team began, with and without regard to acts.

    The champion is taught with what had matured before anybody acted. ``before`` holds it against
    all accounts, as a monitor must that knows nothing of acts; ``now`` against those left alone.
    """
    frame, days = company.frame, timedelta(days=company.labelled.maturity_days)
    dates = frame["observation_date"]
    champion = teach(company, frame[(dates + days <= begins).to_numpy()])
    later = frame[(dates >= begins).to_numpy()].reset_index(drop=True)
    rows = later[["account_id", "observation_date", "happened"]].assign(
        segment=champion.segment(later), probability=champion.probability(later)
    )
    alone = later["treated"].ne(True).to_numpy()
    told: dict[str, list[str]] = {"before": [], "now": []}
    for day in sorted(rows["observation_date"].unique())[1:]:
        known = (rows["observation_date"] + days <= day).to_numpy()
        for name, judged in (("before", known), ("now", known & alone)):
            told[name].append(status(rows[judged], day, begins))
    acted = ~alone
    return {
        "checks": len(told["now"]),
        "retrain_before": told["before"].count("retrain"),
        "retrain_now": told["now"].count("retrain"),
        "acted_on": int(acted.sum()),
        "churned_acted_on": int(rows["happened"][acted].sum()),
        "foretold_acted_on": float(rows["probability"][acted].sum()),
        "true_untreated_acted_on": float(np.nansum(later["untreated"][acted])),
    }


def status(rows: pd.DataFrame, day: Any, begins: pd.Timestamp) -> str:
    """Decide from matured outcomes alone."""
    nothing = DriftStatistics(pd.Timestamp(day).date(), len(rows), (), (), None)
    trained_on = begins.date() - timedelta(days=POLICY.cool_down_days)
    matured = matured_performance(rows) if len(rows) else ()
    return decide(nothing, (), POLICY, trained_on=trained_on, matured=matured).status
