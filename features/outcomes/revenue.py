"""Contraction and expansion: whether an account's MRR is lower or higher at the window's end.

The MRR of an account is the sum over its running subscriptions. It is compared between two
moments, the observation date and the end of the outcome window, as revenue retention is reported:
a dip that is made good within the window has cost nothing, and an account cannot contract and
expand at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir

from features.observations import active_accounts
from features.outcomes.settings import OutcomeSettings
from features.tables.company import Company, without_doubled_keys
from features.tables.hindsight import in_hindsight

KEYS = ["account_id", "observation_date"]
ROUNDING = 1e-9
"""Changes that differ by less than this share of the MRR are equal: sums are rounded."""


def with_revenue_change(
    observations: ir.Table, company: Company, outcome: OutcomeSettings, dates: Sequence[date]
) -> ir.Table:
    """Add ``happened``: whether MRR has changed by the share when the outcome window ends.

    Dropped are accounts that are gone, or whose MRR has changed by the share already, when the
    window opens (nobody could have acted on the score), and those whose MRR is not known on one of
    the days: one running subscription without an MRR makes the sum unknown.

    Of an account that is gone when the window ends, the MRR was lost to churn, which has a score of
    its own. It has not expanded. To contraction it says nothing: counted as having kept its revenue
    it would teach that leaving is healthy, and counted as contracted that both scores are one.
    """
    moments = {
        "now": 0,
        "opening": outcome.lead_days,
        "closing": outcome.maturity_days,
    }
    days = {day + timedelta(days=later) for day in dates for later in moments.values()}
    states = company.keep("revenue_states", revenue_on(company, sorted(days)))
    rows = company.keep("observed_revenue", observations)
    for name, later in moments.items():
        state = states.select(
            "account_id",
            observation_date=states.observation_date - ibis.interval(days=later),
            **{name: states.mrr},
        )
        both = rows.left_join(state, KEYS)
        rows = without_doubled_keys(both)
    known = rows.now.notnull() & rows.opening.notnull()
    known = known & ~(rows.now.isnan() | rows.opening.isnan() | rows.closing.isnan()).fill_null(
        False
    )
    rows = rows.filter(known)
    rows = rows.filter(~_changed(rows.now, rows.opening, outcome))
    if outcome.kind == "contraction":
        rows = rows.filter(rows.closing.notnull())
    happened = _changed(rows.now, rows.closing, outcome).fill_null(False)
    return rows.mutate(happened=happened.ifelse(1, 0).cast("int8")).drop(*moments)


def _changed(before: ir.Value, after: ir.Value, outcome: OutcomeSettings) -> ir.Value:
    """Whether MRR moved by the share; who paid nothing expands with the first payment."""
    share = outcome.change_share
    if outcome.kind == "contraction":
        return (after < before) & (after <= before * (1 - share + ROUNDING))
    return (after > before) & (after >= before * (1 + share - ROUNDING))


def revenue_on(company: Company, days: Sequence[date]) -> ir.Table:
    """Sum, per day, the MRR of every account that is there, by all that is known today.

    Returns
    -------
    ibis table
        ``account_id``, ``observation_date`` and ``mrr``, which is NaN where the MRR of a running
        subscription is not known; NaN throughout where no MRR is mapped.
    """
    read = ("accounts", "subscriptions", "churn_events")
    tables = {name: in_hindsight(company.tables[name]) for name in read if name in company.tables}
    unknown = ibis.literal(float("nan"))
    if company.has("subscriptions", "mrr"):
        rows = tables["subscriptions"].cleaned
        tables["subscriptions"] = replace(
            tables["subscriptions"], cleaned=rows.mutate(mrr=rows.mrr.fill_null(float("nan")))
        )
    there = active_accounts(replace(company, tables=tables), days)
    if "mrr" not in there.columns:
        there = there.mutate(mrr=unknown)
    return there.select(*KEYS, "mrr")
