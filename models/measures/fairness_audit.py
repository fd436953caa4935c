"""Whether errors fall evenly on accounts that differ in a sensitive attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from scipy.stats import norm

from models.arrays import Floats
from models.measures.resampling import CONFIDENCE, clustered_rate_interval

QUANTILES = 5
# A level with fewer says nothing about itself.
MIN_ROWS, MIN_POSITIVES = 50, 5
# An attribute of hundreds of levels is not one to audit by; what is left out is counted.
MOST_LEVELS = 20
RATES = ("false_negative_rate", "false_positive_rate", "observed_rate")
COLUMNS = (
    "attribute",
    "level",
    "rows",
    "positives",
    *(f"{name}{bound}" for name in RATES[:2] for bound in ("", "_low", "_high")),
    "expected_rate",
    *(f"{RATES[2]}{bound}" for bound in ("", "_low", "_high")),
    "too_small",
    "flagged",
    "why",
)


def fairness_audit(
    attributes: pd.DataFrame,
    happened: Any,
    probability: Any,
    at_risk: Any,
    accounts: Any,
) -> pd.DataFrame:
    """Compare error rates and calibration of each level of each attribute with everybody else.

    Three things are tested per level: the false negative rate, the false positive rate (an account
    is foretold where it is at-risk) and observed less expected positives. They cannot all be equal
    where levels differ in how often the outcome happens (Chouldechova 2017, "Fair prediction with
    disparate impact"), so a flag is a question to answer, not a verdict. Each is a score test with
    variances summed over accounts; over all of them the chance of any false flag is held at 10 %
    (Holm 1979, "A simple sequentially rejective multiple test procedure").

    Parameters
    ----------
    attributes : DataFrame of n rows
        One column per sensitive attribute; numbers are cut into at most five quantile bins.
    happened, probability : array of shape (n,)
        Outcomes and calibrated probabilities of the tested rows.
    at_risk : array of bool, shape (n,)
        Whether the row's band is at-risk.
    accounts : array of shape (n,)
        Account of each row.

    Returns
    -------
    DataFrame
        One row per attribute and level, largest level first: ``attribute``, ``level``, ``rows``,
        ``positives``, ``false_negative_rate``, ``false_positive_rate``, ``expected_rate`` and
        ``observed_rate``; all but the expected rate with their 90 % interval over accounts
        (``_low``, ``_high``); ``too_small`` where a level has under 50 rows or 5 positives and is
        not tested, ``flagged``, and ``why`` in words ("" where neither).
    """
    tested = _Tested(
        np.asarray(happened, dtype=float),
        np.asarray(probability, dtype=float),
        np.asarray(at_risk, dtype=bool),
        pd.factorize(np.asarray(accounts, dtype=object))[0],
    )
    rows: list[dict[str, float | str]] = []
    tests: list[tuple[int, str, float, float, float]] = []
    for attribute in attributes.columns:
        level = levels(attributes[attribute])
        sizes = level.value_counts()
        for name in sorted(sizes.index, key=lambda name: (-sizes[name], name)):
            inside = (level == name).to_numpy()
            rates = tested.rates(inside)
            small = rates["rows"] < MIN_ROWS or rates["positives"] < MIN_POSITIVES
            if not small and not inside.all():
                tests += [(len(rows), *test) for test in tested.differences(inside)]
            named = {"attribute": str(attribute), "level": str(name)}
            rows.append({**named, **rates, "too_small": small})
    flags = _holm(tests)
    for place, row in enumerate(rows):
        row["flagged"] = place in flags
        row["why"] = _why(row, flags.get(place, []))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def levels(column: pd.Series) -> pd.Series:
    """Name the level of each row; numbers are cut into quantile bins, nothing is "unknown".

    Examples
    --------
    >>> levels(pd.Series([*range(18, 28), None])).unique().tolist()
    ['18 to 19', '20 to 21', '22 to 23', '24 to 25', '26 to 27', 'unknown']
    >>> levels(pd.Series(["f", "m", None])).tolist()
    ['f', 'm', 'unknown']
    """
    if is_numeric_dtype(column.dtype) and not is_bool_dtype(column.dtype):
        return _number_levels(column.astype(float))
    named = column.astype(object).where(column.notna(), "unknown").map(str)
    counts = named.value_counts()
    # Sorted within equal counts: the order of the rows must not decide who is listed.
    kept = sorted(counts.index, key=lambda name: (-counts[name], name))[:MOST_LEVELS]
    if len(kept) == len(counts):
        return named
    return named.where(named.isin(kept), f"{len(counts) - len(kept)} other levels")


def _number_levels(numbers: pd.Series[float]) -> pd.Series:
    raw = numbers.to_numpy(dtype=float)
    named, known = np.full(len(raw), "unknown", dtype=object), np.isfinite(raw)
    values = np.unique(raw[known])
    if len(values) > QUANTILES:
        shares = np.arange(1, QUANTILES + 1) / QUANTILES
        values = np.unique(np.quantile(raw[known], shares, method="lower"))
    code = np.searchsorted(values, raw)
    for place in range(len(values)):
        inside = known & (code == place)
        low, high = f"{raw[inside].min():g}", f"{raw[inside].max():g}"
        named[inside] = low if low == high else f"{low} to {high}"
    return pd.Series(named, index=numbers.index)


@dataclass(frozen=True)
class _Tested:
    """Tested rows, and what the audit asks of any part of them."""

    happened: Floats
    risk: Floats
    at_risk: NDArray[np.bool_]
    cluster: NDArray[np.intp]

    def rates(self, inside: NDArray[np.bool_]) -> dict[str, float]:
        """Error rates and calibration of some rows."""
        happened, at_risk = self.happened > 0, self.at_risk
        found: dict[str, float] = {
            "rows": int(inside.sum()),
            "positives": int((inside & happened).sum()),
            "expected_rate": float(self.risk[inside].mean()),
        }
        asked = (
            (RATES[0], inside & happened, ~at_risk),
            (RATES[1], inside & ~happened, at_risk),
            (RATES[2], inside, happened),
        )
        for name, among, counted in asked:
            found |= dict.fromkeys((name, f"{name}_low", f"{name}_high"), float("nan"))
            if among.any():
                outcome = counted[among].astype(float)
                low, high = clustered_rate_interval(outcome, self.cluster[among])
                found |= {name: float(outcome.mean()), f"{name}_low": low, f"{name}_high": high}
        return found

    def differences(self, inside: NDArray[np.bool_]) -> list[tuple[str, float, float, float]]:
        """Measure, p-value, value here and value elsewhere of each test."""
        happened = self.happened > 0
        everybody = np.ones(len(happened), dtype=bool)
        asked = (
            ("false negative rate", happened, (~self.at_risk).astype(float)),
            ("false positive rate", ~happened, self.at_risk.astype(float)),
            ("observed less expected rate", everybody, self.happened - self.risk),
        )
        return [
            (name, *self._compare(value, among & inside, among & ~inside))
            for name, among, value in asked
            if (among & inside).any() and (among & ~inside).any()
        ]

    def _compare(
        self, value: Floats, here: NDArray[np.bool_], there: NDArray[np.bool_]
    ) -> tuple[float, float, float]:
        """Test whether two means differ: p-value and both means.

        The variance is that under equality, the pooled mean on both sides, so that a rate of
        nothing among few rows is not taken for certain.
        """
        means = float(value[here].mean()), float(value[there].mean())
        both = here | there
        share = np.where(here, 1 / here.sum(), -1 / there.sum())[both]
        influence = np.bincount(self.cluster[both], share * (value[both] - value[both].mean()))
        error = float(np.sqrt((influence**2).sum()))
        if error == 0:
            return (1.0, *means)
        return (float(2 * norm.sf(abs(means[0] - means[1]) / error)), *means)


def _holm(tests: list[tuple[int, str, float, float, float]]) -> dict[int, list[str]]:
    """Keep the tests that stay significant when all of them are counted, by row."""
    flags: dict[int, list[str]] = {}
    ordered = sorted(tests, key=lambda test: test[2])
    for rank, (row, name, p_value, here, elsewhere) in enumerate(ordered):
        if p_value > (1 - CONFIDENCE) / (len(ordered) - rank):
            break
        flags.setdefault(row, []).append(f"{name} {here:.1%} against {elsewhere:.1%} elsewhere")
    return flags


def _why(row: Mapping[str, float | str], flags: list[str]) -> str:
    if row["too_small"]:
        return f"Too small to test: under {MIN_ROWS} rows or {MIN_POSITIVES} positives."
    return "; ".join(flags)
