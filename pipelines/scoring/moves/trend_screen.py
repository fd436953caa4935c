"""What people see of issued scores over time: a column per date, and the numbers below."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.text import Text

from pipelines.reports.terminal.console import (
    BAND_MARKS,
    BAND_STYLES,
    band_text,
    percent,
    plain,
    table_of,
)
from pipelines.reports.wording import spell
from pipelines.scoring.moves.trend import AccountTrend, PortfolioRun, PortfolioTrend, model_changes

if TYPE_CHECKING:
    from pipelines.store.issued import DatedScore

Dated = TypeVar("Dated", "DatedScore", "PortfolioRun")

EIGHTHS = " ▁▂▃▄▅▆▇█"
HEIGHT = 10
MARGIN = 6
WIDEST = 72
ROWS_SHOWN = 12
SHARE_WIDTH = 30
# From the highest probability: told apart by how dense they are, not by colour alone.
FILLS = "█▒░"


def show_trend(console: Console, trend: AccountTrend | PortfolioTrend) -> None:
    """Print scores over time."""
    if isinstance(trend, AccountTrend):
        show_account_trend(console, trend)
    else:
        show_portfolio_trend(console, trend)


def show_account_trend(console: Console, trend: AccountTrend) -> None:
    """Print one account's scores over time."""
    scores = trend.scores
    console.print(
        Text.assemble(
            (f"{plain(trend.account_id)}: ", "bold"),
            f"{len(scores)} issued {'score' if len(scores) == 1 else 'scores'}"
            f" ({trend.words.noun})",
        )
    )
    _show_columns(console, scores)
    table = table_of("Date", ">score", ">change", "", "since", f">{trend.words.noun}", "model")
    for before, score in _latest(scores):
        table.add_row(
            score.as_of.isoformat(),
            f"{score.score:.1f}",
            _change(score.score, None if before is None else before.score),
            band_text(score.band),
            "" if not score.band_days else spell(score.band_days),
            percent(score.probability),
            _version(score, before),
        )
    console.print(table)
    _tell_cut(console, len(scores))


def show_portfolio_trend(console: Console, trend: PortfolioTrend) -> None:
    """Print the portfolio's bands and mean score over time."""
    runs = trend.runs
    bands = [count.band for count in runs[0].bands]
    has_money = any(run.mrr is not None for run in runs)
    console.print(
        Text.assemble(
            ("Portfolio: ", "bold"),
            f"{len(runs)} issued {'run' if len(runs) == 1 else 'runs'} ({trend.words.noun})",
        )
    )
    table = table_of("Date", "accounts by band", ">mean score", ">change", "model")
    for before, run in _latest(runs):
        table.add_row(
            run.as_of.isoformat(),
            _shares(run),
            f"{run.mean_score:.1f}",
            _change(run.mean_score, None if before is None else before.mean_score),
            _version(run, before),
        )
    console.print(table)
    legend = [
        (f"{fill} {band}  ", BAND_STYLES[band]) for fill, band in zip(FILLS, bands, strict=True)
    ]
    console.print(Text.assemble(*legend))
    money = [">MRR"] if has_money else []
    headings = [heading for band in bands for heading in (f">{band}", *money)]
    table = table_of("Date", *headings)
    for run in runs[-ROWS_SHOWN:]:
        amounts = [
            cell
            for count in run.bands
            for cell in (f"{count.accounts:,}", *([_amount(count.mrr)] if has_money else []))
        ]
        table.add_row(run.as_of.isoformat(), *amounts)
    console.print(table)
    _tell_cut(console, len(runs))


def _show_columns(console: Console, scores: Sequence[DatedScore]) -> None:
    """Draw a column per date, in eighths of a line, with its band's mark below it."""
    room = min(console.width, WIDEST) - MARGIN
    every = -(-len(scores) // (room // 2))
    # Counted back from the newest, which is always there.
    shown = scores[::-1][::every][::-1]
    width = max(2, min(room // len(shown), 6))
    versions = [score.model_version for score in shown]
    ends = ["┊" if old != new else " " for old, new in pairwise([*versions, versions[-1]])]
    for line in range(HEIGHT, 0, -1):
        axis = {HEIGHT: "100", HEIGHT // 2: "50", 1: "0"}.get(line, "")
        console.print(
            Text.assemble(
                f"{axis:>{MARGIN - 2}} │",
                *(
                    part
                    for score, end in zip(shown, ends, strict=True)
                    for part in (_cell(score, line, width - 1), end)
                ),
            )
        )
    marks = [(BAND_MARKS[score.band].ljust(width), BAND_STYLES[score.band]) for score in shown]
    console.print(Text.assemble(" " * MARGIN, *marks))
    first, last = shown[0].as_of.isoformat(), shown[-1].as_of.isoformat()
    dates = first if len(shown) == 1 else f"{first} to {last}"
    thinned = f", one score of every {every}" if every > 1 else ""
    console.print(Text(f"{' ' * MARGIN}{dates}{thinned}", "dim"))
    changes = [
        f"model {plain(change['after'], 20)} from {change['as_of']}"
        for change in model_changes(scores)
    ]
    if changes:
        console.print(Text(f"{' ' * MARGIN}┊ {' · '.join(changes)}", "dim"))


def _cell(score: DatedScore, line: int, width: int) -> tuple[str, str]:
    """Draw what a column holds of a line, the lowest being 1."""
    eighths = round(8 * HEIGHT * score.score / 100) - 8 * (line - 1)
    return EIGHTHS[max(0, min(eighths, 8))] * width, BAND_STYLES[score.band]


def _latest(dated: Sequence[Dated]) -> list[tuple[Dated | None, Dated]]:
    """Pair the newest with those before them."""
    pairs = [(dated[at - 1] if at else None, one) for at, one in enumerate(dated)]
    return pairs[-ROWS_SHOWN:]


def _shares(run: PortfolioRun) -> Text:
    """Draw a bar of the accounts, the band of the highest probability first."""
    bar, done, drawn = Text(), 0, 0
    for fill, count in zip(FILLS, run.bands, strict=True):
        done += count.accounts
        end = round(SHARE_WIDTH * done / run.accounts)
        bar.append(fill * (end - drawn), style=BAND_STYLES[count.band])
        drawn = end
    return bar


def _version(one: DatedScore | PortfolioRun, before: DatedScore | PortfolioRun | None) -> Text:
    version = plain(one.model_version, 20)
    if before is None or before.model_version == one.model_version:
        return Text(version)
    return Text(f"{version} ← {plain(before.model_version, 20)}", style="bold")


def _change(now: float, before: float | None) -> str:
    if before is None:
        return ""
    text = f"{now - before:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def _amount(amount: float | None) -> str:
    return "–" if amount is None else f"{amount:,.0f}"


def _tell_cut(console: Console, count: int) -> None:
    if count > ROWS_SHOWN:
        console.print(Text(f"The newest {ROWS_SHOWN} of {count}; --json gives all", "dim"))
