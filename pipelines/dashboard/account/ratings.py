"""Ratings of an account: what people said of it, and what the level they gave means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from features.builders.settings import SignalsSettings
    from features.tables.company import Company

DAYS = 365
MOST = 12


@dataclass(frozen=True)
class Rating:
    """One rating of an account.

    Parameters
    ----------
    rated_on : date
        When.
    rater, dimension : str or None
        Who rated what.
    level : float
        What was given.
    meaning : str or None
        What the nearest level of the rubric means; None where there is no rubric.
    """

    rated_on: date
    rater: str | None
    dimension: str | None
    level: float
    meaning: str | None


def ratings_of(
    company: Company, settings: SignalsSettings, account_id: str, day: date
) -> list[Rating]:
    """Read the ratings of an account that were known on a day, the latest first.

    Parameters
    ----------
    company : Company
        The tables.
    settings : SignalsSettings
        Holds the rubric.
    account_id : str
        The account.
    day : date
        Ratings of the year before it are read, twelve at most.
    """
    import ibis

    from features.observations import dates_table
    from features.tables.company import rows_known

    if not company.has("ratings"):
        return []
    table = company.tables["ratings"]
    asked = dates_table([day]).mutate(account_id=ibis.literal(account_id))
    known = rows_known(asked, table, DAYS)
    known = known.filter(known.rating.notnull())
    rows = known.order_by(ibis.desc("rated_at")).limit(MOST).execute()
    rows = rows.astype(object).where(rows.notna(), None)
    rubric = {name.strip().lower(): levels for name, levels in settings.rubric.items()}
    return [
        Rating(
            row["rated_at"].date(),
            row.get("rater"),
            row.get("dimension"),
            float(row["rating"]),
            _meaning(rubric.get(str(row.get("dimension")).strip().lower(), {}), row["rating"]),
        )
        for row in rows.to_dict("records")
    ]


def _meaning(levels: dict[str, str], rating: float) -> str | None:
    """Say what the nearest level means; halfway, the lower one, as reasons say it."""
    if not levels:
        return None
    near = min(levels, key=lambda level: (abs(float(level) - rating), float(level)))
    return levels[near]
