"""Profile: who the account is. Context for the score, never a weight in it."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.builders.builder import Request
from features.builders.owners import is_owner
from features.builders.settings import LifecycleSettings, SignalsSettings
from features.catalog import Group, Signal, signal_label, signal_name
from features.errors import SettingsError, nearest
from features.tables.company import SECOND_COPY, Company, days_between

_TENURE = Signal("tenure_days", "profile", "days", "none", "Tenure", None, "Customer for {value}")
_LIFECYCLE = Signal(
    "lifecycle_stage",
    "profile",
    "category",
    "none",
    "Lifecycle stage",
    None,
    "The lifecycle stage is {value}",
)
_BY_SUBSCRIPTION_COLUMN = {
    "plan": Signal("plan", "profile", "category", "none", "Plan", None, "The plan is {value}"),
    "seats": Signal(
        "seats", "profile", "count", "none", "Paid seats", None, "{value} paid seat{s}"
    ),
    "mrr": Signal(
        "mrr", "profile", "money", "none", "Monthly revenue", None, "Pays {value} a month"
    ),
}


class ProfileBuilder:
    """Signals of the ``profile`` group, from account attributes and running subscriptions."""

    group: Group = "profile"

    def signals(self, company: Company, settings: SignalsSettings) -> tuple[Signal, ...]:
        """List tenure and stage where they are known, contract facts and attributes.

        Sensitive attributes and owners are left out.

        The plan of the running subscription, known on each date, wins over an attribute ``plan``,
        which only says what the plan is today.
        """
        attributes = _attribute_signals(company, settings)
        age = (_TENURE, _LIFECYCLE) if company.tables["accounts"].is_dated else ()
        return (*age, *_contract_signals(company), *attributes.values())

    def build(self, request: Request) -> ir.Table:
        """Read tenure, stage, contract facts and attributes of each observation."""
        rows = request.observations
        rows = rows.select(
            "account_id",
            "observation_date",
            *(signal.name for signal in _contract_signals(request.company)),
            tenure_days=days_between(rows.observation_date, rows.created_at),
            lifecycle_stage=_lifecycle_stage(rows, request.settings.lifecycle),
        )
        accounts = request.company.tables["accounts"].cleaned
        signals = _attribute_signals(request.company, request.settings)
        chosen = {signal.name: accounts[column] for column, signal in signals.items()}
        attributes = accounts.select("account_id", **chosen)
        joined = rows.left_join(attributes, "account_id", rname=SECOND_COPY)
        return joined.select(*rows.columns, *chosen)


def _lifecycle_stage(rows: ir.Table, settings: LifecycleSettings) -> ir.Value:
    """Sort accounts by tenure, then by the time to renewal; without tenure the stage is unknown."""
    tenure = days_between(rows.observation_date, rows.created_at)
    renews_soon = ibis.literal(False)
    if "renewal_at" in rows.columns:
        ahead = days_between(rows.renewal_at, rows.observation_date)
        renews_soon = (ahead <= settings.renewal_days).fill_null(False)
    return ibis.cases(
        (tenure.isnull(), ibis.null("string")),
        (tenure < settings.onboarding_days, "onboarding"),
        (renews_soon, "renewal"),
        else_="established",
    )


def _contract_signals(company: Company) -> tuple[Signal, ...]:
    return tuple(
        signal
        for column, signal in _BY_SUBSCRIPTION_COLUMN.items()
        if company.has("subscriptions", column)
    )


def _attribute_signals(company: Company, settings: SignalsSettings) -> dict[str, Signal]:
    accounts = company.tables["accounts"]
    known = {signal_name(name) for name in accounts.attributes}
    sensitive = {signal_name(name): name for name in settings.sensitive}
    for name in sensitive.keys() - known:
        raise SettingsError(
            f"[signals] sensitive names {sensitive[name][:60]!r}, which is not among"
            f" [tables.accounts] attributes{nearest(name, known)}; correct it or take it off"
        )
    # Who looks after an account is no trait of the account.
    owners = {signal_name(name) for name in accounts.attributes if is_owner(name, settings)}
    # The plan of the running subscription is known on each date; an attribute only says today's.
    left_out = {*sensitive, *owners, *(signal.name for signal in _contract_signals(company))}
    found: dict[str, Signal] = {}
    for name in accounts.attributes:
        if signal_name(name) in left_out:
            continue
        is_text = accounts.cleaned[name].type().is_string()
        label = signal_label(name)
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
