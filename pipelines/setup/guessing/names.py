"""What tables and columns are called elsewhere, and which names tell of what must not be a signal.

Names break ties between columns whose values fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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
    "renewal_at": ("renewal_date", "renews_at", "next_renewal", "term_end"),
    "mrr": ("mrr_amount", "monthly_revenue", "monthly_price", "mrr_usd"),
    "currency": ("currency_code", "iso_currency", "ccy", "waehrung"),
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
    r"retain|retention|renewed|health|risk|(^|_)end(ed)?(_|$)|"
    # What was counted up to today, and how it all ended.
    r"(^|_)(final|results?|recency|lifetime|ltv|clv|latest|cumulative|balance|current|mrr|arr)(_|$)|"
    r"(^|_)(last|total|all|days_since)_|(^|_)(revenue|spend|spent|sales)(_|$)|"
    r"_to_date$",
    re.I,
)
"""What an account became, or is today: known only after the dates a model learns from."""
MUTABLE_WORDS = re.compile(
    r"^(updated|modified|changed)(_|$)|(^|_)(last_)?(updated|modified|synced|modstamp)(_at|_on|_date)?$"
    r"|^_?fivetran_|^_airbyte_|^_sdc_|^_dlt_|system_?mod_?stamp|resource_version",
    re.I,
)
"""The stamps of a table whose rows are overwritten: its other columns say what is so today."""
SENSITIVE_WORDS = re.compile(
    r"(^|_)(gender|sex|age|birth\w*|dob|ethnic\w*|race|religion|marital|married|"
    r"nationality|disab\w*|senior)(_|$)",
    re.I,
)
