"""Support: tickets opened, open now, and how they were answered as far as was known."""

from __future__ import annotations

import ibis.expr.types as ir

from features.builder import Request, SignalsSettings, fill_rows
from features.catalog import Group, Signal
from features.company import Company, days_between, rows_known

_OPENED = Signal(
    "tickets_opened_90d",
    "support",
    "count",
    "none",
    "Tickets opened",
    90,
    "{value} ticket{s} opened in 90 days",
)
_BY_COLUMN = {
    "closed_at": (
        Signal(
            "tickets_open",
            "support",
            "count",
            "lower",
            "Tickets open now",
            None,
            "{value} ticket{s} open now",
        ),
        Signal(
            "oldest_open_ticket",
            "support",
            "days",
            "lower",
            "Age of the oldest open ticket",
            None,
            "The oldest open ticket has waited {value}",
        ),
        Signal(
            "days_to_close_180d",
            "support",
            "days",
            "lower",
            "Time to close",
            180,
            "Tickets closed in 180 days took {value} on average",
        ),
    ),
    "first_response_at": (
        Signal(
            "first_response_180d",
            "support",
            "days",
            "lower",
            "Time to first response",
            180,
            "The first answer took {value} on average",
        ),
    ),
    "escalated": (
        Signal(
            "escalated_180d",
            "support",
            "count",
            "lower",
            "Escalated tickets",
            180,
            "{value} escalated ticket{s} closed in 180 days",
        ),
    ),
    "csat": (
        Signal(
            "ticket_csat_180d",
            "support",
            "count",
            "higher",
            "Ticket satisfaction",
            180,
            "Satisfaction with closed tickets was {value} on average",
        ),
    ),
}


class SupportBuilder:
    """Signals of the ``support`` group, from tickets."""

    group: Group = "support"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List the signals that the mapped ticket columns can fill."""
        if not company.has("tickets"):
            return ()
        found = [_OPENED]
        for column, signals in _BY_COLUMN.items():
            if company.has("tickets", column) and company.has("tickets", "closed_at"):
                found.extend(signals)
        return tuple(found)

    def build(self, request: Request) -> ir.Table:
        """Aggregate, per observation, the tickets known before it."""
        table = request.company.tables["tickets"]
        tickets = rows_known(request.observations, table)
        wanted = {signal.name for signal in self.signals(request.company, request.settings)}
        age = days_between(tickets.observation_date, tickets.opened_at)
        measures: dict[str, ir.Value] = {"tickets_opened_90d": (age <= 90).sum()}
        if "closed_at" in tickets.columns:
            is_open = tickets.closed_at.isnull()
            closed_age = days_between(tickets.observation_date, tickets.closed_at)
            measures["tickets_open"] = is_open.sum()
            measures["oldest_open_ticket"] = age.max(where=is_open)
            measures["days_to_close_180d"] = days_between(
                tickets.closed_at, tickets.opened_at
            ).mean(where=closed_age <= 180)
            if "escalated" in tickets.columns:
                escalated = tickets.escalated.fill_null(False) & (closed_age <= 180)
                measures["escalated_180d"] = escalated.fill_null(False).sum()
            if "csat" in tickets.columns:
                measures["ticket_csat_180d"] = tickets.csat.mean(where=closed_age <= 180)
        if "first_response_at" in tickets.columns:
            waited = days_between(tickets.first_response_at, tickets.opened_at)
            measures["first_response_180d"] = waited.mean(where=age <= 180)
        measures = {name: value for name, value in measures.items() if name in wanted}
        values = tickets.group_by("account_id", "observation_date").aggregate(**measures)
        counted = {"tickets_opened_90d", "tickets_open", "oldest_open_ticket", "escalated_180d"}
        keys = request.observations.select("account_id", "observation_date")
        return fill_rows(keys, values, sorted(counted & wanted))
