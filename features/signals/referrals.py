"""Referrals: customers who actually brought others, not those who said they would."""

from __future__ import annotations

import ibis.expr.types as ir

from features.builders.builder import Request, fill_rows
from features.builders.settings import SignalsSettings
from features.catalog import Group, Signal
from features.tables.company import Company, days_between
from features.windows.panes import Measure, Window

_YEAR = Window("365d", 365)

_MADE = (
    Signal(
        "referrals_365d",
        "referrals",
        "count",
        "higher",
        "Referrals made",
        _YEAR.days,
        "{value} referral{s} made in a year",
    ),
    Signal(
        "days_since_referral",
        "referrals",
        "days",
        "lower",
        "Time since last referral",
        _YEAR.days,
        "The last referral was {value} ago (365 at most)",
    ),
)
_CONVERTED = Signal(
    "referrals_converted_365d",
    "referrals",
    "count",
    "higher",
    "Referrals converted",
    _YEAR.days,
    "{value} referral{s} became customers in a year",
)


class ReferralsBuilder:
    """Signals of the ``referrals`` group."""

    group: Group = "referrals"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List referrals made and, where their conversion is recorded, converted."""
        if not company.has("referrals"):
            return ()
        return (*_MADE, _CONVERTED) if company.has("referrals", "converted_at") else _MADE

    def build(self, request: Request) -> ir.Table:
        """Count referrals when they were made, and again when they converted."""
        wanted = [signal.name for signal in self.signals(request.company, request.settings)]
        made = {"referrals": Measure("count"), "last": Measure("last")}
        rows = request.over_windows(request.events("referrals"), [_YEAR], made)
        if request.company.has("referrals", "converted_at"):
            conversions = request.events("referrals", at="converted_at")
            converted = {"referrals_converted": Measure("count")}
            rows = fill_rows(rows, request.over_windows(conversions, [_YEAR], converted), [])
        since = days_between(rows.observation_date, rows.last_365d)
        rows = rows.mutate(days_since_referral=since.fill_null(float(_YEAR.days)))
        return rows.select("account_id", "observation_date", *wanted)
