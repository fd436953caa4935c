"""The source tables: which columns they hold, and when each value became known.

A user's own tables are mapped to these names. Every other module of the project speaks only of
them. Times are UTC; a date stands for its midnight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["id", "time", "text", "number", "flag"]


@dataclass(frozen=True)
class Column:
    """One column of the contract.

    Parameters
    ----------
    name : str
        Contract name.
    kind : {"id", "time", "text", "number", "flag"}
        What values are converted to; an ``id`` is read as text.
    required : bool
        Whether the table is useless without it.
    known_at : str or None
        The time column that says when a value that is filled in later became known; None when it
        was known with the row. A value counts on a date only if that moment lies before the date.
    nonnegative : bool
        Whether a value below zero is impossible.
    planned : bool
        Whether the time may rightly lie in the future (a renewal, a due date).
    may_never_come : bool
        Whether a time in the far future, or that of a clock at zero, stands for none.
    """

    name: str
    kind: Kind
    required: bool = False
    known_at: str | None = None
    nonnegative: bool = False
    planned: bool = False
    may_never_come: bool = False


@dataclass(frozen=True)
class Table:
    """One source table of the contract.

    Parameters
    ----------
    name : str
        Contract name.
    time : str
        The row's own time: a row counts on a date only if this moment lies before the date.
    columns : tuple of Column
        All columns but ``account_id`` and ``recorded_at``, which every table has.
    time_else : str or None
        The time column that stands for the row's own time where that is missing or not mapped.
    is_open : bool
        Whether every other column of the source belongs to it too, and its time may be missing.
    """

    name: str
    time: str
    columns: tuple[Column, ...]
    time_else: str | None = None
    is_open: bool = False

    def all_columns(self) -> tuple[Column, ...]:
        """Return the columns with the two that every table shares."""
        return (ACCOUNT_ID, *self.columns, RECORDED_AT)

    def column(self, name: str) -> Column:
        """Return the column of that name."""
        return next(column for column in self.all_columns() if column.name == name)


ACCOUNT_ID = Column("account_id", "id", required=True)
RECORDED_AT = Column("recorded_at", "time")


def _own_time(name: str) -> Column:
    return Column(name, "time", required=True)


def _later(name: str) -> Column:
    return Column(name, "time", known_at=name, may_never_come=True)


def _planned(name: str) -> Column:
    return Column(name, "time", planned=True)


def _amount(name: str, known_at: str | None = None) -> Column:
    return Column(name, "number", known_at=known_at, nonnegative=True)


_TABLES = (
    Table("accounts", "created_at", (_own_time("created_at"), Column("name", "text"))),
    Table(
        "subscriptions",
        "started_at",
        (
            _own_time("started_at"),
            Column("ended_at", "time", known_at="ended_at", planned=True, may_never_come=True),
            _planned("renewal_at"),
            _amount("mrr"),
            Column("currency", "text"),
            _amount("seats"),
            Column("plan", "text"),
            Column("billing_period", "text"),
            Column("auto_renew", "flag"),
            _amount("discount"),
        ),
    ),
    Table(
        "usage_events",
        "occurred_at",
        (
            _own_time("occurred_at"),
            Column("feature", "text"),
            Column("user_id", "id"),
            _amount("quantity"),
            _amount("errors"),
        ),
    ),
    Table(
        "tickets",
        "opened_at",
        (
            _own_time("opened_at"),
            Column("ticket_id", "id"),
            _later("first_response_at"),
            _later("closed_at"),
            Column("priority", "text"),
            Column("category", "text"),
            Column("escalated", "flag", known_at="closed_at"),
            Column("reopened", "flag", known_at="closed_at"),
            Column("csat", "number", known_at="closed_at"),
            Column("sentiment", "number", known_at="closed_at"),
        ),
    ),
    Table(
        "invoices",
        "issued_at",
        (
            _own_time("issued_at"),
            _planned("due_at"),
            _later("paid_at"),
            _amount("amount"),
            Column("currency", "text"),
            _amount("failed_attempts", known_at="paid_at"),
            # Of a table of payments: what failed, failed when it was tried.
            Column("failed", "flag"),
            _later("refunded_at"),
        ),
    ),
    Table("referrals", "referred_at", (_own_time("referred_at"), _later("converted_at"))),
    Table(
        "surveys",
        "sent_at",
        (
            Column("sent_at", "time"),
            Column("responded_at", "time", required=True, known_at="responded_at"),
            Column("kind", "text", required=True),
            Column("score", "number", required=True, known_at="responded_at"),
        ),
        time_else="responded_at",
    ),
    Table(
        "trainings",
        "attended_at",
        (
            _own_time("attended_at"),
            Column("user_id", "id"),
            Column("course", "text"),
            Column("completed", "flag"),
        ),
    ),
    Table(
        "ratings",
        "rated_at",
        (
            _own_time("rated_at"),
            Column("rater", "text", required=True),
            Column("dimension", "text", required=True),
            Column("rating", "number", required=True),
        ),
    ),
    Table(
        "snapshots",
        "observed_at",
        (Column("observed_at", "time"),),
        time_else="recorded_at",
        is_open=True,
    ),
    # Outcomes the user brings: for an observation date, or for a snapshot in which nothing has one.
    Table(
        "labels",
        "observed_at",
        (Column("observed_at", "time"), Column("happened", "flag", required=True)),
    ),
    Table(
        "interventions",
        "occurred_at",
        (_own_time("occurred_at"), Column("play", "text", required=True)),
    ),
    Table(
        "churn_events",
        "churned_at",
        (_own_time("churned_at"), Column("kind", "text"), Column("reason", "text")),
    ),
)

CONTRACT: dict[str, Table] = {table.name: table for table in _TABLES}
