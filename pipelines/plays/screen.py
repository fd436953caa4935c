"""What plays do, on the terminal: bars of the change in churn and what to think of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pipelines.plays.words import (
    VERDICTS,
    calls_words,
    doubts,
    headline,
    places,
    sentence,
    settling,
    standing_words,
    trial_words,
)
from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.console import money, percent, plain, table_of

if TYPE_CHECKING:
    from rich.console import Console

    from models.plays.result import PlayEffect
    from pipelines.plays.effects import PlaysReport
    from pipelines.plays.savable import SavableFirst

# Characters either side of no change.
HALF_BAR = 8
STYLES = {"helps": "green", "harms": "red"}


def show_report(console: Console, report: PlaysReport) -> None:
    """Print each play's effect as a sentence, a bar per segment, and what speaks against it."""
    console.print(Text(headline(report), style="bold"), soft_wrap=True)
    for trial in report.trials:
        console.print(Text(f"{plain(trial_words(trial), 300)}.", style="bold"), soft_wrap=True)
    lines = [one for play in report.plays for _, one in places(play)]
    most = max((max(abs(one.low), abs(one.high)) for one in lines), default=1.0) or 1.0
    for play in report.plays:
        console.print()
        if play.everywhere is None:
            text = f"{plain(play.play, 60)}: not enough to compare, {plain(play.why_not, 200)}."
            console.print(Text(text), soft_wrap=True)
            continue
        console.print(Text(f"{plain(sentence(play.everywhere, report), 300)}.", style="bold"))
        if further := settling(play):
            console.print(Text(f"{plain(further, 300)}."), soft_wrap=True)
        table = table_of(
            "Segment", ">given it", ">churned", ">without it", "fewer | more churn", ""
        )
        # A bar that is cut off says nothing: on a narrow terminal the words around it wrap.
        table.columns[4].no_wrap = True
        for place, one in places(play):
            table.add_row(
                plain(place, 40),
                f"{one.treated:,}",
                percent(one.with_play),
                percent(one.without),
                bar(one, most),
                Text(VERDICTS[one.verdict], style=STYLES.get(one.verdict, "dim")),
            )
        console.print(table)
        for doubt in doubts(play):
            console.print(Text(f"  {plain(doubt, 400)}."), soft_wrap=True)


def show_calls(console: Console, first: SavableFirst) -> None:
    """Print whom to call first, and why in that order."""
    console.print()
    console.print(Text(f"Call first, by scores of {first.as_of}", style="bold"))
    console.print(Text(f"{calls_words(first)}. {standing_words(first)}."), soft_wrap=True)
    table = table_of("Account", "Owner", "Segment", ">risk", ">ARR", "Play", ">keeps", ">hours")
    for call in first.calls:
        table.add_row(
            plain(f"{call.account_id} {call.name or ''}", 40),
            plain(call.owner or "", 20),
            plain(segment_words(call.segment, ""), 30),
            percent(call.probability),
            money(call.arr),
            plain(call.play, 30),
            f"{money(call.kept)} ({money(call.kept_low)} to {money(call.kept_high)})"
            if call.play
            else "not known",
            f"{call.hours:g}",
        )
    console.print(table)


def bar(effect: PlayEffect, most: float) -> Text:
    """Draw the interval around no change: the estimate in full, the interval faint."""
    places = 2 * HALF_BAR + 1

    def place(share: float) -> int:
        return round((share / most + 1) * (places - 1) / 2)

    drawn = Text()
    low, middle, high = (place(share) for share in (effect.low, effect.effect, effect.high))
    for position in range(places):
        if position == middle:
            drawn.append("●", style=STYLES.get(effect.verdict, ""))
        elif position == HALF_BAR:
            drawn.append("│")
        else:
            drawn.append("─" if low <= position <= high else " ", style="dim")
    return drawn
