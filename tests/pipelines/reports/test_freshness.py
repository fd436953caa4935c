"""Scores held against the calendar: what is late, what is over, and what is neither."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from features.outcomes.settings import OutcomeSettings
from features.tables.last_rows import Freshness as Feed
from models.drift.feed_faults import stopped_data
from pipelines.reports.freshness import ended_note, freshness_of

AS_OF = date(2025, 1, 1)


@pytest.mark.parametrize(
    ("spacing", "days", "late", "over"),
    [
        ("month", 0, False, False),
        ("month", 38, False, False),
        ("month", 39, True, False),
        # A window of 14 and 30 days closes on the 44th.
        ("month", 43, True, False),
        ("month", 44, True, True),
        ("week", 14, False, False),
        ("week", 15, True, False),
        (90, 44, False, True),
        # A clock that stands before the data tells nothing.
        ("month", -400, False, False),
    ],
)
def test_scores_are_late_after_a_run_and_a_week(monkeypatch, spacing, days, late, over) -> None:
    monkeypatch.setattr("pipelines.reports.freshness.today", lambda: AS_OF + timedelta(days=days))
    outcome = OutcomeSettings(spacing=spacing, lead_days=14, horizon_days=30)
    fresh = freshness_of(outcome, AS_OF)
    assert (fresh.is_late, fresh.is_over) == (late, over)
    assert fresh.days_old == max(days, 0)
    if not (late or over):
        assert fresh.note is None
        return
    assert fresh.note is not None
    assert fresh.note.startswith(
        f"These scores are {days} days old: nothing after 31 December 2024 is in them"
    )
    assert ("what they predict was to come by 13 February 2025" in fresh.note) is over


def test_data_that_ended_long_ago_are_said_to_have(monkeypatch) -> None:
    monkeypatch.setattr("pipelines.reports.freshness.today", lambda: date(2025, 2, 8))
    assert ended_note(AS_OF) is None
    monkeypatch.setattr("pipelines.reports.freshness.today", lambda: date(2025, 2, 9))
    assert ended_note(AS_OF) == (
        "The data end on 31 December 2024, 39 days ago: nothing later was learnt from"
    )


def feed(newest: date | None, gap: float, name: str = "events") -> Feed:
    return Feed(name, newest, gap, AS_OF)


@pytest.mark.parametrize(
    ("feeds", "days", "stopped"),
    [
        ([], 400, False),
        ([feed(None, 0.0)], 400, False),
        ([feed(AS_OF, 1.0)], 7, False),
        ([feed(AS_OF, 1.0)], 8, True),
        # The densest table is the one that should go on first.
        ([feed(AS_OF, 1.0), feed(AS_OF - timedelta(days=90), 60.0, "surveys")], 8, True),
        ([feed(AS_OF, 30.0)], 61, False),
        ([feed(AS_OF, 30.0)], 62, True),
        # One that goes on is not all of them.
        ([feed(AS_OF, 1.0), feed(AS_OF + timedelta(days=60), 1.0, "tickets")], 62, False),
    ],
)
def test_all_tables_that_end_together_are_a_broken_feed(feeds, days, stopped) -> None:
    fault = stopped_data(feeds, AS_OF + timedelta(days=days), 7)
    assert (fault is not None) is stopped
    if fault is not None:
        assert fault.kind == "stopped-data"
        assert fault.since == AS_OF
        assert fault.sentence == (
            f"Every table ends by 2025-01-01, {days} days before today: what loads them has"
            " stopped; repair it and load the days that are missing, or set [source] data_end"
            " where the past is replayed on purpose."
        )
