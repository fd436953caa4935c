"""Reasons on an account's page: of one fact one, beside what speaks for the account."""

from __future__ import annotations

from types import SimpleNamespace

from pipelines.dashboard.account.view import ReasonLine, named_reasons
from pipelines.portfolio.worklist.facts import NOTHING

POINTS = {"tickets_open": -7.6, "oldest_open_ticket": -3.9, "nps_last": 2.5, "tickets_opened": 1.0}


def test_a_fact_is_told_once_and_what_speaks_for_an_account_stays() -> None:
    lines = [
        ReasonLine(name, "support", points, "3", f"{name} of 3", None)
        for name, points in POINTS.items()
    ]
    row = {
        "reason_signals": list(POINTS),
        "reason_points": list(POINTS.values()),
        "reason_values": ["3"] * len(POINTS),
    }
    told = named_reasons(SimpleNamespace(row=row, reasons=lines), None, NOTHING)
    assert told == ["tickets_open: −7.6 points", "nps_last of 3", "tickets_opened of 3"]
