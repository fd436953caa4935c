"""Sums over the accounts of a run: by band, by segment and by ARR, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.portfolio.worklist.ranking import ranked_by

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from models.measures.metrics import BandRow

MONTHS = 12
SUMMED = ("account_id", "segment", "score", "band", "probability", "mrr")
PARTS = ["segment", "arr_from", "band"]
SUMS = ["accounts", "known", "arr", "probability", "stake"]
Watch = Callable[["pd.DataFrame"], None]
"""Called with each batch: the columns of :data:`SUMMED`, and ``arr``, 0 where it is not known."""


@dataclass(frozen=True)
class BandSummary:
    """One band: how many accounts, how much money, and what became of such accounts.

    Parameters
    ----------
    band : str
        Its name.
    accounts : int
        Accounts in it.
    arr : float or None
        Their ARR, in the currency of the tables; None where MRR is not mapped.
    expected_rate : float
        Mean calibrated probability.
    observed : BandRow or None
        What became of the band on the hold-out: ``observed_rate``, ``low``, ``high``, ``rows``.
        None in a part of the portfolio.
    """

    band: str
    accounts: int
    arr: float | None
    expected_rate: float
    observed: BandRow | None


@dataclass(frozen=True)
class PartSummary:
    """A part of the portfolio: a segment, or the accounts of some size.

    Parameters
    ----------
    name : str or float or None
        The segment; or the power of ten from which ARR is in the part, 0 below one, and None for
        the accounts whose ARR is not known.
    bands : list of BandSummary
        From the highest probability to the lowest; empty bands too.
    expected_accounts : float
        Sum of the probabilities.
    expected_arr : float or None
        Sum of probability times ARR; None where MRR is not mapped.
    """

    name: str | float | None
    bands: list[BandSummary]
    expected_accounts: float
    expected_arr: float | None

    @property
    def accounts(self) -> int:
        """Accounts in it."""
        return sum(band.accounts for band in self.bands)

    @property
    def arr(self) -> float | None:
        """Their ARR; None where MRR is not mapped."""
        known = [band.arr for band in self.bands if band.arr is not None]
        return sum(known) if known else None


def by_stake(part: PartSummary) -> tuple[float, str]:
    """Order parts by what is at stake in them, the most first."""
    stake = part.expected_accounts if part.expected_arr is None else part.expected_arr
    return -stake, str(part.name)


def part_of(name: Any, sums: pd.DataFrame, bands: Sequence[str], has_money: bool) -> PartSummary:
    """Sum up rows of what :func:`add_up` returned.

    Parameters
    ----------
    name : str, float or None
        What the part is called.
    sums : DataFrame
        Its rows.
    bands : sequence of str
        Every band, from the highest probability to the lowest.
    has_money : bool
        Whether any MRR is known.
    """
    by_band = sums.groupby("band")[SUMS].sum().reindex(list(bands), fill_value=0)
    return PartSummary(
        # That of accounts whose ARR is not known.
        None if isinstance(name, float) and math.isnan(name) else name,
        [
            BandSummary(
                str(band),
                int(row["accounts"]),
                float(row["arr"]) if has_money else None,
                float(row["probability"] / row["accounts"]) if row["accounts"] else 0.0,
                None,
            )
            for band, row in by_band.iterrows()
        ],
        float(sums["probability"].sum()),
        float(sums["stake"].sum()) if has_money else None,
    )


def add_up(
    batches: pa.RecordBatchReader,
    calls: int,
    watch: Sequence[Watch],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add up a run in one pass, in memory that does not grow with it.

    Parameters
    ----------
    batches : RecordBatchReader
        The columns of :data:`SUMMED`.
    calls : int
        How many accounts to keep.
    watch : sequence of callable
        Called with each batch.

    Returns
    -------
    sums : DataFrame
        ``segment``, ``arr_from`` (a power of ten, 0 below one, NaN where it is not known), ``band``
        and the sums over such accounts: ``accounts``, ``known`` (those with an ARR), ``arr``,
        ``probability``, ``stake`` (probability times ARR).
    first : DataFrame
        The accounts with most at stake, the largest first: by ``stake``, or by ``probability``
        where no MRR is known.
    """
    import pandas as pd

    parts = []
    # Whether money is at stake or a probability alone is known only at the end.
    by_money = by_probability = batches.schema.empty_table().to_pandas()
    for batch in batches:
        rows = batch.to_pandas()
        rows["arr"] = MONTHS * rows["mrr"].fillna(0.0)
        rows["stake"] = rows["probability"] * rows["arr"]
        rows["arr_from"] = _power_of_ten(MONTHS * rows["mrr"])
        parts.append(
            rows.groupby(PARTS, dropna=False).agg(
                accounts=("account_id", "size"),
                known=("mrr", "count"),
                arr=("arr", "sum"),
                probability=("probability", "sum"),
                stake=("stake", "sum"),
            )
        )
        for one in watch:
            one(rows)
        by_money = _most(by_money, rows, "stake", calls)
        by_probability = _most(by_probability, rows, "probability", calls)
    if not parts:
        return pd.DataFrame(columns=[*PARTS, *SUMS]), by_probability
    sums = pd.concat(parts).groupby(PARTS, dropna=False).sum().reset_index()
    ranked = ranked_by(has_money=bool(sums["known"].sum()))
    return sums, by_money if ranked == "stake" else by_probability


def _power_of_ten(arr: pd.Series[float]) -> pd.Series[float]:
    """Round down to a power of ten, what is below one to 0; NaN stays.

    Examples
    --------
    >>> import pandas as pd
    >>> _power_of_ten(pd.Series([0.0, 1.0, 999.99, 1000.0, float("nan")])).tolist()
    [0.0, 1.0, 100.0, 1000.0, nan]
    """
    import numpy as np
    import pandas as pd

    powers = np.concatenate([[0.0], 10.0 ** np.arange(19)])
    rounded = powers[np.searchsorted(powers[1:], arr.to_numpy(), side="right")]
    return pd.Series(np.where(arr.isna(), np.nan, rounded), index=arr.index)


def _most(held: pd.DataFrame, rows: pd.DataFrame, stake: str, calls: int) -> pd.DataFrame:
    import pandas as pd

    both = pd.concat([held, rows]) if len(held) else rows
    return both.sort_values([stake, "account_id"], ascending=[False, True]).head(calls)
