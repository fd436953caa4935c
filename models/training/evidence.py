"""Whether behaviour foretells churn, or only what kind of account it is and how old."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models.arrays import Floats

# Ages are cut so that each leaves room for some contexts; contexts are as fine as rows allow, for
# within a stratum whatever follows the context passes for behaviour.
CONTEXTS, MOST_CONTEXTS = 5, 100
ROWS_PER_STRATUM = 10
MOST_AGES = 20


def behaviour_rank(
    dates: Any, segment: Any, age_days: Floats, context: Floats, acting: Floats
) -> Floats:
    """Rank what behaviour adds to each margin among accounts of like age and context.

    Ranked over all rows instead, a signal that only follows an account's age (a change against a
    time before the account was there, say) would look as if it foretold churn.

    Parameters
    ----------
    dates, segment : array of shape (n,)
        Observation date and segment of each row.
    age_days : ndarray of shape (n,)
        Days since the account was created; NaN where that is unknown.
    context : ndarray of shape (n,)
        What profile signals add to the margin.
    acting : ndarray of shape (n,)
        What all other signals add to the margin.

    Returns
    -------
    ndarray of shape (n,)
        Rank from 0 to 1 among the rows of the same date, about the same age, and about the same
        context; rows of a stratum of their own have no rank to win.

    Examples
    --------
    >>> age = np.repeat([10.0, 900.0], 50)
    >>> rank = behaviour_rank(["d"] * 100, ["all"] * 100, age, np.zeros(100), -age)
    >>> bool(np.ptp(rank) == 0)
    True
    """
    rows = pd.DataFrame(
        {
            "date": np.asarray(dates),
            "segment": np.asarray(segment, dtype=object),
            "age": age_days,
            "context": context,
            "acting": acting,
        }
    )
    rows["acting"] -= rows.groupby("segment")["acting"].transform("mean")
    by_date = rows.groupby("date")
    count = by_date["age"].transform("size")
    ages = np.clip(count // (CONTEXTS * ROWS_PER_STRATUM), 1, MOST_AGES)
    rows["age"] = np.ceil(ages * by_date["age"].rank(pct=True)).fillna(0)
    alike = rows.groupby(["date", "age"])["context"]
    contexts = np.clip(alike.transform("size") // ROWS_PER_STRATUM, 1, MOST_CONTEXTS)
    rows["context"] = np.ceil(contexts * alike.rank(pct=True))
    strata = rows.groupby(["date", "age", "context"])
    # Counted to the middle of each row, so that the mean rank of a stratum is not a matter of its
    # size: where ties make strata uneven, small ones would otherwise rank above the large.
    rank = (strata["acting"].rank() - 0.5) / strata["acting"].transform("size")
    return rank.to_numpy(dtype=float)
