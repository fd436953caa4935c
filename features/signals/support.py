"""Support: what customers asked for, how they were answered, and what still waits."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from features.builders.builder import Request, fill_rows, relative_change
from features.builders.settings import SignalsSettings
from features.catalog import Group, Signal
from features.tables.company import Company, days_between
from features.windows.panes import Measure, Window

_OPENED = (
    Signal(
        "tickets_opened_14d",
        "support",
        "count",
        "none",
        "Tickets opened, just now",
        14,
        "{value} ticket{s} opened in 14 days",
    ),
    Signal(
        "tickets_opened_30d",
        "support",
        "count",
        "none",
        "Tickets opened, lately",
        30,
        "{value} ticket{s} opened in 30 days",
    ),
    Signal(
        "tickets_opened_90d",
        "support",
        "count",
        "none",
        "Tickets opened",
        90,
        "{value} ticket{s} opened in 90 days",
    ),
    Signal(
        "tickets_opened_180d",
        "support",
        "count",
        "none",
        "Tickets opened, half a year",
        180,
        "{value} ticket{s} opened in 180 days",
    ),
    Signal(
        "tickets_opened_change",
        "support",
        "change",
        "none",
        "Change of tickets opened",
        90,
        "Tickets opened {value} against the 90 days before",
    ),
)
_CLOSED = (
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
)
_BY_COLUMNS: dict[tuple[str, ...], tuple[Signal, ...]] = {
    ("closed_at",): _CLOSED,
    ("first_response_at",): (
        Signal(
            "first_response_180d",
            "support",
            "days",
            "lower",
            "Time to first response",
            180,
            "The first answer took {value} on average in 180 days",
        ),
    ),
    ("closed_at", "escalated"): (
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
    ("closed_at", "reopened"): (
        Signal(
            "reopened_180d",
            "support",
            "count",
            "lower",
            "Reopened tickets",
            180,
            "{value} reopened ticket{s} closed in 180 days",
        ),
    ),
    ("priority",): (
        Signal(
            "severe_share_90d",
            "support",
            "share",
            "lower",
            "Severe tickets",
            90,
            "{value} of the tickets opened in 90 days were severe",
        ),
    ),
    ("category",): (
        Signal(
            "bug_share_180d",
            "support",
            "share",
            "lower",
            "Bug reports",
            180,
            "{value} of the tickets opened in 180 days were bugs",
        ),
        Signal(
            "how_to_share_180d",
            "support",
            "share",
            "none",
            "How-to questions",
            180,
            "{value} of the tickets opened in 180 days asked how to do something",
        ),
        Signal(
            "feature_request_share_180d",
            "support",
            "share",
            "none",
            "Feature requests",
            180,
            "{value} of the tickets opened in 180 days asked for a feature",
        ),
        Signal(
            "repeat_tickets_90d",
            "support",
            "count",
            "lower",
            "Repeat questions",
            90,
            "{value} ticket{s} of 90 days came back to a category asked about before",
        ),
    ),
    ("closed_at", "csat"): (
        Signal(
            "ticket_csat_180d",
            "support",
            "score",
            "higher",
            "Ticket satisfaction",
            180,
            "Satisfaction with tickets closed in 180 days was {value} on average",
        ),
    ),
    ("closed_at", "sentiment"): (
        Signal(
            "ticket_sentiment_180d",
            "support",
            "score",
            "higher",
            "Ticket sentiment",
            180,
            "The mood of tickets closed in 180 days was {value} on average",
        ),
    ),
}

_OPENED_WINDOWS = (
    Window("14d", 14),
    Window("30d", 30),
    Window("90d", 90),
    Window("before", 90, ends_days_before=90),
    Window("180d", 180),
)
_HALF_YEAR = (Window("180d", 180),)


class SupportBuilder:
    """Signals of the ``support`` group, from tickets."""

    group: Group = "support"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List the signals that the mapped ticket columns can fill."""
        if not company.has("tickets"):
            return ()
        found = [signals for on, signals in _BY_COLUMNS.items() if company.has("tickets", *on)]
        return (*_OPENED, *(signal for signals in found for signal in signals))

    def build(self, request: Request) -> ir.Table:
        """Measure tickets where they were opened, answered and closed, and what is open now."""
        wanted = [signal.name for signal in self.signals(request.company, request.settings)]
        rows = _opened(request)
        if request.company.has("tickets", "first_response_at"):
            rows = fill_rows(rows, _answered(request), [])
        if request.company.has("tickets", "closed_at"):
            rows = fill_rows(rows, _closed(request), [])
            rows = fill_rows(rows, _open_now(request), ["tickets_open", "oldest_open_ticket"])
        return rows.select("account_id", "observation_date", *wanted)


def _opened(request: Request) -> ir.Table:
    """Count the tickets opened, and sort them by the user's own words."""
    tickets = request.company.tables["tickets"].cleaned
    words = request.settings.tickets
    columns: dict[str, ir.Value] = {}
    measures = {"tickets_opened": Measure("count")}
    if "priority" in tickets.columns:
        columns["severe"] = _is_one_of(tickets.priority, words.severe)
        measures["severe_share"] = Measure("mean", "severe")
    if "category" in tickets.columns:
        columns["category"] = _plain(tickets.category)
        columns["has_category"] = tickets.category.notnull().cast("int64")
        measures["with_category"] = Measure("sum", "has_category")
        measures["categories"] = Measure("distinct", "category", few=True)
        for kind in ("bug", "how_to", "feature_request"):
            columns[kind] = _is_one_of(tickets.category, getattr(words, kind))
            measures[f"{kind}_share"] = Measure("mean", kind)
    opened = request.over_windows(request.events("tickets", **columns), _OPENED_WINDOWS, measures)
    change = relative_change(opened.tickets_opened_90d, opened.tickets_opened_before)
    derived = {"tickets_opened_change": change}
    if "category" in tickets.columns:
        derived["repeat_tickets_90d"] = opened.with_category_90d - opened.categories_90d
    return opened.mutate(**derived)


def _answered(request: Request) -> ir.Table:
    tickets = request.company.tables["tickets"].cleaned
    waited = _duration(tickets.first_response_at, tickets.opened_at)
    answers = request.events("tickets", at="first_response_at", waited=waited)
    return request.over_windows(answers, _HALF_YEAR, {"first_response": Measure("mean", "waited")})


def _closed(request: Request) -> ir.Table:
    tickets = request.company.tables["tickets"].cleaned
    columns: dict[str, ir.Value] = {"took": _duration(tickets.closed_at, tickets.opened_at)}
    measures = {"days_to_close": Measure("mean", "took")}
    for flag in ("escalated", "reopened"):
        if flag in tickets.columns:
            columns[flag] = tickets[flag].cast("int64")
            measures[flag] = Measure("sum", flag)
    for score in ("csat", "sentiment"):
        if score in tickets.columns:
            columns[score] = tickets[score]
            measures[f"ticket_{score}"] = Measure("mean", score)
    closures = request.events("tickets", at="closed_at", **columns)
    return request.over_windows(closures, _HALF_YEAR, measures)


def _open_now(request: Request) -> ir.Table:
    tickets = request.known("tickets")
    waiting = tickets.filter(tickets.closed_at.isnull())
    age = days_between(waiting.observation_date, waiting.opened_at)
    return waiting.group_by("account_id", "observation_date").aggregate(
        tickets_open=waiting.count(), oldest_open_ticket=age.max()
    )


def _plain(text: ir.Value) -> ir.Value:
    return text.strip().lower()


def _is_one_of(text: ir.Value, words: Sequence[str]) -> ir.Value:
    """Return 1 or 0, missing where the text is: the engine folds both sides' case alike."""
    found = _plain(text).isin([_plain(ibis.literal(word)) for word in words])
    return ibis.ifelse(text.isnull(), ibis.null("int64"), found.cast("int64"))


def _duration(end: ir.Value, start: ir.Value) -> ir.Value:
    """Return days; an end before the start is an error of the data and tells no duration."""
    return ibis.ifelse(end >= start, days_between(end, start), ibis.null("float64"))
