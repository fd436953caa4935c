"""What is read of a simulated company, and its accounts' unbroken times as customers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

CONTRACT = {
    "accounts": "account_id created_at name plan industry region company_size",
    "subscriptions": "account_id started_at ended_at renewal_at mrr seats plan billing_period "
    "auto_renew discount",
    "usage_events": "account_id occurred_at feature user_id quantity",
    "tickets": "account_id opened_at ticket_id first_response_at closed_at priority category "
    "escalated reopened csat sentiment",
    "invoices": "account_id issued_at due_at paid_at amount failed_attempts refunded_at",
    "referrals": "account_id referred_at converted_at",
    "surveys": "account_id responded_at kind score sent_at",
    "trainings": "account_id attended_at course completed",
    "ratings": "account_id rated_at rater dimension rating",
    "interventions": "account_id occurred_at play",
    "churn_events": "account_id churned_at reason",
}
WEIGHED = (
    "usage", "adoption", "support", "payments", "referrals", "surveys", "enablement", "relationship"
)  # fmt: skip


def read(folder: Path) -> dict[str, pd.DataFrame]:
    names = [*CONTRACT, "truth/rows"]
    return {name: pd.read_parquet(folder / f"{name}.parquet") for name in names}


def stints(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Unbroken times as a customer, from the subscriptions alone."""
    rows = tables["subscriptions"].sort_values(["account_id", "started_at"])
    previous = rows.groupby("account_id").ended_at.shift()
    number = (rows.started_at != previous).groupby(rows.account_id).cumsum()
    ended = rows.ended_at.fillna(pd.Timestamp(2200, 1, 1))
    return (
        rows.assign(number=number, ended_at=ended)
        .groupby(["account_id", "number"])
        .agg(started_at=("started_at", "min"), ended_at=("ended_at", "max"))
        .reset_index()
    )
