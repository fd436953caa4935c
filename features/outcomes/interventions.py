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

from features.errors import sample
from features.observations import dates_table
from features.outcomes.settings import OutcomeSettings
from features.tables.company import Company

Floats = npt.NDArray[np.float64]
ACTED_ON = "acted_on"
"""Column that marks rows whose account was acted on soon after their date; absent without acts."""
UNNAMED = "no name given"
# Share of the acts that have been made by the day from which outcomes count.
SOON = 0.9
# A play that was made less often is not asked whether it had another name.
FEW_ACTS = 10
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
    made = acts_of(company, renamed)
    logged = made[~made["again"]].dropna(subset=["occurred_at"])
    notes = (*_unusable(company, logged, frame), *_doubtful(made))
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


def acts_of(company: Company, renamed: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Fetch what was done, with the names of plays as they are called now.

    Parameters
    ----------
    company : Company
        The tables, with dated interventions.
    renamed : mapping of str to str, or None
        Earlier name of a play to its name of now.

    Returns
    -------
    DataFrame
        ``account_id``, ``occurred_at``, ``recorded_at``, ``play`` and ``again`` (whether the same
        was logged before for that account and day).
    """
    table = company.tables["interventions"].cleaned
    recorded = table.recorded_at if "recorded_at" in table.columns else table.occurred_at
    columns = table.select("account_id", "occurred_at", "play", recorded_at=recorded)
    logged: pd.DataFrame = columns.execute()
    for name in ("occurred_at", "recorded_at"):
        logged[name] = logged[name].astype("datetime64[us]")
    logged["recorded_at"] = logged["recorded_at"].fillna(logged["occurred_at"])
    # Not named at all is a name too: something was done.
    names = logged["play"].astype(object).where(logged["play"].notna(), UNNAMED)
    logged["play"] = names.map(lambda name: play_name(name, renamed))
    logged["day"] = logged["occurred_at"].dt.floor("D")
    logged = logged.sort_values("occurred_at", kind="stable")
    logged["again"] = logged.duplicated(["account_id", "play", "day"])
    return logged.drop(columns="day").sort_index()


def play_name(name: str, renamed: Mapping[str, str] | None = None) -> str:
    """Return what a play is called now, whatever its case and spaces.

    Examples
    --------
    >>> play_name(" Phone  Call", {"phone call": "Call"})
    'call'
    """
    now = {_plain(old): _plain(new) for old, new in (renamed or {}).items()}
    return now.get(_plain(name), _plain(name))


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


def _doubtful(made: pd.DataFrame) -> tuple[str, ...]:
    """Say what was logged twice, and which plays may be one under two names."""
    notes = []
    if again := int(made["again"].sum()):
        notes.append(
            f"{again:,} of {len(made):,} interventions say again what was logged of the account for"
            " that day, and count once"
        )
    plays = made[~made["again"]].groupby("play")["occurred_at"].agg(["min", "max", "size"])
    plays = plays[(plays["size"] >= FEW_ACTS) & (plays.index != UNNAMED)]
    month = pd.Timedelta(days=MONTH_DAYS)
    for old, ended in plays["max"].items():
        begun = plays["min"] - ended
        heirs = plays.index[(begun > pd.Timedelta(0)) & (begun <= month)]
        # Which of several took the place of a play nobody can tell.
        if len(heirs) == 1:
            notes.append(
                f"{_quoted(old)} was last made on {ended:%Y-%m-%d} and {_quoted(heirs[0])} first on"
                f" {plays['min'][heirs[0]]:%Y-%m-%d}: if it is one play under two names, say so"
                " under [plays.renamed]"
            )
    return tuple(notes)


def _quoted(play: object) -> str:
    return sample([str(play)])


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
