"""Referrals: customers who actually brought others, not those who said they would."""

from __future__ import annotations

import ibis.expr.types as ir

from features.builder import Request, SignalsSettings, fill_rows
from features.catalog import Group, Signal
from features.company import Company, days_between, rows_known

LOOKBACK_DAYS = 365

_MADE = (
    Signal(
        "referrals_365d",
        "referrals",
        "count",
        "higher",
        "Referrals made",
        LOOKBACK_DAYS,
        "{value} referral{s} made in a year",
    ),
    Signal(
        "days_since_referral",
        "referrals",
        "days",
        "lower",
        "Time since last referral",
        LOOKBACK_DAYS,
        "The last referral was {value} ago (365 at most)",
    ),
)
_CONVERTED = (
    Signal(
        "referrals_converted_365d",
        "referrals",
        "count",
        "higher",
        "Referrals converted",
        LOOKBACK_DAYS,
        "{value} converted referral{s} of a year",
    ),
)


class ReferralsBuilder:
    """Signals of the ``referrals`` group."""

    group: Group = "referrals"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List referrals made and, where their conversion is recorded, converted."""
        if not company.has("referrals"):
            return ()
        return (*_MADE, *(_CONVERTED if company.has("referrals", "converted_at") else ()))

    def build(self, request: Request) -> ir.Table:
        """Count the referrals known before each observation."""
        table = request.company.tables["referrals"]
        made = rows_known(request.observations, table, LOOKBACK_DAYS)
        measures: dict[str, ir.Value] = {
            "referrals_365d": made.count(),
            "days_since_referral": days_between(made.observation_date, made.referred_at).min(),
        }
        if "converted_at" in made.columns:
            measures["referrals_converted_365d"] = made.converted_at.notnull().sum()
        values = made.group_by("account_id", "observation_date").aggregate(**measures)
        counted = [name for name in measures if name != "days_since_referral"]
        keys = request.observations.select("account_id", "observation_date")
        rows = fill_rows(keys, values, counted)
        return rows.mutate(
            days_since_referral=rows.days_since_referral.fill_null(float(LOOKBACK_DAYS))
        )
