"""What the weights page says: of each weight what to do, and of weights what they would do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from features.catalog import EVERYBODY
from pipelines.reports.pieces import Section, Table
from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.console import plain
from pipelines.reports.wording import count, money, name, percent, plural, score, share
from pipelines.weights.report.sections_replay import replay_sentence
from pipelines.weights.report.words import pointed_to, reason, verdict
from pipelines.weights.rows import FULL_MODEL, RECOMMENDED, TODAY
from pipelines.weights.what_if import WHAT_IF

if TYPE_CHECKING:
    from models.scorecard.advice import SegmentAdvice
    from models.scorecard.replay import Replayed
    from pipelines.dashboard.weights.bench import Bench
    from pipelines.weights.what_if import WhatIf

CONTENDERS = {
    TODAY: "Today's weights",
    WHAT_IF: "Your weights",
    RECOMMENDED: "Recommended weights",
    FULL_MODEL: "Health score",
}
Row = Mapping[str, Any]


def shown_segments(bench: Bench) -> list[str]:
    """Segments to speak of, the largest first; one that is everybody is not told twice."""
    everybody = _rows(bench, EVERYBODY)
    own = [one for one in bench.segments if 0 < _rows(bench, one) < everybody]
    return [EVERYBODY, *sorted(own, key=lambda one: (-_rows(bench, one), one))]


def _rows(bench: Bench, segment: str) -> int:
    found = bench.advice.get(segment)
    return 0 if found is None else found.rows


def advice_sections(bench: Bench, noun: str, past: str) -> list[Section]:
    """Tell of each segment what its weights are, and what outcomes say of them."""
    good = bench.known.model.scale.good
    return [
        Section(
            f"weights-{place}",
            "All accounts" if segment == EVERYBODY else plain(segment_words(segment)),
            _sentence(bench.advice[segment], noun),
            [_weights(bench.advice[segment], past, good)],
        )
        for place, segment in enumerate(shown_segments(bench))
        if segment in bench.advice
    ]


def _sentence(advice: SegmentAdvice, noun: str) -> str:
    base = f"{noun} followed {count(advice.positives)} of {count(advice.rows)} times"
    if not advice.enough_evidence:
        return f"Not enough evidence ({base}): keep every weight."
    moved = sum(line.verdict != "keep" for line in advice.advice)
    if not moved:
        return f"Keep every weight: outcomes do not speak against them ({base})."
    borrowed = " It rests on all segments together." if advice.borrowed else ""
    return f"Change {moved} of {plural(len(advice.advice), 'weight')} ({base}).{borrowed}"


def _weights(advice: SegmentAdvice, past: str, good: bool) -> Table:
    rows = [
        [
            name(line.measure),
            verdict(line.verdict),
            score(line.today),
            Markup("<strong>{}</strong>").format(score(line.recommended)),
            "" if line.why == "no data" else score(line.learnt),
            "" if line.why == "no data" else pointed_to(line),
            reason(line, past, good),
        ]
        for line in advice.advice
    ]
    return Table(
        "Weights in percent. Learnt is what outcomes alone say; the range holds the right weight"
        " with a probability of 90 %.",
        ["Measure", "What to do", ">Today", ">Recommended", ">Learnt", "Range", "Why"],
        rows,
    )


def replay_table(replayed: Replayed, segment: str, *, good: bool, noun: str, drawn: str) -> Table:
    """Measure the contenders side by side in a segment, or in all accounts."""
    lines = _lines(replayed.table, segment)
    moves = _lines(replayed.moves, segment)
    colour = "green" if good else "red"
    has_arr = any(not math.isnan(row["caught_arr"]) for row in lines.values())
    has_early = any(row["early_events"] for row in lines.values())
    rows = []
    for contender, row in lines.items():
        cells: list[str] = [CONTENDERS[contender], _interval(row, "auc", 1), _lift(row)]
        cells.append(_interval(row, "caught"))
        if has_arr:
            cells.append(_interval(row, "caught_arr"))
        if has_early:
            cells.append(_interval(row, "early"))
        cells.append(_moved(moves[contender], contender))
        rows.append(cells)
    return Table(
        f"With 90 % intervals{drawn}. Pairs ranked right (AUC): of two accounts, one with {noun}"
        " and one without, how often the score tells them apart; 50 % is chance. First tenth: how"
        f" many times the average rate of {noun} is in the tenth of the accounts that the score"
        f" puts first. All turn as many accounts {colour}, so who finds more does not call more.",
        [
            "Weights",
            ">Pairs ranked right",
            ">First tenth",
            f">Seen {colour} in time",
            *([f">ARR seen {colour}"] if has_arr else []),
            *([">Red 90 days before"] if has_early else []),
            ">Change colour",
        ],
        rows,
    )


def lede(bench: Bench, noun: str) -> str | None:
    """Say what a scorecard sees and what the health score does; None where nothing happened."""
    lines = _lines(bench.replayed.table, EVERYBODY)
    if not lines[TODAY]["positives"]:
        return None
    return replay_sentence(lines, noun, good=bench.known.model.scale.good)


def drawn(bench: Bench) -> str:
    """Say that not all accounts are replayed, where that is so; for the end of a clause."""
    if bench.drawn is None:
        return ""
    some, everybody = bench.drawn
    return f", on {some:,} of {everybody:,} accounts drawn by chance"


def verdict_sentence(asked: WhatIf, segment: str) -> str:
    """Say in one sentence whether the weights asked for are better than today's."""
    row = _lines(asked.replayed.table, segment).get(WHAT_IF)
    noun, past = asked.words
    colour = "green" if asked.good else "red"
    if row is None or not row["positives"]:
        return f"No account here {past} on the replayed dates, so there is nothing to compare"
    today = _lines(asked.replayed.table, segment)[TODAY]
    low, high = row["caught_ahead_low"], row["caught_ahead_high"]
    sure = (
        "more than chance explains"
        if low > 0
        else "fewer than chance explains"
        if high < 0
        else "a difference that may be chance"
    )
    return (
        f"Of {count(row['positives'])} cases of {noun}, your weights would have been {colour} in"
        f" {percent(row['caught'], 0)} and today's in {percent(today['caught'], 0)}: {sure}"
    )


def _lines(table: Any, segment: str) -> dict[str, Row]:
    rows = table[table["segment"] == segment].to_dict("records")
    return {row["contender"]: row for row in rows}


def _interval(row: Row, field: str, digits: int = 0) -> Markup:
    return share(row[field], row[f"{field}_low"], row[f"{field}_high"], digits)


def _lift(row: Row) -> str:
    ends = [row[f"top_decile_lift{end}"] for end in ("", "_low", "_high")]
    if any(math.isnan(end) for end in ends):
        return "not known"
    return f"{ends[0]:.1f} ({ends[1]:.1f} to {ends[2]:.1f})"


def _moved(row: Row, contender: str) -> str:
    if contender == TODAY:
        return "–"
    told = f"{count(row['moved'])} of {count(row['accounts'])}"
    return told if math.isnan(row["moved_arr"]) else f"{told}, {money(row['moved_arr'])} ARR"
