"""Explanation screen: one account's score with the points of every signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pipelines.reports.segments import segment_words
from pipelines.reports.terminal.console import band_text, bar, percent, plain, table_of
from pipelines.reports.wording import plural, signed_points, spell

if TYPE_CHECKING:
    from pipelines.scoring.explain import Explained

SHOWN = 20
"""Signals with points to act on; what is left changes a score by tenths."""


def _since(days: float) -> str:
    return f" for {spell(days)}" if days else ""


def _of(segment: str) -> str:
    words = segment_words(segment, "")
    return f" of {plain(words)}" if words else ""


def show_explained(console: Console, explained: Explained, *, whole: bool = False) -> None:
    """Print one account's score with the points of the signals that matter, or of all of them."""
    account, words = explained.account, explained.words
    chance = f"{percent(account['probability'])} {words.noun} in the outcome window"
    low, high = account["probability_low"], account["probability_high"]
    if low is not None:
        chance += f" (90 % interval {percent(low)} to {percent(high)})"
    if explained.timing is not None:
        chance += f", {percent(account['probability_if_due'])} had it to decide"
    console.print(
        Text.assemble(
            (f"{plain(account['account_id'])} on {account['as_of']}: ", "bold"),
            (f"{account['score']:.1f} ", "bold"),
            band_text(account["band"]),
            f"{_since(account['band_days'])}, {chance}",
        )
    )
    console.print(Text(explained.limits))
    if explained.usual is not None:
        console.print(Text(f"A score of {explained.usual}"))
    if explained.kept is not None:
        console.print(Text(explained.kept))
    if explained.timing is not None:
        console.print(Text(f"The contract {explained.timing}"))
    if explained.band_rate and explained.band_rate["rows"]:
        rate = explained.band_rate
        decided = "" if explained.timing is None else " that had to decide"
        console.print(
            Text(
                f"Of accounts in this band{decided} {percent(rate['observed_rate'])}"
                f" {words.past} in the window"
                f" ({percent(rate['low'])} to {percent(rate['high'])})"
            )
        )
    console.print(
        Text(
            f"The typical account{_of(account['segment'])} has"
            f" {account['baseline_score']:.1f};"
            f" {100 * account['coverage']:.0f} % of the weight was observed;"
            f" model version {plain(account['model_version'], 20)}"
        )
    )
    if explained.prior is not None:
        console.print(Text(explained.prior.sentence(words)))
    groups = table_of("Group", ">points", "")
    most = max((abs(points) for points in explained.groups.values()), default=0.0) or 1.0
    for group, points in sorted(explained.groups.items(), key=lambda item: item[1]):
        groups.add_row(group, f"{points:+.1f}", bar(points, most))
    console.print(groups)
    signals = table_of("Signal", "group", ">points", "what was seen")
    reasons = explained.reasons
    least = sorted((abs(reason.points) for reason in reasons), reverse=True)[:SHOWN][-1:]
    shown = [reason for reason in reasons if whole or not least or abs(reason.points) >= least[0]]
    for reason in shown:
        seen = reason.sentence.rsplit(":", 1)[0]
        signals.add_row(plain(reason.label, 40), reason.group, f"{reason.points:+.2f}", plain(seen))
    console.print(signals)
    if len(shown) < len(reasons):
        rest = sum(reason.points for reason in reasons) - sum(reason.points for reason in shown)
        told = plural(len(reasons) - len(shown), "more signal")
        console.print(
            Text(f"{told}: {signed_points(rest)} points in all; --whole lists them", style="dim")
        )
