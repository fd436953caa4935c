"""Guess which of a stranger's tables and columns fill the contract, from names and values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from features.tables.contract import CONTRACT, Column

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.sources.source import Source

TABLE_NAMES: Mapping[str, tuple[str, ...]] = {
    "accounts": ("accounts", "customers", "companies", "clients", "organizations", "tenants"),
    "subscriptions": ("subscriptions", "contracts", "licenses", "memberships"),
    "usage_events": ("usage_events", "feature_usage", "events", "usage", "activity", "logins"),
    "tickets": ("tickets", "support_tickets", "cases", "support_cases", "issues"),
    "invoices": ("invoices", "bills", "billing", "payments"),
    "referrals": ("referrals", "invites"),
    "surveys": ("surveys", "survey_responses", "nps", "csat", "feedback"),
    "trainings": ("trainings", "training_sessions", "courses", "enablement"),
    "ratings": ("ratings", "csm_ratings", "pulse", "sentiments"),
    "interventions": ("interventions", "plays", "ctas", "outreach"),
    "churn_events": ("churn_events", "churn", "churns", "cancellations"),
    "labels": ("labels", "outcomes", "targets", "ground_truth"),
}
COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "account_id": (
        "customer_id",
        "company_id",
        "client_id",
        "organization_id",
        "org_id",
        "tenant_id",
    ),
    "created_at": (
        "signup_date",
        "signed_up_at",
        "created",
        "created_on",
        "customer_since",
        "start_date",
    ),
    "name": ("account_name", "customer_name", "company_name", "company"),
    "started_at": ("start_date", "started", "start", "begin_date", "valid_from", "contract_start"),
    "ended_at": (
        "end_date",
        "ended",
        "end",
        "cancelled_at",
        "canceled_at",
        "valid_to",
        "contract_end",
    ),
    "renewal_at": ("renewal_date", "renews_at", "next_renewal", "term_end", "current_period_end"),
    "mrr": ("mrr_amount", "monthly_revenue", "monthly_price", "mrr_usd"),
    "seats": ("seat_count", "licenses", "quantity"),
    "plan": ("plan_tier", "plan_name", "tier", "product"),
    "billing_period": ("billing_frequency", "billing_cycle", "billing_interval", "term"),
    "auto_renew": ("auto_renew_flag", "autorenew", "auto_renewal"),
    "discount": ("discount_rate", "discount_share"),
    "occurred_at": (
        "event_time",
        "event_date",
        "usage_date",
        "timestamp",
        "occurred",
        "date",
        "event_at",
    ),
    "feature": ("feature_name", "event_type", "event_name", "event", "action", "module"),
    "user_id": ("user", "member_id", "contact_id", "userid", "attendee_id"),
    "errors": ("error_count", "n_errors", "error_events", "failures"),
    "quantity": ("n_events", "usage_count", "event_count", "count", "amount"),
    "opened_at": ("submitted_at", "created_at", "opened", "created", "open_date", "opened_on"),
    "first_response_at": ("first_reply_at", "first_responded_at", "responded_at"),
    "closed_at": ("resolved_at", "solved_at", "closed", "close_date", "closed_on"),
    "ticket_id": ("case_id", "id"),
    "priority": ("severity", "urgency"),
    "category": ("type", "ticket_type", "topic"),
    "escalated": ("escalation_flag", "is_escalated", "escalation"),
    "reopened": ("is_reopened", "reopen_flag"),
    "csat": ("satisfaction_score", "satisfaction", "csat_score"),
    "sentiment": ("sentiment_score",),
    "issued_at": ("invoice_date", "issued", "issue_date", "created_at"),
    "due_at": ("due_date", "due", "due_on"),
    "paid_at": ("paid_date", "payment_date", "paid", "paid_on"),
    "amount": ("total", "invoice_amount", "amount_due"),
    "failed_attempts": ("failed_payments", "attempts_failed", "retries"),
    "refunded_at": ("refund_date", "refunded_on"),
    "referred_at": ("referral_date", "referred_on", "created_at", "date"),
    "converted_at": ("conversion_date", "converted_on"),
    "responded_at": ("response_date", "answered_at", "submitted_at", "date"),
    "kind": ("survey_type", "type"),
    "score": ("rating", "response", "value", "nps_score"),
    "sent_at": ("sent_date", "sent_on"),
    "attended_at": ("attended_on", "training_date", "completed_at", "date"),
    "course": ("course_name", "training", "module"),
    "completed": ("is_completed", "finished"),
    "rated_at": ("rating_date", "rated_on", "date"),
    "rater": ("rated_by", "csm", "owner", "author"),
    "dimension": ("measure", "criterion", "category"),
    "rating": ("score", "value", "level"),
    "play": ("playbook", "type", "action", "name"),
    "churned_at": (
        "churn_date",
        "cancelled_at",
        "canceled_at",
        "cancel_date",
        "churned_on",
        "date",
    ),
    "reason": ("reason_code", "churn_reason", "cancel_reason"),
    "happened": ("label", "outcome", "target", "y", "churned", "churn", "renewed"),
    "observed_at": ("observation_date", "as_of", "as_of_date", "snapshot_date", "date"),
    "recorded_at": ("ingested_at", "loaded_at", "_loaded_at"),
}
OUTCOME_WORDS = re.compile(
    r"churn|attrit|cancel|lost|left|exit|status|terminat|(^|_)(in|de)?activ|closed|delet|suspend|"
    r"retain|retention|renewed|health|risk|(^|_)end(ed)?(_|$)",
    re.I,
)
"""What an account became, or is today: known only after the dates a model learns from."""
SENSITIVE_WORDS = re.compile(
    r"(^|_)(gender|sex|age|birth\w*|dob|ethnic\w*|race|religion|marital|married|"
    r"nationality|disab\w*|senior)(_|$)",
    re.I,
)
MOST_LEVELS = 50


@dataclass
class TableGuess:
    """What one source table seems to be.

    Parameters
    ----------
    name, source : str
        Contract name and the table's own.
    columns : dict of str to str
        Contract column to source column, where the names differ.
    missing : list of str
        Required contract columns for which nothing fits.
    account_via : tuple of str or None
        Source table, key and account column, where the account is found through another table.
    unused : list of str
        Columns left over.
    notes : list of str
        What a person should check.
    """

    name: str
    source: str
    columns: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    account_via: tuple[str, str, str] | None = None
    unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def guess_tables(source: Source) -> tuple[list[TableGuess], list[str]]:
    """Guess the contract table of every source table.

    Returns
    -------
    list of TableGuess
        In the order of the contract.
    list of str
        Source tables that fit nothing.
    """
    chosen: dict[str, str] = {}
    for name, synonyms in TABLE_NAMES.items():
        free = [table for table in source.tables if table not in chosen.values()]
        found = _by_name(free, (name, *synonyms))
        if found is not None:
            chosen[name] = found
    guesses = [guess_table(name, chosen[name], source) for name in CONTRACT if name in chosen]
    for guess in guesses:
        _find_account(guess, guesses, source)
    left = sorted(set(source.tables) - set(chosen.values()))
    return guesses, left


def guess_table(name: str, source_name: str, source: Source) -> TableGuess:
    """Guess the columns of one table."""
    table = source.tables[source_name]
    guess = TableGuess(name, source_name)
    free = list(table.columns)
    for column in CONTRACT[name].all_columns():
        fitting = [origin for origin in free if fits(table, origin, column)]
        origin = _by_name(fitting, (column.name, *COLUMN_NAMES.get(column.name, ())))
        if origin is not None:
            guess.columns[column.name] = origin
            free.remove(origin)
        elif column.required:
            guess.missing.append(column.name)
    _correct_term_ends(guess, table)
    guess.unused = free
    return guess


def fits(table: ir.Table, origin: str, column: Column) -> bool:
    """Whether a source column's type, or its first texts, can be what the contract wants."""
    kind = table[origin].type()
    if column.kind == "time":
        if kind.is_timestamp() or kind.is_date():
            return True
        return kind.is_string() and _readable(table, origin, "timestamp('UTC')")
    if column.kind == "number":
        return bool(
            (kind.is_numeric() and not kind.is_boolean())
            or (kind.is_string() and _readable(table, origin, "float64"))
        )
    if column.kind == "flag":
        return bool(kind.is_boolean() or kind.is_integer() or kind.is_string())
    return not (kind.is_timestamp() or kind.is_date())


def attributes_of(guess: TableGuess, table: ir.Table) -> tuple[list[str], list[str], list[str]]:
    """Sort left-over account columns into attributes, sensitive ones, and those left out."""
    attributes: list[str] = []
    sensitive: list[str] = []
    left: list[str] = []
    for origin in guess.unused:
        words = _words(origin)
        if SENSITIVE_WORDS.search(words):
            attributes.append(origin)
            sensitive.append(origin)
        elif OUTCOME_WORDS.search(words) or not _describes(table, origin):
            left.append(origin)
        else:
            attributes.append(origin)
    return attributes, sensitive, left


def common_features(guess: TableGuess, table: ir.Table, most: int = 8) -> list[str]:
    """List the most used product features, if the table names them."""
    if "feature" not in guess.columns:
        return []
    feature = table[guess.columns["feature"]].cast("string")
    counted = table.select(feature=feature).group_by("feature").aggregate(n=lambda t: t.count())
    top = counted.filter(counted.feature.notnull()).order_by(counted.n.desc(), counted.feature)
    names = [str(name) for name in top.limit(most).execute()["feature"]]
    return [name for name in names if len(name) <= 60]


def _describes(table: ir.Table, origin: str) -> bool:
    """Whether a column is a number or a category rather than free text, a flag or a date."""
    kind = table[origin].type()
    if kind.is_string():
        return int(table[origin].nunique().execute()) <= MOST_LEVELS
    return bool(kind.is_numeric() and not kind.is_boolean())


def _by_name(candidates: Iterable[str], wanted: Iterable[str]) -> str | None:
    plain = {_plain(candidate): candidate for candidate in reversed(list(candidates))}
    for name in wanted:
        found = plain.get(_plain(name)) or plain.get(_plain(name).removesuffix("s"))
        if found is not None:
            return found
    return None


def _words(name: str) -> str:
    """Part a name into words, as in ``Senior_Citizen`` for "SeniorCitizen"."""
    return re.sub(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])", "_", name)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _readable(table: ir.Table, origin: str, kind: str) -> bool:
    texts = table.filter(table[origin].notnull()).limit(1000)
    facts = texts.aggregate(all=texts.count(), read=texts[origin].try_cast(kind).notnull().sum())
    row = facts.execute().iloc[0]
    # A column without any value contradicts nothing: nobody may have left yet.
    return int(row["read"] or 0) >= 0.9 * int(row["all"])


def _correct_term_ends(guess: TableGuess, table: ir.Table) -> None:
    """Take an end that every row has for the end of a term, not of the relationship."""
    origin = guess.columns.get("ended_at")
    if guess.name != "subscriptions" or origin is None or "renewal_at" in guess.columns:
        return
    if int(table[origin].isnull().sum().execute() or 0) == 0:
        del guess.columns["ended_at"]
        guess.columns["renewal_at"] = origin
        guess.notes.append(
            f"every row has an {origin}, so it is taken as the end of a term (renewal_at)"
        )


def _find_account(guess: TableGuess, guesses: list[TableGuess], source: Source) -> None:
    if "account_id" not in guess.missing:
        return
    for owner in guesses:
        account = owner.columns.get("account_id")
        shared = [
            key
            for key in guess.unused
            if key in source.tables[owner.source].columns and key.lower().endswith("id")
        ]
        if account is not None and shared:
            guess.account_via = (owner.source, shared[0], account)
            guess.missing.remove("account_id")
            return
