"""When accounts churned, and the label over the outcome window."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Literal

import ibis
import ibis.expr.types as ir
from pydantic import Field

from features.company import Company, without_doubled_keys
from features.mapping import Frozen


class OutcomeSettings(Frozen):
    """The ``[outcome]`` section: what is predicted, how far ahead, and from which dates.

    Parameters
    ----------
    kind : {"churn"}
        The outcome.
    horizon_days : int
        Length of the outcome window in days.
    lead_days : int
        Days between the observation date and the start of the window: the time left to act.
    spacing : {"month", "week"} or int
        Distance of observation dates: the first of each month, every Monday, or so many days.
    first_observation : date or None
        Earliest observation date; by default 56 days after behaviour is first seen, when the
        28-day windows and those before them are full.
    dates : tuple of date
        The observation dates themselves, instead of a spacing.
    grace_days : int
        Where churn is read from subscriptions: a gap up to this long is no churn.
    """

    kind: Literal["churn"] = "churn"
    horizon_days: int = Field(30, ge=1, le=730)
    lead_days: int = Field(0, ge=0, le=365)
    spacing: Literal["month", "week"] | Annotated[int, Field(ge=1, le=730)] = "month"
    first_observation: date | None = None
    dates: tuple[date, ...] = ()
    grace_days: int = Field(7, ge=0, le=365)

    @property
    def maturity_days(self) -> int:
        """Days from an observation date to the end of its outcome window."""
        return self.lead_days + self.horizon_days


WARM_UP_DAYS = 56


def matured_dates(company: Company, outcome: OutcomeSettings) -> list[date]:
    """List the observation dates whose outcome window lies wholly inside the data, ascending.

    A snapshot without dates is observed once, at its end.
    """
    if not company.is_dated:
        return [company.data_end]
    last = company.data_end - timedelta(days=days_to_label(company, outcome))
    if outcome.dates:
        return sorted(day for day in set(outcome.dates) if day <= last)
    first = outcome.first_observation or company.data_start + timedelta(days=WARM_UP_DAYS)
    days = (first + timedelta(days=step) for step in range((last - first).days + 1))
    if outcome.spacing == "month":
        return [day for day in days if day.day == 1]
    if outcome.spacing == "week":
        return [day for day in days if day.weekday() == 0]
    return [
        last - timedelta(days=step) for step in range(0, (last - first).days + 1, outcome.spacing)
    ][::-1]


def days_to_label(company: Company, outcome: OutcomeSettings) -> int:
    """Return the days after an observation date until its label is certain.

    A churn read from subscriptions is certain only once the days of grace are over too.
    """
    delay = 0 if "churn_events" in company.tables else outcome.grace_days
    return outcome.maturity_days + delay


def churn_dates(company: Company, outcome: OutcomeSettings) -> ir.Table:
    """List every churn as ``account_id``, ``churned_at``.

    They are the user's churn events or, without those, the ends of continuous spells of
    subscriptions: overlapping rows, and rows up to ``grace_days`` apart, are one spell. A term that
    was never ended runs until the term that renewed it.
    """
    if "churn_events" in company.tables:
        events = company.tables["churn_events"].cleaned
        return events.select("account_id", "churned_at").distinct()
    rows = company.tables["subscriptions"].cleaned
    if "ended_at" not in rows.columns:
        return rows.select("account_id", churned_at=rows.started_at).limit(0)
    never = ibis.timestamp(datetime(9999, 1, 1))
    grace = ibis.interval(days=outcome.grace_days)
    ends = _with_renewals(rows) if "renewal_at" in rows.columns else rows
    ends = ends.mutate(end=ends.ended_at.fill_null(never))
    # A row that ends before it starts never ran, so it cannot end anything.
    ends = ends.filter(ends.end >= ends.started_at)
    order = ["started_at", "end"]
    so_far = ibis.cumulative_window(group_by="account_id", order_by=order)
    before = ibis.window(group_by="account_id", order_by=order, preceding=(None, 1))
    ends = ends.mutate(seen_end=ends.end.max().over(before))
    opens = ends.seen_end.isnull() | (
        (ends.seen_end < never) & (ends.started_at > ends.seen_end + grace)
    )
    ends = ends.mutate(opens=opens.cast("int64"))
    ends = ends.mutate(spell=ends.opens.sum().over(so_far))
    spells = ends.group_by("account_id", "spell").aggregate(churned_at=ends.end.max())
    return spells.filter(spells.churned_at < never).select("account_id", "churned_at")


def _with_renewals(rows: ir.Table) -> ir.Table:
    """Let a term without an end, whose renewal date has passed, end where a newer term begins."""
    starts = rows.select("account_id", next_start="started_at")
    keys = ["account_id", "started_at", "renewal_at"]
    pairs = rows.filter(rows.ended_at.isnull() & rows.renewal_at.notnull()).inner_join(
        starts, "account_id"
    )
    renewed = pairs.filter(
        (pairs.next_start >= pairs.renewal_at) & (pairs.next_start > pairs.started_at)
    )
    renewed = renewed.group_by(keys).aggregate(renewed_at=renewed.next_start.min())
    joined = rows.left_join(renewed, keys)
    return joined.select(
        "account_id", "started_at", ended_at=ibis.coalesce(joined.ended_at, joined.renewed_at)
    )


def with_label(observations: ir.Table, company: Company, outcome: OutcomeSettings) -> ir.Table:
    """Add ``churned`` (0 or 1) over ``[observation + lead, observation + lead + horizon)``.

    Accounts that are gone before the window opens are dropped, even if that became known only
    later. The dates must be matured: see :func:`matured_dates`. Where the company has labels, they
    are taken as they are, and accounts without one are dropped.
    """
    if not company.is_dated:
        labels = company.tables["labels"].cleaned
        given = labels.filter(labels.churned.notnull())
        given = given.select("account_id", churned=given.churned.ifelse(1, 0).cast("int8"))
        return without_doubled_keys(observations.inner_join(given, "account_id"))
    churns = churn_dates(company, outcome)
    keys = observations.select("account_id", "observation_date", "latest_start")
    later = keys.inner_join(
        churns, [keys.account_id == churns.account_id, churns.churned_at > keys.latest_start]
    )
    coming = later.group_by("account_id", "observation_date").aggregate(
        next_churn=later.churned_at.min()
    )
    joined = observations.left_join(coming, ["account_id", "observation_date"])
    joined = without_doubled_keys(joined)
    opens = joined.observation_date + ibis.interval(days=outcome.lead_days)
    closes = joined.observation_date + ibis.interval(days=outcome.maturity_days)
    kept = joined.filter(joined.next_churn.isnull() | (joined.next_churn >= opens))
    churned = (kept.next_churn.notnull() & (kept.next_churn < closes)).cast("int8")
    return kept.mutate(churned=churned).drop("next_churn")
