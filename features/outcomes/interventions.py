"""Which rows were treated: somebody acted on the account before its outcome was known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.observations import dates_table
from features.outcomes.settings import OutcomeSettings
from features.tables.company import Company

Floats = npt.NDArray[np.float64]
ACTED_ON = "acted_on"
"""Column that marks rows whose account was acted on soon after their date; absent without acts."""
UNNAMED = "no name given"
# Share of the acts that have been made by the day from which outcomes count.
SOON = 0.9
MONTH_DAYS, YEAR_DAYS, DAY_SECONDS = 31, 365, 86_400


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


@dataclass(frozen=True)
class Acts:
    """What was done about each row's account soon after its date, and before it.

    Attributes
    ----------
    days : dict of str to ndarray of shape (n,)
        By play, days from the observation date until it was first made, NaN where it was not in
        time.
    before : DataFrame of n rows
        What was known of earlier acts on the date: ``acts_30_days``, ``acts_90_days`` (counts) and
        ``days_since_act`` (NaN where there was none in a year).
    notes : tuple of str
        Interventions that count for nothing, one sentence each.
    """

    days: Mapping[str, Floats]
    before: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def landmark(self) -> int:
        """Whole days by which nine of ten of these acts were made; 0 without any."""
        made = np.concatenate([[0.0], *(days[~np.isnan(days)] for days in self.days.values())])
        return int(np.ceil(np.quantile(made, SOON)))


def acts_after(
    company: Company,
    frame: pd.DataFrame,
    within_days: int,
    renamed: Mapping[str, str] | None = None,
) -> Acts | None:
    """Find what was done within some days after each row's date.

    The same play on the same day counts once, however often it was logged; case and spaces of its
    name do not matter.

    Parameters
    ----------
    company : Company
        The tables.
    frame : DataFrame of n rows
        ``account_id`` and ``observation_date``.
    within_days : int
        An act counts in ``[observation, observation + within_days)``.
    renamed : mapping of str to str, or None
        Earlier name of a play to its name of now.

    Returns
    -------
    Acts or None
        None where nobody records interventions, or nothing has a date.
    """
    if "interventions" not in company.tables or not company.is_dated:
        return None
    logged = _logged(company, renamed or {})
    notes = _unusable(company, logged, frame)
    rows = frame[["account_id", "observation_date"]].reset_index(drop=True)
    rows["observation_date"] = rows["observation_date"].astype("datetime64[us]")
    pairs = rows.reset_index(names="row").merge(
        logged.astype({"account_id": rows["account_id"].dtype}), on="account_id"
    )
    apart = (pairs["occurred_at"] - pairs["observation_date"]).dt.total_seconds() / DAY_SECONDS
    known = pairs["recorded_at"] < pairs["observation_date"]
    before = _before(apart[known & (apart < 0)], pairs["row"], len(rows))
    after = (apart >= 0) & (apart < within_days)
    soonest = apart[after].groupby([pairs["play"][after], pairs["row"][after]]).min()
    days = {}
    for play in sorted(set(logged["play"])):
        days[play] = np.full(len(rows), np.nan)
        if play in soonest.index.get_level_values(0):
            own = soonest.loc[play]
            days[play][own.index.to_numpy()] = own.to_numpy()
    return Acts(days, before, notes)


def _logged(company: Company, renamed: Mapping[str, str]) -> pd.DataFrame:
    """Fetch each play once an account and day, with its two times."""
    table = company.tables["interventions"].cleaned
    recorded = table.recorded_at if "recorded_at" in table.columns else table.occurred_at
    columns = table.select("account_id", "occurred_at", "play", recorded_at=recorded)
    logged: pd.DataFrame = columns.execute()
    for name in ("occurred_at", "recorded_at"):
        logged[name] = logged[name].astype("datetime64[us]")
    logged["recorded_at"] = logged["recorded_at"].fillna(logged["occurred_at"])
    now = {_plain(old): _plain(new) for old, new in renamed.items()}
    # Not named at all is a name too: something was done.
    names = logged["play"].astype(object).where(logged["play"].notna(), UNNAMED).map(_plain)
    logged["play"] = names.map(lambda name: now.get(name, name))
    day = logged["occurred_at"].dt.floor("D")
    doubled = (
        logged.assign(day=day).sort_values("occurred_at").duplicated(["account_id", "play", "day"])
    )
    return logged[~doubled.sort_index()].dropna(subset=["occurred_at"])


def _plain(name: str) -> str:
    return " ".join(str(name).split()).lower() or UNNAMED


def _unusable(company: Company, logged: pd.DataFrame, frame: pd.DataFrame) -> tuple[str, ...]:
    """Count the acts that no row can tell of, by why."""
    accounts = company.tables["accounts"].cleaned.select("account_id", "created_at").execute()
    made = logged.merge(
        accounts.astype({"account_id": logged["account_id"].dtype}), on="account_id", how="left"
    )
    created = made["created_at"].astype("datetime64[us]")
    spans = frame.groupby("account_id")["observation_date"].max().astype("datetime64[us]")
    last = made["account_id"].map(spans)
    month = pd.Timedelta(days=MONTH_DAYS)
    reasons = {
        "before the account was made": int((made["occurred_at"] < created).sum()),
        "later than a month after the account's last date with a known outcome": int(
            (made["occurred_at"] >= last + month).sum()
        ),
    }
    return tuple(
        f"{number:,} of {len(logged):,} interventions are dated {why}, and count for nothing"
        for why, number in reasons.items()
        if number
    )


def _before(apart: pd.Series[Any], row: pd.Series[Any], count: int) -> pd.DataFrame:
    """Sum up earlier acts by row; ``apart`` is in days, below zero."""
    place = row.loc[apart.index].to_numpy()
    days = -apart.to_numpy(dtype=float)

    def within(span: int) -> Floats:
        return np.bincount(place[days <= span], minlength=count).astype(float)

    latest = np.full(count, np.inf)
    np.minimum.at(latest, place, days)
    return pd.DataFrame(
        {
            "acts_30_days": within(30),
            "acts_90_days": within(90),
            "days_since_act": np.where(latest <= YEAR_DAYS, latest, np.nan),
        }
    )
