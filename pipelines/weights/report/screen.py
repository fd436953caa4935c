"""What ``recommend`` and ``what-if`` print: what to do first, then the figures behind it.

Eighty columns are enough. Names of segments and measures are somebody else's words.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from features.catalog import EVERYBODY
from pipelines.reports.segments import ALL, segment_words
from pipelines.reports.terminal.console import figure, plain, print_warnings, table_of
from pipelines.reports.wording import amount, money, score
from pipelines.weights.report.words import headline, reason, shown_segments, signed
from pipelines.weights.rows import FULL_MODEL, RECOMMENDED, TODAY
from pipelines.weights.what_if import WHAT_IF

if TYPE_CHECKING:
    from models.measures.estimate import Estimate
    from models.scorecard.advice import SegmentAdvice
    from models.scorecard.replay import Replayed
    from pipelines.weights.recommend import Recommended
    from pipelines.weights.what_if import WhatIf

VERDICTS = {"raise": ("▲ raise", "green"), "lower": ("▼ lower", "red"), "keep": ("= keep", "dim")}
CONTENDERS = {
    TODAY: "today's",
    WHAT_IF: "these",
    RECOMMENDED: "advised",
    FULL_MODEL: "health score",
}
NAME = 26
FEW = 20
"""With fewer positives a line is dimmed: its figures are mostly chance."""


def show_recommended(console: Console, recommended: Recommended, files: Sequence[Path]) -> None:
    """Print what to change, segment by segment, what it is worth, and where the report lies."""
    console.print(Text(plain(f"{headline(recommended)}.", 600), style="bold"))
    if recommended.is_assumed:
        console.print(
            Text("No weights are set under [scorecard]: equal ones stand in for today's.", "yellow")
        )
    kept = []
    for name in shown_segments(recommended):
        advice = recommended.advice[name]
        if advice.changes or name == EVERYBODY:
            _show_segment(console, advice, recommended)
        else:
            kept.append(name)
    if kept:
        names = ", ".join(plain(name, NAME) for name in kept)
        console.print(Text(f"Keep today's weights in {names}"), soft_wrap=True)
    _show_effects(console, recommended)
    print_warnings(console, recommended.warnings)
    for file in files:
        console.print(Text(f"Wrote {plain(file, 400)}"), soft_wrap=True)


def _show_segment(console: Console, advice: SegmentAdvice, recommended: Recommended) -> None:
    name = plain(segment_words(advice.segment, "All accounts"), 60)
    title = f"{name}: {advice.positives:,} of {advice.rows:,} rows {recommended.words.past}"
    console.print()
    console.print(Text(title, style="bold"))
    if not advice.enough_evidence:
        console.print(Text("Not enough evidence: keep all weights.", style="yellow"))
    elif advice.borrowed and advice.segment != EVERYBODY:
        console.print(Text("Its own rows say little: this rests on all segments.", style="dim"))
    table = table_of("Measure", ">today", ">advised", "", ">90 % sure", "why")
    _keep_figures_whole(table)
    for line in advice.advice:
        mark, style = VERDICTS[line.verdict]
        table.add_row(
            plain(line.measure, NAME),
            score(line.today),
            score(line.recommended),
            Text(mark, style),
            f"{line.low:.0f}–{line.high:.0f}",
            line.why,
            style="dim" if line.verdict == "keep" else None,
        )
    console.print(table)
    # The report gives every segment's reasons; here they would only repeat each other.
    for line in advice.advice if advice.segment == EVERYBODY else ():
        if line.why == "learnt":
            told = reason(line, recommended.words.past, recommended.good)
            console.print(Text(f"{plain(line.measure, NAME)}: {plain(told, 400)}"))


def _show_effects(console: Console, recommended: Recommended) -> None:
    effects = list(recommended.effects.values())
    if not recommended.foretells or not effects:
        return
    words = recommended.words
    console.print()
    console.print(
        Text(
            f"On {recommended.replayed_from} to {recommended.replayed_until}, with weights learnt"
            f" until {recommended.taught_until}; in twelve months, at this rate:",
            style="bold",
        )
    )
    flagged = "green" if recommended.good else "red"
    table = table_of(
        *("Segment", f">{words.past}", f">{flagged}\ntoday", f">more\n{flagged} (90 %)"),
        ">more ARR\n(90 %)",
    )
    _keep_figures_whole(table)
    for effect in effects:
        table.add_row(
            plain(segment_words(effect.segment), NAME),
            f"{effect.happened:,.0f}",
            _count(effect.caught_today),
            _between(effect.more, lambda number: signed(number, amount)),
            _between(effect.more_arr, lambda number: _money(number).replace("-", "−")),
        )
    console.print(table)


def show_what_if(console: Console, found: WhatIf) -> None:
    """Print what the weights would have done, beside today's, the recommended and the model."""
    console.print(Text(_verdict(found), style="bold"))
    _show_weights(console, found)
    console.print(
        Text(
            f"Replayed on {found.replayed_from} to {found.replayed_until}; advised is what would"
            f" have been then, by what was known of dates up to {found.taught_until}."
        )
    )
    told = set(found.replayed.table["segment"])
    for segment in dict.fromkeys((EVERYBODY, found.segment)):
        if segment in told:
            _show_replay(console, found, str(segment))
    _show_segments(console, found)
    console.print(
        Text(
            "All are cut so that as many accounts are red and green; intervals are 90 %.",
            style="dim",
        )
    )
    _show_moves(console, found)
    print_warnings(console, found.warnings)


def _verdict(found: WhatIf) -> str:
    """Say whether they are better or worse than today's, or that nobody can tell."""
    row = _row(found.replayed, found.segment or EVERYBODY, WHAT_IF)
    past = found.words.past
    if row is None or row["auc"] != row["auc"]:
        return f"Nobody {past} on the replayed dates: nothing tells these weights from today's."
    ahead, low, high = (row[f"auc_ahead{end}"] for end in ("", "_low", "_high"))
    where = "" if found.segment is None else f" in {plain(segment_words(found.segment, ALL), 60)}"
    said = "rank no better and no worse than today's, as far as can be told"
    if low > 0:
        said = "rank better than today's"
    elif high < 0:
        said = "rank worse than today's"
    return (
        f"These weights {said}{where}: AUC {_signed(ahead)} ({_signed(low)} to {_signed(high)})."
        f" {_caught(found, row)}"
    )


def _caught(found: WhatIf, row: Mapping[Hashable, float]) -> str:
    colour = "green" if found.good else "red"
    today = row["caught"] - row["caught_ahead"]
    points = [_rounded(100 * row[f"caught_ahead{end}"]) for end in ("", "_low", "_high")]
    return (
        f"Of those that {found.words.past}, {100 * row['caught']:.0f} % were {colour} before,"
        f" against {100 * today:.0f} % today: {points[0]} points ({points[1]} to {points[2]})."
    )


def _show_weights(console: Console, found: WhatIf) -> None:
    segment = found.segment or EVERYBODY
    shown = [found.weights[name][segment] for name in (TODAY, WHAT_IF, RECOMMENDED)]
    where = "" if found.segment is None else f" in {plain(segment_words(segment, ALL), NAME)}"
    table = table_of(f"Weights{where}", ">today's", ">these", ">advised")
    for measure in found.measures:
        table.add_row(plain(measure, 40), *(score(weights[measure]) for weights in shown))
    console.print(table)


def _show_replay(console: Console, found: WhatIf, segment: str) -> None:
    rows = found.replayed.table
    rows = rows[rows["segment"] == segment]
    counted = rows.iloc[0]
    name = plain(segment_words(segment, "All accounts"), 60)
    few = counted["positives"] < FEW
    title = f"{name}: {counted['positives']:,} of {counted['rows']:,} rows {found.words.past}"
    console.print(Text(f"{title}{': every figure is rough' if few else ''}", style="bold"))
    flagged = "green" if found.good else "red"
    has_early = bool(rows["early_events"].max())
    table = table_of(
        *("Weights", ">AUC", ">top-decile\nlift", f">{flagged} of those\nthat {found.words.past}"),
        *([f">{flagged} 90\ndays before"] if has_early else []),
        ">red/\ngreen",
    )
    _keep_figures_whole(table)
    for row in rows.to_dict("records"):
        table.add_row(
            CONTENDERS[row["contender"]],
            _interval(row, "auc", 2),
            _interval(row, "top_decile_lift", 1),
            _percent_interval(row, "caught"),
            *([_percent_interval(row, "early")] if has_early else []),
            f"{100 * row['red']:.0f}/{100 * row['green']:.0f}%",
        )
    console.print(table)


def _show_segments(console: Console, found: WhatIf) -> None:
    """Print per segment whether the weights rank better there."""
    rows = found.replayed.table
    if rows["segment"].nunique() == 1:
        return
    today, asked = (
        rows[rows["contender"] == name].set_index("segment") for name in (TODAY, WHAT_IF)
    )
    headings = ("Segment", f">{found.words.past}", ">AUC today's", ">these", ">difference (90 %)")
    table = table_of(*headings)
    _keep_figures_whole(table)
    for segment in asked.index[1:]:
        row = asked.loc[segment]
        ahead, low, high = (row[f"auc_ahead{end}"] for end in ("", "_low", "_high"))
        told = "–" if ahead != ahead else f"{_signed(ahead)} ({_signed(low)} to {_signed(high)})"
        table.add_row(
            plain(segment_words(segment), NAME),
            f"{row['positives']:,}",
            figure(today.loc[segment, "auc"], 2),
            figure(row["auc"], 2),
            told,
            style="dim" if row["positives"] < FEW else None,
        )
    console.print(table)


def _show_moves(console: Console, found: WhatIf) -> None:
    moves = found.replayed.moves
    here = moves[moves["segment"] == EVERYBODY]
    total = here.iloc[0]
    table = table_of(
        str(found.replayed_until), ">change colour", ">to red", ">from red", ">to green"
    )
    _keep_figures_whole(table)
    for row in here.to_dict("records"):
        if row["contender"] != TODAY:
            table.add_row(
                CONTENDERS[row["contender"]],
                *(_moved(row, kind) for kind in ("moved", "to_red", "from_red", "to_green")),
            )
    console.print(table)
    arr = f" (ARR {_money(total['arr'])})" if total["arr"] == total["arr"] else ""
    console.print(Text(f"Of {total['accounts']:,.0f} accounts{arr} on that date", style="dim"))


def _row(replayed: Replayed, segment: str, contender: str) -> Mapping[Hashable, float] | None:
    table = replayed.table
    if segment not in set(table["segment"]):
        # A single segment is not told apart from all.
        segment = EVERYBODY
    rows = table[(table["segment"] == segment) & (table["contender"] == contender)]
    return None if rows.empty else rows.drop(columns=["segment", "contender"]).iloc[0].to_dict()


def _moved(row: Mapping[Hashable, float], kind: str) -> str:
    arr = row[f"{kind}_arr"]
    return f"{row[kind]:,.0f}" + (f" ({_money(arr)})" if arr == arr else "")


def _interval(row: Mapping[Hashable, float], name: str, digits: int) -> str:
    value, low, high = (figure(row[f"{name}{end}"], digits) for end in ("", "_low", "_high"))
    return value if low == high == "–" else f"{value} ({low}–{high})"


def _percent_interval(row: Mapping[Hashable, float], name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value != value:
        return "–"
    return f"{100 * value:.0f}% ({100 * low:.0f}–{100 * high:.0f})"


def _between(found: Estimate, write: Callable[[float], str]) -> str:
    if found.value is None or found.low is None or found.high is None:
        return "–"
    return f"{write(found.value)} ({write(found.low)} to {write(found.high)})"


def _money(amount: float | None) -> str:
    # Terminals are not sure how wide the narrow space of a page is.
    return plain(money(amount))


def _rounded(value: float) -> str:
    text = f"{float(f'{value:.3g}'):+,.0f}".replace("-", "−")
    return "0" if text in ("+0", "−0") else text


def _count(value: float) -> str:
    return "–" if value != value else f"{value:,.0f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _keep_figures_whole(table: Table) -> None:
    """Let names wrap where the terminal is narrow, never figures."""
    table.collapse_padding = True
    for column in table.columns[1:]:
        column.no_wrap = column.header != "why"
