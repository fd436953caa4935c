"""The portfolio on the terminal: what is at stake, how sure that is, and how forecasts fared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pipelines.portfolio.words import figures, foretold, headline, verdict
from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.console import (
    BAND_STYLES,
    BAR_WIDTH,
    band_text,
    money,
    percent,
    plain,
    table_of,
)
from pipelines.reports.wording import BANDS_CHANGE, short_day, signed_points

if TYPE_CHECKING:
    from pipelines.portfolio.data import PortfolioReport
    from pipelines.portfolio.portfolio import Portfolio
    from pipelines.portfolio.worklist.calls import Call


def show_report(console: Console, report: PortfolioReport) -> None:
    """Print the bands and whom to call, the key figures, plays and earlier forecasts."""
    console.print(Text(headline(report), style="bold"), soft_wrap=True)
    for label, figure, certainty in figures(report):
        console.print(Text(f"{label}: {figure} ({certainty})"), soft_wrap=True)
    show_portfolio(console, report.portfolio)
    if report.matured:
        noun = report.portfolio.outcome.words.noun
        table = table_of("Earlier date", "Scores", ">Accounts", f">Expected {noun}", ">Happened")
        for one in report.matured:
            said = foretold(one.forecast, is_money=False)
            table.add_row(
                f"{one.as_of}",
                "issued" if one.issued else "tested",
                f"{one.accounts:,}",
                said,
                verdict(one, is_money=False),
            )
        console.print(table)


def show_portfolio(console: Console, summed: Portfolio) -> None:
    """Print bands, money at risk and the accounts to call first."""
    words = summed.outcome.words
    title = f"Portfolio on {summed.as_of}, {words.noun} (model version"
    title = f"{title} {plain(summed.model_version, 20)})"
    console.print(Text(title, style="bold"))
    expected = f">expected {words.noun}"
    observed_when = ">observed at decisions" if summed.at_decisions else ">observed before"
    table = table_of("Band", ">accounts", ">ARR", expected, observed_when, "")
    most = max((band.accounts for band in summed.bands), default=0) or 1
    for band in summed.bands:
        observed = band.observed["observed_rate"] if band.observed else None
        width = round(BAR_WIDTH * band.accounts / most)
        table.add_row(
            band_text(band.band),
            f"{band.accounts:,}",
            money(band.arr),
            percent(band.expected_rate if band.accounts else None),
            percent(observed),
            Text("█" * width, style=BAND_STYLES[band.band]),
        )
    console.print(table)
    console.print(Text(f"By score: {summed.limits}; a band changes {BANDS_CHANGE}"))
    if summed.arr is not None and summed.expected_arr is not None:
        first = summed.bands[0]
        expected = f"{words.noun} is expected of accounts with ARR"
        if summed.outcome.kind == "churn":
            expected = "expected loss"
        console.print(
            Text(
                f"ARR {money(summed.arr)}, of which {money(first.arr)} {first.band};"
                f" {expected} {money(summed.expected_arr)}"
            )
        )
    console.print(Text("Call first", style="bold"))
    for number, call in enumerate(summed.calls, start=1):
        name = f" {plain(call.name, 40)}" if call.name else ""
        line = Text.assemble(
            f"{number}. {plain(call.account_id, 40)}{name}: score {call.score:.1f}{_since(call)} ",
            band_text(call.band),
            f", {percent(call.probability)} {words.noun}"
            + (f", ARR {money(call.arr)}" if call.arr is not None else "")
            + f"{_context(call)}",
        )
        console.print(line, soft_wrap=True)
        for sentence in call.sentences:
            console.print(Text(f"     {plain(sentence, 400)}"), soft_wrap=True)
        if call.play:
            console.print(Text(f"     → {plain(call.play, 200)}"), soft_wrap=True)


def _since(call: Call) -> str:
    return "" if call.change is None else f" ({signed_points(call.change)})"


def _context(call: Call) -> str:
    """Say of which segment an account is, who looks after it and when it renews, if known."""
    segment = segment_words(call.segment, "")
    where = f" ({plain(segment, 40)})" if segment else ""
    owner = f"; {plain(call.owner, 40)}" if call.owner else ""
    return where + owner + (f"; renews {short_day(call.renewal)}" if call.renewal else "")
