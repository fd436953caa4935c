"""Profile: who the account is. Context for the score, never a weight in it."""

from __future__ import annotations

import ibis.expr.types as ir

from features.adoption import signal_name
from features.builder import Request, SignalsSettings
from features.catalog import Group, Signal
from features.company import Company, days_between

_TENURE = Signal("tenure_days", "profile", "days", "none", "Tenure", None, "Customer for {value}")
_BY_SUBSCRIPTION_COLUMN = {
    "plan": Signal("plan", "profile", "category", "none", "Plan", None, "The plan is {value}"),
    "seats": Signal("seats", "profile", "count", "none", "Paid seats", None, "Paid seats: {value}"),
    "mrr": Signal(
        "mrr", "profile", "money", "none", "Monthly revenue", None, "Pays {value} a month"
    ),
}


class ProfileBuilder:
    """Signals of the ``profile`` group, from account attributes and running subscriptions."""

    group: Group = "profile"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List tenure, contract facts and the mapped attributes that are not sensitive.

        The plan of the running subscription, known on each date, wins over an attribute ``plan``,
        which only says what the plan is today.
        """
        contract = [
            signal
            for column, signal in _BY_SUBSCRIPTION_COLUMN.items()
            if company.has("subscriptions", column)
        ]
        taken = {signal.name for signal in contract} | {"tenure_days"}
        attributes = [
            signal
            for name, signal in _attribute_signals(company, settings).items()
            if signal.name not in taken
        ]
        return (_TENURE, *contract, *attributes)

    def build(self, request: Request) -> ir.Table:
        """Read tenure, contract facts and attributes of each observation."""
        wanted = [signal.name for signal in self.signals(request.company, request.settings)]
        rows = request.observations
        rows = rows.mutate(tenure_days=days_between(rows.observation_date, rows.created_at))
        attributes = {
            signal.name: name
            for name, signal in _attribute_signals(request.company, request.settings).items()
            if signal.name in wanted and signal.name not in rows.columns
        }
        if attributes:
            accounts = request.company.tables["accounts"].cleaned
            chosen = accounts.select(
                "account_id", **{n: accounts[o] for n, o in attributes.items()}
            )
            rows = rows.left_join(chosen, "account_id")
        return rows.select("account_id", "observation_date", *wanted)


def _attribute_signals(company: Company, settings: SignalsSettings) -> dict[str, Signal]:
    accounts = company.tables["accounts"]
    found: dict[str, Signal] = {}
    for name in accounts.attributes:
        if name in settings.sensitive:
            continue
        is_text = accounts.cleaned[name].type().is_string()
        label = name[:60].replace("_", " ").replace("{", "(").replace("}", ")").capitalize()
        found[name] = Signal(
            signal_name(name),
            "profile",
            "category" if is_text else "count",
            "none",
            label,
            None,
            f"{label} is {{value}}",
        )
    return found
