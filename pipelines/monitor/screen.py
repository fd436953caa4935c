"""What people see of a check: the decision, why, what moved and which feeds are late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pipelines.monitor.champions_screen import show_retrained
from pipelines.monitor.words import change, headline
from pipelines.reports.segments import ALL, segment_words
from pipelines.reports.terminal.console import percent, plain, print_warnings, table_of

if TYPE_CHECKING:
    from pipelines.monitor.monitor import Monitored

STYLES = {"ok": "green", "watch": "yellow", "retrain": "bold red", "broken-feed": "bold red"}
MARKS = {"ok": "▲", "watch": "◆", "retrain": "↻", "broken-feed": "✖"}
MOST, LONGEST = 12, 600


def show_monitored(console: Console, checked: Monitored) -> None:
    """Print a check."""
    decision = checked.decision
    console.print(
        Text.assemble(
            (f"{MARKS[decision.status]} {decision.status}", STYLES[decision.status]),
            (f"  {plain(headline(checked), LONGEST)}", "bold"),
        ),
        soft_wrap=True,
    )
    counted = checked.findings.current
    of = "" if counted.rows == counted.of else f" of {counted.of:,}"
    console.print(
        Text(
            f"{counted.rows:,}{of} accounts of {checked.as_of} beside what version"
            f" {plain(checked.model_version, 20)} learnt from until"
            f" {checked.kept.reference.dates[-1]}"
        )
    )
    for reason in decision.reasons:
        console.print(Text(f"  {plain(reason, LONGEST)}"), soft_wrap=True)
    if checked.noticed:
        _show_moved(console, checked)
    late = [feed for feed in checked.findings.feeds if feed.has_stopped]
    for feed in late:
        newest = "none" if feed.newest is None else f"{feed.newest}"
        console.print(Text(f"Table {plain(feed.table, 60)}: newest row {newest}", "red"))
    for one in checked.findings.matured[:1]:
        console.print(
            Text(
                f"Since the training {percent(one.expected_rate)} were expected and"
                f" {percent(one.observed_rate)} observed ({percent(one.low)} to"
                f" {percent(one.high)}), {one.positives:,} of {one.rows:,} rows"
            )
        )
    if checked.retrained is not None:
        show_retrained(console, checked.retrained)
        # They were printed with it.
        shown = set(checked.retrained.warnings)
        print_warnings(console, [text for text in checked.warnings if text not in shown])
        return
    print_warnings(console, checked.warnings)


def _show_moved(console: Console, checked: Monitored) -> None:
    table = table_of("What moved", "where", "how", "first seen", ">weight", ">index")
    for place in (0, 3):
        table.columns[place].no_wrap = True
    drifts = sorted(checked.noticed, key=lambda drift: -drift.impact)
    for drift in drifts[:MOST]:
        table.add_row(
            plain(drift.name, 40),
            plain(segment_words(drift.segment, ALL), 40),
            change(drift),
            f"{checked.since[drift.name, drift.segment].seen_on}",
            "" if drift.name in ("score", "segment") else percent(drift.weight),
            f"{drift.movement.psi:.2f}",
        )
    console.print(table)
    if len(drifts) > MOST:
        console.print(Text(f"and {len(drifts) - MOST} more; --json lists them all", "dim"))
