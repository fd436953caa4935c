"""Three accounts as Stripe, HubSpot and Zendesk write them, with what companies have in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

DAY = datetime(2024, 1, 1)
LATER = datetime(2024, 6, 1)


def rows(columns: str, *values: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(values), columns=columns.split())


def stripe() -> dict[str, pd.DataFrame]:
    own = '{"external_id": "T-1"}'
    return {
        "stripe_customer": rows(
            "id created email name livemode is_deleted metadata",
            ("cus_1", DAY, "billing@acme.com", "Acme", True, False, own),
            # The same company again, and others that are none.
            ("cus_1b", LATER, "ap@other-mail.com", "Acme (old)", True, False, own),
            ("cus_2", DAY, "me@WWW.Beta.io", "Beta", True, False, "{}"),
            ("cus_t", DAY, "qa@ours.com", "Test", False, False, "{}"),
            ("cus_d", DAY, "billing@acme.com", "Acme", True, True, own),
            ("cus_x", DAY, "someone@gmail.com", "Nobody knows", True, False, "{}"),
        ),
        "stripe_subscription": rows(
            "id customer_id start_date ended_at canceled_at status livemode trial_end"
            " current_period_end",
            ("s1", "cus_1b", DAY, LATER, LATER, "canceled", True, None, LATER),
            ("s2", "cus_1", LATER, None, None, "active", True, None, LATER),
            ("s3", "cus_2", DAY, None, None, "active", True, None, LATER),
            ("s4", "cus_t", DAY, LATER, LATER, "canceled", False, None, LATER),
            ("s5", "cus_d", DAY, LATER, LATER, "canceled", True, None, LATER),
            ("s6", "cus_2", DAY, DAY, DAY, "incomplete_expired", True, None, LATER),
            ("s7", "cus_2", DAY, LATER, LATER, "canceled", True, LATER, LATER),
            ("s8", "cus_x", DAY, None, None, "active", True, None, LATER),
        ),
        "stripe_subscription_item": rows(
            "id subscription_id plan_id quantity",
            ("i1", "s1", "p1", 3), ("i2", "s2", "p1", 5), ("i3", "s2", "p2", 1),
            ("i4", "s3", "p3", 2), ("i8", "s8", "p1", 1),
        ),
        "stripe_plan": rows(
            "id product_id amount currency interval interval_count nickname",
            ("p1", "x", 1000, "usd", "month", 1, "team"),
            ("p2", "x", 12000, "usd", "year", 1, "zone"),
            ("p3", "x", 1000, "jpy", "month", 1, "team"),
        ),
    }  # fmt: skip


def hubspot() -> dict[str, pd.DataFrame]:
    return {
        "hubspot_company": rows(
            "id is_deleted property_name property_createdate property_domain property_tenant_id"
            " property_industry property_lifecyclestage",
            (1, False, "Acme", DAY, "www.acme.com", "T-1", "SOFTWARE", "customer"),
            (2, False, "Beta", DAY, "beta.io", None, "media", "customer"),
            (3, False, "Gamma", DAY, None, None, "media", "lead"),
            (4, True, "Beta", DAY, "beta.io", None, "media", "lead"),
        )
    }


def zendesk() -> dict[str, pd.DataFrame]:
    return {
        "zendesk_organization": rows(
            "id name external_id created_at",
            (10, "ACME Inc", "T-1", DAY), (20, "Beta (EU)", None, DAY), (30, "gamma ", None, DAY),
        ),
        "zendesk_domain_name": rows("organization_id domain_name", (20, "beta.io")),
        "zendesk_user": rows(
            "id email organization_id role",
            (100, "a@acme.com", 10, "end-user"), (200, "b@beta.io", None, "end-user"),
            (300, "c@gmail.com", None, "end-user"), (900, "agent@ours.com", None, "agent"),
        ),
        "zendesk_ticket": rows(
            "id requester_id submitter_id organization_id created_at status priority type",
            (1, 100, 100, 10, DAY, "closed", "high", "problem"),
            (2, 100, 100, None, DAY, "open", "low", "question"),
            (3, 200, 200, None, DAY, "open", "low", None),
            (4, 300, 300, None, DAY, "open", "low", None),
            (5, 100, 100, 10, DAY, "deleted", "low", None),
            (6, 100, 100, 30, DAY, "open", "low", None),
        ),
        "zendesk_ticket_field_history": rows(
            "ticket_id field_name value updated",
            (1, "status", "new", DAY), (1, "status", "solved", datetime(2024, 1, 3)),
            (1, "status", "open", datetime(2024, 1, 4)),
            (1, "status", "solved", datetime(2024, 1, 5)),
            (1, "priority", "solved", datetime(2024, 1, 9)),
        ),
        "zendesk_ticket_comment": rows(
            "ticket_id user_id created public",
            (1, 100, DAY, True), (1, 900, datetime(2024, 1, 1, 1), False),
            (1, 900, datetime(2024, 1, 1, 2), True),
        ),
    }  # fmt: skip


def whole() -> dict[str, pd.DataFrame]:
    return stripe() | hubspot() | zendesk()
