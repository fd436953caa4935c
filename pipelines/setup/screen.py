"""Setting-up screens: the data quality report and the list of signals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pipelines.reports.terminal.console import plain, print_warnings, table_of
from pipelines.reports.wording import plural

if TYPE_CHECKING:
    from features.catalog import Signal
    from features.tables.mapping.finding import Severity
    from pipelines.setup.check import DataReport


FINDINGS_PAGE = "docs/reference/findings.md"
MARKS: dict[Severity, tuple[str, str]] = {
    "serious": ("‼ ", "red"),
    "warning": ("! ", "yellow"),
    "note": ("· ", "dim"),
}


def show_report(console: Console, report: DataReport) -> None:
    """Print the data quality report."""
    table = table_of("Table", ">rows", ">accounts", "first", "last")
    for quality in report.tables:
        same = quality.source_name == quality.name
        origin = "" if same else f" ({plain(quality.source_name, 24)})"
        table.add_row(
            f"{quality.name}{origin}",
            f"{quality.rows:,}",
            f"{quality.accounts:,}",
            f"{quality.first:%Y-%m-%d}" if quality.first else "–",
            f"{quality.last:%Y-%m-%d}" if quality.last else "–",
        )
    console.print(table)
    for quality in report.tables:
        sparse = [f"{name} {share:.0%}" for name, share in quality.missing.items() if share >= 0.2]
        if sparse:
            console.print(Text(f"{quality.name}, without a value: {plain(', '.join(sparse), 400)}"))
    on = [f"{group} ({count})" for group, count in report.groups.items() if count]
    off = [group for group, count in report.groups.items() if not count]
    console.print(Text(f"Signal groups on: {', '.join(on)}"))
    if off:
        console.print(Text(f"Signal groups off: {', '.join(off)}"))
    if report.owners:
        listed = plain(", ".join(report.owners), 400)
        console.print(Text(f"Owners of accounts, which no model reads: {listed}"))
    console.print(Text(f"Engine: {report.engine}"))
    for sentence in report.read:
        console.print(Text(plain(sentence, 400)))
    dates = report.observation_dates
    span = f"{len(dates)} from {dates[0]} to {dates[-1]}" if dates else "none"
    console.print(Text(f"Behaviour is known from {report.data_start} until {report.data_end}"))
    console.print(Text(f"Matured observation dates: {span}"))
    if report.never_full:
        listed = plain(", ".join(report.never_full), 400)
        console.print(Text(f"Look back further than that on every date: {listed}"))
    for name, outcome in report.outcomes.items():
        if outcome.problem is not None:
            print_warnings(console, [f"outcome {name}: {outcome.problem}"])
        elif name != "main":
            count = len(outcome.observation_dates)
            console.print(Text(f"Outcome {name} ({outcome.kind}): {count} matured dates"))
    _show_findings(console, report)
    if report.muted:
        console.print(Text(f"{plural(report.muted, 'finding')} muted by [check] mute"))
    if not report.problems and not report.muted:
        console.print(Text("No impossible or unreadable values were found", style="green"))


def _show_findings(console: Console, report: DataReport) -> None:
    """Print what was found, the serious first, each with its code."""
    for severity, (mark, style) in MARKS.items():
        for table in report.tables:
            for finding in table.findings:
                if finding.severity == severity:
                    line = plain(f"{table.name}.{finding.code}: {finding.text}", 400)
                    console.print(Text.assemble((mark, style), line), soft_wrap=True)
    if report.problems:
        console.print(Text(f"What each means, and how to mute it, is in {FINDINGS_PAGE}", "dim"))


def show_signals(console: Console, signals: Iterable[Signal]) -> None:
    """Print the catalogue, a section per group, whichever builder a signal came from."""
    from features.catalog import GROUPS

    table = table_of("Signal", "What it says", ">Lookback", "Healthy")
    table.columns[0].no_wrap = True
    healthy = {"higher": Text("▲ more", "green"), "lower": Text("▼ less", "green")}
    group = ""
    for signal in sorted(signals, key=lambda each: GROUPS.index(each.group)):
        if signal.group != group:
            group = signal.group
            table.add_section()
            table.add_row(Text(group.capitalize(), "bold"))
        table.add_row(
            signal.name,
            plain(signal.sentence.replace("{value}", "…").replace("{s}", "s")),
            f"{signal.window_days} d" if signal.window_days else "state",
            healthy.get(signal.healthy, Text("either", "dim")),
        )
    console.print(table)
