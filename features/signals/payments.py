"""Payments: what is owed, how the contract stands, and where its price has gone."""

from __future__ import annotations

from datetime import timedelta

import ibis
import ibis.expr.types as ir

from features.builders.builder import Request, fill_rows, relative_change
from features.builders.settings import SignalsSettings
from features.catalog import Group, Signal
from features.observations import active_accounts
from features.tables.company import Company, days_between, without_doubled_keys
from features.windows.panes import Measure, Window

_BY_INVOICE_COLUMNS: dict[tuple[str, ...], tuple[Signal, ...]] = {
    ("due_at", "paid_at"): (
        Signal(
            "overdue_invoices",
            "payments",
            "count",
            "lower",
            "Overdue invoices",
            None,
            "{value} invoice{s} overdue",
        ),
        Signal(
            "overdue_days",
            "payments",
            "days",
            "lower",
            "Oldest overdue invoice",
            None,
            "The oldest unpaid invoice is {value} overdue",
        ),
        Signal(
            "days_late_180d",
            "payments",
            "days",
            "lower",
            "Payment delay",
            180,
            "Invoices due in 180 days were {value} late on average",
        ),
    ),
    ("due_at", "paid_at", "amount"): (
        Signal(
            "overdue_amount",
            "payments",
            "money",
            "lower",
            "Overdue amount",
            None,
            "An amount of {value} is overdue",
        ),
    ),
    ("paid_at", "failed_attempts"): (
        Signal(
            "failed_payments_180d",
            "payments",
            "count",
            "lower",
            "Failed payment attempts",
            180,
            "{value} failed payment attempt{s} on invoices paid in 180 days",
        ),
    ),
    ("failed",): (
        Signal(
            "payments_failed_90d",
            "payments",
            "count",
            "lower",
            "Failed payments",
            90,
            "{value} payment{s} failed in 90 days",
        ),
    ),
    ("refunded_at",): (
        Signal(
            "refunds_180d",
            "payments",
            "count",
            "lower",
            "Refunds",
            180,
            "{value} refund{s} in 180 days",
        ),
    ),
    ("refunded_at", "amount"): (
        Signal(
            "refunded_amount_180d",
            "payments",
            "money",
            "lower",
            "Refunded invoices",
            180,
            "Invoices of {value} in all were refunded in 180 days",
        ),
    ),
}
_BY_SUBSCRIPTION_COLUMNS: dict[tuple[str, ...], tuple[Signal, ...]] = {
    ("renewal_at",): (
        Signal(
            "days_to_renewal",
            "profile",
            "days",
            "none",
            "Time to renewal",
            None,
            "The contract renews in {value}",
        ),
        Signal(
            "term_days",
            "profile",
            "days",
            "none",
            "Term length",
            None,
            "The contract that renews next runs for {value}",
        ),
        Signal(
            "renewal_due",
            "profile",
            "flag",
            "none",
            "Renewal due",
            None,
            "The contract renews within the outcome window: {value}",
        ),
    ),
    ("billing_period",): (
        Signal(
            "billing_period",
            "profile",
            "category",
            "none",
            "Billing period",
            None,
            "Billing period is {value}",
        ),
    ),
    ("auto_renew",): (
        Signal(
            "auto_renew",
            "profile",
            "flag",
            "higher",
            "Automatic renewal",
            None,
            "Automatic renewal: {value}",
        ),
    ),
    ("discount",): (
        Signal(
            "discount",
            "payments",
            "share",
            "none",
            "Discount",
            None,
            "The discount is {value}",
        ),
    ),
    ("mrr",): (
        Signal(
            "mrr_change_90d",
            "payments",
            "change",
            "higher",
            "MRR, lately",
            90,
            "MRR {value} against 90 days ago",
        ),
        Signal(
            "mrr_change_180d",
            "payments",
            "change",
            "higher",
            "MRR",
            180,
            "MRR {value} against 180 days ago",
        ),
    ),
    ("mrr", "seats"): (
        Signal(
            "price_change_180d",
            "payments",
            "change",
            "none",
            "Price per seat",
            180,
            "MRR per seat {value} against 180 days ago",
        ),
    ),
}
_OF_ISSUED_AMOUNTS = (
    Signal(
        "invoiced_90d",
        "payments",
        "money",
        "none",
        "Invoiced lately",
        90,
        "An amount of {value} was invoiced, or paid, in 90 days",
    ),
    Signal(
        "invoiced_change_90d",
        "payments",
        "change",
        "higher",
        "Invoiced amount, lately",
        90,
        "The amount invoiced in 90 days {value} against the 90 days before",
    ),
)
"""Where invoices have no due date: all that is known with the row."""
_QUARTERS = (Window("90d", 90), Window("180d", 180))
_ZERO_WHERE_ABSENT = ("overdue_invoices", "overdue_days", "overdue_amount")
_HALF_YEAR = (Window("180d", 180),)


class PaymentsBuilder:
    """Signals of the ``payments`` group, from invoices and running subscriptions."""

    group: Group = "payments"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List the signals that the mapped columns can fill."""
        by_table = {"invoices": _BY_INVOICE_COLUMNS, "subscriptions": _BY_SUBSCRIPTION_COLUMNS}
        issued = _OF_ISSUED_AMOUNTS if _tells_amounts_alone(company) else ()
        return issued + tuple(
            signal
            for table, by_columns in by_table.items()
            for columns, signals in by_columns.items()
            if company.has(table, *columns)
            for signal in signals
        )

    def build(self, request: Request) -> ir.Table:
        """Read the invoices known before each observation and the contract running on it."""
        wanted = [signal.name for signal in self.signals(request.company, request.settings)]
        rows, has = request.observations, request.company.has
        if has("invoices", "due_at", "paid_at"):
            due = _due(request)
            zeros = [name for name in _ZERO_WHERE_ABSENT if name in due.columns]
            rows = fill_rows(rows, due, zeros)
        if has("invoices", "paid_at", "failed_attempts"):
            rows = fill_rows(rows, _failed(request), [])
        if has("invoices", "failed") or _tells_amounts_alone(request.company):
            rows = _with_issued(request, rows)
        if has("invoices", "refunded_at"):
            rows = fill_rows(rows, _refunded(request), [])
        if has("subscriptions", "renewal_at"):
            rows = fill_rows(rows, _term(request), [])
            rows = rows.mutate(days_to_renewal=days_between(rows.renewal_at, rows.observation_date))
            opens, closes = request.outcome.lead_days, request.outcome.maturity_days
            due = (rows.days_to_renewal >= opens) & (rows.days_to_renewal < closes)
            rows = rows.mutate(renewal_due=due.cast("float64"))
        if has("subscriptions", "mrr"):
            rows = _with_changes(request, rows)
        return rows.select("account_id", "observation_date", *wanted)


def _due(request: Request) -> ir.Table:
    """Aggregate the invoices that are overdue, and the delay of those that fell due."""
    invoices = request.known("invoices")
    date = invoices.observation_date
    due_days = days_between(date, invoices.due_at)
    overdue = invoices.paid_at.isnull() & (due_days > 0)
    late = days_between(invoices.paid_at.fill_null(date), invoices.due_at)
    recently_due = (due_days > 0) & (due_days <= 180)
    measures: dict[str, ir.Value] = {
        "overdue_invoices": overdue.sum(),
        "overdue_days": due_days.max(where=overdue),
        "days_late_180d": ibis.greatest(late, 0.0).mean(where=recently_due),
    }
    if "amount" in invoices.columns:
        measures["overdue_amount"] = invoices.amount.sum(where=overdue)
    return invoices.group_by("account_id", "observation_date").aggregate(**measures)


def _failed(request: Request) -> ir.Table:
    """Sum failed attempts when they became known: with the payment that came in the end."""
    invoices = request.company.tables["invoices"].cleaned
    paid = request.events("invoices", at="paid_at", attempts=invoices.failed_attempts)
    return request.over_windows(paid, _HALF_YEAR, {"failed_payments": Measure("sum", "attempts")})


def _tells_amounts_alone(company: Company) -> bool:
    return company.has("invoices", "amount") and not company.has("invoices", "due_at")


def _with_issued(request: Request, rows: ir.Table) -> ir.Table:
    """Sum what was invoiced, and count the payments that failed, by the day of the row."""
    invoices = request.company.tables["invoices"].cleaned
    columns: dict[str, ir.Value] = {}
    measures = {}
    failed = invoices.failed.fill_null(False) if "failed" in invoices.columns else None
    if failed is not None:
        columns["failed"] = failed.cast("float64")
        measures["payments_failed"] = Measure("sum", "failed")
    if _tells_amounts_alone(request.company):
        amount = invoices.amount
        columns["amount"] = amount if failed is None else ibis.ifelse(failed, 0.0, amount)
        measures["invoiced"] = Measure("sum", "amount")
    sums = request.over_windows(request.events("invoices", **columns), _QUARTERS, measures)
    rows = fill_rows(rows, sums, [f"{name}_90d" for name in measures])
    if "invoiced" not in measures:
        return rows
    before = rows.invoiced_180d.fill_null(0.0) - rows.invoiced_90d
    return rows.mutate(invoiced_change_90d=relative_change(rows.invoiced_90d, before))


def _refunded(request: Request) -> ir.Table:
    invoices = request.company.tables["invoices"].cleaned
    columns = {"amount": invoices.amount} if "amount" in invoices.columns else {}
    measures = {"refunds": Measure("count")}
    if columns:
        measures["refunded_amount"] = Measure("sum", "amount")
    refunds = request.events("invoices", at="refunded_at", **columns)
    return request.over_windows(refunds, _HALF_YEAR, measures)


def _term(request: Request) -> ir.Table:
    """Measure the term that ends with the next renewal; the mean where several do."""
    observed = request.observations
    renewals = observed.select("account_id", "observation_date", next_renewal="renewal_at")
    terms = request.known("subscriptions").inner_join(renewals, ["account_id", "observation_date"])
    terms = without_doubled_keys(terms)
    ending = terms.renewal_at == terms.next_renewal
    if "ended_at" in terms.columns:
        ending = ending & terms.ended_at.isnull()
    terms = terms.filter(ending)
    return terms.group_by("account_id", "observation_date").aggregate(
        term_days=days_between(terms.renewal_at, terms.started_at).mean()
    )


def _with_changes(request: Request, rows: ir.Table) -> ir.Table:
    """Compare with the contract as it was known to run earlier; unknown where none ran."""
    lags = (90, 180)
    earlier = {day - timedelta(days=lag) for day in request.dates for lag in lags}
    contracts = active_accounts(request.company, sorted(earlier))
    if request.account_id is not None:
        contracts = contracts.filter(contracts.account_id == request.account_id)
    held = [name for name in ("mrr", "seats") if name in contracts.columns]
    contracts = request.company.keep(
        "earlier_contracts", contracts.select("account_id", "observation_date", *held)
    )
    for lag in lags:
        then = contracts.select(
            "account_id",
            observation_date=contracts.observation_date + ibis.interval(days=lag),
            **{f"{name}_then_{lag}d": contracts[name] for name in held},
        )
        rows = fill_rows(rows, then, [])
        change = relative_change(rows.mrr, rows[f"mrr_then_{lag}d"])
        rows = rows.mutate(**{f"mrr_change_{lag}d": change})
    if "seats" not in held:
        return rows
    price = rows.mrr / rows.seats.nullif(0.0)
    price_then = rows.mrr_then_180d / rows.seats_then_180d.nullif(0.0)
    return rows.mutate(price_change_180d=relative_change(price, price_then))
