"""Which (account, observation date) rows exist, and the contract that was running on each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.company import Company, rows_known
from features.outcomes import OutcomeSettings, churn_dates


def dates_table(dates: Sequence[date]) -> ir.Table:
    """Return the observation dates as a table of midnights."""
    midnights = pd.to_datetime(pd.Series(sorted(dates), name="observation_date"))
    return ibis.memtable(pd.DataFrame({"observation_date": midnights.astype("datetime64[us]")}))


def active_accounts(company: Company, dates: Sequence[date], outcome: OutcomeSettings) -> ir.Table:
    """List every account active on each date, as far as was known on it.

    An account is active when a subscription has started and not ended (or, without subscriptions,
    when it was created), and no churn has come since its latest start. It may churn and come back.

    Returns
    -------
    ibis table
        ``account_id``, ``observation_date``, ``created_at`` and, where subscriptions are mapped,
        the state of those running: ``mrr``, ``seats``, ``discount`` (sums, but the mean for
        discount), ``renewal_at`` (the next), ``plan``, ``billing_period``, ``auto_renew`` (of the
        latest).
    """
    accounts = company.tables["accounts"].cleaned
    grid = accounts.select("account_id", "created_at").cross_join(dates_table(dates))
    if "subscriptions" in company.tables:
        running = _running_subscriptions(company, grid)
        rows = grid.inner_join(running, ["account_id", "observation_date"])
    else:
        born = grid.filter(grid.created_at < grid.observation_date)
        rows = born.mutate(latest_start=born.created_at)
    rows = rows.drop(*(name for name in rows.columns if name.endswith("_right")))
    churns = churn_dates(company, outcome)
    past = rows.select("account_id", "observation_date").inner_join(
        churns, [rows.account_id == churns.account_id, churns.churned_at < rows.observation_date]
    )
    last = past.group_by("account_id", "observation_date").aggregate(
        last_churn=past.churned_at.max()
    )
    joined = rows.left_join(last, ["account_id", "observation_date"])
    here = joined.last_churn.isnull() | (joined.last_churn <= joined.latest_start)
    doubled = [name for name in joined.columns if name.endswith("_right")]
    return joined.filter(here).drop("last_churn", "latest_start", *doubled)


def _running_subscriptions(company: Company, grid: ir.Table) -> ir.Table:
    """Aggregate, per account and date, the subscriptions that run on it.

    A term whose renewal date has passed and after which a newer term has begun is over, although
    nobody wrote an end into it: some sources hold one row per billing period.
    """
    known = rows_known(grid, company.tables["subscriptions"])
    latest = known.group_by("account_id", "observation_date").aggregate(
        latest_start=known.started_at.max()
    )
    rows = known.inner_join(latest, ["account_id", "observation_date"])
    running = ibis.literal(True)
    if "ended_at" in known.columns:
        running = running & rows.ended_at.isnull()
    if "renewal_at" in known.columns:
        superseded = rows.renewal_at <= rows.latest_start
        running = running & (rows.renewal_at.isnull() | ~superseded)
    rows = rows.filter(running)
    newest = rows.started_at == rows.started_at.max().over(
        ibis.window(group_by=["account_id", "observation_date"])
    )
    rows = rows.mutate(newest=newest)
    state = {"latest_start": rows.latest_start.max()}
    for amount in ("mrr", "seats"):
        if amount in rows.columns:
            state[amount] = rows[amount].sum()
    if "discount" in rows.columns:
        state["discount"] = rows.discount.mean()
    if "renewal_at" in rows.columns:
        state["renewal_at"] = rows.renewal_at.min(where=rows.renewal_at >= rows.observation_date)
    for text in ("plan", "billing_period"):
        if text in rows.columns:
            state[text] = rows[text].max(where=rows.newest)
    if "auto_renew" in rows.columns:
        state["auto_renew"] = rows.auto_renew.cast("float64").min(where=rows.newest)
    return rows.group_by("account_id", "observation_date").aggregate(**state)
