"""The forecast on the terminal: quarters, the waterfall, and the renewals of the next weeks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pipelines.portfolio.forecast.words import (
    ACCOUNTS,
    GROSS,
    NET,
    RENEWAL,
    came,
    figures,
    headline,
    part_words,
    share,
)
from pipelines.reports.terminal.console import money, plain, table_of

if TYPE_CHECKING:
    from pipelines.portfolio.forecast.data import RetentionReport

WEEKS, PARTS = 8, 12


def show_forecast(console: Console, report: RetentionReport) -> None:
    """Print the forecast."""
    console.print(Text(headline(report), style="bold"), soft_wrap=True)
    for label, figure, certainty in figures(report):
        console.print(Text(f"{label}: {figure} ({certainty})"), soft_wrap=True)
    has_money = report.has_money
    kept = ([f">{GROSS}", f">{NET}"] if has_money else []) + [f">{ACCOUNTS}"]
    table = table_of("Period", *kept, f">{RENEWAL}")
    for one in report.whole.periods:
        row = [share(one.retention.gross), share(one.retention.net)] if has_money else []
        table.add_row(
            one.period.label, *row, share(one.retention.accounts), share(one.renewal_rate)
        )
    console.print(table)
    if has_money:
        _show_waterfall(console, report)
    for parts, what in ((report.segments, "Segment"), (report.owners, "Owner")):
        if len(parts) > 1:
            table = table_of(what, ">Accounts", *kept)
            for part in parts[:PARTS]:
                row = [share(part.whole.gross), share(part.whole.net)] if has_money else []
                name = plain(part_words(part.name, what), 40)
                table.add_row(name, f"{part.accounts:,}", *row, share(part.whole.accounts))
            console.print(table)
    _show_weeks(console, report)
    if report.held:
        table = table_of("Scores of", "To the end of", ">Expected", ">Came")
        for held in report.held:
            told = held.gross or held.accounts_kept
            table.add_row(f"{held.as_of}", held.label, share(told), came(held))
        console.print(table)


def _show_waterfall(console: Console, report: RetentionReport) -> None:
    table = table_of("Period", ">Opening", ">Lost", ">Smaller", ">Larger", ">Closing")
    for one in report.whole.periods:
        names = ("opening", "lost", "smaller", "larger", "closing")
        table.add_row(one.period.label, *(money(one.money[name].expected) for name in names))
    console.print(table)


def _show_weeks(console: Console, report: RetentionReport) -> None:
    if not report.weeks:
        return
    table = table_of("Renewals of the week", ">Contracts", ">ARR", *report.weeks[0].bands)
    for week in report.weeks[:WEEKS]:
        bands = (f"{accounts:,}" for accounts, _ in week.bands.values())
        table.add_row(f"{week.monday}", f"{week.accounts:,}", money(week.arr), *bands)
    console.print(table)
