"""Usage: how much, how often and by how many the product is used."""

from __future__ import annotations

from itertools import pairwise

import ibis
import ibis.expr.types as ir

from features.builders.builder import Request, fill_rows, relative_change
from features.builders.settings import SignalsSettings
from features.catalog import Direction, Group, Signal, Unit
from features.tables.company import Company, days_between
from features.windows.panes import Measure, Window

MONTHS = tuple(Window(f"w{n + 1}", 28, ends_days_before=28 * n) for n in range(6))
RECENT, BEFORE = MONTHS[:2]
LONG = Window("long", 90)
WEEK, HALF, YEAR = Window("week", 7), Window("half", 180), Window("year", 365)
LONG_BEFORE = Window("long_before", 90, ends_days_before=90)
ROUNDING = 1e-9
"""Sums that differ by less than this share are equal: engines add in different orders."""


def _signal(
    name: str, unit: Unit, healthy: Direction, label: str, days: int, sentence: str
) -> Signal:
    return Signal(name, "usage", unit, healthy, label, days, sentence)


_VOLUME = (
    _signal("usage_7d", "count", "higher", "Usage volume, a week", 7, "{value} use{s} in 7 days"),
    _signal("usage_28d", "count", "higher", "Usage volume", 28, "{value} use{s} in 28 days"),
    _signal("usage_90d", "count", "higher", "Usage volume, long", 90, "{value} use{s} in 90 days"),
    _signal(
        "usage_180d",
        "count",
        "higher",
        "Usage volume, half a year",
        180,
        "{value} use{s} in 180 days",
    ),
    _signal(
        "usage_365d", "count", "higher", "Usage volume, a year", 365, "{value} use{s} in 365 days"
    ),
    _signal(
        "usage_change",
        "change",
        "higher",
        "Usage volume, change",
        28,
        "Usage volume {value} against the month before",
    ),
    _signal(
        "usage_change_90d",
        "change",
        "higher",
        "Usage volume, long change",
        90,
        "Usage volume of 90 days {value} against the 90 before",
    ),
    _signal(
        "usage_decline_streak",
        "count",
        "lower",
        "Decline streak",
        28 * len(MONTHS),
        "Usage has fallen for {value} span{s} of 28 days in a row (5 at most)",
    ),
    _signal(
        "active_days_28d",
        "days",
        "higher",
        "Active days",
        28,
        "The product was used on {value} of the last 28",
    ),
    _signal(
        "days_since_use",
        "days",
        "lower",
        "Time since last use",
        90,
        "Last used {value} ago (90 at most)",
    ),
)
_USERS = (
    _signal(
        "active_users_28d",
        "count",
        "higher",
        "Active users",
        28,
        "{value} active user{s} in 28 days",
    ),
    _signal(
        "active_users_change",
        "change",
        "higher",
        "Active users, change",
        28,
        "Active users {value} against the month before",
    ),
    _signal(
        "uses_per_user_28d",
        "count",
        "higher",
        "Uses per active user",
        28,
        "{value} use{s} per active user in 28 days",
    ),
)
_SEATS = (
    _signal(
        "seat_utilisation",
        "share",
        "higher",
        "Seats in use",
        28,
        "{value} of the paid seats were used in 28 days",
    ),
)
_ERRORS = (
    _signal(
        "error_rate_28d",
        "share",
        "lower",
        "Error rate",
        28,
        "Errors per use were {value} in 28 days",
    ),
)


class UsageBuilder:
    """Signals of the ``usage`` group, from usage events."""

    group: Group = "usage"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List volume signals, and those of users, seats and errors where the columns are there."""
        if not company.has("usage_events"):
            return ()
        users = _USERS if company.has("usage_events", "user_id") else ()
        seats = _SEATS if users and company.has("subscriptions", "seats") else ()
        errors = _ERRORS if company.has("usage_events", "errors") else ()
        return (*_VOLUME, *users, *seats, *errors)

    def build(self, request: Request) -> ir.Table:
        """Aggregate events over the windows and derive changes, recency, rates and the streak."""
        wanted = [signal.name for signal in self.signals(request.company, request.settings)]
        rows = fill_rows(request.observations, _volumes(request), [])
        silent = days_between(rows.observation_date, rows.last_long).fill_null(float(LONG.days))
        values = {
            "usage_28d": rows.volume_w1,
            "usage_7d": rows.volume_week,
            "usage_90d": rows.volume_long,
            "usage_180d": rows.volume_half,
            "usage_365d": rows.volume_year,
            "usage_change": relative_change(rows.volume_w1, rows.volume_w2),
            "usage_change_90d": relative_change(rows.volume_long, rows.volume_long_before),
            "usage_decline_streak": _decline_streak(rows),
            "active_days_28d": rows.days_w1,
            "days_since_use": silent,
        }
        if "errors_w1" in rows.columns:
            values["error_rate_28d"] = rows.errors_w1 / rows.judged_w1.nullif(0.0)
        if "users_w1" in rows.columns:
            values["active_users_28d"] = rows.users_w1
            values["active_users_change"] = relative_change(rows.users_w1, rows.users_w2)
            values["uses_per_user_28d"] = rows.volume_w1 / rows.users_w1.nullif(0.0)
        if "seat_utilisation" in wanted:
            values["seat_utilisation"] = rows.users_w1 / rows.seats.nullif(0.0)
        return rows.select(
            "account_id", "observation_date", **{name: values[name] for name in wanted}
        )


def _volumes(request: Request) -> ir.Table:
    """Measure volume over all windows; users, whose windows cost more, over two."""
    table = request.company.tables["usage_events"]
    events = table.cleaned
    amount = events.quantity if table.has("quantity") else ibis.literal(1.0)
    columns: dict[str, ir.Value] = {"amount": amount}
    measures = {"volume": Measure("sum", "amount"), "days": Measure("days")}
    measures["last"] = Measure("last")
    if table.has("errors"):
        # Uses of which nobody knows whether they failed say nothing about the rate.
        judged = ibis.ifelse(events.errors.notnull(), amount, ibis.null("float64"))
        columns |= {"errors": events.errors, "judged": judged}
        measures |= {"errors": Measure("sum", "errors"), "judged": Measure("sum", "judged")}
    windows = (*MONTHS, WEEK, LONG, LONG_BEFORE, HALF, YEAR)
    volumes = request.over_windows(request.events("usage_events", **columns), windows, measures)
    if not table.has("user_id"):
        return volumes
    users = request.over_windows(
        request.events("usage_events", user_id=events.user_id),
        (RECENT, BEFORE),
        {"users": Measure("distinct", "user_id")},
    )
    return fill_rows(volumes, users, [])


def _decline_streak(rows: ir.Table) -> ir.Value:
    """Count the windows, from the newest on, that had less volume than the one before."""
    volumes = [rows[f"volume_{window.name}"] for window in MONTHS]
    steady = [
        (newer >= older * (1 - ROUNDING), float(streak))
        for streak, (newer, older) in enumerate(pairwise(volumes))
    ]
    return ibis.cases(*steady, else_=float(len(steady)))
