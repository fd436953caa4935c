"""Past quarters of the contracts, and scores of earlier dates: what a forecast is learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from features.catalog import EVERYBODY, GROUPS, Group
from pipelines.portfolio.sums import MONTHS
from pipelines.project.project import Project

if TYPE_CHECKING:
    import pandas as pd

    from features.tables.company import Company
    from models.arrays import Floats
    from models.churn.segments import SegmentAssignment

MOST_QUARTERS = 8
# Where contracts, their terms and what segments are mostly read from are built.
BUILT: tuple[Group, ...] = ("profile", "payments")
COLUMNS = ("account_id", "day", "segment", "arr", "tenure", "days_to_renewal", "term_days")


@dataclass(frozen=True)
class Past:
    """What is known on a date of the accounts on it and of quarters before it.

    Parameters
    ----------
    now : DataFrame
        The accounts of the date, with :data:`COLUMNS`.
    history : DataFrame
        Accounts at the beginning of quarters that are over; see
        :func:`models.scoring.timing.retention.book.learn_book`.
    earlier : DataFrame
        Scores of earlier dates; see the same.
    """

    now: pd.DataFrame
    history: pd.DataFrame
    earlier: pd.DataFrame


def read_past(
    project: Project,
    company: Company,
    segments: SegmentAssignment,
    holdout: pd.DataFrame | None,
    day: date,
) -> Past:
    """Read the contracts of a date and of quarters that were over on it.

    Quarters count back from the date, in steps of 91 days, to the first observation dates. What
    became of an account is read by all that is known when the last of them was over; its contract
    as it was known when the quarter began.

    Parameters
    ----------
    project : Project
        The configuration.
    company : Company
        Its opened tables.
    segments : SegmentAssignment
        Tells segments.
    holdout : DataFrame or None
        Scores that the model gave before it had seen what came; see
        :func:`models.registry.versions.load_holdout`.
    day : date
        The date; of what came after it nothing is read.
    """
    import pandas as pd

    grace = project.settings.outcome.grace_days
    held = holdout
    tested = [] if held is None else sorted({moment.date() for moment in held["observation_date"]})
    tested = [one for one in tested if one < day]
    starts = _quarter_starts(company, day, grace)
    rows = _contracts_on(project, company, segments, sorted({*starts, *tested, day}))
    over = [one for one in {*starts, *tested} if one + _quarter() + timedelta(grace) <= day]
    rows = _with_what_came(company, rows, over, grace)
    known = [one.toordinal() for one in starts]
    return Past(
        now=rows[rows["day"] == day.toordinal()][list(COLUMNS)],
        history=rows[rows["day"].isin(known) & rows["lost"].notna()],
        earlier=_scored(rows, held, tested)
        if held is not None
        else rows.iloc[:0].assign(log_odds=pd.Series(dtype=float)),
    )


def _quarter() -> timedelta:
    from models.scoring.timing.retention.quarters import QUARTER

    return timedelta(QUARTER)


def _quarter_starts(company: Company, day: date, grace: int) -> list[date]:
    """List beginnings of quarters that are over, the newest first."""
    from features.outcomes.labels import WARM_UP_DAYS

    newest = min(day, company.data_end) - timedelta(grace) - _quarter()
    first = company.data_start + timedelta(WARM_UP_DAYS)
    starts = [newest - step * _quarter() for step in range(MOST_QUARTERS)]
    return [start for start in starts if start >= first]


def _contracts_on(
    project: Project, company: Company, segments: SegmentAssignment, days: Sequence[date]
) -> pd.DataFrame:
    """Read who was there on each day, with what contract, as known on it."""
    import numpy as np
    import pandas as pd

    from features.build import build_features

    settings = project.settings.signals
    off = tuple(group for group in GROUPS if group not in BUILT)
    lean = settings.model_copy(
        update={"groups_off": off, "healthy": {}, "builders": (), "key_features": ()}
    )
    frame = build_features(company, days, project.settings.outcome, lean, labelled=False)
    needed = set(segments.settings.required_columns)
    has_segments = needed <= set(frame.columns)

    def column(name: str) -> Floats:
        if name not in frame:
            return np.full(len(frame), np.nan)
        return pd.to_numeric(frame[name]).to_numpy(dtype=float, na_value=np.nan)

    return pd.DataFrame(
        {
            "account_id": frame["account_id"],
            "day": [moment.toordinal() for moment in frame["observation_date"].dt.date],
            "segment": segments.assign(frame) if has_segments else EVERYBODY,
            "arr": MONTHS * column("mrr"),
            "tenure": column("tenure_days"),
            "days_to_renewal": column("days_to_renewal"),
            "term_days": column("term_days"),
        }
    )


def _with_what_came(
    company: Company, rows: pd.DataFrame, over: Sequence[date], grace: int
) -> pd.DataFrame:
    """Add ``lost`` and ``arr_after`` of quarters that are over; NaN of others.

    An account that is gone when a quarter ends and back within the days of grace was not lost.
    """
    import numpy as np

    from features.outcomes.revenue import revenue_on

    rows = rows.assign(lost=np.nan, arr_after=np.nan)
    if not over:
        return rows
    later = {one + _quarter() + timedelta(wait) for one in over for wait in (0, grace)}
    states = company.keep("quarter_ends", revenue_on(company, sorted(later))).execute()
    states["day"] = [moment.toordinal() for moment in states["observation_date"].dt.date]
    by_day = {day: part.set_index("account_id")["mrr"] for day, part in states.groupby("day")}
    nobody = states.set_index("account_id")["mrr"].iloc[:0]
    for one in over:
        own = rows["day"] == one.toordinal()
        ends = (one + _quarter()).toordinal()
        first, second = by_day.get(ends, nobody), by_day.get(ends + grace, nobody)
        accounts = rows.loc[own, "account_id"]
        there = accounts.isin(first.index) | accounts.isin(second.index)
        rows.loc[own, "lost"] = (~there).to_numpy(dtype=float)
        after = accounts.map(first).where(accounts.isin(first.index), accounts.map(second))
        rows.loc[own, "arr_after"] = MONTHS * after.to_numpy(dtype=float)
    return rows


def _scored(rows: pd.DataFrame, held: pd.DataFrame, days: Sequence[date]) -> pd.DataFrame:
    """Join contracts with what the model said on dates it was judged on."""
    import numpy as np
    from scipy.special import logit

    risk = "probability_if_due" if "probability_if_due" in held else "probability"
    said = held[["account_id"]].assign(
        day=[moment.toordinal() for moment in held["observation_date"].dt.date],
        log_odds=logit(np.clip(held[risk].to_numpy(dtype=float), 1e-9, 1 - 1e-9)),
    )
    said = said[said["day"].isin([day.toordinal() for day in days])]
    return rows.merge(said, on=["account_id", "day"])
