"""How far raters differ: what a rating says of who gave it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from features.builders.builder import Request
from features.builders.settings import SignalsSettings
from features.observations import dates_table
from features.outcomes.settings import OutcomeSettings
from features.signals.raters import rating_cells, rating_variances
from features.signals.relationship import fair_ratings
from features.tables.company import Company


@dataclass(frozen=True)
class RaterSpread:
    """What the ratings of a year say of their raters.

    Parameters
    ----------
    as_of : date
        The ratings are those known before it.
    raters, ratings, accounts : int
        Who rated, how often and whom.
    lowest, highest : float
        Lowest and highest level that was given.
    spread : float
        Standard deviation of the raters' leniency, in levels; 0 where nothing tells of any.
    strictest, most_lenient : float
        Leniency of the raters at either end, in levels, as it is taken off their ratings.
    share_of_variance : float or None
        Share of the variance within a dimension that lies between raters, from 0 to 1; None where
        ratings do not vary, or no rating has another beside it.
    """

    as_of: date
    raters: int
    ratings: int
    accounts: int
    lowest: float
    highest: float
    spread: float
    strictest: float
    most_lenient: float
    share_of_variance: float | None


def rater_spread(company: Company, settings: SignalsSettings, as_of: date) -> RaterSpread | None:
    """Measure how far raters differ, by the model that makes ratings fair.

    The variances are those of :mod:`features.signals.raters`: of raters, of accounts, and of what
    is left. The spread is of raters as they are; the leniency of the strictest and of the most
    lenient one is pulled toward zero as far as little is known of it.

    Parameters
    ----------
    company : Company
        The tables.
    settings : SignalsSettings
        The ``[signals]`` section: its rubric names dimensions.
    as_of : date
        Ratings of the 365 days before it count, as far as they were known then.

    Returns
    -------
    RaterSpread or None
        None where no rating counts.
    """
    if not company.has("ratings"):
        return None
    accounts = company.tables["ratings"].cleaned.select("account_id").distinct()
    request = Request(
        company, accounts.cross_join(dates_table([as_of])), [as_of], settings, OutcomeSettings()
    )
    fair = company.keep("rated", fair_ratings(request))
    lenient = fair.rating - fair.fair
    counts = _only_row(
        fair.aggregate(
            raters=fair.rater.nunique(),
            ratings=fair.count(),
            accounts=fair.account_id.nunique(),
            lowest=fair.rating.min(),
            highest=fair.rating.max(),
            strictest=lenient.min(),
            most_lenient=lenient.max(),
        )
    )
    if not counts["ratings"]:
        return None
    parts = _only_row(rating_variances(company.keep("rated_cells", rating_cells(fair))))
    variance = float(parts["of_raters"])
    whole = variance + float(parts["of_accounts"]) + float(parts["noise"])
    return RaterSpread(
        as_of=as_of,
        raters=int(counts["raters"]),
        ratings=int(counts["ratings"]),
        accounts=int(counts["accounts"]),
        lowest=float(counts["lowest"]),
        highest=float(counts["highest"]),
        spread=variance**0.5,
        strictest=float(counts["strictest"]),
        most_lenient=float(counts["most_lenient"]),
        share_of_variance=variance / whole if whole > 0 else None,
    )


def _only_row(table: Any) -> dict[str, Any]:
    found: dict[str, Any] = table.execute().iloc[0].to_dict()
    return found
