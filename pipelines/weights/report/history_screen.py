"""What ``recommend --history`` prints: each recommendation and what came of it, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pipelines.reports.segments import ALL, segment_words
from pipelines.reports.terminal.console import figure, plain, print_warnings
from pipelines.reports.wording import score

if TYPE_CHECKING:
    from pipelines.weights.adoption import Adoption
    from pipelines.weights.history import History, Past, Since

MARKS = {
    "adopted": ("● adopted", "green"),
    "partly adopted": ("◐ partly adopted", "yellow"),
    "not adopted": ("○ not adopted so far", "red"),
    "nothing to adopt": ("– nothing to adopt", "dim"),
}
MOST_PLACES = 12


def show_history(console: Console, found: History) -> None:
    """Print what was recommended, what was adopted, and what has happened since."""
    if not found.past:
        console.print(
            Text("Nothing was recommended yet; 'healthscore recommend' does and records it.")
        )
    for past in found.past:
        _show_past(console, found, past)
    print_warnings(console, found.warnings)


def _show_past(console: Console, found: History, past: Past) -> None:
    record = past.record
    title = f"Recommended on {record.made_at:%Y-%m-%d}, model version"
    console.print(Text(f"{title} {plain(record.model_version, 20)}", style="bold"))
    mark, style = MARKS[past.adoption.status]
    console.print(Text.assemble("  ", (mark, style), _details(past.adoption)))
    changed = [place for place, one in past.by_segment.items() if one.share is not None]
    for place in changed[:MOST_PLACES]:
        name = plain(segment_words(place, ALL), 40)
        one = past.by_segment[place]
        told = Text.assemble("    ", f"{name}: ", _moves(past, place), " – ", one.status)
        console.print(told, soft_wrap=True)
    if len(changed) > MOST_PLACES:
        console.print(Text(f"    and {len(changed) - MOST_PLACES} more segments", style="dim"))
    console.print(Text(f"  Since: {_since(found, past.since)}"), soft_wrap=True)
    print_warnings(console, past.notes)


def _details(adoption: Adoption) -> str:
    told = ""
    if adoption.status == "partly adopted" and adoption.share is not None:
        told += f", {100 * adoption.share:.0f} % of the change"
    if adoption.first_seen is not None:
        told += f", first seen on {adoption.first_seen}"
    return told if adoption.still else f"{told}, not any more"


def _moves(past: Past, place: str) -> str:
    today, advised = past.record.today[place], past.record.recommended[place]
    return ", ".join(
        f"{plain(name, 26)} {score(today[name])} → {score(weight)}"
        for name, weight in advised.items()
        if weight != today[name]
    )


def _since(found: History, since: Since | None) -> str:
    past = found.words.past
    if since is None:
        return "no outcome of a later date is known yet."
    span = f"{since.first}" if since.first == since.last else f"{since.first} to {since.last}"
    told = f"{since.outcomes:,} of {since.rows:,} rows of {span} {past}"
    if since.measured is None:
        return f"{told}: too early to say."
    said = since.measured
    low, high = said["auc_ahead_low"], said["auc_ahead_high"]
    who = "neither ranked better, as far as can be told"
    if low > 0:
        who = "the recommended weights ranked better"
    elif high < 0:
        who = "the weights of then ranked better"
    colour = "green" if found.good else "red"
    return (
        f"{told}; {who}: AUC {figure(said['auc'])} against {figure(said['auc_today'])} (difference"
        f" {_signed(low)} to {_signed(high)}). With as many {colour} accounts they flag"
        f" {100 * said['caught']:.0f} % of those that {past}, the weights of then"
        f" {100 * said['caught_today']:.0f} %."
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
