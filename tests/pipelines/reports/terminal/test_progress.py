"""Progress goes to standard error: lines in a log, a bar on a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from pipelines.reports.terminal import progress
from pipelines.reports.terminal.progress import show_progress, show_rows


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def test_quick_work_says_nothing(capsys, clock) -> None:
    with show_progress("Check") as step:
        for number in range(1, 100):
            step("tables", number, 99)
    assert capsys.readouterr() == ("", "")


def test_slow_work_says_at_most_a_line_a_second(capsys, clock) -> None:
    with show_progress("Signals") as step:
        for number in range(1, 41):
            clock.now += 0.25
            step(f"step {number}", number, 40)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"Signals [{n}/40] step {n}" for n in range(4, 41, 4)]


def test_a_terminal_gets_a_bar_that_is_wiped_and_no_markup_is_read(monkeypatch, capsys) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with show_progress("Score") as step:
        step("writing [/red]scores.duckdb", 1, 2)
    assert "writing [/red]scores.duckdb" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_many_rows_say_their_rate_and_the_time_left(capsys, clock) -> None:
    with show_rows("Score", 4_000) as done:
        for _ in range(4):
            clock.now += 0.5
            done(1_000)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Score [2,000/4,000 rows] 2,000 rows/s, 1 s left",
        "Score [4,000/4,000 rows] 2,000 rows/s, 0 s left",
    ]


def test_a_terminal_sees_the_rows_and_their_rate(monkeypatch, capsys, clock) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with show_rows("Score", 4_000) as done:
        clock.now += 2.0
        done(3_000)
    assert "3,000/4,000 rows" in terminal.getvalue()
    assert "1,500 rows/s" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_training_kept_standard_output_to_itself(taught) -> None:
    lines = [line for line in taught.err.splitlines() if line]
    assert all(line.startswith(("Check [", "Signals [", "Train [")) for line in lines)
