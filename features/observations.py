"""Which (account, observation date) rows exist, and the contract that was running on each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.tables.company import Company, rows_known, without_doubled_keys


def dates_table(dates: Sequence[date]) -> ir.Table:
    """Return the observation dates as a table of midnights."""
    midnights = pd.to_datetime(pd.Series(sorted(dates), name="observation_date"))
    return ibis.memtable(pd.DataFrame({"observation_date": midnights.astype("datetime64[us]")}))


def active_accounts(company: Company, dates: Sequence[date]) -> ir.Table:
    """List every account active on each date, as far as was known on it.

    An account is active when it was created, a subscription (where they are mapped) has started
    and not ended, and no churn event has come since its latest start. It may churn and come back.

    Returns
    -------
    ibis table
        ``account_id``, ``observation_date``, ``created_at``, ``latest_start`` (of a subscription,
        else of the account) and, where subscriptions are mapped,
        the state of those running: ``mrr``, ``seats``, ``discount`` (sums, but the mean for
        discount), ``renewal_at`` (the next), ``plan``, ``billing_period``, ``auto_renew`` (of the
        latest).
    """
    grid = _accounts_known(company, dates)
    if "subscriptions" in company.tables:
        running = running_subscriptions(company, grid)
        rows = grid.inner_join(running, ["account_id", "observation_date"])
    else:
        known = grid.filter(grid.created_at.notnull()) if company.is_dated else grid
        rows = known.mutate(latest_start=known.created_at)
    rows = without_doubled_keys(rows)
    if "churn_events" not in company.tables:
        return rows
    past = rows_known(rows, company.tables["churn_events"])
    last = past.group_by("account_id", "observation_date").aggregate(
        last_churn=past.churned_at.max()
    )
    joined = rows.left_join(last, ["account_id", "observation_date"])
    here = joined.last_churn.isnull() | (joined.last_churn <= joined.latest_start)
    return without_doubled_keys(joined.filter(here).drop("last_churn"))


def _accounts_known(company: Company, dates: Sequence[date]) -> ir.Table:
    """Pair each date with the accounts known before it.

    One without ``created_at`` counts as known: its subscriptions say when it was there.
    """
    accounts = company.tables["accounts"].cleaned
    grid = accounts.cross_join(dates_table(dates))
    for moment in ("created_at", "recorded_at"):
        if moment in accounts.columns:
            grid = grid.filter(grid[moment].isnull() | (grid[moment] < grid.observation_date))
    return grid.select("account_id", "created_at", "observation_date")


def running_subscriptions(company: Company, grid: ir.Table) -> ir.Table:
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
        newer = rows.latest_start > rows.started_at
        superseded = newer & (rows.renewal_at <= rows.latest_start)
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
