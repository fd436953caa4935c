"""What recommend prints: advice first, marks beside colours, and no name as it came."""

from __future__ import annotations

import math
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from features.outcomes.settings import WORDS
from pipelines.weights.report.screen import CONTENDERS, show_recommended, show_what_if
from pipelines.weights.rows import RECOMMENDED, TODAY
from pipelines.weights.what_if import WHAT_IF, WhatIf
from tests.pipelines.recommended_by_hand import MEASURES, TODAY_WEIGHTS, made, rows
from tests.pipelines.screens import screen

FILES = [Path("/tmp/\x1b[31mreport.html")]


@pytest.mark.parametrize("width", [80, 140])
def test_the_screen_is_narrow_and_printable(width) -> None:
    text = screen(show_recommended, made(), FILES, width=width)
    assert not [c for c in text if c != "\n" and not c.isprintable()]
    # Names may be cut, figures may not; only sentences of other people's words run on.
    lines = [line for line in text.splitlines() if not line.startswith(("! ", "Wrote ", "Keep "))]
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(line[30:] for line in lines if "▲" in line or "▼" in line)
    assert "Wrote /tmp/ [31mreport.html" in text


def test_every_weight_is_told_with_a_mark_and_its_interval() -> None:
    recommended = made()
    text = screen(show_recommended, recommended, FILES, width=120)
    words = [" ".join(line.split()) for line in text.splitlines()]
    for name in recommended.segments:
        advice = recommended.advice[name]
        if name != "all" and not advice.changes:
            continue
        for line in advice.advice:
            if line.measure != "usage":
                continue
            mark = {"raise": "▲ raise", "lower": "▼ lower", "keep": "= keep"}[line.verdict]
            ends = f"{line.low:.0f}–{line.high:.0f}"
            told = f"usage {line.today:.0f} {line.recommended:.0f} {mark} {ends} {line.why}"
            assert told in words
    assert any(line.startswith("usage: Accounts in the worst fifth churned") for line in words)


def test_the_effect_is_told_per_segment() -> None:
    recommended = made()
    effect = recommended.effects["all"]
    words = " ".join(screen(show_recommended, recommended, FILES, width=120).split())
    signed = [f"{value:+,.0f}".replace("-", "−") for value in _ends(effect)]
    assert f"{effect.happened:,.0f} {effect.caught_today:,.0f} {signed[0]} ({signed[1]} to" in words
    without = " ".join(screen(show_recommended, made(arr=False), FILES, width=120).split())
    assert f"{signed[0]} ({signed[1]} to {signed[2]}) –" in without


def _ends(effect):
    return [float(f"{end:.3g}") for end in astuple(effect.more)]


def test_without_evidence_every_weight_is_kept() -> None:
    kept = made(foretells=False)
    text = screen(show_recommended, kept, FILES)
    assert text.startswith("Keep every weight: there is not enough evidence")
    assert "Not enough evidence: keep all weights." in text
    assert "▲" not in text
    assert "▼" not in text
    assert "in twelve" not in text


def test_assumed_weights_are_said() -> None:
    words = screen(show_recommended, replace(made(), is_assumed=True), FILES, width=120)
    assert "No weights are set under [scorecard]: equal ones stand in for today's." in words


def asked(**changed):
    """Ask about the company made by hand: the recommended weights by another name."""
    recommended = made()
    table = recommended.replayed.table
    more = table[table["contender"] == RECOMMENDED].assign(contender=WHAT_IF)
    moves = recommended.replayed.moves
    moved = moves[moves["contender"] == RECOMMENDED].assign(contender=WHAT_IF)
    replayed = replace(
        recommended.replayed,
        table=_joined(table, more),
        moves=_joined(moves, moved),
    )
    names = tuple(measure.name for measure in MEASURES)
    today = {
        name: dict(zip(names, TODAY_WEIGHTS["all"].tolist(), strict=True))
        for name in recommended.advice
    }
    advised = {name: found.weights for name, found in recommended.advice.items()}
    known = {
        "outcome": "main",
        "words": WORDS["churn"],
        "good": False,
        "version": "1",
        "segment": None,
        "measures": names,
        "weights": {TODAY: today, WHAT_IF: advised, RECOMMENDED: advised},
        "replayed": replayed,
        "taught_until": recommended.taught_until,
        "replayed_from": recommended.replayed_from,
        "replayed_until": recommended.replayed_until,
        "warnings": [],
    }
    return WhatIf(**known | changed)


def _joined(one, other):
    import pandas as pd

    return pd.concat([one, other], ignore_index=True)


def _with_all(found, **changed):
    table = found.replayed.table.copy()
    here = (table["segment"] == "all") & (table["contender"] == WHAT_IF)
    for name, value in changed.items():
        table.loc[here, name] = value
    return replace(found, replayed=replace(found.replayed, table=table))


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("segment", [None, *sorted(set(rows()["segment"]))])
def test_what_if_prints_any_name_within_its_width(width, segment) -> None:
    text = screen(show_what_if, asked(segment=segment), width=width)
    assert not [c for c in text if c != "\n" and not c.isprintable()]
    assert max(map(len, text.splitlines())) <= width
    for name in CONTENDERS.values():
        assert any(
            line.startswith(f" {name}") or line.startswith(name) for line in text.splitlines()
        )


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.03, "rank better than today's"),
        (-0.03, -0.01, "rank worse than today's"),
        (-0.01, 0.01, "rank no better and no worse than today's, as far as can be told"),
    ],
)
def test_the_verdict_follows_the_interval(low, high, said) -> None:
    found = _with_all(asked(), auc_ahead_low=low, auc_ahead_high=high)
    assert f"These weights {said}: AUC" in " ".join(screen(show_what_if, found).split())


def test_without_outcomes_nothing_is_told_apart() -> None:
    blank = dict.fromkeys((f"auc{end}" for end in ("", "_low", "_high")), math.nan)
    words = " ".join(screen(show_what_if, _with_all(asked(), **blank)).split())
    assert words.startswith(
        "Nobody churned on the replayed dates: nothing tells these weights from today's."
    )


def test_good_news_is_green() -> None:
    found = asked(good=True, words=WORDS["expansion"])
    words = " ".join(screen(show_what_if, found, width=100).split())
    assert "Of those that expanded," in words
    assert "% were green before" in words
