"""Rates of a quarter: how often accounts like these were lost, paid less or paid more in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from models.arrays import Floats
from models.scoring.timing.retention.quarters import KINDS

# Prior standard deviations of what each trait adds to the log-odds: what a contract allows decides
# nearly everything, a segment or the size of an account rarely more than doubles the odds.
KIND_SPREAD, YOUNG_SPREAD, SEGMENT_SPREAD, SIZE_SPREAD = 3.0, 1.0, 0.5, 0.3
YOUNG_DAYS = 91
"""Tenure below which an account is new: it is the first quarter that a forecast sees of it."""


@dataclass(frozen=True)
class QuarterRates:
    """Log-odds of an outcome within a quarter, by contract, tenure, segment and size.

    Parameters
    ----------
    base : float
        Log-odds of all.
    kinds : tuple of float
        What each of :data:`KINDS` adds.
    young : float
        What the first quarter of an account adds.
    segments : mapping of str to float
        What a segment adds; 0 for one never seen.
    size, centre, spread : float
        What a standard deviation of the log of the ARR adds, its mean and that deviation.
    """

    base: float
    kinds: tuple[float, ...]
    young: float = 0.0
    segments: Mapping[str, float] = field(default_factory=dict)
    size: float = 0.0
    centre: float = 0.0
    spread: float = 1.0

    def log_odds(self, rows: pd.DataFrame) -> Floats:
        """Log-odds of rows with ``kind``, ``young``, ``segment`` and ``arr``: (n,)."""
        segment = rows["segment"].map(self.segments).fillna(0.0).to_numpy(dtype=float)
        size = _standard(rows["arr"], self.centre, self.spread)
        kind = np.array(self.kinds)[rows["kind"].to_numpy()]
        young = self.young * rows["young"].to_numpy(dtype=float)
        return np.asarray(self.base + kind + young + segment + self.size * size)


def learn_rates(rows: pd.DataFrame, happened: Floats) -> QuarterRates:
    """Learn how often something happened in past quarters, shrunk where little was seen.

    A logistic regression whose coefficients have normal priors: what a trait adds is pulled to
    nothing the more, the fewer accounts had it.

    Parameters
    ----------
    rows : DataFrame of n rows
        ``kind``, ``young``, ``segment``, ``arr`` (NaN where it is not known) at the beginning of a
        quarter.
    happened : ndarray of 0 and 1, shape (n,)
        What came in it.
    """
    hits, nothing = float(happened.sum()), (0.0,) * len(KINDS)
    if not 0 < hits < len(happened):
        return QuarterRates(float(logit((hits + 0.5) / (len(happened) + 1))), nothing)
    size = _log(rows["arr"])
    known = size[np.isfinite(size)]
    centre, spread = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
    names = sorted(rows["segment"].unique())
    kind = rows["kind"].to_numpy()
    design = [KIND_SPREAD * (kind == place) for place in range(len(KINDS))]
    design.append(YOUNG_SPREAD * rows["young"].to_numpy(dtype=float))
    design.append(SIZE_SPREAD * _standard(rows["arr"], centre, spread))
    design += [SEGMENT_SPREAD * (rows["segment"] == name).to_numpy() for name in names]
    model = LogisticRegression(max_iter=1000).fit(np.column_stack(design) * 1.0, happened)
    coefficient = model.coef_[0].tolist()
    first = len(KINDS)
    return QuarterRates(
        base=float(model.intercept_[0]),
        kinds=tuple(KIND_SPREAD * one for one in coefficient[:first]),
        young=YOUNG_SPREAD * coefficient[first],
        size=SIZE_SPREAD * coefficient[first + 1],
        segments={
            name: SEGMENT_SPREAD * one
            for name, one in zip(names, coefficient[first + 2 :], strict=True)
        },
        centre=float(centre),
        spread=float(spread),
    )


def _standard(arr: pd.Series[float], centre: float, spread: float) -> Floats:
    """Standardise the log of an ARR: (n,), 0 where it is not known or nothing is paid."""
    size = _log(arr)
    if spread < 1e-9:
        return np.zeros(len(size))
    return np.asarray(np.clip(np.nan_to_num((size - centre) / spread), -3, 3))


def _log(arr: pd.Series[float]) -> Floats:
    return np.asarray(np.log(arr.where(arr > 0).to_numpy(dtype=float)))
