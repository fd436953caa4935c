"""Adoption: whether an account reaches a target of use within the outcome window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir

from features.outcomes.churned import without_gone
from features.outcomes.settings import AdoptionTarget, OutcomeSettings
from features.tables.cleaning import CleanTable
from features.tables.company import Company, without_doubled_keys
from features.tables.hindsight import in_hindsight
from features.windows.panes import Events, Measure, Window, aggregate_windows, events_of

KEYS = ["account_id", "observation_date"]
MEASURES = {
    "events": Measure("sum", "counted"),
    "users": Measure("distinct", "counted"),
    "features": Measure("distinct", "counted", few=True),
}


def not_there_yet(
    observations: ir.Table, company: Company, outcome: OutcomeSettings, dates: Sequence[date]
) -> ir.Table:
    """Keep the accounts that may still reach the target: the only ones that have a score.

    Those that reached it in the days before the observation date, as many as the outcome window is
    long and as far as was known on it, are left out.
    """
    events = _counted(company.tables["usage_events"], _target(outcome))
    return _reaching(observations, company, outcome, dates, events, reached=False)


def with_target_reached(
    observations: ir.Table, company: Company, outcome: OutcomeSettings, dates: Sequence[date]
) -> ir.Table:
    """Add ``happened``: whether the uses within the outcome window reach the target.

    Accounts that are gone before the window opens are dropped; those that leave within it have
    what they had reached by then.
    """
    rows = company.keep("still_there", without_gone(observations, company, outcome))
    shift = timedelta(days=outcome.maturity_days)
    ends = rows.select("account_id", observation_date=rows.observation_date + ibis.interval(shift))
    events = _counted(in_hindsight(company.tables["usage_events"]), _target(outcome))
    closes = [day + shift for day in dates]
    reached = _reaching(ends, company, outcome, closes, events, reached=True)
    reached = reached.select(
        "account_id",
        observation_date=reached.observation_date - ibis.interval(shift),
        happened=ibis.literal(1),
    )
    joined = without_doubled_keys(rows.left_join(reached, KEYS))
    return joined.mutate(happened=joined.happened.fill_null(0).cast("int8"))


def _reaching(
    observations: ir.Table,
    company: Company,
    outcome: OutcomeSettings,
    dates: Sequence[date],
    events: Events,
    *,
    reached: bool,
) -> ir.Table:
    """Keep the observations that reached the target in the days before them, or the others."""
    target = _target(outcome)
    # Kept, for they are read several times over and some engines would plan them as often.
    observations = company.keep("open_to_target", observations)
    counts = aggregate_windows(
        observations,
        dates,
        events,
        [Window("before", outcome.horizon_days)],
        {"target": MEASURES[target.measure]},
        company.keep,
    )
    counts = company.keep("target_counts", counts)
    enough = counts.filter((counts.target_before >= target.at_least) == reached).select(*KEYS)
    return without_doubled_keys(observations.inner_join(enough, KEYS))


def _counted(table: CleanTable, target: AdoptionTarget) -> Events:
    """Read the uses that count toward a target."""
    uses = table.cleaned
    amount = uses.quantity if table.has("quantity") else ibis.literal(1.0)
    if target.measure == "users":
        amount = uses.user_id
    elif target.measure == "features":
        amount = uses.feature
    if target.feature is None:
        return events_of(table, counted=amount)
    rows = events_of(table, counted=amount, used=uses.feature).rows
    return Events(rows.filter(rows.used == target.feature).drop("used"))


def _target(outcome: OutcomeSettings) -> AdoptionTarget:
    assert outcome.target is not None
    return outcome.target
