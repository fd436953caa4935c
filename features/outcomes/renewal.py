"""Renewal: what comes of a contract when its term ends, asked at set distances before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.observations import running_subscriptions
from features.outcomes.churned import churn_dates
from features.outcomes.settings import OutcomeSettings
from features.tables.company import Company, days_between, without_doubled_keys
from features.tables.hindsight import in_hindsight

KEYS = ["account_id", "observation_date"]
CAME = ("lost", "smaller", "same", "larger")
"""What may come of a renewal."""
ROUNDING = 1e-9
USUAL_STEP = timedelta(days=31)


def with_a_renewal(observations: ir.Table, outcome: OutcomeSettings) -> ir.Table:
    """Keep accounts whose contract renews, as known on the date, and may still be given notice.

    A renewal date that has passed says nothing of a contract that runs on, and a term of no length
    ends on no day to ask before.
    """
    ahead = days_between(observations.renewal_at, observations.observation_date)
    furthest = max(outcome.days_before)
    return observations.filter((ahead > outcome.notice_days) & (ahead <= furthest))


def with_renewal(
    observations: ir.Table, company: Company, outcome: OutcomeSettings, dates: Sequence[date]
) -> ir.Table:
    """Add ``happened``: whether the contract that renews next was lost at its renewal.

    Of each renewal there is one row for each distance: the first observation date from which it is
    no further away. A contract counts as lost when the account is gone within the days of grace
    after the renewal, or was before it: signed early, late within the grace, renewed by itself
    without a new row, and merged into another contract, it was kept.
    """
    rows = _at_distances(observations, outcome, dates)
    return _with_loss(rows, company, outcome)


def came_of_renewals(
    observations: ir.Table, company: Company, outcome: OutcomeSettings, dates: Sequence[date]
) -> ir.Table:
    """List what came of each renewal, with its account, observation date and ``renewal_at``.

    ``came`` is one of :data:`CAME`, by the MRR of the account on the observation date and when the
    grace after the renewal is over; null where either is not known. A change by less than
    ``change_share`` is none.
    """
    labelled = company.keep(
        "labelled_renewals", with_renewal(observations, company, outcome, dates)
    )
    closes = labelled.renewal_at.truncate("D") + ibis.interval(days=outcome.grace_days + 1)
    ends = labelled.select("account_id", observation_date=closes).distinct()
    later = company.keep("after_renewals", _mrr_of(company, ends))
    after = later.select("account_id", closes=later.observation_date, after=later.mrr)
    both = labelled.mutate(closes=closes).left_join(after, ["account_id", "closes"])
    rows = without_doubled_keys(both)
    share = outcome.change_share
    known = rows.mrr.notnull() & rows.after.notnull() & ~rows.after.isnan()
    came = ibis.cases(
        (rows.happened == 1, "lost"),
        (~known, ibis.null("string")),
        ((rows.after < rows.mrr) & (rows.after <= rows.mrr * (1 - share + ROUNDING)), "smaller"),
        ((rows.after > rows.mrr) & (rows.after >= rows.mrr * (1 + share - ROUNDING)), "larger"),
        else_="same",
    )
    return rows.mutate(came=came).select(*KEYS, "renewal_at", "happened", "came")


def _at_distances(
    observations: ir.Table, outcome: OutcomeSettings, dates: Sequence[date]
) -> ir.Table:
    """Keep the first date from which a renewal is no further away than each distance."""
    ordered = sorted(dates)
    steps = {later - earlier for earlier, later in pairwise(ordered)}
    before = [ordered[0] - max(steps, default=USUAL_STEP), *ordered[:-1]]
    grid = pd.DataFrame(
        {"observation_date": pd.to_datetime(ordered), "date_before": pd.to_datetime(before)}
    ).astype("datetime64[us]")
    rows = observations.inner_join(ibis.memtable(grid), "observation_date")
    now = days_between(rows.renewal_at, rows.observation_date)
    earlier = days_between(rows.renewal_at, rows.date_before)
    reached = ibis.or_(*(((now <= days) & (earlier > days)) for days in outcome.days_before))
    return rows.filter(reached).drop("date_before")


def _with_loss(rows: ir.Table, company: Company, outcome: OutcomeSettings) -> ir.Table:
    rows = company.keep("renewal_rows", rows)
    churns = company.keep("renewal_churns", churn_dates(company, outcome))
    keys = rows.select(*KEYS, "renewal_at")
    closes = keys.renewal_at.truncate("D") + ibis.interval(days=outcome.grace_days + 1)
    keys = keys.mutate(closes=closes)
    lost = keys.inner_join(
        churns,
        [
            keys.account_id == churns.account_id,
            churns.churned_at >= keys.observation_date,
            churns.churned_at < keys.closes,
        ],
    )
    lost = lost.select(*KEYS, lost=ibis.literal(1, "int8")).distinct()
    joined = without_doubled_keys(rows.left_join(lost, KEYS))
    return joined.mutate(happened=joined.lost.fill_null(0).cast("int8")).drop("lost")


def _mrr_of(company: Company, rows: ir.Table) -> ir.Table:
    """Sum the MRR of accounts, each on a day of its own, by all that is known today."""
    if not company.has("subscriptions", "mrr"):
        return rows.mutate(mrr=ibis.literal(float("nan")))
    table = in_hindsight(company.tables["subscriptions"])
    known = table.cleaned.mutate(mrr=table.cleaned.mrr.fill_null(float("nan")))
    tables = {**company.tables, "subscriptions": replace(table, cleaned=known)}
    running = running_subscriptions(replace(company, tables=tables), rows)
    return running.select(*KEYS, "mrr")
