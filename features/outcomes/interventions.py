"""Which rows were treated: somebody acted on the account before its outcome was known."""

from __future__ import annotations

from datetime import date

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.observations import dates_table
from features.outcomes.settings import OutcomeSettings
from features.tables.company import Company


def treated_rows(
    company: Company, outcome: OutcomeSettings, frame: pd.DataFrame
) -> npt.NDArray[np.bool_] | None:
    """Mark the rows whose account had an intervention before its outcome window closed.

    A play that worked turns a right warning into a wrong one, so a model is measured with such rows
    and without them. Interventions never are signals. Those recorded late count too: this looks
    back, it foretells nothing.

    Parameters
    ----------
    company : Company
        The tables.
    outcome : OutcomeSettings
        The window: an intervention counts in ``[observation, observation + lead + horizon)``.
    frame : DataFrame of n rows
        ``account_id`` and ``observation_date``.

    Returns
    -------
    ndarray of bool, shape (n,), or None
        None where nobody records interventions, or nothing has a date.
    """
    if "interventions" not in company.tables or not company.is_dated:
        return None
    plays = company.tables["interventions"].cleaned.select("account_id", "occurred_at")
    dates = dates_table(_dates(frame))
    closes = dates.observation_date + ibis.interval(days=outcome.maturity_days)
    pairs = plays.inner_join(
        dates, [plays.occurred_at >= dates.observation_date, plays.occurred_at < closes]
    )
    treated = pairs.select("account_id", "observation_date").distinct().execute()
    keys = ["account_id", "observation_date"]
    # The engine may give its own time unit or kind of text, which would not meet the frame's.
    treated = treated.astype(frame[keys].dtypes.to_dict())
    marked = frame[keys].merge(treated, how="left", on=keys, indicator=True)
    return (marked["_merge"] == "both").to_numpy(dtype=bool)


def _dates(frame: pd.DataFrame) -> list[date]:
    return [moment.date() for moment in frame["observation_date"].drop_duplicates()]
