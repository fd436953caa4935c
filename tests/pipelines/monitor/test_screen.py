"""What people see of a check on a terminal."""

from __future__ import annotations

import pytest

from pipelines.monitor.screen import show_monitored
from tests.pipelines.checked_by_hand import broken, checked, retrained
from tests.pipelines.screens import screen


def test_a_check_says_what_was_decided_and_why() -> None:
    one = checked()
    shown = " ".join(screen(show_monitored, one, width=200).split())
    assert one.decision.status in shown.split(maxsplit=2)[1]
    assert (
        "1,200 accounts of 2026-03-01 beside what version 4 learnt from until 2025-10-01" in shown
    )
    for reason in one.decision.reasons:
        assert " ".join(reason.replace("\u202e", " ").split())[:60] in shown
    assert "usage_28d" in shown
    assert "2026-02-01" in shown
    assert "Table surveys: newest row none" in shown
    assert "Something about" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_quiet_check_is_short() -> None:
    shown = screen(show_monitored, checked(moved=False))
    assert "ok  Nothing to do: what the model reads looks as it did" in shown
    assert "What moved" not in shown


@pytest.mark.parametrize("width", [40, 80])
def test_a_broken_feed_and_a_promotion_fit_narrow_terminals(width) -> None:
    assert "broken-feed  Repair the data first" in screen(show_monitored, broken(), width=width)
    shown = screen(show_monitored, retrained(promoted=True), width=width)
    assert "Version 5 is the champion now" in shown.replace("\n", " ")
    shown = screen(show_monitored, retrained(promoted=False), width=width)
    assert "Version 4 stays the champion" in shown.replace("\n", " ")
