"""Cox of lifelines and SurvivalBoost of hazardous, in an interpreter that has them.

    PYTHON _survival_peers.py FOLDER

``FOLDER`` holds ``known.parquet`` and ``new.parquet``: numeric columns, in the first ``duration``
and ``event`` too. Each peer that is installed writes ``NAME.parquet`` there, the risk of every new
row within each horizon. Both want pandas below 3, so they cannot share the project's environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

HORIZONS = (30, 60, 90, 180, 365)
PENALTY = 0.01


def cox(known: pd.DataFrame, new: pd.DataFrame) -> np.ndarray:
    """Tell the risk by Cox with a ridge on signed logarithms, unknown numbers at the mean."""
    from lifelines import CoxPHFitter

    names = [name for name in new if known[name].std() > 0]
    logs = np.sign(known[names]) * np.log1p(known[names].abs())
    fresh = np.sign(new[names]) * np.log1p(new[names].abs())
    centre, spread = logs.mean(), logs.std().replace(0, 1)
    design, wanted = (((part - centre) / spread).fillna(0) for part in (logs, fresh))
    outcome = known[["duration", "event"]]
    fitted = CoxPHFitter(penalizer=PENALTY).fit(design.join(outcome), "duration", "event")
    there = fitted.predict_survival_function(wanted.clip(-5, 5), times=HORIZONS)
    return 1 - there.to_numpy().T


def survival_boost(known: pd.DataFrame, new: pd.DataFrame) -> np.ndarray:
    """Tell the risk by SurvivalBoost, with the settings it comes with."""
    from hazardous import SurvivalBoost

    # Its bins want two values of every column.
    names = [name for name in new if known[name].nunique() > 1]
    outcome = known[["duration", "event"]].astype({"event": int})
    model = SurvivalBoost(show_progressbar=False, random_state=0)
    model.fit(known[names].astype(float), outcome)
    wanted = new[names].astype(float)
    told = model.predict_cumulative_incidence(wanted, times=np.array(HORIZONS, float))
    return np.asarray(told[:, 1, :])


def main() -> None:
    """Let both speak."""
    folder = Path(sys.argv[1])
    known, new = (pd.read_parquet(folder / f"{name}.parquet") for name in ("known", "new"))
    for name, peer in (("lifelines_cox", cox), ("survival_boost", survival_boost)):
        try:
            risks = peer(known, new)
        except ImportError as missing:
            print(f"{name} is left out: {missing}", file=sys.stderr)
            continue
        columns = [str(days) for days in HORIZONS]
        pd.DataFrame(risks, columns=columns).to_parquet(folder / f"{name}.parquet")


if __name__ == "__main__":
    main()
