"""What people see: anybody's words, on one line, without power over the terminal."""

from __future__ import annotations

import contextlib
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Signal
from models.weights.certainty import GroupCertainty, WeightCertainty
from pipelines.reports.terminal.console import plain, plain_console, print_warnings
from pipelines.setup.screen import show_signals
from pipelines.training.screen import show_weights

HOSTILE = ["[red]x[/red]", "[/]", "[link=http://a]b[/link]", ":smile:", "{x}", "<b>", "a\x1b[2Jb"]


def shown(show, *given) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        show(plain_console(), *given)
    return out.getvalue()


@given(st.text(), st.integers(1, 100))
def test_plain_is_one_printable_line(text: str, limit: int) -> None:
    clean = plain(text, limit)
    assert len(clean) <= limit
    assert not any(unicodedata.category(c)[0] == "C" for c in clean)
    assert clean == " ".join(clean.split())
    assert plain(clean, limit) == clean


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=80))
def test_plain_keeps_what_is_harmless(text: str) -> None:
    assert plain(text) == text


def with_certainty(weights, enough_evidence=True):
    """Give every weight an interval of five points either side."""
    groups = {
        segment: {
            name: GroupCertainty(max(share - 5, 0), min(share + 5, 100), enough_evidence)
            for name, share in shares.items()
        }
        for segment, shares in weights.items()
    }
    return weights, WeightCertainty(groups, {})


@pytest.mark.parametrize("name", HOSTILE)
def test_markup_in_a_table_is_text(name: str) -> None:
    weights = with_certainty({name: {"usage": 60.0, "support": 40.0}})
    assert plain(name) in shown(show_weights, *weights)
    assert f"! {plain(name)}\n" in shown(print_warnings, [name])


def test_a_group_without_weight_in_a_segment_is_a_dash() -> None:
    weights = with_certainty({"all": {"usage": 100.0}, "b": {"support": 99.6}})
    text = shown(show_weights, *weights)
    rows = [line.split() for line in text.splitlines() if " % (" in line]
    assert rows == [
        ["usage", "100", "%", "(95–100)", "–"],
        ["support", "–", "100", "%", "(95–100)"],
    ]


def test_a_weight_without_evidence_has_a_question_mark() -> None:
    weights = {"all": {"usage": 70.0, "support": 30.0}}
    assert "70 % (65–75) ?" in shown(show_weights, *with_certainty(weights, enough_evidence=False))
    assert " ?" not in shown(show_weights, *with_certainty(weights))


def test_signals_of_a_group_stand_together() -> None:
    listed = [
        Signal(f"s{number}", group, "count", "none", "s", None, "{value}")
        for number, group in enumerate(("usage", "profile", "usage"))
    ]
    rows = [line.split()[0] for line in shown(show_signals, listed).splitlines() if line.split()]
    assert [row for row in rows if row in ("Usage", "Profile", "s0", "s1", "s2")] == [
        *("Usage", "s0", "s2"),
        *("Profile", "s1"),
    ]


def test_many_segments_are_shown_a_few_side_by_side() -> None:
    weights = {f"segment {number}": {"usage": 100.0} for number in range(9)}
    text = shown(show_weights, *with_certainty(weights))
    headings = [line for line in text.splitlines() if "segment" in line]
    assert [line.count("segment") for line in headings] == [3, 3, 3]
    assert all(f"segment {number}" in text for number in range(9))
