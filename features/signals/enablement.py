"""Enablement: who was trained, in what, how recently, and whether they saw it through."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.builders.builder import Request, fill_rows
from features.builders.settings import SignalsSettings
from features.catalog import Group, Signal
from features.tables.company import Company, days_between
from features.windows.panes import Measure, Window

_HALF_YEAR, _YEAR, _QUARTER = Window("180d", 180), Window("365d", 365), Window("90d", 90)

_ATTENDED = (
    Signal(
        "trainings_180d",
        "enablement",
        "count",
        "higher",
        "Trainings, lately",
        180,
        "{value} training{s} attended in 180 days",
    ),
    Signal(
        "trainings_365d",
        "enablement",
        "count",
        "higher",
        "Trainings",
        365,
        "{value} training{s} attended in a year",
    ),
    Signal(
        "days_since_training",
        "enablement",
        "days",
        "lower",
        "Time since last training",
        365,
        "The last training was {value} ago (365 at most)",
    ),
)
_COMPLETED = Signal(
    "training_completion_365d",
    "enablement",
    "share",
    "higher",
    "Trainings completed",
    365,
    "{value} of the trainings of a year were completed",
)
_COURSES = Signal(
    "courses_365d",
    "enablement",
    "count",
    "higher",
    "Courses taken",
    365,
    "{value} different course{s} taken in a year",
)
_USERS = Signal(
    "users_trained_share",
    "enablement",
    "share",
    "higher",
    "Users trained",
    365,
    "Users trained in a year are {value} of those active in 90 days (100 % at most)",
)


class EnablementBuilder:
    """Signals of the ``enablement`` group, from trainings."""

    group: Group = "enablement"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List the signals that the mapped training columns can fill."""
        if not company.has("trainings"):
            return ()
        by_column = {
            _COMPLETED: company.has("trainings", "completed"),
            _COURSES: company.has("trainings", "course"),
            _USERS: _knows_users(company),
        }
        return (*_ATTENDED, *(signal for signal, there in by_column.items() if there))

    def build(self, request: Request) -> ir.Table:
        """Aggregate trainings, and set those trained against those who use the product."""
        wanted = [signal.name for signal in self.signals(request.company, request.settings)]
        trainings = request.company.tables["trainings"].cleaned
        columns: dict[str, ir.Value] = {}
        measures = {"trainings": Measure("count"), "last": Measure("last")}
        if "completed" in trainings.columns:
            columns["completed"] = trainings.completed.cast("int64")
            measures["training_completion"] = Measure("mean", "completed")
        if "course" in trainings.columns:
            columns["course"] = trainings.course.strip().lower()
            measures["courses"] = Measure("distinct", "course", few=True)
        if _knows_users(request.company):
            columns["user_id"] = trainings.user_id
            measures["trained"] = Measure("distinct", "user_id")
        attended = request.events("trainings", **columns)
        rows = request.over_windows(attended, [_HALF_YEAR, _YEAR], measures)
        since = days_between(rows.observation_date, rows.last_365d)
        rows = rows.mutate(days_since_training=since.fill_null(float(_YEAR.days)))
        if _knows_users(request.company):
            rows = fill_rows(rows, _active_users(request), [])
            share = rows.trained_365d / rows.active_90d.nullif(0.0)
            rows = rows.mutate(users_trained_share=ibis.ifelse(share > 1.0, 1.0, share))
        return rows.select("account_id", "observation_date", *wanted)


def _knows_users(company: Company) -> bool:
    return company.has("trainings", "user_id") and company.has("usage_events", "user_id")


def _active_users(request: Request) -> ir.Table:
    users = request.company.tables["usage_events"].cleaned.user_id
    events = request.events("usage_events", user_id=users)
    return request.over_windows(events, [_QUARTER], {"active": Measure("distinct", "user_id")})
