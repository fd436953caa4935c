"""Usage: how much, how often and by how many the product is used."""

from __future__ import annotations

import ibis.expr.types as ir

from features.builder import Request, SignalsSettings, fill_rows, relative_change
from features.catalog import Group, Signal
from features.company import Company, days_between
from features.panes import Measure, Window, aggregate_windows

RECENT = Window("recent", 28)
BEFORE = Window("before", 28, ends_days_before=28)
LONG = Window("long", 90)

_VOLUME = (
    Signal(
        "usage_28d", "usage", "count", "higher", "Usage volume", 28, "{value} use{s} in 28 days"
    ),
    Signal(
        "usage_90d",
        "usage",
        "count",
        "higher",
        "Usage volume, long",
        90,
        "{value} use{s} in 90 days",
    ),
    Signal(
        "usage_change",
        "usage",
        "change",
        "higher",
        "Usage volume",
        28,
        "Usage volume {value} against the month before",
    ),
    Signal(
        "active_days_28d",
        "usage",
        "days",
        "higher",
        "Active days",
        28,
        "The product was used on {value} of the last 28",
    ),
    Signal(
        "days_since_use",
        "usage",
        "days",
        "lower",
        "Time since last use",
        90,
        "Last used {value} ago (90 at most)",
    ),
)
_USERS = (
    Signal(
        "active_users_28d",
        "usage",
        "count",
        "higher",
        "Active users",
        28,
        "{value} active user{s} in 28 days",
    ),
    Signal(
        "active_users_change",
        "usage",
        "change",
        "higher",
        "Active users",
        28,
        "Active users {value} against the month before",
    ),
)
_SEATS = (
    Signal(
        "seat_utilisation",
        "usage",
        "share",
        "higher",
        "Seats in use",
        28,
        "{value} of the paid seats were used in 28 days",
    ),
)


class UsageBuilder:
    """Signals of the ``usage`` group, from usage events."""

    group: Group = "usage"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List volume signals, and those of users and seats where the columns are there."""
        if not company.has("usage_events"):
            return ()
        users = _USERS if company.has("usage_events", "user_id") else ()
        seats = _SEATS if users and company.has("subscriptions", "seats") else ()
        return (*_VOLUME, *users, *seats)

    def build(self, request: Request) -> ir.Table:
        """Aggregate events over the windows and derive changes, recency and utilisation."""
        company = request.company
        table = company.tables["usage_events"]
        measures = {
            "volume": Measure("sum", "quantity") if table.has("quantity") else Measure("count"),
            "days": Measure("days"),
            "last": Measure("last"),
        }
        if table.has("user_id"):
            measures["users"] = Measure("distinct", "user_id")
        windows = aggregate_windows(table, request.dates, (RECENT, BEFORE, LONG), measures)
        counted = [name for name in windows.columns if name.startswith(("volume", "days", "users"))]
        rows = fill_rows(request.observations, windows, counted)
        silent = days_between(rows.observation_date, rows.last_long).fill_null(float(LONG.days))
        values = {
            "usage_28d": rows.volume_recent,
            "usage_90d": rows.volume_long,
            "usage_change": relative_change(rows.volume_recent, rows.volume_before),
            "active_days_28d": rows.days_recent,
            "days_since_use": silent,
        }
        if table.has("user_id"):
            values["active_users_28d"] = rows.users_recent
            values["active_users_change"] = relative_change(rows.users_recent, rows.users_before)
            if "seats" in rows.columns:
                share = rows.users_recent / rows.seats.nullif(0.0)
                values["seat_utilisation"] = share
        return rows.select("account_id", "observation_date", **values)
