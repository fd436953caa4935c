"""Payments: what is overdue, how late invoices are paid, and when the contract renews."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.builder import Request, SignalsSettings, fill_rows
from features.catalog import Group, Signal
from features.company import Company, days_between, rows_known

_INVOICES = (
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
)
_BY_INVOICE_COLUMN = {
    "amount": Signal(
        "overdue_amount",
        "payments",
        "money",
        "lower",
        "Overdue amount",
        None,
        "An amount of {value} is overdue",
    ),
    "failed_attempts": Signal(
        "failed_payments_180d",
        "payments",
        "count",
        "lower",
        "Failed payment attempts",
        180,
        "{value} failed payment attempt{s} on paid invoices of 180 days",
    ),
    "refunded_at": Signal(
        "refunds_180d",
        "payments",
        "count",
        "lower",
        "Refunds",
        180,
        "{value} refund{s} in 180 days",
    ),
}
_BY_SUBSCRIPTION_COLUMN = {
    "renewal_at": Signal(
        "days_to_renewal",
        "payments",
        "days",
        "none",
        "Time to renewal",
        None,
        "The contract renews in {value}",
    ),
    "billing_period": Signal(
        "billing_period",
        "payments",
        "category",
        "none",
        "Billing period",
        None,
        "Billing period is {value}",
    ),
    "auto_renew": Signal(
        "auto_renew",
        "payments",
        "flag",
        "higher",
        "Automatic renewal",
        None,
        "Automatic renewal: {value}",
    ),
    "discount": Signal(
        "discount", "payments", "count", "none", "Discount", None, "The discount is {value}"
    ),
}


class PaymentsBuilder:
    """Signals of the ``payments`` group, from invoices and running subscriptions."""

    group: Group = "payments"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List the signals that the mapped columns can fill."""
        found: list[Signal] = []
        if company.has("invoices", "paid_at"):
            found.extend(_INVOICES)
            found.extend(
                signal
                for column, signal in _BY_INVOICE_COLUMN.items()
                if company.has("invoices", column)
            )
        found.extend(
            signal
            for column, signal in _BY_SUBSCRIPTION_COLUMN.items()
            if company.has("subscriptions", column)
        )
        return tuple(found)

    def build(self, request: Request) -> ir.Table:
        """Aggregate the invoices known before each observation and read the running contract."""
        wanted = [signal.name for signal in self.signals(request.company, request.settings)]
        rows = request.observations
        if "renewal_at" in rows.columns:
            rows = rows.mutate(days_to_renewal=days_between(rows.renewal_at, rows.observation_date))
        if request.company.has("invoices", "paid_at"):
            values = _invoice_measures(request, wanted)
            counted = [name for name in values.columns if name in _ZERO_WHERE_ABSENT]
            rows = fill_rows(rows, values, counted)
        return rows.select("account_id", "observation_date", *wanted)


_ZERO_WHERE_ABSENT = (
    "overdue_invoices",
    "overdue_days",
    "overdue_amount",
    "failed_payments_180d",
    "refunds_180d",
)


def _invoice_measures(request: Request, wanted: list[str]) -> ir.Table:
    invoices = rows_known(request.observations, request.company.tables["invoices"])
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
    if "failed_attempts" in invoices.columns:
        measures["failed_payments_180d"] = invoices.failed_attempts.sum(where=due_days <= 180)
    if "refunded_at" in invoices.columns:
        refund_age = days_between(date, invoices.refunded_at)
        measures["refunds_180d"] = (refund_age <= 180).fill_null(False).sum()
    measures = {name: value for name, value in measures.items() if name in wanted}
    return invoices.group_by("account_id", "observation_date").aggregate(**measures)
