"""Churn: when accounts left, and who will within the outcome window."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from features.outcomes.settings import OutcomeSettings
from features.tables.company import Company, days_between, without_doubled_keys

DAYS_TO_LOSS = "days_to_loss"
KEYS = ["account_id", "observation_date"]


def churn_dates(company: Company, outcome: OutcomeSettings) -> ir.Table:
    """List every churn as ``account_id``, ``churned_at``.

    They are the user's churn events or, without those, the ends of continuous spells of
    subscriptions: overlapping rows, and rows up to ``grace_days`` apart, are one spell. A term that
    was never ended runs until the term that renewed it. Without either table there is no churn.
    """
    if "churn_events" in company.tables:
        events = company.tables["churn_events"].cleaned
        return events.select("account_id", "churned_at").distinct()
    if not company.has("subscriptions", "ended_at"):
        accounts = company.tables["accounts"].cleaned
        return accounts.select("account_id", churned_at="created_at").limit(0)
    rows = company.tables["subscriptions"].cleaned
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
    # As a float: PostgreSQL casts a sum of whole numbers where no cast may stand.
    ends = ends.mutate(opens=opens.cast("float64"))
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


def with_churn(observations: ir.Table, company: Company, outcome: OutcomeSettings) -> ir.Table:
    """Add ``happened``: whether the account churns within the outcome window.

    ``days_to_loss`` says when it churns next, as far as is known; null where that is not known.
    """
    kept = _still_there(observations, company, outcome)
    closes = kept.observation_date + ibis.interval(days=outcome.maturity_days)
    happened = (kept.next_churn.notnull() & (kept.next_churn < closes)).cast("int8")
    ahead = days_between(kept.next_churn, kept.observation_date)
    return kept.mutate(happened=happened, **{DAYS_TO_LOSS: ahead}).drop("next_churn")


def without_gone(observations: ir.Table, company: Company, outcome: OutcomeSettings) -> ir.Table:
    """Drop the accounts that churn before the outcome window opens."""
    return _still_there(observations, company, outcome).drop("next_churn")


def _still_there(observations: ir.Table, company: Company, outcome: OutcomeSettings) -> ir.Table:
    """Add ``next_churn``, the first after the latest start, of those not gone too early.

    An account that is gone before the window opens is dropped even if that became known only
    later: it can teach nothing about the window.
    """
    # Computed once each: PostgreSQL cannot guess their sizes, and loops over them row by row.
    observations = company.keep("active_accounts", observations)
    churns = company.keep("churn_dates", churn_dates(company, outcome))
    keys = observations.select(*KEYS, "latest_start")
    later = keys.inner_join(
        churns, [keys.account_id == churns.account_id, churns.churned_at > keys.latest_start]
    )
    coming = later.group_by(*KEYS).aggregate(next_churn=later.churned_at.min())
    joined = without_doubled_keys(observations.left_join(coming, KEYS))
    opens = joined.observation_date + ibis.interval(days=outcome.lead_days)
    return joined.filter(joined.next_churn.isnull() | (joined.next_churn >= opens))
