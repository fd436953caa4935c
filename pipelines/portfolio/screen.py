"""The portfolio on the terminal: what is at stake, how sure that is, and how forecasts fared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pipelines.portfolio.words import figures, foretold, headline, verdict
from pipelines.terminal.console import plain, show_portfolio, table_of

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.portfolio.data import PortfolioReport


def show_report(console: Console, report: PortfolioReport) -> None:
    """Print the bands and whom to call, the key figures, plays and earlier forecasts."""
    console.print(Text(headline(report), style="bold"), soft_wrap=True)
    for label, figure, certainty in figures(report):
        console.print(Text(f"{label}: {figure} ({certainty})"), soft_wrap=True)
    show_portfolio(console, report.portfolio)
    answered = [call for call in report.portfolio.calls if call.play]
    if answered:
        table = table_of("Account", "What to do")
        for call in answered:
            table.add_row(plain(call.account_id, 40), plain(call.play, 80))
        console.print(table)
    if report.matured:
        noun = report.portfolio.outcome.words.noun
        table = table_of("Earlier date", "Scores", ">Accounts", f">Foretold {noun}", ">Happened")
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
